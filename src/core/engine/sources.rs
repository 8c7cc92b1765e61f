//! Sources of jobs: what they tell, where they stand, and what they hold.
//!
//! **Invariant:** nobody's are only files of a root whose source was read through, is not stale, and has not suddenly lost its jobs.
//! **Invariant:** a source that cannot be read holds the files that its jobs may own, and no others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job_holds::JobHolds;
use super::state::Engine;
use crate::core::facts::RootId;
use crate::core::input::{Effect, Event};
use crate::core::jobs::{JobKey, JobRow, Jobs, News, SourceId, SourceNews};
use crate::core::pins::Pins;
use crate::core::policy::Policy;
use crate::core::report::{SourceMemory, SourcePhase, SourceStatus};
use crate::core::time::{Now, Timestamp};

/// A source loses so many of its jobs at once without anybody asking, if they are less than half of them.
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
    /// Number before that, after it was read through for the last time but one: the last reading may
    /// have been under way.
    forgotten_before: u64,
    trip: Option<String>,
    /// Instant at which an earlier process last knew it in full, under these rules.
    start_at: Option<Timestamp>,
    /// Instant at which it was last known in full, since the start.
    known_at: Option<Timestamp>,
    /// More of the reading that was reported last is to come.
    is_partial: bool,
}

impl Sources {
    /// The sources of `policy`, with what an earlier process knew of them.
    pub(super) fn remembered(policy: &Policy, known: BTreeMap<SourceId, SourceMemory>) -> Self {
        let mut sources = Self(Arc::default());
        sources.replace(policy, known);
        sources
    }

