//! More directories than watches; other backends.

use std::fs;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::harness::{Bench, unshared};
use crate::core::effect::JOBS;
use crate::fs::Dir;
use crate::watch::Watcher;
use crate::watch::backend::{Backend, Marker, More, RawEvent, WatchId};
use crate::watch::node_id::NodeId;

#[test]
fn directories_beyond_the_limit_are_listed_on_a_timer_until_there_are_watches() {
    const LIMIT: &str = "/proc/sys/user/max_inotify_watches";
    if !unshared(
        &[],
        "limits::directories_beyond_the_limit_are_listed_on_a_timer_until_there_are_watches",
    ) {
        return;
    }
    let mut bench = Bench::new();
    for at in 0..40 {
        fs::create_dir_all(bench.path(&format!("root/{at}/sub"))).unwrap();
    }
    fs::write(LIMIT, "30").unwrap();
    let mut options = bench.options(&["root"]);
    options.reconcile_every = Duration::from_millis(50);
    bench.start(options);
    let model = bench.assert_agrees(0, "root");
    assert!(model.doubted >= 1);
    let stats = bench.watcher().stats();
    assert!(
        stats.watches < 30 && stats.watches + stats.missing == 81,
        "{stats:?}"
    );
    assert!(stats.limit.is_some());
    // Found without an event.
    for at in 0..40 {
        fs::write(bench.path(&format!("root/{at}/sub/f")), b"x").unwrap();
        fs::create_dir_all(bench.path(&format!("root/{at}/late/d"))).unwrap();
    }
    bench
        .shared
        .wait("files in unwatched directories", |model| {
            let root = &model.roots[&crate::core::facts::RootId(0)];
            root.files.len() == 40 && root.dirs.len() == 160
        });
    // The limit is raised.
    fs::write(LIMIT, "1000").unwrap();
    while bench.watcher().stats().missing > 0 {
        bench.sync();
    }
    bench.sync();
    assert_eq!(bench.watcher().stats().watches, 161);
    fs::write(bench.path("root/39/late/d/f"), b"x").unwrap();
    bench.assert_agrees(0, "root");
}

#[test]
fn a_barrier_covers_directories_that_have_no_watch() {
    const LIMIT: &str = "/proc/sys/user/max_inotify_watches";
    if !unshared(
        &[],
        "limits::a_barrier_covers_directories_that_have_no_watch",
    ) {
        return;
    }
    let mut bench = Bench::new();
    for at in 0..40 {
        fs::create_dir_all(bench.path(&format!("root/{at}/sub"))).unwrap();
    }
    fs::write(LIMIT, "0").unwrap();
    let mut options = bench.options(&["root"]);
    // Nothing is found by the timer.
    options.reconcile_every = Duration::from_hours(1);
    bench.start(options);
    // The numbers follow the word of a barrier: they are there with the next one.
    bench.sync();
    assert_eq!(bench.watcher().stats().missing, 81);
    for round in 0..3 {
        for at in 0..40 {
            fs::write(bench.path(&format!("root/{at}/sub/{round}")), b"x").unwrap();
            fs::create_dir_all(bench.path(&format!("root/{at}/late{round}/d"))).unwrap();
            fs::write(bench.path(&format!("root/{at}/late{round}/d/f")), b"x").unwrap();
        }
        bench.assert_agrees(0, "root");
    }
    fs::remove_file(bench.path("root/7/sub/0")).unwrap();
    fs::write(bench.path("root/8/sub/0"), b"longer").unwrap();
    fs::remove_dir_all(bench.path("root/9/sub")).unwrap();
    fs::rename(bench.path("root/10"), bench.path("root/11/moved")).unwrap();
    bench.assert_agrees(0, "root");
    // Another directory in the root's place, whose surroundings have no watch either.
    fs::rename(bench.path("root"), bench.path("old")).unwrap();
    assert_eq!(bench.synced(0).key, None);
    fs::create_dir_all(bench.path("root/new/d")).unwrap();
    fs::write(bench.path("root/new/d/f"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["new/d/f"]);
}

#[test]
fn a_barrier_of_jobs_covers_directories_that_have_no_watch() {
    const LIMIT: &str = "/proc/sys/user/max_inotify_watches";
    if !unshared(
        &[],
        "limits::a_barrier_of_jobs_covers_directories_that_have_no_watch",
    ) {
        return;
    }
    let mut bench = Bench::new();
    fs::create_dir_all(bench.path("root/sub")).unwrap();
    fs::write(LIMIT, "0").unwrap();
    let mut options = bench.options(&["root"]);
    // Nothing is found by the timer.
    options.reconcile_every = Duration::from_hours(1);
    bench.start(options);
    fs::write(bench.path("root/sub/f"), b"x").unwrap();
    bench.watcher().sync(JOBS);
    bench
        .shared
        .wait("a barrier of jobs", |model| model.synced.contains(&JOBS));
    assert_eq!(bench.model(0).paths(), ["sub/f"]);
}

#[test]
fn a_refused_instance_names_the_setting() {
    const LIMIT: &str = "/proc/sys/user/max_inotify_instances";
    if !unshared(&[], "limits::a_refused_instance_names_the_setting") {
        return;
    }
    fs::write(LIMIT, "1").unwrap();
    let bench = Bench::new();
    let error = Watcher::start(bench.options(&["root"]), bench.shared.sink()).err();
    let text = error.unwrap().to_string();
    assert!(text.contains("fs.inotify.max_user_instances"), "{text}");
}

/// A backend that tells only that something happened.
struct Vague {
    events: Mutex<Vec<Marker>>,
    watched: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Backend for Vague {
    fn name(&self) -> &'static str {
        "vague"
    }

    fn watch(&self, _: &Dir, _: NodeId) -> Result<WatchId, Errno> {
        self.watched.fetch_add(1, Ordering::Relaxed);
        Ok(WatchId(NonZeroU32::MIN))
    }

    fn unwatch(&self, _: WatchId, _: NodeId) {
        self.watched.fetch_sub(1, Ordering::Relaxed);
    }

    fn drain(&self, each: &mut dyn FnMut(RawEvent<'_>)) -> More {
        let markers = std::mem::take(&mut *self.events.lock());
        for marker in markers {
            if let Marker::Sync(_) = marker {
                each(RawEvent::Anywhere);
            }
            each(RawEvent::Marker(marker));
        }
        More::No
    }

    fn mark(&self, marker: Marker) {
        self.events.lock().push(marker);
        (self.wake)();
    }

    fn watches(&self) -> u64 {
        self.watched.load(Ordering::Relaxed) as u64
    }

    fn watches_max(&self) -> Option<u64> {
        None
    }

    fn waiting_bytes(&self) -> u64 {
        0
    }

    fn is_alive(&self) -> bool {
        true
    }

    fn stop(&self) {}
}

#[test]
fn a_backend_that_knows_no_names_works_as_well() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("root")).unwrap();
    let options = bench.options(&["root"]);
    let watcher = Watcher::start_with(options, bench.shared.sink(), |_, _, wake| {
        Ok(Arc::new(Vague {
            events: Mutex::default(),
            watched: AtomicUsize::new(0),
            wake,
        }))
    });
    bench.watcher = Some(watcher.unwrap());
    bench.sync();
    fs::create_dir_all(bench.path("root/a/b")).unwrap();
    fs::write(bench.path("root/a/b/f"), b"x").unwrap();
    bench.assert_agrees(0, "root");
    fs::rename(bench.path("root/a"), bench.path("root/c")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["c/b/f"]);
    assert_eq!(bench.watcher().stats().watches, 3);
}
