//! What was moved in long after it was written arrives when it is moved, whatever happens to the daemon and its cache afterwards;
//! and what waits for a person waits on.
//!
//! Each of these was once a way to lose a file too early.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::evidence::{ledger, ms, now_ms, stays};
use crate::common::trees::{configured, set_age, write};
use crate::common::{Daemon, Place, wait_for, wait_or_tell};
use serde_json::Value;

/// How long files live here: long enough for a few starts of the daemon on a busy machine.
const TTL_MS: i64 = 12_000;
const DIRS: usize = 300;

fn config(expire: &str) -> String {
    format!(
        "[breaker]\nentries = 1000000\n[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"{expire}\"\n"
    )
}

/// A place with a tree beside its root whose files are older than they live here.
fn aged() -> Place {
    let place = Place::new();
    place.make_dir("root");
    for dir in 0..DIRS {
        write(&place.path(&format!("beside/d{dir}/deep/old")), 1);
    }
    let made = now_ms();
    wait_for("they are old", || (now_ms() > made + TTL_MS).then_some(()));
    place
}

fn move_in(place: &Place) -> i64 {
    let now = now_ms();
    fs::rename(place.path("beside"), place.path("root/moved")).unwrap();
    now
}

fn count(place: &Place) -> usize {
    crate::common::walk(&place.path("root")).len()
}

/// All of them stay until their time has passed since `moved`, and go then.
#[track_caller]
fn assert_live_their_time(place: &Place, daemon: &Daemon, moved: i64) {
    // File systems take change times from a clock that ticks every few milliseconds.
    let due = moved + TTL_MS - 20;
    wait_for("their time passes", || {
        let there = count(place);
        let now = now_ms();
        assert!(
            there == DIRS || now >= due,
            "{there} left {} ms early",
            due - now
        );
        (now >= due).then_some(())
    });
    wait_or_tell(
        "they go",
        || (count(place) == 0).then_some(()),
        || stays(daemon),
    );
    for line in ledger(place) {
        assert!(ms(&line["deadline"]) >= due, "{line}");
    }
}

/// Lets some time pass in which the daemon is at work: what is tried is that it is interrupted anywhere.
fn let_run(span: Duration) {
    let until = std::time::Instant::now() + span;
    while let Some(left) = until.checked_duration_since(std::time::Instant::now()) {
        std::thread::park_timeout(left);
    }
}

#[test]
fn a_tree_that_was_moved_in_just_before_a_crash_lives_its_time() {
    let place = aged();
    let mut daemon = configured(&place, &config("12s"));
    daemon.wait_until_saved();
    let moved = move_in(&place);
    // Killed while it is being listed and saved, and again while that is compared.
    for after in [60, 150, 40, 250] {
        let_run(Duration::from_millis(after));
        daemon.kill();
        daemon = place.serve(&["--config", "lapsed.toml"]);
    }
    assert_live_their_time(&place, &daemon, moved);
}

#[test]
fn a_tree_that_was_moved_in_lives_its_time_when_the_store_is_lost() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("removed", |cache| fs::remove_dir_all(cache).unwrap()),
        ("cut", |cache| {
            let db = fs::OpenOptions::new()
                .write(true)
                .open(cache.join("db"))
                .unwrap();
            db.set_len(db.metadata().unwrap().len() / 2).unwrap();
        }),
        ("emptied", |cache| {
            fs::write(cache.join("db"), b"").unwrap();
        }),
        ("garbage", |cache| {
            let len = fs::metadata(cache.join("db")).unwrap().len();
            fs::write(cache.join("db"), vec![0x5a; usize::try_from(len).unwrap()]).unwrap();
        }),
    ];
    std::thread::scope(|scope| {
        for (how, harm) in harms {
            scope.spawn(move || {
                let place = aged();
                let mut daemon = configured(&place, &config("12s"));
                let moved = move_in(&place);
                daemon.wait_until_saved();
                daemon.kill();
                harm(&place.path("state/store"));
                let daemon = place.serve(&["--config", "lapsed.toml"]);
                println!("{how}: {}", daemon.get("/v1/status").1["cache"]);
                assert_live_their_time(&place, &daemon, moved);
            });
        }
    });
}

