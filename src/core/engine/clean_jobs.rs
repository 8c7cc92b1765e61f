//! Removals that somebody asked for, of all that jobs own.

use std::sync::Arc;

use super::clean::{Clean, Place};
use super::held::Stay;
use super::job_units::{JobSlot, JobStanding, job_claim};
use super::state::Engine;
use crate::core::claim::{Claim, Unit};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{Job, JobKey};
use crate::core::report::{CleanItem, CleanJob, CleanRequest};
use crate::core::time::Now;

impl Engine {
    /// The jobs that `request` names, and that neither a source nor a path in a root knows. While a source is not read, any may be.
    pub(super) fn unknown_jobs(&mut self, request: &CleanRequest) -> Vec<String> {
        if request.jobs.is_empty() || self.sources.values().any(|source| source.down().is_some()) {
            return Vec::new();
        }
        let ids = request
            .jobs
            .iter()
            .map(|id| String::from_utf8_lossy(id).into_owned());
        ids.filter(|id| !self.is_job(id)).collect()
    }

    fn is_job(&mut self, id: &str) -> bool {
        let sources: Vec<_> = self.policy.sources.keys().copied().collect();
        let roots: Vec<RootId> = self.policy.roots.keys().copied().collect();
        sources.into_iter().any(|source| {
            let key = JobKey {
                source,
                id: id.to_owned(),
            };
            self.jobs.number(&key).is_some()
                || roots.iter().any(|&root| {
                    let dir = self.job_dir(root, &key);
                    dir.is_some_and(|dir| self.index.dir_id(root, dir.as_bytes()).is_some())
                        || !self.flat_entries(root, &key).is_empty()
                })
        })
    }

    pub(super) fn select_jobs(
        &mut self,
        request: &CleanRequest,
        id: u64,
        clean: &mut Clean,
        now: Now,
    ) {
        let policy = Arc::clone(&self.policy);
        let is_wanted = |rule: RuleId| {
            let of = policy.rule(rule);
            let roots = of.roots.as_deref();
            of.unit == Unit::Job
                && request.wants_rule(rule)
                && !request.orphans_only
                && (request.roots.is_empty()
                    || roots.is_none_or(|roots| roots.iter().any(|&root| request.wants_root(root))))
        };
        if !(0u16..)
            .map(RuleId)
            .zip(&policy.rules)
            .any(|(rule, _)| is_wanted(rule))
        {
            return;
        }
        let sources: Vec<_> = policy.sources.keys().copied().collect();
        for source in sources {
            for no in 0..self.jobs.slots(source) {
                let Some(job) = self.jobs.numbered(source, no) else {
                    continue;
                };
                if !job.can_lose() || !request.wants_job_id(job.key.id.as_bytes()) {
                    continue;
                }
                let rules: Vec<RuleId> = policy.job_rules(&job).map(|(rule, _)| rule).collect();
                for rule in rules.into_iter().filter(|&rule| is_wanted(rule)) {
                    self.consider_job(request, id, clean, &job, (source, no, rule), now);
                }
            }
        }
    }

    /// Returns false if the job of a claim that waited in line owns something else by now. True for everything but jobs.
    pub(super) fn is_all_of_job(&mut self, claim: &Claim, now: Now) -> bool {
        let key = claim.owners.first().filter(|_| claim.unit == Unit::Job);
        let Some(job) = key.map(|key| self.jobs.job(key)) else {
            return true;
        };
        job.is_some_and(|job| self.gather(&job, claim.rule, now.wall).pieces == claim.pieces)
    }

    fn consider_job(
        &mut self,
        request: &CleanRequest,
        id: u64,
        clean: &mut Clean,
        job: &Job,
        slot: JobSlot,
        now: Now,
    ) {
        let (_, _, rule) = slot;
        if matches!(self.held_jobs.get(&slot), Some(Stay::Claimed { .. })) {
            return;
        }
        let retention_ms = request.retention_of(rule);
        let (basis, deadline, gathered, hold) =
            match self.job_standing_after(job, rule, retention_ms, now) {
                JobStanding::Nothing | JobStanding::Waits(_) => return,
                JobStanding::Due {
                    basis,
                    deadline,
                    gathered,
                } => (basis, deadline, gathered, None),
                JobStanding::Held(hold, gathered) => (now.wall, now.wall, gathered, Some(hold)),
            };
        let in_wanted = |root: RootId| request.wants_root(root);
        if !gathered.pieces.is_empty() && !gathered.pieces.iter().any(|piece| in_wanted(piece.root))
        {
            return;
        }
        let (files, bytes) = (gathered.files, gathered.bytes);
        let (source, no, _) = slot;
        let is_known = self.arriving.is_known((source, no));
        let hold = hold.or_else(|| (!is_known).then_some(Hold::Reconciling));
        let actor = request.asker.actor(id);
        let claim = Claim {
            retention_ms,
            ..job_claim(job, rule, basis, gathered, now.wall, actor)
        };
        let item = CleanItem {
            root: claim.root,
            path: claim.path.clone(),
            unit: Unit::Job,
            rule,
            deadline,
            files,
            bytes,
            hold,
            job: Some(CleanJob {
                key: job.key.clone(),
                status: job.status,
            }),
        };
        if item.hold.is_some() {
            clean.report.held.push(item);
        } else {
            clean.queue(Place::Job(slot), claim, item);
        }
    }
}
