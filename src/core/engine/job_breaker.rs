//! The breaker and jobs: what a change of facts makes due of all that jobs own, and of their
//! records.
//!
//! A deadline that lies after the last time at which the source was known in full is time that
//! passed. An earlier one, of a row that was not due then, is a fact that changed: a new rule, a
//! row that was rewritten, a table that is read for the first time.
//!
//! **Invariant:** nothing of a root goes with a job before its source was read and what that made
//! due was counted.

use std::collections::BTreeMap;

use super::Engine;
use super::root_state::RootState;
use super::source_state::SourceState;
use crate::core::effect::Event;
use crate::core::facts::{RootId, RuleId};
use crate::core::jobs::{Job, SourceId};
use crate::core::policy::Rule;
use crate::core::report::{Counted, Trip};
use crate::core::time::{Now, Timestamp};

/// A row may be written, and read, this much later than it says that its job ended: milliseconds.
const SLACK_MS: i64 = 5 * 60 * 1000;
/// Jobs that are due, and what they own in one root.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    files: u64,
    jobs: u64,
}

impl Engine {
    /// Trips the breaker of `root` when too much of what jobs own in it, or too many jobs, are due
    /// by changed facts. `files` are due besides, for other reasons. Returns true if anything is
    /// due.
    pub(super) fn check_due_jobs(&mut self, root: RootId, files: u64, now: Now) -> bool {
        let counts_all = self.roots.get(&root).is_none_or(RootState::counts_all);
        let mut all = files;
        let mut is_due = files > 0;
        let mut worst = None;
        for (source, state) in self.sources.clone().iter() {
            if !state.was_read() || !self.governs(*source, root) {
                continue;
            }
            let known_at = state.start_at().filter(|_| !counts_all);
            let due = self.due_jobs(*source, root, known_at, now);
            all += due.files;
            is_due |= due.jobs > 0;
            let of = self.jobs.count(*source);
            if self.breaker.is_exceeded(due.jobs, of) {
                worst = Some((due.jobs, of, Counted::Jobs));
            }
        }
        let of = self.index.totals(root).files;
        if self.breaker.is_exceeded(all, of) {
            worst = Some((all, of, Counted::Files));
        }
        if let Some((due, of, what)) = worst {
            self.trip(root, (due, of, what), now);
        }
        is_due
    }

    /// Returns true if a source that governs `root` was not read yet: what it makes due is not
    /// known.
    pub(super) fn has_unread_source(&self, root: RootId) -> bool {
        let unread = |(source, state): (&SourceId, &SourceState)| {
            !state.was_read() && self.governs(*source, root)
        };
        self.sources.iter().any(unread)
    }

    /// A source was read for the first time, or under other rules: the breakers of its roots look
    /// at what that made due.
    pub(super) fn check_first_reading(&mut self, source: SourceId, now: Now) {
        let roots = self.roots.iter();
        let known: Vec<RootId> = roots
            .filter(|(_, state)| state.is_read() && state.recovery.is_none())
            .map(|(&root, _)| root)
            .collect();
        for root in known {
            if self.governs(source, root) {
                self.check_due_jobs(root, 0, now);
            }
        }
    }

    /// Counts a job whose row has changed, when that made it due: `before` is what was known of it.
    pub(super) fn count_changed(&mut self, before: Option<&Job>, after: &Job, now: Now) {
        let source = after.key.source;
        let is_told = self.policy.has_pushed_jobs(source);
        let Some(state) = self.sources.get(source) else {
            return;
        };
        // Programs report jobs at once. Before the first reading is through, it is
        // counted as a whole.
        let known_at = match state.known_at() {
            Some(_) if is_told => now.wall,
            Some(known_at) => known_at,
            None => return,
        };
        let was_due = before.is_some_and(|before| {
            before.can_lose() && !self.due_rules(before, None, known_at).is_empty()
        });
        if was_due || !after.can_lose() {
            return;
        }
        for rule in self.due_rules(after, Some(known_at), now.wall) {
            for (root, files) in self.owned_files(after, rule, Some(known_at), now.wall) {
                let of = self.index.totals(root).files;
                if let Some(state) = self.roots.get_mut(&root) {
                    let breaker = &mut state.breaker;
                    breaker.count_change(source, files, of, now.wall);
                }
            }
        }
    }

