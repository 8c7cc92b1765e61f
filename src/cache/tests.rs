//! Cache without a daemon: all that is written comes back, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::db::{Batch, Db};
use super::error::{CacheError, Fault};
use super::handle::Cache;
use super::open::{Opened, Options, open};
use super::records::Rules;
use super::value::Tree;
use super::writer::Hooks;
use crate::clock;
use crate::common::machine::Deadline;
use crate::core::claim::Unit;
use crate::core::clock_guard::ClockGuard;
use crate::core::facts::{Facts, FileKey, Kind, RootId, RuleId, usual_blocks};
use crate::core::index::{Record, RestoreLosses, Writer};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Policy, Root, Rule, Schedule, Since, SkipOpen};
use crate::core::report::{Counted, HourCount, Mode, SavedBreaker, SavedRoot, Trip};
use crate::core::time::{FileTime, Timestamp};

const ROOT: RootId = RootId(0);
const KEY: FileKey = FileKey { dev: 3, ino: 2 };

fn policy(path: &str, expire_ms: i64) -> Policy {
    let root = Root {
        name: "root".to_owned(),
        path: PathBuf::from(path),
        owner: None,
        limit: None,
        prune_empty_dirs: false,
        alert: crate::core::policy::Alert::default(),
        optional: false,
        source: None,
        orphans: None,
        only: None,
        nested: Vec::new(),
    };
    let rule = Rule {
        name: "rule".to_owned(),
        roots: None,
        glob: None,
        exclude: None,
        keep: None,
        since: Since::Mtime,
        expire_ms: Some(expire_ms),
        keep_last: None,
        unit: Unit::File,
        limit: None,
        skip_open: SkipOpen::Always,
        disposal: crate::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: crate::core::policy::JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: crate::core::policy::Record::Keep,
    };
    Policy {
        sources: std::collections::BTreeMap::new(),
        databases: std::collections::BTreeSet::new(),
        roots: BTreeMap::from([(ROOT, root)]),
        rules: vec![rule],
        ..Policy::default()
    }
}

fn opened(dir: &Path, policy: &Policy) -> Opened {
    let options = Options {
        state_dir: dir.to_path_buf(),
        size_max: 64 << 20,
    };
    let rules = Rules::of(policy, Mode::Live);
    let is_in_use = |error: &CacheError| matches!(error, CacheError::InUse { .. });
    unlocked(|| open(&options, policy, &rules), is_in_use)
}

