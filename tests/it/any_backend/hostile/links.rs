//! Links, and directories that turn into links.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use super::{SEED, exchange, newest_of, spin, wait_until, wait_until_through};
use crate::common::evidence::{
    Marks, Seed, assert_never_early, census, ledger, now_ms, quarantine, stays, wait_until_settled,
};
use crate::common::{Place, wait_for, wait_or_tell};

#[test]
fn a_directory_that_turns_into_a_link_leads_nowhere() {
    const TTL_MS: i64 = 400;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, staging) = (place.make_dir("root"), place.make_dir("staging"));
    let outside = place.make_dir("outside");
    let daemon = place.serve_ready(&["--watch", &format!("{}={TTL_MS}ms", root.display())]);
    let dirs: Vec<String> = (0..4).map(|number| format!("d{number}/deep")).collect();
    for (dir, number) in dirs.iter().zip(0..) {
        let there = outside.join(dir);
        fs::create_dir_all(&there).unwrap();
        for file in 0..16 {
            fs::write(there.join(format!("f{file}")), "outside").unwrap();
        }
        fs::create_dir_all(root.join(dir)).unwrap();
        // One kind of link replaces the directory itself, the other its parent; absolute and relative ones.
        let (link, target) = match number {
            0 => ("l0", there),
            1 => ("l1", PathBuf::from("../../outside/d1/deep")),
            2 => ("l2", outside.join("d2")),
            _ => ("l3", PathBuf::from("../outside/d3")),
        };
        symlink(target, staging.join(link)).unwrap();
    }
    let before = census(&outside);
    for round in 0..4 {
        for dir in &dirs {
            for file in 0..16 {
                fs::write(root.join(dir).join(format!("f{file}")), "old").unwrap();
            }
        }
        let due = newest_of(&root.join(&dirs[3]).join("f15")) + TTL_MS;
        std::thread::scope(|scope| {
            for number in 0..4 {
                let mut rng = seed.rng(round * 4 + number);
                let link = staging.join(format!("l{number}"));
                let dir = root.join(if number < 2 {
                    format!("d{number}/deep")
                } else {
                    format!("d{number}")
                });
                scope.spawn(move || {
                    wait_until(due - 20);
                    while now_ms() < due + 150 {
                        exchange(&dir, &link).unwrap();
                        spin(rng.u64(0..200));
                        exchange(&dir, &link).unwrap();
                        spin(rng.u64(0..2000));
                    }
                });
            }
        });
        wait_or_tell(
            "what is left lapses when it is quiet",
            || crate::common::walk(&root).is_empty().then_some(()),
            || {
                format!(
                    "{}\nthere: {:#?}",
                    stays(&daemon),
                    crate::common::walk(&root)
                )
            },
        );
    }
    wait_until_through(&daemon, &root);
    assert_eq!(census(&outside), before, "a link was followed");
    assert_eq!(quarantine(&root), [""; 0]);
    assert_never_early(&place, |_| TTL_MS);
}

#[test]
fn a_directory_of_a_unit_that_turns_into_a_link_leads_nowhere() {
    const TTL_MS: i64 = 400;
    let seed = Seed::from_env(SEED);
    let place = Place::new();
    let (root, staging) = (place.make_dir("root"), place.make_dir("staging"));
    let outside = place.make_dir("outside");
    // With something kept, the directories stay and their content goes piece by piece.
    let config = place.config_of_units("400ms", r#"keep = ["**/*.log"]"#);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    for number in 0..8 {
        let there = outside.join(number.to_string());
        fs::create_dir_all(there.join("sub")).unwrap();
        for file in 0..12 {
            fs::write(there.join(file.to_string()), "outside").unwrap();
            fs::write(there.join("sub").join(file.to_string()), "outside").unwrap();
        }
    }
    let before = census(&outside);
    let mut rng = seed.rng(0);
    let mut seen = BTreeMap::new();
    for round in 0..8 {
        let units: Vec<String> = (0..8).map(|number| format!("u{round}-{number}")).collect();
        for (unit, number) in units.iter().zip(0..) {
            let dir = root.join(unit).join("a");
            fs::create_dir_all(dir.join("sub")).unwrap();
            for file in 0..12 {
                fs::write(dir.join(file.to_string()), "old").unwrap();
                fs::write(dir.join("sub").join(file.to_string()), "old").unwrap();
            }
            fs::write(dir.join("run.log"), "log").unwrap();
            let target = outside.join(number.to_string());
            symlink(target, staging.join(unit)).unwrap();
        }
        let last = root.join(&units[7]).join("a/run.log");
        wait_until(newest_of(&last) + TTL_MS + rng.i64(-3..10));
        for unit in &units {
            exchange(&root.join(unit).join("a"), &staging.join(unit)).unwrap();
            seen.extend(census(&staging.join(unit)));
            spin(rng.u64(0..3000));
        }
    }
    let last: Vec<PathBuf> = (0..8)
        .map(|number| root.join(format!("u7-{number}")))
        .collect();
    wait_or_tell(
        "the links lapse with their units",
        || (!last.iter().any(|unit| unit.exists())).then_some(()),
        || format!("{}{:#?}", stays(&daemon), census(&root)),
    );
    wait_until_settled(&root);
    assert_eq!(census(&outside), before, "a link was followed");
    let now = census(&staging);
    for path in seen.keys() {
        assert!(now.contains_key(path), "{} was taken", path.display());
    }
    assert_eq!(quarantine(&root), [""; 0]);
    drop(daemon);
    assert_never_early(&place, |_| TTL_MS);
}

