//! The core alone: lookups and events.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lapsed::core::claim::Unit;
use lapsed::core::clock_guard::ClockGuard;
use lapsed::core::engine::Input;
use lapsed::core::engine::{Engine, Setup};
use lapsed::core::facts::{Facts, FileKey, Kind, RootId};
use lapsed::core::observed::{Coverage, Discovery, Observed, PassCost};
use lapsed::core::path::RelPath;
use lapsed::core::policy::{JobFilter, Policy, Record, Root, Rule, Schedule, Since, SkipOpen};
use lapsed::core::report::{Breaker, Mode};
use lapsed::core::time::{FileTime, Now, Timestamp};

use super::PER_DIR;

/// An engine that knows a tree.
pub(super) struct Core {
    engine: Engine,
    now: Now,
}

const ROOT: RootId = RootId(0);

const DIRS: usize = 50;

const START_MS: i64 = 1_700_000_000_000;

impl Core {
    pub(super) fn new() -> Self {
        let now = Now {
            wall: Timestamp::from_unix_ms(START_MS),
            boot: Duration::from_secs(1_000),
        };
        let setup = Setup {
            policy: Arc::new(policy()),
            breaker: Breaker::default(),
            mode: Mode::Live,
            guard: ClockGuard::new(now, None),
            memory: None,
            jobs: Arc::default(),
            pins: Arc::default(),
            pauses: Arc::default(),
            trash: Arc::default(),
            sources: BTreeMap::new(),
            recording: std::collections::BTreeSet::new(),
        };
        let engine = Engine::new(setup, now);
        let mut core = Self { engine, now };
        let mut seen = vec![
            Observed::RootFound {
                root: ROOT,
                key: facts(Kind::Dir, 0, 0).key,
            },
            listing(
                RelPath::root(),
                Vec::new(),
                (0..DIRS)
                    .map(|dir| (name('d', dir), facts(Kind::Dir, 1 + dir, 0)))
                    .collect(),
            ),
        ];
        seen.extend((0..DIRS).map(|dir| {
            let files = (0..PER_DIR).map(|file| {
                (
                    name('f', file),
                    facts(Kind::File, 1_000 + dir * PER_DIR + file, 0),
                )
            });
            listing(path(&name('d', dir)), files.collect(), Vec::new())
        }));
        seen.push(Observed::Reconciled {
            root: ROOT,
            began: now.boot,
            cost: PassCost::default(),
        });
        core.observe(seen);
        core
    }

    pub(super) fn observe(&mut self, seen: Vec<Observed>) {
        drop(self.engine.step(self.now, Input::Observed(seen)));
    }

    pub(super) fn look_up(&mut self, rounds: usize) {
        for round in 0..rounds {
            let (dir, file) = (round % DIRS, round * 7 % PER_DIR);
            let path = [&*name('d', dir), &*name('f', file)].join(&b'/');
            assert!(self.engine.index().find(ROOT, &path).is_some());
        }
    }

    /// Each round: a file was written to, and the watcher looked at it.
    pub(super) fn change(&mut self, rounds: usize) {
        for round in 0..rounds {
            let (dir, file) = (round % DIRS, round * 7 % PER_DIR);
            let at = i64::try_from(round + 1).unwrap();
            self.observe(vec![Observed::Looks {
                root: ROOT,
                dir: path(&name('d', dir)),
                facts: facts(Kind::Dir, 1 + dir, 0),
                names: vec![(
                    name('f', file),
                    Some(facts(Kind::File, 1_000 + dir * PER_DIR + file, at)),
                )],
            }]);
        }
    }
}

fn listing(
    dir: RelPath,
    files: Vec<(Box<[u8]>, Facts)>,
    dirs: Vec<(Box<[u8]>, Facts)>,
) -> Observed {
    Observed::Listing {
        root: ROOT,
        facts: facts(Kind::Dir, 0, 0),
        dir,
        files,
        dirs,
        discovery: Discovery::Crawl,
        coverage: Coverage::Watched,
    }
}

fn name(kind: char, number: usize) -> Box<[u8]> {
    format!("{kind}{number:06}").into_bytes().into()
}

fn path(bytes: &[u8]) -> RelPath {
    RelPath::parse(bytes).unwrap()
}

/// A look at inode `ino`, changed this many milliseconds after the start.
fn facts(kind: Kind, ino: usize, changed_ms: i64) -> Facts {
    let ms = START_MS - 60_000 + changed_ms;
    let time = FileTime {
        secs: ms.div_euclid(1000),
        nanos: 1 + u32::try_from(ms.rem_euclid(1000)).unwrap() * 1_000_000,
    };
    Facts {
        kind,
        key: FileKey {
            dev: 1,
            ino: 2 + u64::try_from(ino).unwrap(),
        },
        nlink: 1,
        size: 100,
        blocks: 8,
        mtime: time,
        ctime: time,
        btime: None,
    }
}

fn policy() -> Policy {
    let root = Root {
        name: "root".to_owned(),
        path: PathBuf::from("/root"),
        owner: None,
        limit: None,
        prune_empty_dirs: false,
        alert: lapsed::core::policy::Alert::default(),
        optional: false,
        source: None,
        orphans: None,
        only: None,
        nested: Vec::new(),
    };
    let rule = Rule {
        name: "all".to_owned(),
        roots: None,
        glob: None,
        exclude: None,
        keep: None,
        since: Since::Newest,
        expire_ms: Some(7 * 86_400_000),
        keep_last: None,
        unit: Unit::File,
        limit: None,
        skip_open: SkipOpen::Always,
        disposal: lapsed::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: Record::Keep,
    };
    Policy {
        sources: BTreeMap::new(),
        databases: std::collections::BTreeSet::new(),
        roots: BTreeMap::from([(ROOT, root)]),
        rules: vec![rule],
        ..Policy::default()
    }
}
