//! A daemon that starts again knows what it knew: it answers at once, removes what came due meanwhile, reads only what changed, and
//! asks a person about nothing but a change of facts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::evidence::{ledger, ms, newest_ms, now_ms, stays};
use crate::common::trees::{assert_agrees, configured, root_status, set_age, write};
use crate::common::{Backend, Daemon, Place, wait_for, wait_or_tell};
use serde_json::Value;

fn reconciliation(daemon: &Daemon, root: &str) -> Value {
    root_status(daemon, root)["reconciliation"].clone()
}

/// `dirs` directories with `files` files each.
fn grow(root: &Path, dirs: usize, files: usize) {
    for dir in 0..dirs {
        for file in 0..files {
            write(&root.join(format!("d{dir}/f{file}")), file % 7);
        }
    }
}

#[test]
fn a_restart_answers_from_what_was_saved_and_reads_only_what_changed() {
    const DIRS: u64 = 120;
    for end in ["SIGTERM", "SIGKILL"] {
        let place = Place::new();
        let root = place.make_dir("root");
        grow(&root, 120, 20);
        let watch = format!("{}=1h", root.display());
        let mut daemon = place.serve_ready(&["--watch", &watch]);
        let before = assert_agrees(&daemon, &root, "before");
        daemon.wait_until_saved();
        if end == "SIGTERM" {
            assert!(daemon.stop().success());
        } else {
            daemon.kill();
        }

        // While nobody watched: a new file, one that is gone, a directory with another name, one with files as old as
        // the hills, one that is written in place, one that is gone as a whole.
        write(&root.join("d0/new"), 3);
        fs::remove_file(root.join("d1/f0")).unwrap();
        fs::rename(root.join("d2"), root.join("renamed")).unwrap();
        fs::write(root.join("d3/f1"), "written in place").unwrap();
        fs::remove_dir_all(root.join("d4")).unwrap();
        fs::create_dir_all(root.join("d5/deep/deeper")).unwrap();
        write(&root.join("d5/deep/deeper/file"), 9);

        let daemon = place.serve(&["--watch", &watch]);
        let loaded = &daemon.cache()["loaded"];
        assert_eq!(loaded["entries"], before.len() as u64, "{end}: {loaded}");
        assert_eq!(loaded["lost_pages"], 0, "{loaded}");
        daemon.wait_until_ready();
        let found = reconciliation(&daemon, "root");
        assert_eq!(found["restored"], true, "{end}: {found}");
        assert_eq!(found["first"]["kind"], "stamps", "{found}");
        // The root's own, d0, d1, the renamed one, d5 and two beneath it.
        assert_eq!(found["first"]["listed"], 7, "{end}: {found}");
        assert_eq!(found["first"]["skipped"], DIRS + 1 - 6, "{end}: {found}");

        // Afterwards contents as well, which leave no trace in directories.
        assert_agrees(&daemon, &root, end);
        let found = reconciliation(&daemon, "root");
        let last = found["last"]["kind"].as_str().unwrap();
        match crate::common::backend() {
            Backend::Inotify | Backend::Notify => assert_eq!(last, "contents", "{found}"),
            // Or everything, since its time has come.
            Backend::Poll => assert!(["contents", "again"].contains(&last), "{found}"),
        }
        assert_eq!(found["found"], 22, "{end}: new, 20 renamed, deep: {found}");
        assert!(found["changed"].as_u64() >= Some(1), "{found}");
        // And events from then on.
        write(&root.join("d7/later"), 1);
        assert_agrees(&daemon, &root, "after");
    }
}

#[test]
fn what_comes_due_while_nobody_watches_lapses_at_the_start_and_asks_nobody() {
    const FILES: usize = 1500;
    let place = Place::new();
    let root = place.make_dir("root");
    let config = "[[root]]\npath = \"root\"\n[[rule]]\nglob = \"*.keep\"\nexpire = \"1h\"\n[[rule]]\nexpire = \"15s\"\n";
    let mut daemon = configured(&place, config);
    for file in 0..FILES {
        write(&root.join(file.to_string()), 1);
    }
    write(&root.join("a.keep"), 1);
    daemon.sync();
    let last_due = now_ms() + 15_000;
    wait_for("all is saved", || {
        let cache = daemon.cache();
        let loaded = cache["saved_at"].is_string() && cache["pending"] == 0;
        (loaded && daemon.files("").len() == FILES + 1).then_some(())
    });
    daemon.kill();
    assert_eq!(
        crate::common::walk(&root).len(),
        FILES + 1,
        "killed too late"
    );
    wait_for("they come due", || (now_ms() > last_due).then_some(()));
    let daemon = place.serve(&["--config", place.path("lapsed.toml").to_str().unwrap()]);
    wait_or_tell(
        "they go",
        || (crate::common::walk(&root).len() == 1).then_some(()),
        || stays(&daemon),
    );
    assert_eq!(daemon.get("/v1/breaker").1["tripped"], Value::Array(vec![]));
    wait_for("all are recorded", || {
        (ledger(&place).len() == FILES).then_some(())
    });
}

