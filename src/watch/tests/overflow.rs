//! Lost events, of whatever queue, end in one reconciliation.

use std::fs;
use std::sync::Arc;

use super::harness::Bench;

/// Changes of all kinds, so many that no queue holds them.
fn storm(bench: &Bench, files: usize) {
    for at in 0..20 {
        fs::create_dir_all(bench.path(&format!("root/d{at}/sub"))).unwrap();
        fs::write(bench.path(&format!("root/d{at}/sub/f")), b"x").unwrap();
    }
    for at in 0..files {
        fs::write(bench.path(&format!("root/{at}")), b"x").unwrap();
    }
    // Changes that leave no trace in a directory: contents, in a file that is known already.
    fs::write(bench.path("root/old/f"), b"longer").unwrap();
    for at in 0..10 {
        let to = bench.path(&format!("root/d{}/moved", at + 10));
        fs::rename(bench.path(&format!("root/d{at}")), to).unwrap();
    }
    fs::remove_dir_all(bench.path("root/d15")).unwrap();
}

fn old_file() -> Bench {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.path("root/old")).unwrap();
    fs::write(bench.path("root/old/f"), b"x").unwrap();
    bench.token = 0;
    bench
}

#[test]
fn the_kernels_queue_overflows() {
    let mut bench = old_file();
    let options = bench.options(&["root"]);
    let reader = bench.start_held(options);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let held = reader.hold();
    storm(&bench, limit.trim().parse::<usize>().unwrap() / 2 + 100);
    drop(held);
    let model = bench.assert_agrees(0, "root");
    assert_eq!(bench.watcher().stats().overflows, 1);
    assert_eq!((model.doubted, model.reconciled), (1, 2));
    // It hears again.
    fs::write(bench.path("root/d11/moved/sub/new"), b"x").unwrap();
    let model = bench.assert_agrees(0, "root");
    assert_eq!((model.doubted, model.reconciled), (1, 2));
}

#[test]
fn our_own_queue_overflows() {
    let mut bench = old_file();
    let mut options = bench.options(&["root"]);
    options.queue_bytes_max = 16 * 1024;
    bench.start(options);
    let shared = Arc::clone(&bench.shared);
    let closed = shared.gate.lock();
    storm(&bench, 2000);
    drop(closed);
    let model = bench.assert_agrees(0, "root");
    let overflows = bench.watcher().stats().overflows;
    assert!(overflows >= 1);
    // However many overflows there were, they were not answered one by one.
    assert!(model.doubted >= 1 && model.reconciled >= 2);
    assert!(model.reconciled as u64 <= 1 + overflows);
    fs::write(bench.path("root/d11/moved/sub/new"), b"x").unwrap();
    bench.assert_agrees(0, "root");
}

#[test]
fn reconciliations_after_overflows_keep_their_distance() {
    let mut bench = old_file();
    let mut options = bench.options(&["root"]);
    options.queue_bytes_max = 1;
    options.reconcile_rest = std::time::Duration::from_millis(300);
    bench.start(options);
    let began = crate::clock::now().boot;
    for at in 0..200 {
        fs::write(bench.path(&format!("root/{at}")), b"x").unwrap();
        if at % 50 == 0 {
            bench.sync();
        }
    }
    let model = bench.assert_agrees(0, "root");
    let took = crate::clock::now().boot.saturating_sub(began).as_millis();
    assert!(bench.watcher().stats().overflows > 1);
    assert!(
        model.reconciled as u128 <= 2 + took / 300,
        "{} in {took} ms",
        model.reconciled
    );
}
