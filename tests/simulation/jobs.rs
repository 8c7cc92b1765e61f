//! Jobs under the same treatment: three roots, a table of jobs whose source tells late, in parts, twice or not at all, pins, a
//! reaper that finds the world changed between two looks, and a daemon that begins anew.
//!
//! Each seed is one small world. `LAPSED_SIMULATION_EVENTS` and `LAPSED_SIMULATION_SEED` are as for the files.

mod checks;
mod process;
mod reaper;
mod rules;
mod source;
mod trouble;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lapsed::core::claim::{Claim, Outcome};
use lapsed::core::clock_guard::ClockGuard;
use lapsed::core::effect::JOBS;
use lapsed::core::engine::Input;
use lapsed::core::engine::{Engine, Setup};
use lapsed::core::jobs::JobRow;
use lapsed::core::jobs::{JobChange, SourceId, SourceUpdate};
use lapsed::core::pins::Pins;
use lapsed::core::report::{Breaker, CleanRequest, Mode, SavedSource};
use lapsed::core::time::Timestamp;
use reaper::Writing;
use rules::{DB, ROOTS, policy};
use source::Source;
use trouble::Trouble;
use truth::{Done, Truth};

use crate::machine::path_and_parents;
use crate::watcher::{Rumour, Watcher};

/// Deeds of one seed.
const DEEDS_PER_SEED: u64 = 2_000;
/// Seeds of a run where nothing is said about events: so many for each million of these.
const SEEDS_PER_MILLION: u64 = 200;
/// In every so many seeds the breaker trips for more than this much.
const CAREFUL_EVERY: u64 = 4;
const CAREFUL_ENTRIES: u64 = 1;
/// One in so many deeds of a hundred begins another process.
const RESTART_EVERY: u32 = 4;
/// So much happens at most, and so long it takes at most, until it runs.
const DEEDS_UNSEEN_MAX: usize = 16;
const UNSEEN_MS_MAX: u64 = 60_000;
/// Somebody asks for what is due at once after one in so many deliveries of news.
const ORDER_EVERY: u32 = 4;
/// The whole engine is asked how it stands once in so many deeds.
const CHECK_EVERY: u64 = 16;
/// More ticks than this at one instant have no end.
const TICKS_MAX: usize = 200;

