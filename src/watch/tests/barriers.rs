//! Barriers under load, several at once; the end.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::harness::{Bench, rel, unshared};
use crate::common::machine::Deadline;
use crate::core::facts::RootId;

#[test]
fn a_barrier_passes_under_constant_load_and_keeps_its_word() {
    let mut bench = Bench::watching(&["root"]);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (root, stop) = (bench.path("root"), Arc::clone(&stop));
            std::thread::spawn(move || {
                for at in 0.. {
                    let dir = root.join(format!("load{writer}/{}/{at}", at % 7));
                    fs::create_dir_all(&dir).unwrap();
                    fs::write(dir.join("f"), b"x").unwrap();
                    if at % 100 == 99 {
                        fs::remove_dir_all(root.join(format!("load{writer}"))).unwrap();
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    for at in 0..150 {
        let path = format!("mine/{}/b/{at}", at % 10);
        let file = bench.path("root").join(&path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, vec![b'x'; at]).unwrap();
        let model = bench.synced(0);
        let state = model.files.get(&rel(&path));
        assert_eq!(state.map(|state| state.1), Some(at as u64), "{path}");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().unwrap();
    }
    bench.assert_agrees(0, "root");
}

#[test]
fn barriers_of_several_threads_all_pass() {
    let bench = Bench::watching(&["root"]);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let bench = &bench;
            scope.spawn(move || {
                for at in 0..100 {
                    let path = format!("{thread}-{at}");
                    fs::write(bench.path("root").join(&path), b"x").unwrap();
                    let token = 1000 + thread * 1000 + at;
                    bench.watcher().sync(token);
                    bench
                        .shared
                        .wait("a barrier", |model| model.synced.contains(&token));
                    assert!(bench.model(0).files.contains_key(&rel(&path)));
                }
            });
        }
    });
}

/// Number of times that the threads of the watcher have gone to sleep so far.
fn sleeps() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap();
        let status = fs::read_to_string(task.join("status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("voluntary_ctxt_switches"));
        // The main thread bears the name of the test program.
        let is_main = task.file_name() == Some(std::process::id().to_string().as_ref());
        let is_ours = name.starts_with("lapsed-") || name.starts_with("notify-rs");
        if is_ours && !is_main {
            all.push((name, line.unwrap().into()));
        }
    }
    all
}

/// Time in which a thread that polls wakes: nothing else can show that none does.
const WINDOW: Duration = Duration::from_millis(900);

#[test]
fn an_idle_watcher_sleeps() {
    // In a process of its own: other tests have watchers too.
    if !unshared(&[], "barriers::an_idle_watcher_sleeps") {
        return;
    }
    let mut bench = Bench::watching(&["root"]);
    fs::create_dir_all(bench.path("root/a/b")).unwrap();
    fs::write(bench.path("root/a/b/f"), b"x").unwrap();
    bench.assert_agrees(0, "root");
    // After the last events come the last rests.
    let deadline = Deadline::new();
    loop {
        let before = sleeps();
        assert_eq!(before.len(), 5, "{before:?}");
        std::thread::park_timeout(WINDOW);
        if sleeps() == before {
            return;
        }
        assert!(!deadline.is_over(), "it never sleeps: {before:?}");
    }
}

#[test]
fn it_ends_in_time_whatever_it_is_at() {
    let mut bench = Bench::watching(&["root"]);
    let shared = Arc::clone(&bench.shared);
    let closed = shared.gate.lock();
    for at in 0..3000 {
        fs::write(bench.path(&format!("root/{at}")), b"x").unwrap();
    }
    bench.watcher().recrawl(RootId(0));
    let watcher = bench.watcher.take();
    let ending = std::thread::spawn(move || drop(watcher));
    // The sink takes nothing all the while, so it does not end by having told everything.
    let deadline = Deadline::new();
    while !ending.is_finished() {
        assert!(!deadline.is_over(), "it does not end");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    drop(closed);
}