/// The result of `open` once it finds no lock. A process that another test is just starting holds a
/// copy of each descriptor until it executes its program, and with it the lock of a cache that was
/// closed already.
fn unlocked<T, E: std::fmt::Debug>(
    open: impl Fn() -> Result<T, E>,
    is_in_use: impl Fn(&E) -> bool,
) -> T {
    let deadline = Deadline::new();
    loop {
        match open() {
            Err(error) if is_in_use(&error) && !deadline.is_over() => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

fn facts(ino: u64, at_ms: i64) -> Facts {
    let at = FileTime::from(Timestamp::from_unix_ms(at_ms));
    Facts {
        kind: Kind::Dir,
        key: FileKey { dev: 3, ino },
        nlink: 1,
        size: 0,
        blocks: 8,
        mtime: at,
        ctime: at,
        btime: None,
    }
}

fn record(at_ms: i64) -> Record {
    Record {
        size: 7,
        blocks: usual_blocks(7),
        nlink: 1,
        ino: 77,
        mtime: Timestamp::from_unix_ms(at_ms),
        basis: Timestamp::from_unix_ms(at_ms),
        class: Class::File(RuleId(0)),
        expire_ms: Some(1000),
    }
}

/// Fills an index with one directory, whose stamp is from long ago, and 300 files.
fn fill(writer: &mut Writer) {
    let top = writer.ensure_dir(ROOT, &RelPath::root());
    writer.set_dir(top, &facts(KEY.ino, 1000));
    let dir = writer.ensure_dir(ROOT, &RelPath::parse(b"dir").unwrap());
    let seen = facts(9, 2000);
    writer.set_dir(dir, &seen);
    writer.set_stamp(dir, Some(seen.ctime));
    for file in 0..300i64 {
        writer.upsert(dir, format!("file-{file}").as_bytes(), record(file));
    }
}

/// Reports of whether saving works.
type Reports = Arc<Mutex<Vec<Option<String>>>>;

/// Starts `cache`, and a thread's worth of hooks that vouch at once.
fn start(opened: Opened) -> (Arc<Cache>, Writer, Reports) {
    let Opened { cache, memory, .. } = opened;
    let reports = Reports::default();
    let sink = Arc::clone(&reports);
    let (asked, asks) = std::sync::mpsc::channel();
    let hooks = Hooks {
        request_barrier: Box::new(move || {
            let _ = asked.send(());
        }),
        on_save_state: Arc::new(move |why| sink.lock().push(why)),
    };
    let cache = Arc::new(cache.start(Arc::clone(&memory.index), hooks).unwrap());
    let weak = Arc::downgrade(&cache);
    std::thread::spawn(move || {
        while asks.recv().is_ok() {
            if let Some(cache) = weak.upgrade() {
                cache.on_barrier();
            }
        }
    });
    (cache, memory.writer, reports)
}

fn save(cache: &Cache, writer: &mut Writer, memory: SavedRoot) {
    cache.save_root(ROOT, Some(Path::new("/srv/root")), Some(memory));
    cache.save_changes(writer.take_unsaved(), ClockGuard::new(clock::now(), None));
}

const SETTLED: SavedRoot = SavedRoot {
    key: KEY,
    settled: true,
    breaker: SavedBreaker {
        trip: Some(Trip {
            what: Counted::Files,
            at: Timestamp::from_unix_ms(5),
            due: 6,
            of: 7,
        }),
        orphans_tripped: false,
        orphans: HourCount {
            since: Timestamp::from_unix_ms(8),
            files: 9,
            bytes: 10,
        },
        changed: HourCount {
            since: Timestamp::from_unix_ms(11),
            files: 12,
            bytes: 0,
        },
        changed_jobs: 13,
    },
};

#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Deadline::new();
    while !condition() {
        assert!(!deadline.is_over(), "never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A state directory in which everything was saved, stamps included.
fn saved() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let policy = policy("/srv/root", 1000);
    let (cache, mut writer, _) = start(opened(dir.path(), &policy));
    fill(&mut writer);
    save(&cache, &mut writer, SETTLED);
    wait_until("all is saved", || {
        let stats = cache.stats();
        stats.saves > 0 && stats.pending == 0 && stats.unstamped == 0
    });
    cache.stop();
    dir
}

#[test]
fn what_was_saved_is_known_again() {
    let dir = saved();
    let Opened {
        cache,
        memory,
        clock,
    } = opened(dir.path(), &policy("/srv/root", 1000));
    assert_eq!(memory.roots, BTreeMap::from([(ROOT, SETTLED)]));
    assert_eq!(cache.stats().loaded.lost, RestoreLosses::default());
    assert_eq!(cache.stats().loaded.entries, 300);
    assert!(clock.is_some());
    let (_, found) = memory.index.find(ROOT, b"dir/file-17").unwrap();
    assert_eq!(found, record(17));
    let id = memory.index.dir_id(ROOT, b"dir").unwrap();
    assert_eq!(memory.index.stamp(id), Some(facts(9, 2000).ctime));
    let top = memory.index.dir_id(ROOT, b"").unwrap();
    assert_eq!(memory.index.stamp(top), None, "nothing vouched for it");
}

#[test]
fn of_other_rules_nothing_counts_as_settled_not_even_at_the_second_start() {
    let dir = saved();
    for _ in 0..2 {
        let other = policy("/srv/root", 5);
        let Opened { memory, .. } = opened(dir.path(), &other);
        assert!(!memory.roots[&ROOT].settled);
    }
    // Nor does it when the edit is taken back: the pages may be of either.
    let Opened { memory, .. } = opened(dir.path(), &policy("/srv/root", 1000));
    assert!(!memory.roots[&ROOT].settled);
}

#[test]
fn a_root_that_is_none_any_more_is_forgotten() {
    let dir = saved();
    let other = policy("/srv/other", 1000);
    let Opened { memory, cache, .. } = opened(dir.path(), &other);
    assert_eq!(memory.roots, BTreeMap::new());
    assert_eq!(cache.stats().loaded.entries, 0);
    let opened_other = Opened {
        cache,
        memory,
        clock: None,
    };
    let (cache, mut writer, _) = start(opened_other);
    cache.save_changes(writer.take_unsaved(), ClockGuard::new(clock::now(), None));
    wait_until("it is removed", || {
        cache.stats().saves > 0 && cache.stats().pending == 0
    });
    cache.stop();
    let store = dir.path().join("store");
    let db = unlocked(|| Db::open(&store), |error| matches!(error, Fault::InUse));
    for tree in [Tree::Roots, Tree::Dirs, Tree::Pages, Tree::Stamps] {
        let mut left = 0;
        db.each(tree, |_, _| left += 1).unwrap();
        assert_eq!(left, 0, "{tree:?}");
    }
}

#[test]
fn a_damaged_value_costs_its_page_and_is_written_anew() {
    let dir = saved();
    let path = dir.path().join("store");
    let raw = unlocked(|| sled::open(&path), |_| true);
    let pages = raw.open_tree(Tree::Pages.name()).unwrap();
    let (key, mut value) = pages.first().unwrap().unwrap();
    let last = value.len() - 1;
    value[last] ^= 1;
    pages.insert(&key, value).unwrap();
    raw.flush().unwrap();
    drop((pages, raw));
    let Opened { memory, cache, .. } = opened(dir.path(), &policy("/srv/root", 1000));
    assert_eq!(cache.stats().loaded.lost.pages, 1);
    let id = memory.index.dir_id(ROOT, b"dir").unwrap();
    assert_eq!(
        memory.index.stamp(id),
        None,
        "its stamp vouches for 300 files"
    );
    assert!(memory.index.dir(id).unwrap().files < 300);
}

#[test]
fn a_panic_of_the_database_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let mut batch = Batch::new(Tree::Meta);
    batch.set(b"key", Some(b"value"));
    db.apply(batch).unwrap();
    let failed = db.each(Tree::Meta, |_, _| panic!("on purpose"));
    assert!(matches!(failed, Err(Fault::Damaged(why)) if why.contains("on purpose")));
    // And the end of nothing.
    assert_eq!(
        db.get(Tree::Meta, b"key").unwrap().as_deref(),
        Some(&b"value"[..])
    );
}

#[test]
fn a_store_that_cannot_be_written_says_so_until_it_can_and_then_has_everything() {
    let dir = saved();
    let policy = policy("/srv/root", 1000);
    let (cache, mut writer, reports) = start(opened(dir.path(), &policy));
    cache.stop();
    drop(cache);
    // As on a full disk: there is none to begin with.
    let mut opened = opened(dir.path(), &policy);
    opened.cache.fail_for_test("no room");
    let (cache, mut second, reports_of_second) = start(opened);
    wait_until("it says so", || {
        reports_of_second
            .lock()
            .first()
            .is_some_and(Option::is_some)
    });
    fill(&mut second);
    save(&cache, &mut second, SETTLED);
    wait_until("it goes on", || {
        reports_of_second.lock().last() == Some(&None)
    });
    wait_until("it has everything", || {
        let stats = cache.stats();
        stats.failing.is_none() && stats.pending == 0 && stats.unstamped == 0
    });
    cache.stop();
    assert_eq!(*reports.lock(), Vec::<Option<String>>::new());
    writer.take_unsaved();
    let again = self::opened(dir.path(), &policy);
    assert_eq!(again.cache.stats().loaded.entries, 300);
}
