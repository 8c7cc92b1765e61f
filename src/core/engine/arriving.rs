//! Files that may still be on their way into the index when their job is judged.
//!
//! Sources and watchers report independently: that a job has ended may be known before its last
//! file is, and that a file belongs to a job before the file has been looked at for that. All that
//! a job owns is removed as one and its record follows, so it is gathered only when everything that
//! was reported, or ordered to be looked at, before that moment is in the index.
//!
//! **Invariant:** between the last news of a job and the gathering of what it owns a barrier began
//! and came through.

use std::collections::{BTreeMap, BTreeSet};

use super::source_state::SourceState;
use super::state::Engine;
use super::timers::Timer;
use crate::core::input::Effect;
use crate::core::jobs::SourceId;
use crate::core::time::Now;

/// Jobs with news that are kept one by one; beyond this, all jobs count as having news. One
/// has 16 bytes.
const UPDATED_MAX: usize = 10_000;

/// One job.
type Job = (SourceId, u32);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BarrierWait {
    /// Jobs that wait, each with whether the barrier that is under way began after its last news.
    waiting: BTreeMap<Job, bool>,
    /// Jobs that may be gathered, until there is news of them.
    through: BTreeSet<Job>,
    /// True if a barrier is under way.
    is_asked: bool,
    /// Jobs with news since the last barrier that came through began; `None`: all. Before the
    /// first barrier nothing is known.
    updated: Option<BTreeSet<Job>>,
    /// Likewise since the barrier that is under way began.
    updated_meanwhile: Option<BTreeSet<Job>>,
}

impl BarrierWait {
    /// There is news of a job, or something that it owns is to be looked at.
    pub(super) fn renew(&mut self, job: Job) {
        self.through.remove(&job);
        if let Some(covered) = self.waiting.get_mut(&job) {
            *covered = false;
        }
        for updated in [&mut self.updated, &mut self.updated_meanwhile] {
            updated.as_mut().map(|jobs| jobs.insert(job));
            updated.take_if(|jobs| jobs.len() > UPDATED_MAX);
        }
    }

    /// Takes note that what the job owns is held: files may come before it is gathered again.
    pub(super) fn hold(&mut self, job: Job) {
        self.through.remove(&job);
    }

    /// It is found out anew whose everything is.
    pub(super) fn renew_all(&mut self) {
        self.through.clear();
        self.waiting
            .values_mut()
            .for_each(|covered| *covered = false);
        (self.updated, self.updated_meanwhile) = (None, None);
    }

    /// Returns true if there was no news of the job since the last barrier that came through began.
    pub(super) fn is_known(&self, job: Job) -> bool {
        let updated = self.updated.as_ref();
        updated.is_some_and(|jobs| !jobs.contains(&job))
    }
}

impl Engine {
    /// Returns true if what the job owns can be gathered. If not, it is looked at again when it
    /// can.
    pub(super) fn has_arrived(&mut self, source: SourceId, no: u32) -> bool {
        let is_partial = self.is_partial(source);
        let arriving = &mut self.arriving;
        if !is_partial && arriving.through.contains(&(source, no)) {
            return true;
        }
        arriving.waiting.entry((source, no)).or_insert(false);
        self.ask_for_arrivals();
        false
    }

    /// Returns true if more of the reading of `source` that was reported last is to come.
    pub(super) fn is_partial(&self, source: SourceId) -> bool {
        self.sources
            .get(source)
            .is_some_and(SourceState::is_partial)
    }

    /// Asks for a barrier if a job or an order waits for one and none is under way.
    pub(super) fn ask_for_arrivals(&mut self) {
        let waits = |source: SourceId| {
            let jobs = (source, 0)..=(source, u32::MAX);
            self.arriving.waiting.range(jobs).next().is_some()
        };
        // Those of a source that is being read wait for the end of that.
        let mut sources = self.sources.keys().copied();
        let is_waited_for = sources.any(|source| waits(source) && !self.is_partial(source));
        drop(sources);
        let is_wanted = is_waited_for || self.has_order_to_cover();
        if is_wanted && !self.arriving.is_asked {
            self.begin_barrier();
        }
    }

    /// Asks for a barrier: everything that was reported until now, or ordered to be looked at, is
    /// in the index when it is through.
    pub fn begin_barrier(&mut self) {
        self.arriving.is_asked = true;
        self.arriving.updated_meanwhile = Some(BTreeSet::new());
        for covered in self.arriving.waiting.values_mut() {
            *covered = true;
        }
        self.cover_orders();
        self.effects.push(Effect::Barrier);
    }

    /// Everything that happened before the engine's own barrier is in the index.
    pub(super) fn on_barrier_through(&mut self, now: Now) {
        if !std::mem::take(&mut self.arriving.is_asked) {
            return;
        }
        self.arriving.updated = self.arriving.updated_meanwhile.take();
        self.orders.on_barrier_through();
        let covered: Vec<Job> = self
            .arriving
            .waiting
            .extract_if(.., |_, covered| *covered)
            .map(|(job, _)| job)
            .collect();
        for (source, no) in covered {
            self.arriving.through.insert((source, no));
            self.timers.arm(Timer::Job(source, no), now.wall);
        }
        // Before the next barrier begins: what is judged now is judged by this one.
        self.carry_out_known(now);
        self.ask_for_arrivals();
    }
}