    /// Trips the breakers of roots in which changed rows have made too much due.
    pub(super) fn check_changed(&mut self, source: SourceId, now: Now) {
        let jobs = self.jobs.count(source);
        let mut counted = Vec::new();
        for (&root, state) in &mut self.roots {
            if let Some(counts) = state.breaker.take_changes(source) {
                counted.push((root, counts));
            }
        }
        for (root, counts) in counted {
            if self.breaker.is_exceeded(counts.files, counts.of) {
                self.trip(root, (counts.files, counts.of, Counted::Files), now);
            } else if self.breaker.is_exceeded(counts.jobs, jobs) {
                self.trip(root, (counts.jobs, jobs, Counted::Jobs), now);
            }
        }
    }

    /// Trips the breaker of `root`, or has it hold what is due by now too.
    pub(super) fn trip(&mut self, root: RootId, (due, of, what): (u64, u64, Counted), now: Now) {
        let Some(state) = self.roots.get_mut(&root) else {
            return;
        };
        let at = now.wall;
        let trip = Trip { at, due, of, what };
        if state.breaker.set_trip(trip) {
            self.effects.tell(Event::Tripped { root, trip });
        }
    }

    /// The jobs of `source` that are due by changed facts, with what they own in `root`.
    fn due_jobs(
        &self,
        source: SourceId,
        root: RootId,
        known_at: Option<Timestamp>,
        now: Now,
    ) -> Due {
        let mut due = Due::default();
        for no in 0..self.jobs.slots(source) {
            let Some(job) = self.jobs.numbered(source, no).filter(Job::can_lose) else {
                continue;
            };
            let mut is_due = false;
            for rule in self.due_rules(&job, known_at, now.wall) {
                if let Some(files) = self.owned_files(&job, rule, known_at, now.wall).get(&root) {
                    due.files += files;
                    is_due = true;
                }
            }
            due.jobs += u64::from(is_due);
        }
        due
    }

    /// The rules under which `job` is due at `now` without being asked for, but not by the time
    /// that has passed since `known_at`.
    fn due_rules(&self, job: &Job, known_at: Option<Timestamp>, now: Timestamp) -> Vec<RuleId> {
        let rules = self.policy.job_rules(job).filter(|(id, rule)| {
            self.policy.lapses_by_itself(*id) && may_be_due(rule, job, known_at, now)
        });
        rules.map(|(id, _)| id).collect()
    }

    /// The roots that something would happen in, or for, if all that `job` owns went under `rule`,
    /// each with the files in it.
    fn owned_files(
        &self,
        job: &Job,
        rule: RuleId,
        known_at: Option<Timestamp>,
        now: Timestamp,
    ) -> BTreeMap<RootId, u64> {
        let (owned, lapse) = self.owned_lapse(job, rule, None, now);
        if !lapse.is_some_and(|lapse| is_due(lapse.deadline, known_at, now)) {
            return BTreeMap::new();
        }
        if !owned.pieces.is_empty() {
            let roots = owned.pieces.iter().map(|piece| piece.root);
            let files = |root| owned.files_in.get(&root).copied().unwrap_or(0);
            return roots.map(|root| (root, files(root))).collect();
        }
        // Its record alone concerns all of them.
        let concerned = self.roots.keys().copied().filter(|&root| {
            self.policy.rule(rule).applies_to(root) && self.governs(job.key.source, root)
        });
        concerned.map(|root| (root, 0)).collect()
    }

    pub(super) fn governs(&self, source: SourceId, root: RootId) -> bool {
        self.job_holds().governing(root).any(|of| of == source)
    }

    /// The source was known in full at this instant.
    pub(super) fn mark_known(&mut self, source: SourceId, now: Now) {
        if let Some(state) = self.sources.get_mut(source) {
            state.mark_known(now.wall);
        }
    }
}

/// Returns true if all that `job` owns may be due at `now` under `rule`, as far as its own
/// timestamps tell, and not by the time that has passed since `known_at`.
pub(super) fn may_be_due(
    rule: &Rule,
    job: &Job,
    known_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    match (rule.expire_ms, rule.since.of_job(&job.moments)) {
        (None, _) => false,
        (Some(expire_ms), Some(basis)) => is_due(basis.plus_ms(expire_ms), known_at, now),
        // Its files decide.
        (Some(_), None) => !rule.since.is_of_job(),
    }
}

/// Returns true if `deadline` has passed at `now`, and not since `known_at`.
fn is_due(deadline: Timestamp, known_at: Option<Timestamp>, now: Timestamp) -> bool {
    let is_time = known_at.is_some_and(|known_at| deadline > known_at.plus_ms(-SLACK_MS));
    deadline <= now && !is_time
}