#[test]
fn links_are_removed_at_most_and_never_followed() {
    let place = Place::new();
    let (units, files) = (place.make_dir("units"), place.make_dir("files"));
    let outside = place.make_dir("outside");
    fs::create_dir_all(outside.join("tree/deep")).unwrap();
    for name in ["one", "two", "tree/deep/file"] {
        fs::write(outside.join(name), name).unwrap();
    }
    fs::create_dir_all(units.join("job/sub")).unwrap();
    fs::create_dir(files.join("sub")).unwrap();
    for dir in [
        &units,
        &units.join("job"),
        &units.join("job/sub"),
        &files,
        &files.join("sub"),
    ] {
        for (name, target) in [
            ("up", PathBuf::from("..")),
            ("upper", PathBuf::from("../../..")),
            ("tree", outside.join("tree")),
            ("relative", PathBuf::from("../outside/tree")),
            ("file", outside.join("one")),
            ("root", PathBuf::from("/")),
            ("self", PathBuf::from("self")),
            ("nowhere", PathBuf::from("nowhere")),
        ] {
            symlink(target, dir.join(name)).unwrap();
        }
    }
    // Other names of a file outside: only ours go.
    fs::hard_link(outside.join("one"), files.join("other-name")).unwrap();
    fs::hard_link(outside.join("two"), units.join("job/sub/other-name")).unwrap();
    fs::write(files.join("file-of-its-own"), "old").unwrap();
    fs::write(units.join("job/sub/file-of-its-own"), "old").unwrap();
    let config = place.config(
        r#"
        [[root]]
        path = "units"
        [[root]]
        path = "files"
        [[rule]]
        root = "units"
        unit = "dir"
        expire = "200ms"
        [[rule]]
        root = "files"
        expire = "200ms"
        "#,
    );
    let before = census(&outside);
    let links = |dir: &Path| -> Vec<PathBuf> {
        let all = census(dir).into_iter();
        let links = all
            .filter(|(path, marks)| marks.link.is_some() && !path.starts_with(units.join("job")));
        links.map(|(path, _)| path).collect()
    };
    let links_before = (links(&units), links(&files));
    let _daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    wait_for("everything that lapses is gone", || {
        let left = [
            units.join("job"),
            files.join("other-name"),
            files.join("file-of-its-own"),
        ];
        (!left.iter().any(|path| path.symlink_metadata().is_ok())).then_some(())
    });
    wait_until_settled(&units);
    wait_until_settled(&files);
    // The change time of a file tells that one of its names went: nothing else may be different.
    let without_ctime = |census: BTreeMap<PathBuf, Marks>| -> BTreeMap<PathBuf, Marks> {
        let all = census.into_iter();
        all.map(|(path, marks)| {
            let content = marks.content.map(|(bytes, mtime, _)| (bytes, mtime, 0));
            (path, Marks { content, ..marks })
        })
        .collect()
    };
    assert_eq!(without_ctime(census(&outside)), without_ctime(before));
    assert_eq!((links(&units), links(&files)), links_before);
    for name in ["one", "two"] {
        assert_eq!(outside.join(name).metadata().unwrap().nlink(), 1);
    }
    let lines: Vec<(String, u64)> = ledger(&place)
        .iter()
        .map(|line| {
            let path = crate::common::path_of(line);
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, line["files"].as_u64().unwrap())
        })
        .collect();
    assert!(lines.contains(&("job".to_owned(), 2)), "{lines:?}");
}
