//! The engine: `step(now, input) → effects`. Everything that is decided is decided here, one input
//! at a time.
//!
//! - [`step`](Engine::step): the line of inputs; the clock's guard
//! - `observe`, `entries`: looks → index; from what a look saw to an entry
//! - `item`: what lapses as a whole; `candidate`: what would go with it
//! - `lapse`: how an item stands, and what holds it
//! - `holds`, `timers`: the tables of what is held, and when what is looked at; `arming`: timers of
//!   what has changed
//! - `due`: timers → claims; what the reaper has
//! - `settle`: the reaper's answers → index, and figures of removals
//! - `shadow`: what a dry run would remove, and what others remove
//! - `effects`: effects of the step under way, and what the next process is to know
//! - `clean`, `orders`: removals on request, and those that wait until everything that
//!   was reported before is known; `scope`: what they are about; `overrides`: the breaker for other
//!   times to live
//! - `root_state`: the state of a root; `roots`: what changes it
//! - `saved_state`: what an earlier process knew
//! - `source_state`, `sources`: sources of jobs, and what they report
//! - `members`: what rules with `keep_last` count; `kept_last`: what they keep
//! - `pauses`: removals that a user has paused
//! - `job_holds`: what jobs, their sources and pins hold
//! - `owned`: whose entries are whose
//! - `gathered`, `job_units`: all that a job owns, as one
//! - `trash`: the ends of undo windows
//! - `breaker`, `job_breaker`: what a person is asked about first
//! - `limits`: sums of what limits count; `limit_order`: what they would remove; `limit_check`,
//!   `limit_space`: when they do; `limit_state`: the state of each
//! - `unread`: what could not be read, for reports
//! - `answer`: status, explanations, holds for those who ask
//!
//! **Invariant:** a claim is only ever the order to look again; nothing here makes a look
//! unnecessary.
//! **Invariant:** one item has at most one claim under way.
//! **Invariant:** whatever is due and not claimed is held for a reason that can be named, or waits
//! in line.
#![doc = include_str!("engine/DESIGN.md")]

mod answer;
mod arming;
mod breaker;
mod candidate;
mod clean;
mod due;
mod effects;
mod entries;
mod gathered;
mod holds;
mod item;
mod job_breaker;
mod job_holds;
mod job_units;
mod kept_last;
mod lapse;
mod limit_check;
mod limit_clean;
mod limit_order;
mod limit_rank;
mod limit_report;
mod limit_space;
mod limit_space_state;
mod limit_state;
mod limits;
mod members;
mod observe;
mod orders;
mod overrides;
mod owned;
mod pauses;
mod root_state;
mod roots;
mod saved_state;
mod scope;
mod settle;
mod shadow;
mod source_state;
mod sources;
mod stall;
mod timers;
mod trash;
mod unread;

pub use answer::Holds;
pub use kept_last::Kept;
pub use saved_state::SavedState;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clean::Cleans;
use due::Claims;
use effects::{Effects, SaveTracker};
use gathered::BarrierWait;
use holds::HoldTable;
use job_units::JobRecords;
use limits::Limits;
use members::MemberTable;
use orders::Orders;
use owned::OwnershipIndex;
use root_state::RootState;
use settle::RemovalFigures;
use source_state::Sources;
use sources::ReclassifyScan;
use timers::Timers;
use trash::Purges;
use unread::UnreadDirs;

use crate::core::claim::Reaped;
use crate::core::clock_guard::{ClockEvent, ClockGuard};
use crate::core::effect::{Effect, Event, JOBS};
use crate::core::facts::{FileKey, RootId, Space};
use crate::core::hold::Hold;
use crate::core::index::{DirId, Index, Writer};
use crate::core::jobs::{JobKey, Jobs, SourceId, SourceUpdate};
use crate::core::observed::Observed;
use crate::core::pauses::Pauses;
use crate::core::pins::Pins;
use crate::core::policy::Policy;
use crate::core::report::{Breaker, CleanReport, CleanRequest, Mode, SavedSource};
use crate::core::time::{Now, Timestamp};
use crate::core::trash::{Trash, TrashNews};

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
    pub memory: Option<SavedState>,
    /// Jobs: empty, and filled by what sources tell.
    pub jobs: Arc<Jobs>,
    /// Pins that were set before.
    pub pins: Arc<Pins>,
    /// Pauses that were ordered before, also those that have ended meanwhile.
    pub pauses: Arc<Pauses>,
    /// Contents of the trash: changed by the reaper.
    pub trash: Arc<Trash>,
    /// State of sources that an earlier process saved.
    pub sources: BTreeMap<SourceId, SavedSource>,
    /// Jobs whose records are still to be written.
    pub recording: BTreeSet<JobKey>,
}

