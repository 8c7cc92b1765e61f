//! Overflows of the queue of events, and directories without a watch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::{churn, hourly};
use crate::common::trees::{
    alone, assert_agrees, configured, instant_ms, newest_ms, now_ms, removals, root_status,
    set_age, watches, write,
};
use crate::common::{Backend, Daemon, Place, backend, lines, wait_for};

/// Fills the kernel's queue of the stopped `daemon` by touching two files in turns: equal neighbours would be merged.
fn overflow(root: &Path) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let names = ["tick", "tock"].map(|name| root.join(name));
    for name in &names {
        fs::write(name, b"").unwrap();
    }
    for at in 0..2 * limit {
        set_age(&names[at % 2], Duration::ZERO).unwrap();
    }
}

/// The daemon knows that events were lost, where there are any.
#[track_caller]
fn assert_overflowed(daemon: &Daemon) {
    let told = watches(daemon);
    match backend() {
        Backend::Inotify | Backend::Notify => {
            assert!(told["overflows"].as_u64().unwrap() > 0, "{told}");
        }
        Backend::Poll => assert_eq!(told["overflows"], 0, "{told}"),
    }
}

#[test]
fn what_happens_after_the_kernels_queue_is_full_is_found_by_one_reconciliation() {
    const TTL_MS: i64 = 4000;
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = place.serve_ready(&["--watch", &format!("{}=4s", root.display())]);
    daemon.sync();
    for at in 0..50 {
        write(&root.join(format!("d{at}/sub/f")), at);
        write(&root.join(format!("d{at}/g")), at);
    }
    daemon.sync();
    let mut newest = BTreeMap::new();
    let mut note = |path: PathBuf| {
        let at = newest_ms(&path.metadata().unwrap());
        newest.insert(path, at);
    };
    daemon.signal(Signal::STOP);
    overflow(&root);
    // None of this is told to anybody.
    for at in 0..50 {
        let dir = root.join(format!("d{at}"));
        match at % 5 {
            0 => fs::rename(&dir, root.join(format!("moved{at}"))).unwrap(),
            1 => fs::remove_dir_all(&dir).unwrap(),
            2 => {
                write(&dir.join("sub/new/deep/f"), at);
                note(dir.join("sub/new/deep/f"));
            }
            3 => {
                // Contents leave no trace in their directory.
                write(&dir.join("sub/f"), 1000 + at);
                note(dir.join("sub/f"));
            }
            _ => {}
        }
    }
    // What nobody touched becomes due while the daemon cannot do anything.
    let old = newest_ms(&root.join("d4/g").metadata().unwrap());
    wait_for("the old ones are due", || {
        (now_ms() > old + TTL_MS).then_some(())
    });
    daemon.signal(Signal::CONT);
    daemon.sync();
    assert_overflowed(&daemon);
    // Some may lapse between a question and a walk: they agree when nothing is left.
    wait_for("all lapses", || {
        (crate::common::walk(&root).is_empty() && daemon.files("").is_empty()).then_some(())
    });
    for (path, line) in removals(&daemon) {
        if let Some(newest) = newest.get(&path) {
            assert!(instant_ms(&line["at"]) >= newest + TTL_MS, "early: {line}");
        }
    }
    // It hears again.
    write(&root.join("d3/sub/again/f"), 5);
    assert!(assert_agrees(&daemon, &root, "after the overflow").len() == 1);
}

#[test]
fn after_an_overflow_under_load_the_index_is_what_a_walk_finds() {
    let place = Place::new();
    let (daemon, root) = hourly(&place);
    let roots = std::slice::from_ref(&root);
    for seed in [7, 8] {
        churn(seed, 2, 500, roots);
        daemon.signal(Signal::STOP);
        overflow(&root);
        churn(seed + 10, 2, 500, roots);
        // It wakes in the midst of it.
        std::thread::scope(|scope| {
            scope.spawn(|| churn(seed + 20, 2, 500, roots));
            daemon.signal(Signal::CONT);
        });
        assert_agrees(&daemon, &root, &format!("seed {seed}"));
        assert_overflowed(&daemon);
        assert_eq!(root_status(&daemon, "root")["phase"], "ready");
    }
}

