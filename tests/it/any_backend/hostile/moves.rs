//! Things that are moved out of a root, and roots that change places.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{SEED, exchange, newest_of, spin, wait_until, wait_until_through, write_guarded};
use crate::common::evidence::{
    Marks, Seed, assert_never_early, census, contents, ledger_by_path, results, wait_until_settled,
};
use crate::common::{Place, wait_for};

/// Waits for the round's instant, moves `from` to `to`, and tells what was there then.
fn move_out(from: &Path, to: &Path) -> Option<BTreeMap<PathBuf, Marks>> {
    fs::rename(from, to).ok()?;
    Some(census(to))
}

#[test]
fn what_is_moved_out_of_a_root_is_out_of_reach_at_once() {
    const TTL_MS: i64 = 300;
    const FILES: usize = 40;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, outside) = (place.make_dir("root"), place.make_dir("outside"));
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    let mut seen: BTreeMap<PathBuf, Marks> = BTreeMap::new();
    let mut rng = seed.rng(0);
    for round in 0..14 {
        let dirs: Vec<String> = (0..4).map(|number| format!("m{round}-{number}")).collect();
        for dir in &dirs {
            fs::create_dir(root.join(dir)).unwrap();
            for file in 0..FILES {
                fs::write(root.join(dir).join(file.to_string()), "kept").unwrap();
            }
        }
        let last = root.join(&dirs[3]).join((FILES - 1).to_string());
        wait_until(newest_of(&last) + TTL_MS + rng.i64(-3..12));
        for dir in &dirs {
            seen.extend(move_out(&root.join(dir), &outside.join(dir)).unwrap());
            spin(rng.u64(0..2000));
        }
    }
    wait_until_through(&daemon, &root);
    let now = census(&outside);
    for path in seen.keys() {
        assert!(now.contains_key(path), "{} was taken", path.display());
    }
    let by_path = ledger_by_path(&place);
    for round in 0..14 {
        for number in 0..4 {
            for file in 0..FILES {
                let name = format!("m{round}-{number}/{file}");
                let results = results(&by_path, &root.join(&name));
                let is_there = now.contains_key(&outside.join(&name));
                let is_gone = results.last().is_some_and(|result| result == "removed");
                assert!(
                    is_there != is_gone,
                    "{name}: {results:?}, there: {is_there}"
                );
            }
        }
    }
}

#[test]
fn a_root_that_changes_places_with_another_keeps_the_others_things() {
    const TTL_MS: i64 = 400;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, other) = (place.make_dir("root"), place.make_dir("other"));
    let config = place.config_of_units("400ms", "");
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let mut rng = seed.rng(0);
    let mut guards = Vec::new();
    for round in 0..5 {
        for number in 0..12 {
            let unit = format!("u{round}-{number}/deep");
            for top in [&root, &other] {
                fs::create_dir_all(top.join(&unit)).unwrap();
            }
            for file in 0..5 {
                fs::write(root.join(&unit).join(file.to_string()), "old").unwrap();
                let content = format!("guard {unit} {file}");
                write_guarded(&other.join(&unit).join(file.to_string()), &content);
                guards.push(content);
            }
        }
        let last = root.join(format!("u{round}-11/deep/4"));
        wait_until(newest_of(&last) + TTL_MS + rng.i64(-3..25));
        exchange(&root, &other).unwrap();
        // What is out of the root now is out of reach.
        let seen = census(&other);
        spin(rng.u64(0..20_000));
        let now = census(&other);
        for path in seen
            .keys()
            .filter(|path| !path.starts_with(other.join(".lapsed")))
        {
            assert!(now.contains_key(path), "{} was taken", path.display());
        }
        exchange(&root, &other).unwrap();
        wait_for("what is left lapses", || {
            crate::common::walk(&root).is_empty().then_some(())
        });
    }
    wait_until_settled(&root);
    guards.sort();
    assert_eq!(contents(&other), guards);
    wait_for("the root is known again", || {
        (daemon.get("/v1/health").1["status"] == "ready").then_some(())
    });
    assert_never_early(&place, |_| TTL_MS);
}
