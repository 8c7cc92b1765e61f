//! Files that may still be on their way into the index when their job is told to have ended.
//!
//! A source and the watchers are heard of apart: that a job has ended may be known before its last file is. All that a job owns goes as
//! one, and its record follows, so it is gathered only when everything that happened before its row was heard of is in the index.
//!
//! **Invariant:** between the last news of a job and the gathering of what it owns a barrier began and came through.

use std::collections::BTreeMap;

use super::armed::Timer;
use super::state::Engine;
use crate::core::input::Effect;
use crate::core::jobs::SourceId;
use crate::core::time::Now;

/// One job.
type Job = (SourceId, u32);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    /// Jobs that wait, each with whether the barrier that is under way began after its last news.
    waiting: BTreeMap<Job, bool>,
    /// Jobs that may be gathered, until there is news of them.
    through: std::collections::BTreeSet<Job>,
    is_asked: bool,
    start: Start,
}

/// What the start's one `clean` knows of the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Start {
    /// It does not ask yet.
    #[default]
    Early,
    /// It waits for a barrier that begins from now on.
    Waits,
    /// That one is under way.
    Covered,
    /// Everything that was asked to be looked at by then is in the index.
    Known,
}

impl Arriving {
    /// There is news of a job.
    pub(super) fn renew(&mut self, job: Job) {
        self.through.remove(&job);
        if let Some(covered) = self.waiting.get_mut(&job) {
            *covered = false;
        }
    }
}

impl Engine {
    /// Whether what the job owns can be gathered. If not, it is looked at again when it can.
    pub(super) fn has_arrived(
        &mut self,
        source: SourceId,
        no: u32,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let arriving = &mut self.arriving;
        if arriving.through.contains(&(source, no)) {
            return true;
        }
        arriving.waiting.entry((source, no)).or_insert(false);
        self.ask_for_arrivals(effects);
        false
    }

    /// Whether what was to be looked at once more, when it became known whose it is, has been. If not, this is to be asked again.
    pub(super) fn has_looked(&mut self, effects: &mut Vec<Effect>) -> bool {
        match self.arriving.start {
            Start::Known => return true,
            Start::Early => self.arriving.start = Start::Waits,
            Start::Waits | Start::Covered => {}
        }
        self.ask_for_arrivals(effects);
        false
    }

    fn ask_for_arrivals(&mut self, effects: &mut Vec<Effect>) {
        let arriving = &mut self.arriving;
        if arriving.is_asked || (arriving.waiting.is_empty() && arriving.start != Start::Waits) {
            return;
        }
        arriving.is_asked = true;
        if arriving.start == Start::Waits {
            arriving.start = Start::Covered;
        }
        for covered in arriving.waiting.values_mut() {
            *covered = true;
        }
        effects.push(Effect::Barrier);
    }

    /// Everything that happened before the engine's own barrier is in the index.
    pub(super) fn files_known(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.arriving.is_asked = false;
        if self.arriving.start == Start::Covered {
            self.arriving.start = Start::Known;
        }
        let covered: Vec<Job> = self
            .arriving
            .waiting
            .extract_if(.., |_, covered| *covered)
            .map(|(job, _)| job)
            .collect();
        for (source, no) in covered {
            self.arriving.through.insert((source, no));
            self.arm(Timer::Job(source, no), now.wall);
        }
        self.ask_for_arrivals(effects);
    }
}