/// Decides what lapses. See the module's head.
pub struct Engine {
    writer: Writer,
    index: Arc<Index>,
    policy: Arc<Policy>,
    jobs: Arc<Jobs>,
    pins: Arc<Pins>,
    pauses: Arc<Pauses>,
    trash: Arc<Trash>,
    purges: Purges,
    sources: Sources,
    /// Owners of entries, where directories do not tell.
    owned: OwnershipIndex,
    /// Pages and jobs that are still to be judged after a source was read.
    passing: ReclassifyScan,
    /// Jobs whose files may still be on their way into the index.
    arriving: BarrierWait,
    records: JobRecords,
    breaker: Breaker,
    mode: Mode,
    guard: ClockGuard,
    timers: Timers,
    roots: BTreeMap<RootId, RootState>,
    /// Shared with those who ask what is held.
    holds: Arc<HoldTable>,
    /// Shared likewise.
    members: Arc<MemberTable>,
    claims: Claims,
    cleans: Cleans,
    orders: Orders,
    effects: Effects,
    limits: Limits,
    unread_dirs: UnreadDirs,
    removals: RemovalFigures,
    saved: SaveTracker,
    /// Top-level directories in which something was seen with an older time than before.
    older: BTreeSet<DirId>,
}

/// A question or an order that is answered at once, by a look at the engine between two steps.
pub type Ask = Box<dyn FnOnce(&mut Engine, Now) + Send>;

/// A message to the engine. Everything that changes it passes through one line of these, one at a
/// time.
pub enum Input {
    /// The alarm rang, or may have rung.
    Tick,
    /// The watchers saw something.
    Observed(Vec<Observed>),
    /// The reaper is through with some claims.
    Reaped(Vec<Reaped>),
    /// Outcomes that some claims would have had, had the reaper been given them.
    Previewed(Vec<Reaped>),
    /// The reaper has the quarantine of a root in order, or (for this reason) cannot have it.
    Recovered(RootId, Option<Hold>),
    /// A root's file system has so much space; `None`: it cannot be asked.
    Space(RootId, Option<Space>),
    /// Every observation that was made before the barrier has been handed in: the token is given
    /// back as an effect.
    Synced(u64),
    /// Other rules or roots from now on.
    Reload(Arc<Policy>, Breaker),
    /// Changes cannot be saved, for this reason; `None`: they can (again).
    Unsaved(Option<String>),
    /// A source tells of its jobs.
    Jobs(SourceUpdate),
    /// Something came to be known of the trash.
    Trash(TrashNews),
    /// A row of this source was removed from it, because a rule said so: that is no loss.
    Forgotten(SourceId),
    /// Remove what is due and asked for, under these rules or not at all, then tell.
    Clean(
        Arc<Policy>,
        CleanRequest,
        Box<dyn FnOnce(CleanReport) + Send>,
    ),
    /// A question.
    Ask(Ask),
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
        let saved = SaveTracker::new(&memory.roots);
        let (index, writer, units) = (memory.index, memory.writer, memory.units);
        let mut engine = Self {
            writer,
            index,
            policy: setup.policy,
            jobs: setup.jobs,
            pins: setup.pins,
            pauses: setup.pauses,
            trash: setup.trash,
            purges: Purges::default(),
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
            members: Arc::default(),
            claims: Claims::default(),
            cleans: Cleans::default(),
            orders: Orders::default(),
            effects: Effects::default(),
            limits: Limits::default(),
            unread_dirs: UnreadDirs::default(),
            removals: RemovalFigures::default(),
            saved,
            older: BTreeSet::new(),
        };
        engine.count_all_anew();
        engine.reevaluate_restored(units, now);
        engine.arm_pins(now);
        engine.check_pauses(now);
        engine.count_all();
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
            Input::Space(root, space) => self.on_space(root, space, now),
            Input::Previewed(reaped) => self.on_previewed(reaped, now),
            Input::Synced(JOBS) => self.on_barrier_through(now),
            Input::Synced(token) => self.effects.push(Effect::Synced(token)),
            Input::Reload(policy, breaker) => self.reload(policy, breaker, now),
            Input::Unsaved(why) => self.on_store_state(why, now),
            Input::Jobs(news) => {
                let source = news.source;
                self.on_source_update(news, now);
                self.jobs.on_news_taken_in(source);
            }
            Input::Trash(news) => self.on_trash_news(news, now),
            Input::Forgotten(source) => self.on_record_deleted(source),
            Input::Clean(policy, request, done) => self.order_clean(policy, request, done),
            Input::Ask(ask) => ask(self, now),
        }
        self.regroup(now);
        self.continue_reclassify(now);
        self.refresh_content_mtimes(now);
        self.check_orders(now);
        self.arm_touched(now);
        self.fire(now);
        // What was tried in vain is armed for the next time.
        self.arm_touched(now);
        self.check_limits(now);
        self.claims.dispatch(self.mode, &mut self.effects);
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
        self.check_pauses(now);
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
    fn holds_mut(&mut self) -> &mut HoldTable {
        Arc::make_mut(&mut self.holds)
    }
}

#[cfg(test)]
mod tests;