/// As many old files as trip the breaker, with times that `since = "mtime"` believes.
fn old_files(dir: &Path) {
    for file in 0..1200 {
        let path = dir.join(format!("old{file}"));
        write(&path, 1);
        set_age(&path, Duration::from_hours(100)).unwrap();
    }
}

const BY_MTIME: &str = "[[root]]\npath = \"root\"\n[[rule]]\nsince = \"mtime\"\nexpire = \"1h\"\n";

fn tripped(daemon: &Daemon) -> usize {
    daemon.get("/v1/breaker").1["tripped"]
        .as_array()
        .map_or(0, Vec::len)
}

#[test]
fn what_appears_while_nobody_watches_and_is_due_at_once_asks_first() {
    let place = Place::new();
    let root = place.make_dir("root");
    write(&root.join("young"), 1);
    let mut daemon = configured(&place, BY_MTIME);
    daemon.wait_until_saved();
    daemon.kill();
    old_files(&root.join("copied"));
    let daemon = place.serve(&["--config", place.path("lapsed.toml").to_str().unwrap()]);
    wait_for("the breaker trips", || {
        (tripped(&daemon) == 1).then_some(())
    });
    daemon.wait_until_ready();
    daemon.sync();
    assert_eq!(crate::common::walk(&root).len(), 1201);
    assert_eq!(ledger(&place).len(), 0);
}

#[test]
fn a_breaker_that_tripped_stays_tripped_until_somebody_says_so() {
    let place = Place::new();
    let root = place.make_dir("root");
    old_files(&root);
    let mut daemon = configured(&place, BY_MTIME);
    assert_eq!(tripped(&daemon), 1);
    daemon.wait_until_saved();
    for round in 0..2 {
        daemon.kill();
        daemon = place.serve(&["--config", place.path("lapsed.toml").to_str().unwrap()]);
        wait_for("it is tripped still", || {
            (tripped(&daemon) == 1).then_some(())
        });
        daemon.wait_until_ready();
        daemon.sync();
        assert_eq!(crate::common::walk(&root).len(), 1200, "round {round}");
        assert_eq!(reconciliation(&daemon, "root")["restored"], true);
    }
    assert!(place.run(&["breaker", "release"]).status.success());
    wait_for("it goes", || {
        crate::common::walk(&root).is_empty().then_some(())
    });
}

#[test]
fn other_rules_than_before_are_a_change_of_facts() {
    let place = Place::new();
    let root = place.make_dir("root");
    old_files(&root);
    let mut daemon = configured(&place, &BY_MTIME.replace("1h", "1000d"));
    assert_eq!(tripped(&daemon), 0);
    daemon.wait_until_saved();
    daemon.kill();
    let mut daemon = configured(&place, BY_MTIME);
    assert_eq!(tripped(&daemon), 1);
    assert_eq!(crate::common::walk(&root).len(), 1200);
    daemon.wait_until_saved();
    daemon.kill();
    // Nor does taking the edit back and making it again let anything go.
    let mut daemon = configured(&place, &BY_MTIME.replace("1h", "1000d"));
    daemon.wait_until_saved();
    daemon.kill();
    let daemon = configured(&place, BY_MTIME);
    assert_eq!(tripped(&daemon), 1);
    assert_eq!(crate::common::walk(&root).len(), 1200);
}

#[test]
fn what_a_dry_run_left_overdue_asks_first() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config("[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"500ms\"\n");
    let config = config.to_str().unwrap();
    let mut daemon = place.serve_ready(&["--config", config, "--dry-run"]);
    for file in 0..1200 {
        write(&root.join(file.to_string()), 1);
    }
    daemon.sync();
    daemon.wait_until_saved();
    assert_eq!(crate::common::walk(&root).len(), 1200);
    assert!(daemon.stop().success());
    let daemon = place.serve_ready(&["--config", config]);
    wait_for("the breaker trips", || {
        (tripped(&daemon) == 1).then_some(())
    });
    assert_eq!(crate::common::walk(&root).len(), 1200);
}

#[test]
fn another_directory_in_a_roots_place_is_a_first_start() {
    let place = Place::new();
    let root = place.make_dir("root");
    write(&root.join("file"), 1);
    let mut daemon = configured(&place, BY_MTIME);
    daemon.wait_until_saved();
    daemon.kill();
    fs::rename(&root, place.path("away")).unwrap();
    place.make_dir("root");
    old_files(&root);
    let daemon = configured(&place, BY_MTIME);
    assert_eq!(tripped(&daemon), 1);
    assert_eq!(reconciliation(&daemon, "root")["restored"], false);
    assert_agrees(&daemon, &root, "the other directory");
}

