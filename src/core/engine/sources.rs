//! Sources of jobs: what they tell, and whose everything is after one was read or other rules are
//! in force, which is found out in steps of some milliseconds.
//!
//! **Invariant:** orphans are only files of a root whose source was read through, is not stale,
//! and has not suddenly lost its jobs.
//! **Invariant:** a source that cannot be read holds the files that its jobs may own, and no
//! others.
//! **Invariant:** until all pages are gone through nothing counts as known: jobs and orders wait
//! for a barrier that begins later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Engine;
use super::item::Item;
use super::job_holds::JobHolds;
use super::source_state::SourceState;
use crate::core::effect::{Effect, Event};
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId};
use crate::core::jobs::{JobChange, JobKey, JobRow, Jobs, SourceId, SourceUpdate};
use crate::core::pauses::Pauses;
use crate::core::pins::Pins;
use crate::core::report::SourceStatus;
use crate::core::time::Now;

impl Engine {
    /// Returns true if a source is read for the first time, or has changed since it was read.
    #[must_use]
    pub fn is_reading_sources(&self) -> bool {
        self.sources.values().any(SourceState::is_reading)
    }

    /// The known jobs, to read.
    #[must_use]
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.jobs
    }

    /// The pins, to read.
    #[must_use]
    pub fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// The pauses, to read.
    #[must_use]
    pub fn pauses(&self) -> &Arc<Pauses> {
        &self.pauses
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
            .map(|(&source, state)| state.status(source))
            .collect()
    }

    /// Takes in what sources tell.
    pub fn on_source_update(&mut self, news: SourceUpdate, now: Now) {
        let source = news.source;
        if self.sources.get(source).is_none() {
            return;
        }
        let mut is_eased = false;
        let was_partial = match self.sources.get_mut(source) {
            Some(state) => state.on_reading(news.more),
            None => false,
        };
        for piece in news.news {
            match piece {
                JobChange::Rows(rows) => {
                    for row in rows {
                        is_eased |= self.on_job_upsert(source, &row, now);
                    }
                }
                JobChange::Gone(ids) => {
                    for id in ids {
                        is_eased |= self.on_job_deleted(source, &id, now);
                    }
                    let is_told = self.policy.has_pushed_jobs(source);
                    // Until it has said how many are left.
                    if let Some(state) = self.sources.get_mut(source).filter(|_| !is_told) {
                        state.mark_stale();
                    }
                }
                JobChange::Loaded { jobs } => self.on_snapshot_complete(source, jobs, now),
                JobChange::Stale => {
                    if let Some(state) = self.sources.get_mut(source) {
                        state.mark_stale();
                    }
                }
                JobChange::Down { why } => self.on_source_down(source, &why),
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

    /// Takes in a row. Returns true if refused claims hold less than before.
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
        self.holds_mut()
            .lift_jobs(Item::rules_of(source, change.no));
        if was_read {
            self.reclassify_job(source, &row.id, change.unclaimed, now);
            if let Some(after) = self.jobs.job(&key) {
                if after.moments.cleaned_at.is_some() {
                    self.report_gone_record(&key, now);
                }
                self.count_changed(before.as_ref(), &after, now);
            }
            self.arm_job(source, change.no, now);
        }
        change.is_eased
    }

    /// Forgets a job. Returns true if refused claims hold less than before.
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
        self.report_gone_record(&key, now);
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
        let is_told = self.policy.has_pushed_jobs(source);
        let Some(state) = self.sources.get_mut(source) else {
            return;
        };
        let may_trip = demands && !(is_told && state.was_read());
        let reading = state.on_read(jobs, may_trip);
        if let Some(why) = reading.tripped {
            self.effects.tell(Event::OrphansTripped {
                source: Some(source),
                root: None,
                why,
            });
        }
        self.effects.push(Effect::Source(source, state.memory()));
        if reading.is_first {
            let what = format!("read: {jobs} job{}", if jobs == 1 { "" } else { "s" });
            self.tell_source(source, true, what);
            self.reclassify_source(source);
            return;
        }
        if reading.was_down {
            self.tell_source(source, true, "can be read again".to_owned());
        }
        self.arm_source(source, now);
    }

    /// Tells those who ask for single jobs whether it can be believed that one is gone.
    fn publish_source_trust(&self, source: SourceId) {
        let state = self.sources.get(source);
        let is_doubted = state.is_none_or(SourceState::is_doubted);
        self.jobs.doubt(source, is_doubted);
    }

    /// A row of `source` was removed because a rule said so.
    pub(super) fn on_record_deleted(&mut self, source: SourceId) {
        if let Some(state) = self.sources.get_mut(source) {
            state.on_forgotten();
        }
    }

    fn on_source_down(&mut self, source: SourceId, why: &str) {
        let Some(state) = self.sources.get_mut(source) else {
            return;
        };
        if state.on_down(why) {
            self.tell_source(source, false, format!("cannot be read: {why}"));
        }
    }

    fn tell_source(&mut self, source: SourceId, is_available: bool, what: String) {
        self.effects.tell(Event::Source {
            source,
            is_available,
            what,
        });
    }

    /// Everything that belongs to the jobs of `source` was found; what waited for that is free.
    pub(super) fn source_ready(&mut self, source: SourceId, now: Now) {
        if let Some(state) = self.sources.get_mut(source) {
            state.on_classified();
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

    /// Releases the breakers of sources: those of the root, or of all. Tells the roots that this
    /// concerns.
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
                && state.release()
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
        self.holds_mut().lift_jobs(..);
        self.owned.clear();
        for source in policy.sources.keys() {
            self.reclassify_source(*source);
        }
    }
}

/// So many pages are gone through in one step, and so many jobs: some milliseconds.
const PAGES_MAX: usize = 64;
const JOBS_MAX: u32 = 10_000;

/// Pages and jobs that are still to be judged after a source was read.
#[derive(Debug, Default)]
pub(super) struct ReclassifyScan {
    pages: Vec<PageId>,
    jobs: Vec<(SourceId, u32)>,
    ready: BTreeSet<SourceId>,
}

impl Engine {
    /// Goes through all entries that jobs of `source` may own, and through its jobs, in the steps
    /// that follow.
    pub(super) fn reclassify_source(&mut self, source: SourceId) {
        self.renew_arrivals();
        let mut pages = self.index.pages();
        let holds = self.job_holds();
        let index = Arc::clone(&self.index);
        pages.retain(|&page| {
            let dir = index.page(page).and_then(|page| index.dir(page.dir()));
            dir.is_some_and(|dir| holds.governing(dir.root).any(|of| of == source))
        });
        self.passing.pages.extend(pages);
        self.passing.pages.sort_unstable();
        self.passing.pages.dedup();
        self.passing.jobs.retain(|(of, _)| *of != source);
        self.passing.jobs.push((source, 0));
        if self.sources.get(source).is_some_and(SourceState::was_read) {
            self.passing.ready.insert(source);
        }
    }

    /// Returns true if something is still to be gone through, by ticks.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        !self.passing.pages.is_empty() || !self.passing.jobs.is_empty()
    }

    /// Goes on with it for a while.
    pub(super) fn continue_reclassify(&mut self, now: Now) {
        if !self.is_passing() {
            return;
        }
        for _ in 0..PAGES_MAX {
            let Some(page) = self.passing.pages.pop() else {
                break;
            };
            self.note_page_owned(page);
            self.reclassify_page(page, None, now);
        }
        if !self.passing.pages.is_empty() {
            return;
        }
        if let Some((source, from)) = self.passing.jobs.pop() {
            let end = self.jobs.slots(source);
            let until = end.min(from.saturating_add(JOBS_MAX));
            for no in from..until {
                self.arm_job(source, no, now);
            }
            if until < end {
                self.passing.jobs.push((source, until));
            }
        }
        if self.passing.jobs.is_empty() {
            let units: Vec<(RootId, DirId)> = self
                .roots
                .keys()
                .filter(|&&root| self.policy.has_dir_rules(root))
                .filter_map(|&root| Some((root, self.index.dir_id(root, b"")?)))
                .collect();
            for (root, top) in units {
                for (name, dir) in self.index.subdirs(top) {
                    if let Some(known) = self.index.dir(dir) {
                        self.set_unit(root, &name, dir, known.facts.latest(), now);
                    }
                }
            }
            for source in std::mem::take(&mut self.passing.ready) {
                self.source_ready(source, now);
            }
        }
    }

    fn note_page_owned(&mut self, id: PageId) {
        let Some(page) = self.index.page(id) else {
            return;
        };
        let Some((root, dir)) = self.index.dir_path(page.dir()) else {
            return;
        };
        for (name, _) in page.entries() {
            self.note_owned(root, page.dir(), dir.join(name).as_bytes(), name);
        }
    }
}
