//! Crashes in the middle of a removal.

use std::fs;
use std::path::PathBuf;

use crate::common::evidence::{ledger_by_path, quarantine, results, stays, wait_until_settled};
use crate::common::trees::{write, write_old};
use crate::common::{Place, wait_for, wait_or_tell};

#[test]
fn a_crash_in_the_removal_of_a_large_unit_is_finished_by_the_next_start() {
    const FILES: usize = 4000;
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [breaker]
        entries = 1000000
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "100ms"
        "#,
    );
    let mut caught = Vec::new();
    for round in 0..3 {
        let unit = root.join(format!("unit-{round}"));
        for dir in 0..20 {
            let dir = unit.join(format!("{dir}/deep"));
            fs::create_dir_all(&dir).unwrap();
            for file in 0..FILES / 20 {
                // Old files are moved over one another.
                let write = if round == 0 { write } else { write_old };
                write(&dir.join(file.to_string()), 1);
            }
        }
        let mut daemon = place.serve(&["--config", config.to_str().unwrap()]);
        wait_for("it is recorded", || {
            ledger_by_path(&place).contains_key(&unit).then_some(())
        });
        daemon.kill();
        let left = || -> usize {
            let lain = quarantine(&root).into_iter();
            lain.map(|name| crate::common::walk(&root.join(".lapsed").join(name)).len())
                .sum()
        };
        caught.push(left());
        assert!(!unit.exists());
        let by_path = ledger_by_path(&place);
        assert_eq!(results(&by_path, &unit), ["removed"]);
        assert_eq!(by_path[&unit][0]["files"].as_u64(), Some(FILES as u64));

        let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
        wait_for("the next start finishes it", || {
            quarantine(&root).is_empty().then_some(())
        });
        assert_eq!(results(&ledger_by_path(&place), &unit), ["removed"]);
        assert!(!daemon.said().contains("displaced"));
        assert!(daemon.files("").is_empty());
    }
    println!("of {FILES} files the crashes left {caught:?}");
}

#[test]
fn a_crash_before_the_record_puts_everything_back() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [breaker]
        entries = 1000000
        [[root]]
        path = "root"
        [[rule]]
        expire = "100ms"
        "#,
    );
    // Caught between the move and the record, whenever that succeeds; every try has to end well.
    let mut caught = 0;
    for round in 0..12 {
        let names: Vec<PathBuf> = (0..200)
            .map(|file| root.join(format!("{round}-{file}")))
            .collect();
        for name in &names {
            fs::write(name, "content").unwrap();
        }
        let mut daemon = place.serve(&["--config", config.to_str().unwrap()]);
        wait_for("something is moved out", || {
            names.iter().any(|name| !name.exists()).then_some(())
        });
        daemon.kill();
        let by_path = ledger_by_path(&place);
        let there: Vec<bool> = names.iter().map(|name| name.exists()).collect();
        let told: Vec<bool> = names
            .iter()
            .map(|name| by_path.contains_key(name))
            .collect();
        let cut_off: Vec<&PathBuf> = names
            .iter()
            .zip(there.iter().zip(&told))
            .filter(|(_, (there, told))| !**there && !**told)
            .map(|(name, _)| name)
            .collect();
        caught += usize::from(!cut_off.is_empty());
        // A root where nothing lapses: recovery alone is at work.
        let quiet = place.path("quiet.toml");
        fs::write(
            &quiet,
            "[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"1h\"\n",
        )
        .unwrap();
        let daemon = place.serve_ready(&["--config", quiet.to_str().unwrap()]);
        wait_until_settled(&root);
        assert_eq!(quarantine(&root), [""; 0]);
        for name in cut_off {
            assert_eq!(fs::read_to_string(name).unwrap(), "content");
        }
        for (name, (there, told)) in names.iter().zip(there.iter().zip(&told)) {
            assert!(
                !(*there && *told),
                "{} is recorded and there",
                name.display()
            );
            assert_eq!(name.exists(), !*told, "{}", name.display());
        }
        let after = ledger_by_path(&place);
        assert!(after.values().all(|lines| lines.len() == 1));
        assert_eq!(
            after.len(),
            by_path.len(),
            "recovery recorded what did not happen"
        );
        let mut indexed: Vec<PathBuf> = Vec::new();
        wait_or_tell(
            "the index has what came back",
            || {
                daemon.sync();
                indexed = daemon.files("").into_keys().collect();
                let walked: Vec<PathBuf> = crate::common::walk(&root).into_keys().collect();
                (indexed == walked).then_some(())
            },
            || stays(&daemon),
        );
        drop(daemon);
    }
    println!("caught {caught} of 12 times between move and record");
}