#[test]
fn a_directory_that_is_moved_in_while_nobody_watches_arrives_when_it_is_moved() {
    let place = Place::new();
    let root = place.make_dir("root");
    write(&root.join("file"), 1);
    write(&place.path("outside/a/b/old"), 1);
    let mut daemon = configured(
        &place,
        "[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"1h\"\n",
    );
    daemon.wait_until_saved();
    daemon.kill();
    let old = newest_ms(&place.path("outside/a/b/old").metadata().unwrap());
    wait_for("it gets older", || (now_ms() > old + 3000).then_some(()));
    let moved = now_ms();
    fs::rename(place.path("outside/a"), root.join("a")).unwrap();
    write(&root.join("written"), 1);
    let daemon = configured(
        &place,
        "[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"1h\"\n",
    );
    let deadlines: BTreeMap<PathBuf, i64> = daemon
        .files("")
        .into_iter()
        .map(|(path, entry)| (path, ms(&entry["deadline"])))
        .collect();
    let hour = 3_600_000;
    let arrived = deadlines[&root.join("a/b/old")] - hour;
    // File systems take the change time from a clock that ticks every few milliseconds.
    assert!(
        (moved - 20..=moved + 2000).contains(&arrived),
        "{moved} {arrived}"
    );
    // Of all others their own times tell, however long nobody watched.
    for name in ["file", "written"] {
        let newest = newest_ms(&root.join(name).metadata().unwrap());
        assert_eq!(deadlines[&root.join(name)], newest + hour, "{name}");
    }
}

#[test]
fn what_is_asked_at_the_start_is_answered_before_anything_is_read_again() {
    let place = Place::new();
    let root = place.make_dir("root");
    grow(&root, 300, 30);
    let watch = format!("{}=1h", root.display());
    let mut daemon = place.serve_ready(&["--watch", &watch]);
    daemon.wait_until_saved();
    daemon.kill();
    let daemon = place.serve(&["--watch", &watch]);
    // The very first answer has everything.
    assert_eq!(daemon.files("").len(), 9000);
    let path = root.join("d7/f7");
    let (status, told) = daemon.get(&format!("/v1/explain?path={}", path.display()));
    assert_eq!(status, 200);
    let newest = newest_ms(&path.metadata().unwrap());
    assert_eq!(ms(&told["deadline"]), newest + 3_600_000, "{told}");
}

/// The documents of applications mean the time of the directory itself, which a write deep in it does not touch.
#[test]
fn by_the_latest_change_of_contents_directories_go_and_a_restart_knows_it() {
    const OLD: Duration = Duration::from_hours(8 * 24);
    let place = Place::new();
    let root = place.make_dir("jobs");
    let config = place.config(
        "[[root]]\nname = \"jobs\"\npath = \"jobs\"\n[[rule]]\nunit = \"dir\"\nsince = \"newest_mtime\"\nexpire = \"7d\"\n",
    );
    let arguments = ["--config", config.to_str().unwrap()];
    let age = |names: &[&str]| {
        for name in names {
            set_age(&root.join(name), OLD).unwrap();
        }
    };
    for name in ["old/a/file", "deep/a/old", "deep/a/fresh"] {
        write(&root.join(name), 3);
    }
    fs::create_dir(root.join("empty")).unwrap();
    age(&[
        "old/a/file",
        "old/a",
        "old",
        "empty",
        "deep/a/old",
        "deep/a",
        "deep",
    ]);
    let mut daemon = place.serve_ready(&arguments);
    wait_for("the old directories are gone", || {
        (!root.join("old").exists() && !root.join("empty").exists()).then_some(())
    });
    // Times that are set back while it watches, as an archive that is unpacked does.
    write(&root.join("unpacked/a/file"), 3);
    write(&root.join("unpacked/b"), 3);
    daemon.sync();
    assert!(root.join("unpacked").exists());
    age(&["unpacked/a/file", "unpacked/b", "unpacked/a", "unpacked"]);
    wait_for("the unpacked one is gone", || {
        (!root.join("unpacked").exists()).then_some(())
    });
    daemon.wait_until_saved();
    let week = 7 * 24 * 3600 * 1000;
    let fresh = fs::metadata(root.join("deep/a/fresh")).unwrap();
    let (_, told) = daemon.get(&format!("/v1/explain?path={}", root.join("deep").display()));
    let deadline = crate::common::trees::instant_ms(&told["deadline"]);
    let changed = fresh
        .modified()
        .unwrap()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let expected = i64::try_from(changed.as_nanos().div_ceil(1_000_000)).unwrap() + week;
    assert_eq!(deadline, expected, "{told}");
    assert!(daemon.stop().success());

    let daemon = place.serve_ready(&arguments);
    daemon.sync();
    let (_, told) = daemon.get(&format!("/v1/explain?path={}", root.join("deep").display()));
    assert_eq!(
        crate::common::trees::instant_ms(&told["deadline"]),
        expected,
        "{told}"
    );
}
