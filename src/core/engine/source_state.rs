//! State of the sources of jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::jobs::SourceId;
use crate::core::policy::Policy;
use crate::core::report::{SavedSource, SourcePhase, SourceStatus};
use crate::core::time::Timestamp;

/// A source loses so many of its jobs at once without anybody asking, if they are less than half of
/// them.
const LOST_MAX: u64 = 4;

/// The sources, shared with those who ask.
#[derive(Clone, Debug)]
pub(super) struct Sources(Arc<BTreeMap<SourceId, SourceState>>);

/// One source.
#[derive(Clone, Debug)]
pub(super) struct SourceState {
    phase: SourcePhase,
    /// Something has changed at it that was not read yet.
    is_stale: bool,
    /// Set once it was read through since the start: before, nothing is done about single rows.
    was_read: bool,
    /// Number of its jobs when it was last read through; `None`: it was never read.
    jobs: Option<u64>,
    /// Number of them that we made it forget since.
    forgotten: u64,
    /// Number before that, after it was read through for the last time but one: the last reading
    /// may have been under way.
    forgotten_before: u64,
    trip: Option<String>,
    /// Instant at which an earlier process last knew it in full, under these rules.
    start_at: Option<Timestamp>,
    /// Instant at which it was last known in full, since the start.
    known_at: Option<Timestamp>,
    /// More of the reading that was reported last is to come.
    is_partial: bool,
}

/// A reading of a source that is through.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// The reason why its breaker has tripped now.
    pub(super) tripped: Option<String>,
    /// It was the first one.
    pub(super) is_first: bool,
    pub(super) was_down: bool,
}

impl Sources {
    /// The sources of `policy`, with what an earlier process knew of them.
    pub(super) fn remembered(policy: &Policy, known: BTreeMap<SourceId, SavedSource>) -> Self {
        let mut sources = Self(Arc::default());
        sources.replace(policy, known);
        sources
    }

    /// Takes in the sources of other rules: those that are still there are read anew.
    pub(super) fn replace(&mut self, policy: &Policy, mut known: BTreeMap<SourceId, SavedSource>) {
        let sources = Arc::make_mut(&mut self.0);
        sources.retain(|source, _| policy.sources.contains_key(source));
        for state in sources.values_mut() {
            state.start_at = None;
        }
        for &source in policy.sources.keys() {
            let new = || SourceState::remembered(known.remove(&source));
            sources.entry(source).or_insert_with(new);
        }
    }

    pub(super) fn get(&self, source: SourceId) -> Option<&SourceState> {
        self.0.get(&source)
    }

    /// Returns the reason why the orphans of a source are held.
    pub(super) fn trip(&self, source: SourceId) -> Option<&str> {
        self.get(source)?.trip.as_deref()
    }

