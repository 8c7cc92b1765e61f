//! A seeded simulation of the trash: jobs end, what they own goes to the trash, comes back or is deleted, and their rows are
//! forgotten after that, while the clock is set and processes are killed at every step.
//!
//! Held against the truth: nothing is deleted before its window has really passed; nothing that came back lapses while its pin
//! holds; no row is forgotten while something of its job can come back, or has just come back; and in the end nothing waits for ever.

mod hands;
mod setting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lapsed::core::claim::Claim;
use lapsed::core::clock_guard::{ClockGuard, Run};
use lapsed::core::effect::{Effect, JOBS};
use lapsed::core::engine::{Engine, Input};
use lapsed::core::facts::{Kind, RootId};
use lapsed::core::jobs::{JobChange, JobRow, JobTimestamps, SourceId, SourceUpdate, Status};
use lapsed::core::observed::{Coverage, Discovery, Observed, PassCost};
use lapsed::core::path::RelPath;
use lapsed::core::pins::Pins;
use lapsed::core::time::{Now, Timestamp};
use lapsed::core::trash::{JobName, PurgeOrder, Trash, TrashNews, Trashed};

use setting::{dir_facts, engine, facts, now_of};

const ROOT: RootId = RootId(0);
const DB: SourceId = SourceId(0);
const TTL_MS: i64 = 10_000;
const UNDO_MS: i64 = 60_000;
const PIN_MS: i64 = 100_000;
/// What the clock guard lets pass as the clock's ordinary correction.
const TOLERANCE_MS: i64 = 2_500;
const DEEDS_PER_SEED: u64 = 4_000;
const JOBS_MAX: usize = 12;

struct File {
    ino: u64,
    changed: Timestamp,
    /// It came back, and its pin holds until then.
    pinned_until: Option<Timestamp>,
}

/// A thing in the trash, on the disk.
struct Thing {
    job: String,
    files: BTreeSet<RelPath>,
    /// When it came there, by the clock that nobody can set.
    since: Duration,
    row: Trashed,
}

