//! State of the engine, and the line that all inputs pass through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::arriving::BarrierWait;
use super::claims::Claims;
use super::clean::Cleans;
use super::effects::Effects;
use super::holds::HoldTable;
use super::job_records::JobRecords;
use super::memory::Memory;
use super::orders::Orders;
use super::owned::OwnershipIndex;
use super::passing::ReclassifyScan;
use super::removals::RemovalFigures;
use super::root_state::RootState;
use super::saved::SavedState;
use super::source_state::Sources;
use super::timers::Timers;
use super::unread::UnreadDirs;
use crate::core::clock_guard::{ClockEvent, ClockGuard};
use crate::core::facts::{FileKey, RootId};
use crate::core::index::{DirId, Index, Writer};
use crate::core::input::{Effect, Event, Input, JOBS};
use crate::core::jobs::{JobKey, Jobs, SourceId};
use crate::core::pins::Pins;
use crate::core::policy::Policy;
use crate::core::report::{Breaker, Mode, SourceMemory};
use crate::core::time::{Now, Timestamp};

/// State that an engine starts from.
pub struct Setup {
    /// The rules.
    pub policy: Arc<Policy>,
    /// Limits of the breaker.
    pub breaker: Breaker,
    /// True if removals happen.
    pub mode: Mode,
    /// History of the clock.
    pub guard: ClockGuard,
    /// State that an earlier process saved; `None`: nothing.
    pub memory: Option<Memory>,
    /// Jobs: empty, and filled by what sources tell.
    pub jobs: Arc<Jobs>,
    /// Pins that were set before.
    pub pins: Arc<Pins>,
    /// State of sources that an earlier process saved.
    pub sources: BTreeMap<SourceId, SourceMemory>,
    /// Jobs whose records are still to be written.
    pub recording: BTreeSet<JobKey>,
}

/// Decides what lapses. See the module's head.
pub struct Engine {
    pub(super) writer: Writer,
    pub(super) index: Arc<Index>,
    pub(super) policy: Arc<Policy>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) pins: Arc<Pins>,
    pub(super) sources: Sources,
    /// Owners of entries, where directories do not tell.
    pub(super) owned: OwnershipIndex,
    /// Pages and jobs that are still to be judged after a source was read.
    pub(super) passing: ReclassifyScan,
    /// Jobs whose files may still be on their way into the index.
    pub(super) arriving: BarrierWait,
    pub(super) records: JobRecords,
    pub(super) breaker: Breaker,
    pub(super) mode: Mode,
    pub(super) guard: ClockGuard,
    pub(super) timers: Timers,
    pub(super) roots: BTreeMap<RootId, RootState>,
    /// Shared with those who ask what is held.
    pub(super) holds: Arc<HoldTable>,
    pub(super) claims: Claims,
    pub(super) cleans: Cleans,
    pub(super) orders: Orders,
    pub(super) effects: Effects,
    pub(super) unread_dirs: UnreadDirs,
    pub(super) removals: RemovalFigures,
    pub(super) saved: SavedState,
    /// Top-level directories in which something was seen with an older time than before.
    pub(super) older: BTreeSet<DirId>,
}

impl Engine {
    /// An engine that knows of its roots what was saved of them, or nothing yet.
    #[must_use]
    pub fn new(setup: Setup, now: Now) -> Self {
        let memory = setup.memory.unwrap_or_default();
        let roots = setup.policy.roots.keys();
        let roots = roots.map(|&id| (id, RootState::remembered(memory.roots.get(&id).copied())));
        let roots: BTreeMap<RootId, RootState> = roots.collect();
        let sources = Sources::remembered(&setup.policy, setup.sources);
        let saved = SavedState::new(&memory.roots);
        let (index, writer, units) = (memory.index, memory.writer, memory.units);
        let mut engine = Self {
            writer,
            index,
            policy: setup.policy,
            jobs: setup.jobs,
            pins: setup.pins,
            sources,
            owned: OwnershipIndex::default(),
            passing: ReclassifyScan::default(),
            arriving: BarrierWait::default(),
            records: JobRecords::new(setup.recording),
            breaker: setup.breaker,
            mode: setup.mode,
            guard: setup.guard,
            timers: Timers::new(now.wall),
            roots,
            holds: Arc::default(),
            claims: Claims::default(),
            cleans: Cleans::default(),
            orders: Orders::default(),
            effects: Effects::default(),
            unread_dirs: UnreadDirs::default(),
            removals: RemovalFigures::default(),
            saved,
            older: BTreeSet::new(),
        };
        engine.reevaluate_restored(units, now);
        engine.arm_pins(now);
        engine
    }

    /// Takes one input, and says what is to be done about it.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.check_clock(now);
        match input {
            Input::Tick => {}
            Input::Observed(seen) => {
                for seen in seen {
                    self.observe(seen, now);
                }
            }
            Input::Reaped(reaped) => self.settle_all(reaped, now),
            Input::Recovered(root, hold) => self.on_recovered(root, hold, now),
            Input::Previewed(reaped) => self.on_previewed(&reaped),
            Input::Synced(JOBS) => self.on_barrier_through(now),
            Input::Synced(token) => self.effects.push(Effect::Synced(token)),
            Input::Reload(policy, breaker) => self.reload(policy, breaker, now),
            Input::Unsaved(why) => self.on_store_state(why, now),
            Input::Jobs(news) => {
                let source = news.source;
                self.on_source_update(news, now);
                self.jobs.on_news_taken_in(source);
            }
            Input::Forgotten(source) => self.on_record_deleted(source),
            Input::Clean(policy, request, done) => self.order_clean(policy, request, done),
            Input::Ask(ask) => ask(self, now),
        }
        self.continue_reclassify(now);
        self.refresh_content_mtimes(now);
        self.check_orders(now);
        self.arm_touched(now);
        self.fire(now);
        // What was tried in vain is armed for the next time.
        self.arm_touched(now);
        self.claims.dispatch(&mut self.effects);
        self.save();
        self.effects.take()
    }

    /// Instant at which [`Engine::step`] wants an [`Input::Tick`]; `None`: nothing waits.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.is_passing() {
            return Some(Timestamp::MIN);
        }
        self.timers.next()
    }

    /// The index, to read.
    #[must_use]
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// The rules in force.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy)
    }

    /// The roots that are there, and which directory each of them is.
    pub fn places(&self) -> impl Iterator<Item = (RootId, FileKey)> {
        let keys = self.roots.iter();
        keys.filter_map(|(&root, state)| Some((root, state.key()?)))
    }

    /// Returns true if removals happen.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns true if [`Event::Observed`] is told from now on.
    pub fn tell_observed(&mut self, wanted: bool) {
        self.effects.want_observations(wanted);
    }

    fn check_clock(&mut self, now: Now) {
        let by_ms = |by: std::time::Duration| i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let Some(event) = self.guard.observe(now) else {
            return;
        };
        self.saved.on_clock_changed();
        match event {
            // What is armed fires too early, is held, and is armed for later.
            ClockEvent::Jumped { by } => {
                self.effects.tell(Event::ClockJumped { by_ms: by_ms(by) });
            }
            ClockEvent::SetBack { by } => {
                self.effects.tell(Event::ClockJumped { by_ms: -by_ms(by) });
                self.arm_all(now);
            }
            ClockEvent::CaughtUp { .. } => self.arm_all(now),
        }
    }

    /// The table of holds, to change.
    pub(super) fn holds_mut(&mut self) -> &mut HoldTable {
        Arc::make_mut(&mut self.holds)
    }
}