/// 81 directories, and not enough watches.
#[track_caller]
fn assert_missing_are_told(place: &Place, daemon: &Daemon) {
    let told = watches(daemon);
    let (count, missing) = (
        told["count"].as_u64().unwrap(),
        told["missing"].as_u64().unwrap(),
    );
    let all = count + missing;
    // With inotify the quarantine may get one of them, if it is made early enough.
    assert!(missing > 30 && (81..=82).contains(&all), "{told}");
    assert!(told["limit"].as_u64().is_some(), "{told}");
    daemon.wait_until_said("cannot be watched");
    let said = daemon.said();
    // It was said before the quarantine was watched, or after.
    let is_counted = |all: u64| said.contains(&format!("{missing} of {all} directories"));
    assert!((81..=82).any(is_counted), "{told} is not in:\n{said}");
    for needed in [
        "sysctl fs.inotify.max_user_watches=".into(),
        format!("(now {})", told["limit"]),
        "every=1s".into(),
    ] {
        assert!(said.contains(&needed), "{needed:?} is not in:\n{said}");
    }
    let human = lines(&place.run(&["status"])).join("\n");
    assert!(human.contains(&missing.to_string()), "{human}");
}

#[test]
fn directories_without_a_watch_are_told_of_and_their_files_lapse_by_the_timer() {
    const LIMIT: &str = "/proc/sys/user/max_inotify_watches";
    const TEST: &str = "directories_without_a_watch_are_told_of_and_their_files_lapse_by_the_timer";
    if !alone(&[], TEST) {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("root");
    for at in 0..40 {
        place.make_dir(&format!("root/{at}/sub"));
    }
    fs::write(LIMIT, "45").unwrap();
    let daemon = configured(
        &place,
        r#"
        [watch]
        reconcile_every = "1s"
        [[root]]
        path = "root"
        [[rule]]
        glob = "**/short"
        expire = "500ms"
        [[rule]]
        expire = "1h"
        "#,
    );
    match backend() {
        Backend::Inotify | Backend::Notify => assert_missing_are_told(&place, &daemon),
        Backend::Poll => {
            // None is needed.
            let told = watches(&daemon);
            assert_eq!((&told["count"], &told["missing"]), (&0.into(), &0.into()));
            assert!(told["limit"].is_null(), "{told}");
            assert!(!daemon.said().contains("cannot be watched"));
        }
    }
    let mut newest = BTreeMap::new();
    for at in 0..40 {
        let path = root.join(format!("{at}/sub/short"));
        write(&path, 1);
        newest.insert(path.clone(), newest_ms(&path.metadata().unwrap()));
        write(&root.join(format!("{at}/sub/long")), 3);
        write(&root.join(format!("{at}/new/er/long")), 4);
    }
    wait_for("the short ones lapse", || {
        let left = newest.keys().filter(|path| path.exists()).count();
        (left == 0).then_some(())
    });
    for (path, line) in removals(&daemon) {
        assert!(
            instant_ms(&line["at"]) >= newest[&path] + 500,
            "early: {line}"
        );
    }
    wait_for("the long ones are found", || {
        (daemon.files("").len() == 80).then_some(())
    });
    assert_agrees(&daemon, &root, "by the timer");
    // Contents that change unheard are found as well, and so is what goes.
    write(&root.join("39/sub/long"), 333);
    fs::remove_dir_all(root.join("38")).unwrap();
    wait_for("the changes are found", || {
        let files = daemon.files("");
        let size = files.get(&root.join("39/sub/long"))?["size"].as_u64();
        (size == Some(333) && files.len() == 78).then_some(())
    });
    // The limit is raised: nothing is missing any more.
    fs::write(LIMIT, "10000").unwrap();
    wait_for("all is watched", || {
        (watches(&daemon)["missing"] == 0).then_some(())
    });
    write(&root.join("37/new/er/long"), 44);
    assert_agrees(&daemon, &root, "when all is watched again");
}