pub struct Sim {
    random: fastrand::Rng,
    truth: Truth,
    watchers: [Watcher; 3],
    source: Source,
    trouble: Trouble,
    engine: Engine,
    memory: BTreeMap<SourceId, SavedSource>,
    claims: Vec<Claim>,
    writings: Vec<Writing>,
    /// Things happen between two looks, too.
    is_lively: bool,
    /// Whether the engine waits for everything that has happened.
    is_awaited: bool,
    /// The engine has heard of a change that was not counted yet.
    heard_stale: bool,
    /// Ids that were there before the table lost its rows of a sudden, and are not back: nothing of theirs may go as nobody's
    /// before a person says so.
    suddenly_lost: BTreeSet<String>,
    /// Rows that were forgotten because a rule said so, since the engine last heard how many there are.
    forgotten: BTreeSet<String>,
    /// The rows that the engine has heard of, and when.
    heard: BTreeMap<String, (JobRow, Timestamp)>,
    /// Jobs that were said to have ended long ago while they ran, and no person has let go.
    rewritten: BTreeSet<String>,
    /// Those of them that have gone.
    rewritten_gone: BTreeSet<String>,
    /// When jobs last owned something in the root without a source, as far as the engine knew.
    owned_elsewhere_at: Option<Timestamp>,
    /// The breaker trips for very little.
    is_careful: bool,
    /// The last claim and what became of it, to be told in a failure.
    last: Option<(Claim, Outcome)>,
    deeds: u64,
    restarts: u64,
    removals: u64,
    removed: u64,
    orphans: u64,
    changed: u64,
    held: u64,
    disagreed: u64,
    written: u64,
    trips: u64,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let truth = Truth::new(&mut random);
        let is_careful = seed.is_multiple_of(CAREFUL_EVERY);
        let engine = engine(&truth, BTreeMap::new(), Arc::default(), is_careful);
        let mut sim = Self {
            random,
            truth,
            watchers: ROOTS.map(|(root, _)| Watcher::new(root)),
            source: Source::default(),
            trouble: Trouble::default(),
            engine,
            memory: BTreeMap::new(),
            claims: Vec::new(),
            writings: Vec::new(),
            is_lively: true,
            is_awaited: false,
            heard_stale: false,
            suddenly_lost: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            heard: BTreeMap::new(),
            rewritten: BTreeSet::new(),
            rewritten_gone: BTreeSet::new(),
            owned_elsewhere_at: None,
            is_careful,
            last: None,
            deeds: 0,
            restarts: 0,
            removals: 0,
            removed: 0,
            orphans: 0,
            changed: 0,
            held: 0,
            disagreed: 0,
            written: 0,
            trips: 0,
        };
        sim.crawl();
        sim
    }

    fn summary(&self) -> String {
        let Self {
            deeds,
            restarts,
            removals,
            removed,
            orphans,
            changed,
            held,
            disagreed,
            written,
            trips,
            ..
        } = self;
        format!(
            "{deeds} deeds, {restarts} restarts, {removed} files in {removals} removals ({orphans} orphans), {changed} changed, {held} \
             held, {disagreed} disagreements, {written} records, {trips} trips"
        )
    }

    /// One thing happens.
    fn step(&mut self) {
        self.deeds += 1;
        match self.random.u32(..100) {
            0..22 => self.disturb(),
            22..40 => self.work(),
            40..58 => self.look(),
            58..70 => self.reap_some(),
            70..80 => self.pass_time(),
            80..86 => self.deliver(),
            86..92 => self.source.read(&self.truth, &mut self.random),
            92..94 => self.pin(),
            94..96 => self.write_record(),
            96..98 => self.trouble(),
            98 if self.random.bool() => self.order(),
            98 => self.source.tell_stale(),
            _ => self.restart_now_and_then(),
        }
        if self.deeds.is_multiple_of(CHECK_EVERY) {
            self.check_always();
        }
    }

    fn disturb(&mut self) {
        let (root, rumours) = match self.truth.disturb(&mut self.random) {
            Done::Nothing => return,
            Done::Made(root, path) => (root, path_and_parents(&path)),
            Done::Touched(root, path) => (root, vec![Rumour::Touched(path)]),
        };
        for rumour in rumours {
            self.watchers[usize::from(root.0)].hear(rumour, &mut self.random);
        }
    }

    fn work(&mut self) {
        self.truth.work(&mut self.random);
        let rows = &self.truth.rows;
        self.suddenly_lost.retain(|id| !rows.contains_key(id));
    }

    fn look(&mut self) {
        let place = self.random.usize(..3);
        if self.trouble.unreachable[place] {
            return;
        }
        let watcher = &mut self.watchers[place];
        let seen = watcher.look(&self.truth.roots[place], &mut self.random);
        self.input(Input::Observed(seen));
        if !self.is_lively || self.random.bool() {
            self.answer_barrier();
        }
    }

    /// Hands in everything that had happened when the barrier began, and nothing else, for an engine that waits for it.
    fn answer_barrier(&mut self) {
        while std::mem::take(&mut self.is_awaited) {
            for place in 0..ROOTS.len() {
                if self.trouble.unreachable[place] {
                    // All of it is looked at again later.
                    self.watchers[place].restart();
                }
                while !self.watchers[place].is_through() {
                    let world = &self.truth.roots[place];
                    let seen = self.watchers[place].look_covered(world, &mut self.random);
                    self.input(Input::Observed(seen));
                }
            }
            self.input(Input::Synced(JOBS));
        }
    }

    /// Somebody asks for what is due, or an application has a fault.
    fn order(&mut self) {
        if self.is_careful && !self.source.is_down && self.random.u32(..3) > 0 {
            self.rewrite();
        } else {
            self.order_due();
        }
    }

    /// An application has a fault right after a person has looked at everything.
    fn rewrite(&mut self) {
        self.source.read(&self.truth, &mut self.random);
        while !self.source.is_quiet() {
            self.deliver();
        }
        self.release();
        let rewritten = self.truth.rewrite();
        // Of others the engine knows that they were due before.
        let is_running = |id: &String| {
            let heard = self.heard.get(id);
            heard.is_some_and(|(row, _)| !row.status.is_over())
        };
        let rewritten = rewritten.into_iter().filter(is_running);
        self.rewritten.extend(rewritten);
        self.source.read(&self.truth, &mut self.random);
    }

    fn order_due(&mut self) {
        let policy = self.engine.policy();
        let request = CleanRequest::due_under(None);
        self.input(Input::Clean(policy, request, Box::new(|_| {})));
    }

    fn pass_time(&mut self) {
        let now = self.truth.now().wall;
        let ms = match self.engine.wake_at() {
            Some(at) if self.random.bool() => {
                u64::try_from(at.ms_since(now)).unwrap_or(0).min(30_000)
            }
            Some(_) | None => self.random.u64(..5_000),
        };
        self.truth.pass(ms);
        self.tick();
    }

    /// Ticks as long as the engine asks for it at once.
    fn tick(&mut self) {
        self.input(Input::Tick);
        let now = self.truth.now().wall;
        let mut ticks = 0;
        while self.engine.wake_at().is_some_and(|at| at <= now) {
            self.input(Input::Tick);
            ticks += 1;
            assert!(ticks < TICKS_MAX, "it ticks without an end");
        }
        if !self.is_lively {
            self.answer_barrier();
        }
    }

    fn deliver(&mut self) {
        let before = self.source.confirmed.clone();
        let (news, more) = self.source.deliver(&mut self.random);
        if news.is_empty() {
            return;
        }
        if news
            .iter()
            .any(|piece| matches!(piece, JobChange::Loaded { .. }))
        {
            self.mind_loss(&before);
        }
        self.hear(news, more);
        // Before what has to be looked at because of the news has been.
        if self.is_lively && self.random.u32(..ORDER_EVERY) == 0 {
            self.order_due();
        }
    }

    fn hear(&mut self, news: Vec<JobChange>, more: bool) {
        let now = self.truth.now().wall;
        for piece in &news {
            match piece {
                JobChange::Stale => self.heard_stale = true,
                JobChange::Gone(ids) => {
                    self.heard_stale = true;
                    self.heard.retain(|id, _| !ids.contains(id));
                }
                JobChange::Loaded { .. } => self.heard_stale = false,
                JobChange::Rows(rows) => {
                    for row in rows {
                        // What decides nothing is no news.
                        let is_known = |(known, _): &(JobRow, Timestamp)| known.decides_as(row);
                        if !self.heard.get(&row.id).is_some_and(is_known) {
                            self.heard.insert(row.id.clone(), (row.clone(), now));
                        }
                    }
                }
                JobChange::Down { .. } => {}
            }
        }
        self.input(Input::Jobs(SourceUpdate {
            source: DB,
            news,
            more,
        }));
    }

    fn pin(&mut self) {
        let now = self.truth.now();
        match self.truth.pin(&mut self.random) {
            Ok(pin) => self.engine.pin(pin, now),
            Err(id) => drop(self.engine.unpin(id, now)),
        }
        self.input(Input::Tick);
    }
}