    /// Takes in the sources of other rules: those that are still there are read anew.
    fn replace(&mut self, policy: &Policy, mut known: BTreeMap<SourceId, SourceMemory>) {
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
    pub(super) fn remembered(memory: Option<SourceMemory>) -> Self {
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

    fn memory(&self) -> SourceMemory {
        SourceMemory {
            jobs: self.jobs.unwrap_or(0),
            trip: self.trip.clone(),
            read_at: self.known_at.or(self.start_at),
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

    /// Returns the reason why its orphans are held.
    pub(super) fn trip(&self) -> Option<&str> {
        self.trip.as_deref()
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

impl Engine {
    /// What is known of jobs, to read.
    #[must_use]
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// What is pinned, to read.
    #[must_use]
    pub fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    pub(super) fn job_holds(&self) -> JobHolds {
        JobHolds {
            policy: Arc::clone(&self.policy),
            jobs: Arc::clone(&self.jobs),
            pins: Arc::clone(&self.pins),
            sources: self.sources.clone(),
            index: Arc::clone(&self.index),
        }
    }

    pub(super) fn source_status(&self) -> Vec<SourceStatus> {
        let states = self.sources.iter();
        states
            .map(|(&source, state)| SourceStatus {
                source,
                phase: state.phase.clone(),
                trip: state.trip.clone(),
            })
            .collect()
    }

    /// Takes in what sources tell.
    pub fn on_source_update(&mut self, news: SourceNews, now: Now) {
        let source = news.source;
        if self.sources.get(source).is_none() {
            return;
        }
        let mut is_eased = false;
        let was_partial = match self.sources.get_mut(source) {
            Some(state) => std::mem::replace(&mut state.is_partial, news.more),
            None => false,
        };
        for piece in news.news {
            match piece {
                News::Rows(rows) => {
                    for row in rows {
                        is_eased |= self.on_job_upsert(source, &row, now);
                    }
                }
                News::Gone(ids) => {
                    for id in ids {
                        is_eased |= self.on_job_deleted(source, &id, now);
                    }
                    let is_told = self
                        .policy
                        .sources
                        .get(&source)
                        .is_some_and(|of| of.is_told);
                    if let Some(state) = self.sources.get_mut(source) {
                        // Until it has said how many are left.
                        state.is_stale |= !is_told;
                    }
                }
                News::Loaded { jobs } => self.on_snapshot_complete(source, jobs, now),
                News::Stale => {
                    if let Some(state) = self.sources.get_mut(source) {
                        state.is_stale = true;
                    }
                }
                News::Down { why } => self.on_source_down(source, &why),
            }
            self.publish_source_trust(source);
        }
        self.check_changed(source, now);
        if !news.more {
            self.mark_known(source, now);
            if was_partial {
                self.ask_for_arrivals();
            }
        }
        if is_eased {
            // Also in roots that nothing of the source governs any more.
            self.arm_all(now);
            self.arm_held_jobs(|of| of == source, now);
        }
    }

    /// Takes in a row. Returns whether refused claims hold less than before.
    fn on_job_upsert(&mut self, source: SourceId, row: &JobRow, now: Now) -> bool {
        let policy = Arc::clone(&self.policy);
        let was_read = self.sources.get(source).is_some_and(SourceState::was_read);
        let key = JobKey {
            source,
            id: row.id.clone(),
        };
        let before = was_read.then(|| self.jobs.job(&key)).flatten();
        let change = self.jobs.put(&policy, source, row);
        if !change.changed {
            return false;
        }
        for (file, why) in change.refused {
            let job = row.id.clone();
            self.effects.tell(Event::ClaimRefused {
                source,
                job,
                file,
                why,
            });
        }
        self.records.on_row_changed(source, change.no);
        self.arriving.renew((source, change.no));
        self.outdate_claim(&key, change.no);
        if was_read {
            self.records.on_inherited_changed(&key);
        }
        self.holds_mut().lift_job(source, change.no);
        if was_read {
            self.reclassify_job(source, &row.id, change.unclaimed, now);
            if let Some(after) = self.jobs.job(&key) {
                self.count_changed(before.as_ref(), &after, now);
            }
            self.arm_job(source, change.no, now);
        }
        change.is_eased
    }

    /// Forgets a job. Returns whether refused claims hold less than before.
    fn on_job_deleted(&mut self, source: SourceId, id: &str, now: Now) -> bool {
        let policy = Arc::clone(&self.policy);
        let key = JobKey {
            source,
            id: id.to_owned(),
        };
        if let Some(no) = self.jobs.number(&key) {
            // Another job may get its number: what the reaper has of this one is not the other's.
            self.records.on_row_changed(source, no);
            self.records.on_inherited_changed(&key);
            self.arriving.renew((source, no));
            self.holds_mut().forget_job(source, no);
        }
        let Some((claimed, is_eased)) = self.jobs.remove(&policy, source, id) else {
            return false;
        };
        if self.sources.get(source).is_some_and(SourceState::was_read) {
            self.reclassify_job(source, id, claimed, now);
        }
        is_eased
    }

    fn on_snapshot_complete(&mut self, source: SourceId, jobs: u64, now: Now) {
        let demands = self
            .policy
            .roots
            .values()
            .any(|root| root.source == Some(source) && root.orphans.is_some());
        let is_told = self
            .policy
            .sources
            .get(&source)
            .is_some_and(|of| of.is_told);
        let Some(state) = self.sources.get_mut(source) else {
            return;
        };
        let before = state
            .jobs
            .map(|before| before.saturating_sub(state.forgotten + state.forgotten_before));
        let why = match before {
            _ if !demands || (is_told && state.was_read) => None,
            None if jobs == 0 => Some("the source was empty when it was first read".to_owned()),
            Some(before) => {
                let lost = before.saturating_sub(jobs);
                let much = (lost > LOST_MAX && lost > before / 2) || (jobs == 0 && before > 0);
                much.then(|| format!("the source had {before} jobs, and suddenly has {jobs}"))
            }
            None => None,
        };
        state.jobs = Some(jobs);
        state.forgotten_before = std::mem::take(&mut state.forgotten);
        state.is_stale = false;
        if let Some(why) = why
            && state.trip.is_none()
        {
            state.trip = Some(why.clone());
            self.effects.tell(Event::OrphansTripped {
                source: Some(source),
                root: None,
                why,
            });
        }
        let first = !std::mem::replace(&mut state.was_read, true);
        let was_down = matches!(state.phase, SourcePhase::Down { .. });
        state.phase = if first {
            // Until it is known whose all entries are.
            SourcePhase::Loading
        } else {
            SourcePhase::Ready
        };
        self.effects.push(Effect::Source(source, state.memory()));
        if first {
            let what = format!("read: {jobs} job{}", if jobs == 1 { "" } else { "s" });
            self.effects.tell(Event::Source { source, what });
            self.reclassify_source(source);
            return;
        }
        if was_down {
            let what = "can be read again".to_owned();
            self.effects.tell(Event::Source { source, what });
        }
        self.arm_source(source, now);
    }

    /// Tells those who ask for single jobs whether it can be believed that one is gone.
    fn publish_source_trust(&self, source: SourceId) {
        let is_doubted = self.sources.get(source).is_none_or(|state| {
            state.is_stale || state.trip.is_some() || state.phase != SourcePhase::Ready
        });
        self.jobs.doubt(source, is_doubted);
    }

    /// A row of `source` was removed because a rule said so.
    pub(super) fn on_record_deleted(&mut self, source: SourceId) {
        if let Some(state) = self.sources.get_mut(source) {
            state.forgotten += 1;
        }
    }

    fn on_source_down(&mut self, source: SourceId, why: &str) {
        let Some(state) = self.sources.get_mut(source) else {
            return;
        };
        let why = why.to_owned();
        state.is_partial = false;
        let phase = SourcePhase::Down { why: why.clone() };
        if std::mem::replace(&mut state.phase, phase.clone()) != phase {
            let what = format!("cannot be read: {why}");
            self.effects.tell(Event::Source { source, what });
        }
    }

    /// Everything that belongs to the jobs of `source` was found; what waited for that is free.
    pub(super) fn source_ready(&mut self, source: SourceId, now: Now) {
        if let Some(state) = self.sources.get_mut(source)
            && state.phase == SourcePhase::Loading
        {
            state.phase = SourcePhase::Ready;
        }
        self.check_first_reading(source, now);
        self.mark_known(source, now);
        if let Some(state) = self.sources.get(source) {
            self.effects.push(Effect::Source(source, state.memory()));
        }
        self.publish_source_trust(source);
        self.arm_source(source, now);
    }

    /// Arms everything that a hold of `source` may have held.
    pub(super) fn arm_source(&mut self, source: SourceId, now: Now) {
        let holds = self.job_holds();
        // Also in roots that it governs no more.
        for item in self.holds_mut().retry_source(&holds.name(source)) {
            self.rearm(&item, now);
        }
        self.arm_roots(|root| holds.governing(root).any(|of| of == source), now);
        self.arm_held_jobs(|of| of == source, now);
    }

    /// Releases the breakers of sources: those of the root, or of all. Tells the roots that this concerns.
    pub(super) fn release_sources(&mut self, root: Option<RootId>) -> Vec<RootId> {
        let wanted: Vec<SourceId> = match root {
            None => self.sources.keys().copied().collect(),
            Some(root) => {
                let known = self.policy.roots.get(&root);
                known.and_then(|known| known.source).into_iter().collect()
            }
        };
        let mut released = Vec::new();
        for source in wanted {
            if let Some(state) = self.sources.get_mut(source)
                && state.trip.take().is_some()
            {
                self.effects.push(Effect::Source(source, state.memory()));
                released.push(source);
            }
            self.publish_source_trust(source);
        }
        let roots = self.policy.roots.iter();
        roots
            .filter(|(_, known)| known.source.is_some_and(|of| released.contains(&of)))
            .map(|(&root, _)| root)
            .collect()
    }

    /// The sources of another configuration: those that stay are read anew.
    pub(super) fn reload_sources(&mut self) {
        let policy = Arc::clone(&self.policy);
        self.jobs.reload(&policy);
        self.sources.replace(&policy, BTreeMap::new());
        self.records.on_reload();
        self.holds_mut().lift_jobs();
        self.owned.clear();
        for source in policy.sources.keys() {
            self.reclassify_source(*source);
        }
    }
}