#[test]
fn a_tree_that_was_moved_in_lives_its_time_when_the_rules_change_and_the_start_is_cut_off() {
    let place = aged();
    let three = "[breaker]\nentries = 1000000\n[[root]]\npath = \"root\"\n\
                 [[rule]]\nglob = \"*.a\"\nexpire = \"1s\"\n[[rule]]\nglob = \"*.b\"\nsince = \"mtime\"\nexpire = \"1s\"\n\
                 [[rule]]\nexpire = \"1h\"\n";
    let mut daemon = configured(&place, three);
    let moved = move_in(&place);
    daemon.wait_until_saved();
    daemon.kill();
    place.config(&config("12s"));
    for after in [0, 30, 200] {
        daemon = place.serve(&["--config", "lapsed.toml"]);
        let_run(Duration::from_millis(after));
        daemon.kill();
    }
    let daemon = place.serve(&["--config", "lapsed.toml"]);
    assert_live_their_time(&place, &daemon, moved);
}

#[test]
fn a_clean_without_a_daemon_knows_what_the_daemon_knew() {
    let place = aged();
    let mut daemon = configured(&place, &config("12s"));
    let moved = move_in(&place);
    daemon.wait_until_saved();
    assert!(daemon.stop().success());
    let output = place.run(&["clean", "--config", "lapsed.toml"]);
    assert!(
        output.status.success(),
        "{}",
        crate::common::errors(&output)
    );
    assert!(count(&place) == DIRS || now_ms() >= moved + TTL_MS);
    let daemon = place.serve(&["--config", "lapsed.toml"]);
    assert_live_their_time(&place, &daemon, moved);
}

/// As many old files as trip the breaker, with times that `since = "mtime"` believes.
fn old_files(dir: &Path, count: usize) {
    for file in 0..count {
        let path = dir.join(format!("d{}/old{file}", file % 50));
        write(&path, 1);
        set_age(&path, Duration::from_hours(100)).unwrap();
    }
}

const BY_MTIME: &str = "[[root]]\npath = \"root\"\n[[rule]]\nsince = \"mtime\"\nexpire = \"1h\"\n";

fn is_tripped(daemon: &Daemon) -> bool {
    daemon.get("/v1/breaker").1["tripped"] != Value::Array(vec![])
}

#[test]
fn a_root_that_is_away_at_a_start_is_as_it_was_when_it_is_back() {
    let place = Place::new();
    let root = place.make_dir("root");
    old_files(&root, 1500);
    let mut daemon = configured(&place, BY_MTIME);
    wait_for("the breaker trips", || is_tripped(&daemon).then_some(()));
    daemon.wait_until_saved();
    daemon.kill();
    let away: PathBuf = place.path("away");
    fs::rename(&root, &away).unwrap();
    for _ in 0..2 {
        // One start that ends without it, and one that sees it come back.
        let mut daemon = place.serve(&["--config", "lapsed.toml"]);
        wait_for("it is missing", || {
            (daemon.get("/v1/status").1["roots"][0]["phase"] == "missing").then_some(())
        });
        assert!(daemon.stop().success());
    }
    let daemon = place.serve(&["--config", "lapsed.toml"]);
    fs::rename(&away, &root).unwrap();
    wait_for("it is back", || {
        (daemon.get("/v1/status").1["roots"][0]["phase"] == "ready").then_some(())
    });
    daemon.sync();
    assert!(is_tripped(&daemon));
    assert_eq!(count(&place), 1500);
    // And while it runs.
    fs::rename(&root, &away).unwrap();
    wait_for("it is missing", || {
        (daemon.get("/v1/status").1["roots"][0]["phase"] == "missing").then_some(())
    });
    fs::rename(&away, &root).unwrap();
    wait_for("it is back", || {
        (daemon.get("/v1/status").1["roots"][0]["phase"] == "ready").then_some(())
    });
    assert!(is_tripped(&daemon));
    assert_eq!(count(&place), 1500);
    assert!(place.run(&["breaker", "release"]).status.success());
    wait_or_tell(
        "it goes",
        || (count(&place) == 0).then_some(()),
        || stays(&daemon),
    );
}

#[test]
fn starts_that_are_cut_off_do_not_make_what_was_found_known() {
    let place = Place::new();
    let root = place.make_dir("root");
    write(&root.join("young"), 1);
    let mut daemon = configured(&place, BY_MTIME);
    daemon.wait_until_saved();
    daemon.kill();
    old_files(&root.join("copied"), 6000);
    for (round, after) in [0, 40, 5, 90, 20, 150].into_iter().enumerate() {
        let mut daemon = place.serve(&["--config", "lapsed.toml"]);
        let_run(Duration::from_millis(after));
        if round % 2 == 0 {
            daemon.kill();
        } else {
            assert!(daemon.stop().success());
        }
        assert_eq!(count(&place), 6001, "round {round}");
    }
    let daemon = place.serve_ready(&["--config", "lapsed.toml"]);
    wait_for("the breaker trips", || is_tripped(&daemon).then_some(()));
    daemon.sync();
    assert_eq!(count(&place), 6001);
}