    pub(super) fn get_mut(&mut self, source: SourceId) -> Option<&mut SourceState> {
        Arc::make_mut(&mut self.0).get_mut(&source)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SourceId, &SourceState)> {
        self.0.iter()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SourceId> {
        self.0.keys()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &SourceState> {
        self.0.values()
    }
}

impl SourceState {
    pub(super) fn remembered(memory: Option<SavedSource>) -> Self {
        Self {
            phase: SourcePhase::Loading,
            is_stale: false,
            was_read: false,
            jobs: memory.as_ref().map(|memory| memory.jobs),
            forgotten: 0,
            forgotten_before: 0,
            start_at: memory.as_ref().and_then(|memory| memory.read_at),
            known_at: None,
            is_partial: false,
            trip: memory.and_then(|memory| memory.trip),
        }
    }

    /// Takes in a part of a reading; `more` is to come. Returns true if more of the last one was to
    /// come.
    pub(super) fn on_reading(&mut self, more: bool) -> bool {
        std::mem::replace(&mut self.is_partial, more)
    }

    /// Something has changed at it that was not read yet.
    pub(super) fn mark_stale(&mut self) {
        self.is_stale = true;
    }

    /// It was read through, and has `jobs`. Where `may_trip`, it trips when it has lost too many.
    pub(super) fn on_read(&mut self, jobs: u64, may_trip: bool) -> Reading {
        let forgotten = self.forgotten + self.forgotten_before;
        let before = self.jobs.map(|before| before.saturating_sub(forgotten));
        let why = match before {
            _ if !may_trip || self.trip.is_some() => None,
            None if jobs == 0 => Some("the source was empty when it was first read".to_owned()),
            Some(before) => {
                let lost = before.saturating_sub(jobs);
                let much = (lost > LOST_MAX && lost > before / 2) || (jobs == 0 && before > 0);
                much.then(|| format!("the source had {before} jobs, and suddenly has {jobs}"))
            }
            None => None,
        };
        self.jobs = Some(jobs);
        self.forgotten_before = std::mem::take(&mut self.forgotten);
        self.is_stale = false;
        if why.is_some() {
            self.trip.clone_from(&why);
        }
        let is_first = !std::mem::replace(&mut self.was_read, true);
        let was_down = matches!(self.phase, SourcePhase::Down { .. });
        self.phase = if is_first {
            // Until it is known whose all entries are.
            SourcePhase::Loading
        } else {
            SourcePhase::Ready
        };
        Reading {
            tripped: why,
            is_first,
            was_down,
        }
    }

    /// All entries of its jobs were found.
    pub(super) fn on_classified(&mut self) {
        if self.phase == SourcePhase::Loading {
            self.phase = SourcePhase::Ready;
        }
    }

    /// A row of it was removed because a rule said so.
    pub(super) fn on_forgotten(&mut self) {
        self.forgotten += 1;
    }

    /// It cannot be read. Returns true if that is new.
    pub(super) fn on_down(&mut self, why: &str) -> bool {
        self.is_partial = false;
        let phase = SourcePhase::Down {
            why: why.to_owned(),
        };
        std::mem::replace(&mut self.phase, phase.clone()) != phase
    }

    /// Releases its breaker. Returns true if it had tripped.
    pub(super) fn release(&mut self) -> bool {
        self.trip.take().is_some()
    }

    /// Returns true if it cannot be believed that a job of it is gone.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_stale || self.trip.is_some() || self.phase != SourcePhase::Ready
    }

    pub(super) fn status(&self, source: SourceId) -> SourceStatus {
        SourceStatus {
            source,
            phase: self.phase.clone(),
            trip: self.trip.clone(),
        }
    }

    pub(super) fn memory(&self) -> SavedSource {
        SavedSource {
            jobs: self.jobs.unwrap_or(0),
            trip: self.trip.clone(),
            read_at: self.known_at.or(self.start_at),
        }
    }

    /// Returns true if a reading is to come, and can be expected.
    pub(super) fn is_reading(&self) -> bool {
        match self.phase {
            SourcePhase::Loading => true,
            SourcePhase::Ready => self.is_stale,
            SourcePhase::Down { .. } => false,
        }
    }

    pub(super) fn is_stale(&self) -> bool {
        self.is_stale
    }

    pub(super) fn was_read(&self) -> bool {
        self.was_read
    }

    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Returns true if nothing more is to be read of it by itself.
    pub(super) fn is_settled(&self) -> bool {
        match self.phase {
            SourcePhase::Ready | SourcePhase::Down { .. } => true,
            SourcePhase::Loading => false,
        }
    }

    /// Returns the instant at which an earlier process last knew it in full, under these rules.
    pub(super) fn start_at(&self) -> Option<Timestamp> {
        self.start_at
    }

    /// Returns the instant at which it was last known in full, since the start.
    pub(super) fn known_at(&self) -> Option<Timestamp> {
        self.known_at
    }

    /// It is known in full at `now`, unless it cannot be read.
    pub(super) fn mark_known(&mut self, now: Timestamp) {
        if self.phase == SourcePhase::Ready {
            self.known_at = Some(now);
        }
    }

    /// Returns the reason why nothing that depends on it may be removed.
    pub(super) fn down(&self) -> Option<String> {
        match &self.phase {
            SourcePhase::Ready => None,
            SourcePhase::Loading => Some("it was not read through yet".to_owned()),
            SourcePhase::Down { why } => Some(why.clone()),
        }
    }
}
