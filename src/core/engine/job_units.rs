//! All that a job owns, as one unit with one timer: when it goes, what it is made of, and whether
//! its record was written.
//!
//! All that a job owns is gathered when it is due, not before: until then it is one item of the
//! wheel.
//!
//! **Invariant:** a job loses something only while it has ended, its source was read, and every
//! root that it may own something in is known.
//! **Invariant:** the record of a job is ordered once, until its row changes.

use std::collections::BTreeSet;

use super::Engine;
use super::candidate::Candidate;
use super::gathered::JobFileSet;
use super::item::Item;
use super::lapse::{Lapse, LapseState, Trigger};
use super::timers::Timer;
use crate::core::facts::{FileKey, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{Job, JobKey, Owner, SourceId};
use crate::core::path::{RelPath, is_component};
use crate::core::policy::{Class, JobFilter, Record, Schedule};
use crate::core::time::{Now, Timestamp};

/// The root that claims of jobs without files name: none has this number.
pub(super) const NO_ROOT: RootId = RootId(u16::MAX);

impl Engine {
    /// Makes sure that a job is looked at when it may go.
    pub(super) fn arm_job(&mut self, source: SourceId, no: u32, now: Now) {
        let Some(job) = self.jobs.numbered(source, no).filter(Job::can_lose) else {
            return;
        };
        let at = self
            .policy
            .job_rules(&job)
            .filter(|(_, rule)| rule.schedule == Schedule::AtDeadline)
            .filter_map(|(_, rule)| {
                let expire_ms = rule.expire_ms?;
                if rule.since.is_of_job() {
                    Some(rule.since.of_job(&job.moments)?.plus_ms(expire_ms))
                } else {
                    // Its files tell: it is looked at for how new they are.
                    Some(now.wall)
                }
            })
            .min();
        if let Some(at) = at {
            self.timers.arm(Timer::Job(source, no), at);
        }
    }

    /// Looks again at jobs that are held.
    pub(super) fn arm_held_jobs(&mut self, is_meant: impl Fn(SourceId) -> bool, now: Now) {
        self.retry_jobs(|source, _| is_meant(source), now);
    }

    /// Looks again at jobs that wait for a root or a directory: one has changed.
    pub(super) fn retry_jobs_of_roots(&mut self, now: Now) {
        let is_of_root = |hold: &Hold| {
            hold.is_of_root()
                || matches!(
                    hold,
                    Hold::Paused { .. }
                        | Hold::Reconciling
                        | Hold::RootMissing
                        | Hold::Breaker
                        | Hold::CacheUnavailable { .. }
                        | Hold::Unreadable { .. }
                )
        };
        self.retry_jobs(|_, hold| is_of_root(hold), now);
    }

    pub(super) fn retry_jobs(&mut self, is_meant: impl Fn(SourceId, &Hold) -> bool, now: Now) {
        for (source, no) in self.holds_mut().retry_jobs(is_meant, now.wall) {
            self.timers.arm(Timer::Job(source, no), now.wall);
        }
    }

    /// Outdates the claim that a job has, if any: whose something is has changed since the claim
    /// was made.
    pub(super) fn outdate_claim(&self, key: &JobKey, no: u32) {
        if self.holds.has_claim(key.source, no) {
            self.jobs.outdate_claim(key.clone());
        }
    }

    /// All that `job` owns and `rule` takes, and how it lapses; `None`: neither files nor a record
    /// of it are left to go, or its timestamp is missing. `retention_ms`: another time to live than
    /// the rule's.
    pub(super) fn owned_lapse(
        &self,
        job: &Job,
        rule: RuleId,
        retention_ms: Option<i64>,
        now: Timestamp,
    ) -> (JobFileSet, Option<Lapse>) {
        let of = self.policy.rule(rule);
        let owned = self.gather(job, rule, now);
        let is_recorded = of.record == Record::Keep || self.is_recorded(&job.key);
        let is_nothing = owned.pieces.is_empty() && is_recorded;
        let basis = of.since.of_all(owned.latest, &job.moments);
        let lapse = basis
            .filter(|_| !is_nothing)
            .and_then(|basis| Some(Lapse::new(rule, basis, of.life_ms()?).under(retention_ms)));
        (owned, lapse)
    }

    /// State under `rule` of all that `job` (the number `no` of its source) owns, and the candidate
    /// for removal.
    pub(super) fn job_state(
        &self,
        job: &Job,
        (no, rule): (u32, RuleId),
        trigger: Trigger<'_>,
        now: Now,
    ) -> (LapseState, Option<Candidate>) {
        let item = Item::Job(job.key.source, no, rule);
        if self.is_claimed_for(&item, trigger) {
            return (LapseState::Claimed, None);
        }
        let own = self.holds.get(&item).filter(|_| !trigger.is_asked());
        if let Some(own) = own.filter(|own| own.retry_at > now.wall) {
            let state = LapseState::held(own.hold.clone(), Some(own.retry_at));
            return (state, None);
        }
        let (of, retention_ms) = (self.policy.rule(rule), trigger.retention_of(rule));
        let Some(expire_ms) = of.life_ms() else {
            return (LapseState::Never, None);
        };
        let waits = |of: Lapse| LapseState::Waits(self.guard.effective(of.basis, of.deadline));
        let by_job = of.since.of_job(&job.moments);
        match by_job.map(|basis| Lapse::new(rule, basis, expire_ms).under(retention_ms)) {
            _ if job.moments.cleaned_at.is_some() => return (LapseState::Never, None),
            // Without the timestamp that the rule needs it loses nothing, ever.
            None if of.since.is_of_job() => return (LapseState::Never, None),
            Some(lapse) if lapse.deadline > now.wall => return (waits(lapse), None),
            Some(_) | None => {}
        }
        let (owned, lapse) = self.owned_lapse(job, rule, retention_ms, now.wall);
        match lapse {
            None => (
                owned.later.map_or(LapseState::Never, LapseState::Waits),
                None,
            ),
            Some(lapse) if lapse.deadline > now.wall => (waits(lapse), None),
            Some(lapse) => {
                let hold = self.hold_of_job(job, lapse, &owned, now);
                let hold = hold.or_else(|| {
                    // A clean knows what goes before.
                    let is_to_ask = !trigger.is_asked();
                    is_to_ask.then(|| {
                        self.hold_of_row(job, rule, |root, path| self.would_be_gone(root, path))
                    })?
                });
                let state = hold.map_or(LapseState::Due, |hold| LapseState::held(hold, None));
                (state, Some(job_candidate(item, job, lapse, owned)))
            }
        }
    }

    /// Returns true if the record of a job is being written, or was, and its row has not changed
    /// since.
    pub(super) fn is_recorded(&self, key: &JobKey) -> bool {
        self.records.is_ordered(key, self.jobs.number(key))
    }

    /// Hold of all that a job owns and `rule` takes with its row, while another source finds
    /// something by the same row: without it, no rule would take that any more. What `goes` first
    /// does not count.
    pub(super) fn hold_of_row(
        &self,
        job: &Job,
        rule: RuleId,
        goes: impl Fn(RootId, &RelPath) -> bool,
    ) -> Option<Hold> {
        if self.policy.rule(rule).record != Record::Forget {
            return None;
        }
        let holds = self.job_holds();
        let others = &self.policy.sources.get(&job.key.source)?.same_rows;
        others.iter().find_map(|&source| {
            let id = job.key.id.clone();
            let key = JobKey { source, id };
            let unread = self.is_partial(source).then_some(Hold::Reconciling);
            if let Some(hold) = holds.source_down(source).or(unread) {
                return Some(hold);
            }
            let other = self.jobs.job(&key)?;
            let mut roots = self.roots.iter();
            roots.find_map(|(&root, state)| {
                if !self.jobs.governs(&self.policy, source, root) || self.is_void(root) {
                    return None;
                }
                if !state.is_ready() {
                    return Some(Hold::Reconciling);
                }
                let left = self.owned_paths(root, &key).into_iter();
                let left = left.filter(|path| !goes(root, path));
                let path = left
                    .into_iter()
                    .find(|path| self.needs_row(&other, root, path))?;
                let name = &self.policy.roots.get(&root)?.name;
                let path = format!("{name}/{path}");
                Some(Hold::RowNeeded { path })
            })
        })
    }

    /// Returns true if the thing at `path` goes some day because of the row of `job`, or may.
    fn needs_row(&self, job: &Job, root: RootId, path: &RelPath) -> bool {
        let is_of_row = |rule: RuleId| {
            let rule = self.policy.rule(rule);
            let is_of_job = rule.since.is_of_job() || rule.jobs != JobFilter::Anyone;
            // Of two that would forget the row, the first forgets it.
            rule.life_ms().is_some() && is_of_job && rule.record != Record::Forget
        };
        let is_of_class = |class: Class| match class {
            Class::Unruled | Class::Kept(_) => false,
            Class::File(rule) | Class::Dir(rule) | Class::Job(rule) => is_of_row(rule),
        };
        let Some(dir) = self.index.dir_id(root, path.as_bytes()) else {
            let found = self.index.find(root, path.as_bytes());
            return found.is_some_and(|(_, record)| !job.can_lose() || is_of_class(record.class));
        };
        // Not known yet to have ended there.
        let mut within = self.index.subtree(dir).into_iter();
        !job.can_lose()
            || within.any(|dir| {
                let unit = self.index.unit(dir);
                let mut pages = self.index.snapshot_of(dir).into_iter();
                unit.is_some_and(|unit| is_of_row(unit.rule))
                    || pages.any(|(_, page)| {
                        let mut entries = page.entries();
                        entries.any(|(_, record)| is_of_class(record.class))
                    })
            })
    }

    /// Hold of all that a job owns.
    fn hold_of_job(
        &self,
        job: &Job,
        lapse: Lapse,
        gathered: &JobFileSet,
        now: Now,
    ) -> Option<Hold> {
        if let Some(hold) = self.pauses.hold_of_rule(&self.policy, lapse.rule) {
            return Some(hold);
        }
        let holds = self.job_holds();
        if let Some(hold) = holds
            .source_down(job.key.source)
            .or_else(|| self.policy.held_by(job))
        {
            return Some(hold);
        }
        // Files first, then the row: which file such a claim means is not known, so it cannot have
        // gone.
        if let Some(refused) = self.jobs.refused_claim(&self.policy, &job.key) {
            return Some(refused.hold(&self.policy));
        }
        // What a root that is not known holds of it is not known either.
        for (&root, state) in &self.roots {
            let is_its = self.policy.rule(lapse.rule).applies_to(root)
                && holds.governing(root).any(|source| source == job.key.source);
            if !is_its || self.is_void(root) {
                continue;
            }
            // What came before the watches would be left behind by a job that is marked.
            let unread = (!state.is_ready()).then_some(Hold::Reconciling);
            if let Some(hold) = state.hold(lapse.deadline).or(unread) {
                return Some(hold);
            }
        }
        let unread = self.hold_of_unread(job, lapse.rule);
        if let Some(hold) = unread.or_else(|| self.saved.hold()) {
            return Some(hold);
        }
        if let Some(hold) = self.guard.hold(lapse.basis, lapse.deadline, now) {
            return Some(hold);
        }
        let of = self.policy.rule(lapse.rule);
        if let Some(hold) = self.hold_of_trash(job, of, !gathered.pieces.is_empty()) {
            return Some(hold);
        }
        let owner = Owner::Jobs(vec![job.clone()]);
        let pinned = |root: RootId, path: &RelPath| {
            self.pins
                .find(&self.policy, root, path, &owner, now.wall)
                .map(|pin| pin.hold())
        };
        if gathered.pieces.is_empty() {
            // The job itself may be pinned: no path is.
            return pinned(NO_ROOT, &RelPath::root());
        }
        gathered
            .pieces
            .iter()
            .find_map(|piece| pinned(piece.root, &piece.path))
    }
}

/// All that `job` owns and the rule of `lapse` takes.
fn job_candidate(item: Item, job: &Job, lapse: Lapse, gathered: JobFileSet) -> Candidate {
    let first = gathered.pieces.first();
    Candidate {
        item,
        root: first.map_or(NO_ROOT, |piece| piece.root),
        path: match first {
            Some(piece) => piece.path.clone(),
            None => RelPath::root().join(&name_of(&job.key)),
        },
        key: first.map_or(FileKey::default(), |piece| piece.key),
        lapse,
        files: gathered.files,
        bytes: gathered.bytes,
        pieces: gathered.pieces,
        files_in: gathered.files_in,
        job: Some(job.clone()),
        limit: None,
    }
}

/// Name of a job without files, where a path is reported: an id may be anything, even "..".
fn name_of(key: &JobKey) -> Vec<u8> {
    let name = key.id.replace(['/', '\0'], "_").into_bytes();
    if is_component(&name) {
        name
    } else {
        b"_".to_vec()
    }
}

/// Jobs whose records were ordered.
#[derive(Debug)]
pub(super) struct JobRecords {
    /// Those of this process, by their numbers.
    ordered: BTreeSet<(SourceId, u32)>,
    /// Those that an earlier process left to be written.
    inherited: BTreeSet<JobKey>,
}

impl JobRecords {
    pub(super) fn new(inherited: BTreeSet<JobKey>) -> Self {
        Self {
            ordered: BTreeSet::new(),
            inherited,
        }
    }

    /// Returns true if the record of a job was ordered, and its row has not changed since. `no` is
    /// its number, if it has one.
    pub(super) fn is_ordered(&self, key: &JobKey, no: Option<u32>) -> bool {
        no.is_some_and(|no| self.ordered.contains(&(key.source, no)))
            || self.inherited.contains(key)
    }

    pub(super) fn on_ordered(&mut self, source: SourceId, no: u32) {
        self.ordered.insert((source, no));
    }

    /// Forgets an order of this process: the job's row has changed.
    pub(super) fn on_row_changed(&mut self, source: SourceId, no: u32) {
        self.ordered.remove(&(source, no));
    }

    /// Forgets an order of an earlier process: the job's row has changed since the source was read.
    pub(super) fn on_inherited_changed(&mut self, key: &JobKey) {
        self.inherited.remove(key);
    }

    /// Forgets the orders of this process: numbers are given anew.
    pub(super) fn on_reload(&mut self) {
        self.ordered.clear();
    }
}
