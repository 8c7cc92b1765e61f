//! Traits of this backend alone: a crate of others between the kernel and us.

use std::fs;

use super::harness::Bench;
use crate::core::facts::RootId;

/// Directories of the tree whose listings must not cause overflows of their own.
const MANY: u64 = 3000;

#[test]
fn after_an_overflow_thousands_of_directories_are_listed_once_and_it_is_quiet() {
    let mut bench = Bench::new();
    for at in 0..MANY {
        fs::create_dir_all(bench.path(&format!("root/{}/{at}", at % 40))).unwrap();
    }
    let options = bench.options(&["root"]);
    let reader = bench.start_held(options);
    assert_eq!(bench.watcher().stats().watches, MANY + 41);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let held = reader.hold();
    for at in 0..limit.trim().parse::<usize>().unwrap() / 2 {
        fs::write(bench.path(&format!("root/{}/f{at}", at % 40)), b"x").unwrap();
    }
    drop(held);
    let model = bench.assert_agrees(0, "root");
    // Where the crate's thread gets no turn, the listings may overflow its queue once more.
    assert!((1..=3).contains(&model.doubted), "{}", model.doubted);
    let most = model.doubted + 1;
    assert!(
        (2..=most).contains(&model.reconciled),
        "{} of {most}",
        model.reconciled
    );
    // Opening each of them in the reconciliation has raised events, and no look.
    let is_quiet = (0..5).any(|_| {
        bench.shared.model.lock().log.clear();
        for _ in 0..3 {
            bench.sync();
        }
        bench.shared.model.lock().log.is_empty()
    });
    assert!(is_quiet, "listings cause each other");
    assert!(bench.watcher().stats().overflows <= 3);
    assert_eq!(bench.watcher().stats().watches, MANY + 41);
}

#[test]
fn a_crawl_of_thousands_of_directories_overflows_no_queue() {
    let mut bench = Bench::new();
    for at in 0..MANY / 3 {
        fs::create_dir_all(bench.path(&format!("root/{}/{at}/b/c", at % 40))).unwrap();
    }
    let options = bench.options(&["root"]);
    bench.start(options);
    for _ in 0..3 {
        bench.watcher().recrawl(RootId(0));
        bench.assert_agrees(0, "root");
    }
    let stats = bench.watcher().stats();
    assert_eq!((stats.overflows, stats.missing), (0, 0));
    // Markers alone: our own looks were not taken for events.
    assert_eq!(stats.events, 4);
}

#[test]
fn an_inode_that_is_used_again_is_watched_again() {
    let mut bench = Bench::watching(&["root"]);
    for round in 0..60 {
        let dir = bench.path(&format!("root/{}", round % 3));
        fs::create_dir(&dir).unwrap();
        if round % 2 == 0 {
            bench.sync();
        }
        fs::write(dir.join("f"), b"x").unwrap();
        fs::rename(&dir, bench.path("root/old")).unwrap();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("g"), b"x").unwrap();
        if round % 5 == 0 {
            bench.assert_agrees(0, "root");
        }
        fs::remove_dir_all(bench.path("root/old")).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("h"), b"x").unwrap();
        assert_eq!(bench.assert_agrees(0, "root").files.len(), 1);
        fs::write(dir.join("i"), b"x").unwrap();
        assert_eq!(bench.assert_agrees(0, "root").files.len(), 2);
        fs::remove_dir_all(&dir).unwrap();
    }
    bench.sync();
    assert_eq!(bench.watcher().stats().watches, 1);
}