struct Sim {
    random: fastrand::Rng,
    boot: Duration,
    offset_ms: i64,
    engine: Engine,
    guard: ClockGuard,
    pins: Arc<Pins>,
    trash: Arc<Trash>,
    is_read: bool,
    /// The rows of the source.
    rows: BTreeMap<String, JobRow>,
    files: BTreeMap<RelPath, File>,
    disk: BTreeMap<u64, Thing>,
    claims: Vec<Claim>,
    orders: Vec<PurgeOrder>,
    /// Files that were not looked at since they changed.
    dirty: BTreeSet<RelPath>,
    is_barrier_asked: bool,
    next: u64,
    deeds: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let boot = Duration::from_secs(1_000);
        let now = now_of(boot, 0);
        let guard = ClockGuard::new(now, None);
        let (pins, trash) = (Arc::<Pins>::default(), Arc::<Trash>::default());
        let mut sim = Self {
            random: fastrand::Rng::with_seed(seed),
            boot,
            offset_ms: 0,
            engine: engine(now, guard.clone(), Arc::clone(&pins), Arc::clone(&trash)),
            guard,
            pins,
            trash,
            is_read: false,
            rows: BTreeMap::new(),
            files: BTreeMap::new(),
            disk: BTreeMap::new(),
            claims: Vec::new(),
            orders: Vec::new(),
            dirty: BTreeSet::new(),
            is_barrier_asked: false,
            next: 100,
            deeds: 0,
            counts: BTreeMap::new(),
        };
        sim.begin();
        sim
    }

    fn now(&self) -> Now {
        now_of(self.boot, self.offset_ms)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// A process has started: it reads everything.
    fn begin(&mut self) {
        let key = dir_facts(&RelPath::root()).key;
        self.input(Input::Observed(vec![Observed::RootFound {
            root: ROOT,
            key,
        }]));
        let jobs: BTreeSet<RelPath> = self
            .files
            .keys()
            .map(|path| path.split().unwrap().0)
            .collect();
        let listing = |dir: &RelPath, files, dirs| Observed::Listing {
            root: ROOT,
            dir: dir.clone(),
            facts: dir_facts(dir),
            files,
            dirs,
            discovery: Discovery::Crawl,
            coverage: Coverage::Watched,
        };
        let dirs = jobs
            .iter()
            .map(|dir| (dir.as_bytes().into(), dir_facts(dir)));
        let mut seen = vec![listing(&RelPath::root(), Vec::new(), dirs.collect())];
        for dir in &jobs {
            let inside = self.files.iter().filter(|(path, _)| path.is_within(dir));
            let files = inside.map(|(path, file)| {
                let name = path.split().unwrap().1.into();
                (name, facts(Kind::File, file.ino, file.changed))
            });
            seen.push(listing(dir, files.collect(), Vec::new()));
        }
        seen.push(Observed::Reconciled {
            root: ROOT,
            began: self.boot,
            cost: PassCost::default(),
        });
        self.dirty.clear();
        self.input(Input::Observed(seen));
        let rows: Vec<JobRow> = self.rows.values().cloned().collect();
        let jobs = rows.len() as u64;
        self.tell(vec![JobChange::Rows(rows), JobChange::Loaded { jobs }]);
    }

    fn tell(&mut self, news: Vec<JobChange>) {
        self.input(Input::Jobs(SourceUpdate {
            source: DB,
            news,
            more: false,
        }));
    }

    fn input(&mut self, input: Input) {
        for effect in self.engine.step(self.now(), input) {
            match effect {
                Effect::Claim(claims) => self.claims.extend(claims),
                Effect::Purge(order) => self.orders.push(order),
                Effect::Barrier => self.is_barrier_asked = true,
                Effect::Changed { clock, .. } => self.guard = clock,
                Effect::Relist(_, dir) => {
                    let files = self.files.keys().filter(|path| path.is_within(&dir));
                    self.dirty.extend(files.cloned());
                }
                _ => {}
            }
        }
    }

    fn step(&mut self) {
        self.deeds += 1;
        match self.random.u32(..100) {
            0..12 => self.change_jobs(),
            12..30 => self.look(1),
            30..40 => self.pass_barrier(),
            40..58 => self.reap(),
            58..68 => self.purge(),
            68..74 => self.restore(),
            74..94 => self.pass_time(),
            94..97 => self.read_trash(),
            97 => self.set_clock(),
            _ => self.crash_now_and_then(),
        }
    }

    fn change_jobs(&mut self) {
        if self.rows.len() < JOBS_MAX {
            self.next += 1;
            let id = format!("j{}", self.next);
            for name in ["a", "b"].into_iter().take(self.random.usize(..3)) {
                self.put(RelPath::parse(format!("{id}/{name}").as_bytes()).unwrap());
            }
            let row = JobRow {
                moments: JobTimestamps {
                    completed_at: Some(self.now().wall),
                    ..JobTimestamps::default()
                },
                ..JobRow::new(id.clone(), Status::Completed)
            };
            self.rows.insert(id, row.clone());
            self.tell(vec![JobChange::Rows(vec![row])]);
        }
    }

    fn put(&mut self, path: RelPath) {
        self.next += 1;
        let file = File {
            ino: self.next,
            changed: self.now().wall,
            pinned_until: None,
        };
        self.files.insert(path.clone(), file);
        self.dirty.insert(path);
    }

    /// The watchers look at some of what has changed.
    fn look(&mut self, most: usize) {
        let some: Vec<RelPath> = self.dirty.iter().take(most).cloned().collect();
        for path in some {
            self.dirty.remove(&path);
            let (dir, name) = path.split().unwrap();
            let file = self.files.get(&path);
            let file = file.map(|file| facts(Kind::File, file.ino, file.changed));
            let looks = |dir: &RelPath, name: &[u8], found| Observed::Looks {
                root: ROOT,
                dir: dir.clone(),
                facts: dir_facts(dir),
                names: vec![(name.into(), found)],
            };
            let is_there = self.files.keys().any(|path| path.is_within(&dir));
            let top = is_there.then(|| dir_facts(&dir));
            let mut seen = vec![looks(&RelPath::root(), dir.as_bytes(), top)];
            if is_there {
                seen.push(looks(&dir, name, file));
            } else {
                let gone = dir.clone();
                seen.push(Observed::Gone {
                    root: ROOT,
                    dir: gone,
                });
            }
            self.input(Input::Observed(seen));
        }
    }

    fn pass_barrier(&mut self) {
        if std::mem::take(&mut self.is_barrier_asked) {
            self.look(usize::MAX);
            self.input(Input::Synced(JOBS));
        }
    }

    fn pass_time(&mut self) {
        let until = self
            .engine
            .wake_at()
            .map_or(5_000, |at| at.ms_since(self.now().wall));
        let most = self.random.i64(1..5_000);
        let ms = if self.random.bool() {
            until.clamp(1, 20_000)
        } else {
            most
        };
        self.boot += Duration::from_millis(ms.unsigned_abs());
        self.input(Input::Tick);
    }

    fn set_clock(&mut self) {
        if self.random.u32(..4) == 0 {
            self.offset_ms += self.random.i64(-100_000..200_000);
            self.count("clocks set");
            self.input(Input::Tick);
        }
    }

    fn crash_now_and_then(&mut self) {
        if self.random.u32(..3) == 0 {
            self.crash();
        }
    }

    /// The process is killed, and another one starts. What was under way is as it was before.
    fn crash(&mut self) {
        self.count("crashes");
        self.claims.clear();
        self.orders.clear();
        self.is_barrier_asked = false;
        self.boot += Duration::from_millis(self.random.u64(..3_000));
        self.trash = Arc::default();
        self.is_read = false;
        let guard = self.guard.clone().resume(Run::Same, self.now(), None);
        let (pins, trash) = (Arc::clone(&self.pins), Arc::clone(&self.trash));
        self.engine = engine(self.now(), guard, pins, trash);
        self.begin();
    }

    /// The reaper has read the trash.
    fn read_trash(&mut self) {
        self.disk.retain(|_, thing| !thing.files.is_empty());
        for thing in self.disk.values() {
            self.trash.insert(ROOT, thing.row.clone());
        }
        self.trash.set_known(ROOT);
        self.is_read = true;
        self.input(Input::Trash(TrashNews::Read(ROOT)));
    }

    /// Everything ends: nothing comes back any more, and time passes.
    fn settle(&mut self) {
        self.read_trash();
        for _ in 0..4_000 {
            self.look(usize::MAX);
            self.pass_barrier();
            self.reap();
            self.purge();
            self.boot += Duration::from_secs(1);
            self.input(Input::Tick);
        }
        assert!(
            self.disk.is_empty(),
            "the trash is never emptied: {:?}",
            self.disk.keys()
        );
        assert!(
            self.files.is_empty(),
            "files are left: {:?}",
            self.files.keys()
        );
        let status = self.engine.status(self.now());
        assert!(
            self.rows.is_empty(),
            "rows wait for ever at {:?}: {:?}; {:?}, next {:?}, barrier {}",
            self.now(),
            self.rows,
            status.held,
            status.next,
            self.is_barrier_asked
        );
    }
}

fn name_of(job: &str) -> JobName {
    JobName {
        source: "db".to_owned(),
        id: job.to_owned(),
    }
}

fn run(seed: u64) {
    let result = std::panic::catch_unwind(|| {
        let mut sim = Sim::new(seed);
        while sim.deeds < DEEDS_PER_SEED {
            sim.step();
        }
        sim.settle();
        sim.counts
    });
    match result {
        Ok(counts) => println!("trash, seed {seed}: {counts:?}"),
        Err(cause) => {
            eprintln!(
                "the simulation of the trash failed; run it again with LAPSED_SIMULATION_SEED={seed}"
            );
            std::panic::resume_unwind(cause);
        }
    }
}

#[test]
fn the_invariants_hold_whatever_happens_to_what_is_in_the_trash() {
    if let Some(seed) = crate::number("LAPSED_SIMULATION_SEED") {
        return run(seed);
    }
    let events = crate::number("LAPSED_SIMULATION_EVENTS").unwrap_or(1_000_000);
    for seed in 0..events.div_ceil(25_000) {
        run(seed);
    }
}