fn engine(
    truth: &Truth,
    sources: BTreeMap<SourceId, SavedSource>,
    pins: Arc<Pins>,
    is_careful: bool,
) -> Engine {
    let now = truth.now();
    let setup = Setup {
        policy: Arc::new(policy(truth.is_mapped)),
        breaker: breaker(is_careful),
        mode: Mode::Live,
        guard: ClockGuard::new(now, None),
        memory: None,
        jobs: Arc::default(),
        pins,
        pauses: Arc::default(),
        trash: std::sync::Arc::default(),
        sources,
        recording: BTreeSet::new(),
    };
    Engine::new(setup, now)
}

fn breaker(is_careful: bool) -> Breaker {
    Breaker {
        entries: if is_careful {
            CAREFUL_ENTRIES
        } else {
            1_000_000
        },
        share: if is_careful { 0.0 } else { 1.0 },
        orphan_share: 1.0,
        ..Breaker::default()
    }
}

/// Runs one seed, and says which when it fails.
fn run(seed: u64) {
    let deeds = AtomicU64::new(0);
    let result = std::panic::catch_unwind(|| {
        let mut sim = Sim::new(seed);
        while sim.deeds < DEEDS_PER_SEED {
            sim.step();
            deeds.store(sim.deeds, Relaxed);
        }
        sim.settle();
        sim
    });
    match result {
        Ok(sim) => println!("jobs, seed {seed}: {}", sim.summary()),
        Err(cause) => {
            eprintln!(
                "the simulation of jobs failed after {} deeds; run it again with LAPSED_SIMULATION_SEED={seed}",
                deeds.load(Relaxed)
            );
            std::panic::resume_unwind(cause);
        }
    }
}

#[test]
fn the_invariants_hold_whatever_happens_to_jobs_sources_and_pins() {
    if let Some(seed) = crate::number("LAPSED_SIMULATION_SEED") {
        return run(seed);
    }
    let events = crate::number("LAPSED_SIMULATION_EVENTS").unwrap_or(1_000_000);
    for seed in 0..(events * SEEDS_PER_MILLION).div_ceil(1_000_000) {
        run(seed);
    }
}
