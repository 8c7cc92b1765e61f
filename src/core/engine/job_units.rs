//! All that a job owns, as one unit with one timer: when it goes, and what it is made of.
//!
//! What a job owns is gathered when it is due, not before: until then it is one item of the wheel.
//!
//! **Invariant:** a job loses something only while it has ended, its source was read, and every root that it may own something in is
//! known.

use std::collections::BTreeSet;

use super::armed::Timer;
use super::due::Waiting;
use super::gathered::Gathered;
use super::held::{Stay, retry_after_ms};
use super::state::Engine;
use crate::core::claim::{Actor, Claim, Piece, Unit};
use crate::core::facts::{FileKey, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::input::{Effect, Event};
use crate::core::jobs::{Job, JobKey, Owner, SourceId};
use crate::core::path::{RelPath, is_component};
use crate::core::policy::{Record, Schedule};
use crate::core::report::{Mode, Phase};
use crate::core::time::{Now, Timestamp};

/// The root that claims of jobs without files name: none has this number.
pub(super) const NO_ROOT: RootId = RootId(u16::MAX);

/// What a job and a rule of it are called in the tables of what is held.
pub(super) type JobSlot = (SourceId, u32, RuleId);

/// What all rules are called in the tables under one job.
fn slots_of(source: SourceId, no: u32) -> std::ops::RangeInclusive<JobSlot> {
    (source, no, RuleId(0))..=(source, no, RuleId(u16::MAX))
}

/// How all that a job owns stands under one rule.
pub(super) enum JobStanding {
    /// Nothing goes, and nothing is to be done about its record.
    Nothing,
    /// It goes at this instant at the earliest.
    Waits(Timestamp),
    /// It is due, and held.
    Held(Hold, Gathered),
    /// It is due.
    Due {
        basis: Timestamp,
        deadline: Timestamp,
        gathered: Gathered,
    },
}

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
            self.arm(Timer::Job(source, no), at);
        }
    }

    /// Looks again at jobs that are held.
    pub(super) fn arm_held_jobs(&mut self, is_meant: &dyn Fn(SourceId) -> bool, now: Now) {
        let mut held = BTreeSet::new();
        for ((source, no, _), stay) in &mut self.held_jobs {
            if let Stay::Held { retry_at, .. } = stay
                && is_meant(*source)
            {
                *retry_at = Timestamp::MIN;
                held.insert((*source, *no));
            }
        }
        for (source, no) in held {
            self.arm(Timer::Job(source, no), now.wall);
        }
    }

    /// Forgets the holds of a job, but not what the reaper has of it: its row has changed.
    pub(super) fn lift_job_holds(&mut self, source: SourceId, no: u32) {
        let is_held = |_: &JobSlot, stay: &mut Stay| matches!(stay, Stay::Held { .. });
        let held = self.held_jobs.extract_if(slots_of(source, no), is_held);
        held.for_each(drop);
    }

    /// Forgets all that is held or claimed of a job that is no more.
    pub(super) fn forget_job_holds(&mut self, source: SourceId, no: u32) {
        let all = self.held_jobs.extract_if(slots_of(source, no), |_, _| true);
        all.for_each(drop);
    }

    /// Looks again at jobs that wait for a root or a directory: one has changed.
    pub(super) fn retry_jobs_of_roots(&mut self, now: Now) {
        let mut waiting = Vec::new();
        for ((source, no, _), stay) in &mut self.held_jobs {
            if let Stay::Held { hold, retry_at, .. } = stay
                && matches!(
                    hold,
                    Hold::Reconciling
                        | Hold::RootMissing
                        | Hold::Breaker
                        | Hold::NoQuarantine { .. }
                        | Hold::RootInUse { .. }
                        | Hold::RootUnreachable { .. }
                        | Hold::Unrecorded { .. }
                        | Hold::Unsaved { .. }
                        | Hold::Unreadable { .. }
                )
            {
                *retry_at = now.wall;
                waiting.push((*source, *no));
            }
        }
        for (source, no) in waiting {
            self.arm(Timer::Job(source, no), now.wall);
        }
    }

    /// Takes up a job whose time may have come.
    pub(super) fn take_up_job(
        &mut self,
        source: SourceId,
        no: u32,
        next: Waiting,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if self.mode == Mode::OnRequest {
            return;
        }
        // What runs (again) is not asked over and over whether it still does: its row tells when it ends.
        let Some(job) = self.jobs.numbered(source, no).filter(Job::can_lose) else {
            return;
        };
        let rules: Vec<RuleId> = self
            .policy
            .job_rules(&job)
            .filter(|(_, rule)| rule.schedule == Schedule::AtDeadline)
            .map(|(id, _)| id)
            .collect();
        // What is not due yet need not be known yet.
        if rules.iter().any(|&rule| self.may_be_due(&job, rule, now))
            && !self.has_arrived(source, no, effects)
        {
            return;
        }
        for rule in rules {
            let slot = (source, no, rule);
            let tries = match self.held_jobs.get(&slot) {
                Some(Stay::Claimed { .. }) => continue,
                Some(Stay::Held { retry_at, .. }) if *retry_at > now.wall => {
                    let at = *retry_at;
                    self.arm(Timer::Job(source, no), at);
                    continue;
                }
                Some(Stay::Held { tries, .. }) => *tries,
                None => 0,
            };
            match self.job_standing(&job, rule, now) {
                JobStanding::Nothing => drop(self.held_jobs.remove(&slot)),
                JobStanding::Waits(at) => {
                    self.held_jobs.remove(&slot);
                    self.arm(Timer::Job(source, no), at);
                }
                JobStanding::Held(hold, gathered) => {
                    self.hold_job(slot, &gathered.pieces, hold, tries, now, effects);
                }
                JobStanding::Due {
                    basis,
                    deadline,
                    gathered,
                } => {
                    let due = next.due(deadline);
                    let claim = job_claim(&job, rule, basis, gathered, due, Actor::Rule);
                    self.claim_job(slot, claim, tries, now, effects);
                }
            }
        }
    }

    /// Whether all that `job` owns may be due under `rule`, as far as its own timestamps tell.
    fn may_be_due(&self, job: &Job, rule: RuleId, now: Now) -> bool {
        let rule = self.policy.rule(rule);
        let Some(expire_ms) = rule.expire_ms else {
            return false;
        };
        match rule.since.of_job(&job.moments) {
            Some(basis) => basis.plus_ms(expire_ms) <= now.wall,
            None => !rule.since.is_of_job(),
        }
    }

    /// How all that `job` owns stands under `rule`.
    pub(super) fn job_standing(&mut self, job: &Job, rule: RuleId, now: Now) -> JobStanding {
        self.job_standing_after(job, rule, None, now)
    }

    /// The same with another time to live, for somebody who asks.
    pub(super) fn job_standing_after(
        &mut self,
        job: &Job,
        rule: RuleId,
        retention_ms: Option<i64>,
        now: Now,
    ) -> JobStanding {
        let (since, expire_ms, record) = {
            let rule = self.policy.rule(rule);
            (rule.since, rule.expire_ms, rule.record)
        };
        let Some(expire_ms) = expire_ms.map(|ms| retention_ms.unwrap_or(ms)) else {
            return JobStanding::Nothing;
        };
        if job.moments.cleaned_at.is_some() {
            return JobStanding::Nothing;
        }
        let by_job = since.of_job(&job.moments);
        match by_job {
            // Without the timestamp that the rule needs it loses nothing, ever.
            None if since.is_of_job() => return JobStanding::Nothing,
            Some(basis) if basis.plus_ms(expire_ms) > now.wall => {
                let deadline = basis.plus_ms(expire_ms);
                return JobStanding::Waits(self.guard.effective(basis, deadline));
            }
            Some(_) | None => {}
        }
        let gathered = self.gather(job, rule, now.wall);
        let marked = self.is_recorded(&job.key);
        if gathered.pieces.is_empty() && (record == Record::Keep || marked) {
            let later = gathered.later;
            return later.map_or(JobStanding::Nothing, JobStanding::Waits);
        }
        let by_files = since.of_all(gathered.latest, &job.moments);
        let Some(basis) = by_job.or(by_files) else {
            return JobStanding::Nothing;
        };
        let deadline = basis.plus_ms(expire_ms);
        if deadline > now.wall {
            return JobStanding::Waits(self.guard.effective(basis, deadline));
        }
        match self.hold_of_job(job, rule, &gathered, basis, deadline, now) {
            Some(hold) => JobStanding::Held(hold, gathered),
            None => JobStanding::Due {
                basis,
                deadline,
                gathered,
            },
        }
    }

    /// Whether the record of a job is being written, or was, and its row has not changed since.
    pub(super) fn is_recorded(&self, key: &JobKey) -> bool {
        let no = self.jobs.number(key);
        no.is_some_and(|no| self.marked.contains(&(key.source, no))) || self.recording.contains(key)
    }

    /// What holds all that a job owns.
    fn hold_of_job(
        &self,
        job: &Job,
        rule: RuleId,
        gathered: &Gathered,
        basis: Timestamp,
        deadline: Timestamp,
        now: Now,
    ) -> Option<Hold> {
        let holds = self.job_holds();
        if let Some(hold) = holds
            .source_down(job.key.source)
            .or_else(|| self.policy.held_by(job))
        {
            return Some(hold);
        }
        // Files first, then the row: which file such a claim means is not known, so it cannot have gone.
        if let Some(refused) = self.jobs.refused_claim(&self.policy, &job.key) {
            return Some(refused.hold(&self.policy));
        }
        // What a root that is not known holds of it is not known either.
        for (&root, state) in &self.roots {
            let is_its = self.policy.rule(rule).applies_to(root)
                && holds.governing(root).any(|source| source == job.key.source);
            if !is_its || self.is_void(root) {
                continue;
            }
            // What came while nobody looked would be left behind by a job that is marked.
            let is_looked_over = matches!(state.phase, Phase::Ready);
            let unread = (!is_looked_over).then_some(Hold::Reconciling);
            if let Some(hold) = state.hold(deadline).or(unread) {
                return Some(hold);
            }
        }
        if let Some(hold) = self
            .hold_of_unread(job, rule)
            .or_else(|| self.unsaved_hold())
        {
            return Some(hold);
        }
        if let Some(hold) = self.guard.hold(basis, deadline, now) {
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

    fn claim_job(
        &mut self,
        slot: JobSlot,
        claim: Claim,
        tries: u32,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        match self.mode {
            Mode::Live | Mode::OnRequest => self.give_out_job(slot, claim, tries),
            Mode::DryRun => {
                self.hold_job(slot, &claim.pieces, Hold::DryRun, tries, now, effects);
            }
        }
    }

    pub(super) fn give_out_job(&mut self, slot: JobSlot, claim: Claim, tries: u32) {
        let (source, no, _) = slot;
        self.arriving.renew((source, no));
        self.held_jobs.insert(slot, Stay::Claimed { tries });
        self.jobs_out += 1;
        self.claims.entry(claim.root).or_default().push(claim);
    }

    /// Outdates the claim that a job has, if any: whose something is has changed since the claim was made.
    pub(super) fn outdate_claim(&self, key: &JobKey, no: u32) {
        if self.has_claim(key.source, no) {
            self.jobs.outdate_claim(key.clone());
        }
    }

    /// Whether the reaper has everything that the job owns, under any rule.
    pub(super) fn has_claim(&self, source: SourceId, no: u32) -> bool {
        let mut stays = self.held_jobs.range(slots_of(source, no));
        stays.any(|(_, stay)| matches!(stay, Stay::Claimed { .. }))
    }

    pub(super) fn hold_job(
        &mut self,
        slot: JobSlot,
        pieces: &[Piece],
        hold: Hold,
        tries: u32,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let (source, no, _) = slot;
        self.arriving.hold((source, no));
        let retry_at = now.wall.plus_ms(retry_after_ms(&hold, tries));
        // What is held again for the same reason was told.
        let is_told = match self.held_jobs.get(&slot) {
            Some(Stay::Held { hold: before, .. }) => before.code() == hold.code(),
            Some(Stay::Claimed { .. }) | None => tries > 0,
        };
        if !is_told && let Some(first) = pieces.first() {
            effects.push(Effect::Tell(Event::Held {
                root: first.root,
                path: first.path.clone(),
                hold: hold.clone(),
            }));
        }
        let stay = Stay::Held {
            hold,
            tried_at: now.wall,
            retry_at,
            tries: tries + 1,
        };
        self.held_jobs.insert(slot, stay);
        self.arm(Timer::Job(source, no), retry_at);
    }
}

/// The order to let go all that `job` owns and `rule` takes.
pub(super) fn job_claim(
    job: &Job,
    rule: RuleId,
    basis: Timestamp,
    gathered: Gathered,
    due: Timestamp,
    actor: Actor,
) -> Claim {
    let first = gathered.pieces.first();
    Claim {
        root: first.map_or(NO_ROOT, |piece| piece.root),
        path: match first {
            Some(piece) => piece.path.clone(),
            None => RelPath::root().join(&name_of(&job.key)),
        },
        unit: Unit::Job,
        owners: vec![job.key.clone()],
        key: first.map_or(FileKey::default(), |piece| piece.key),
        pieces: gathered.pieces,
        rule,
        known: basis,
        retention_ms: None,
        due,
        actor,
    }
}

/// What a job without files is called where a path is told: an id may be anything, "..", too.
fn name_of(key: &JobKey) -> Vec<u8> {
    let name = key.id.replace(['/', '\0'], "_").into_bytes();
    if is_component(&name) {
        name
    } else {
        b"_".to_vec()
    }
}
