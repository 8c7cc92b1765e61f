//! Removals on request: the same claims, the same reaper, and a report.
//!
//! **Invariant:** asking changes when and how long, never what the rules let go, nor what a hold
//! protects.

use std::collections::{BTreeMap, VecDeque};

use super::Engine;
use super::candidate::Candidate;
use super::due::{Subject, subject_of};
use super::item::Item;
use super::lapse::{LapseState, Trigger};
use super::timers::Timer;
use crate::core::claim::{Actor, Claim, Outcome, Reaped, Unit};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::JobKey;
use crate::core::policy::{Rule, Schedule};
use crate::core::principal::Principal;
use crate::core::report::{CleanItem, CleanReport, CleanRequest, Mode};
use crate::core::run::Run;
use crate::core::time::Now;

/// Called with the report when a `clean` is through.
pub(super) type Done = Box<dyn FnOnce(CleanReport) + Send>;

/// The cleans under way.
#[derive(Default)]
pub(super) struct Cleans {
    next: u64,
    running: BTreeMap<u64, Clean>,
}

pub(super) struct Clean {
    /// Claims that wait for the reaper to have a hand free, with where the index has them.
    queue: VecDeque<(Item, Claim)>,
    /// Items that are claimed or queued, to be found again when their claims are answered.
    open: BTreeMap<Subject, CleanItem>,
    pub(super) report: CleanReport,
    principal: Principal,
    run: Option<Run>,
    done: Done,
}

impl Cleans {
    /// Takes in what became of a claim.
    pub(super) fn settle(&mut self, claim: &Claim, outcome: &Outcome) {
        let Some(id) = claim.actor.request else {
            return;
        };
        let Some(clean) = self.running.get_mut(&id) else {
            return;
        };
        let Some(mut item) = clean.open.remove(&subject_of(claim)) else {
            return;
        };
        if let Some(run) = &clean.run {
            run.add_settled(1);
        }
        match outcome {
            Outcome::Removed(removal) => {
                if let Some(run) = &clean.run {
                    run.add_removed(removal.files, removal.bytes);
                }
                (item.files, item.bytes) = (removal.files, removal.bytes);
                clean.report.removed.push(item);
            }
            Outcome::Held(hold) => {
                item.hold = Some(hold.clone());
                clean.report.held.push(item);
            }
            Outcome::Kept | Outcome::Changed { .. } | Outcome::NewerContent { .. }
                if claim.unit == Unit::Job =>
            {
                item.hold = Some(Hold::RecheckMismatch);
                clean.report.held.push(item);
            }
            // It was not what it seemed: neither removed nor held.
            Outcome::Gone
            | Outcome::Kept
            | Outcome::Changed { .. }
            | Outcome::NewerContent { .. } => {}
        }
        self.end_if_through(id);
    }

    /// Gives up what no claim was given out for yet.
    pub(super) fn forget_queued(&mut self) {
        let ids: Vec<u64> = self.running.keys().copied().collect();
        for id in ids {
            if let Some(clean) = self.running.get_mut(&id) {
                clean.forget_queued();
            }
            self.end_if_through(id);
        }
    }

    fn end_if_through(&mut self, id: u64) {
        if self
            .running
            .get(&id)
            .is_some_and(|clean| clean.open.is_empty())
            && let Some(clean) = self.running.remove(&id)
        {
            (clean.done)(clean.report);
        }
    }
}

impl Clean {
    fn forget_queued(&mut self) {
        for (_, claim) in std::mem::take(&mut self.queue) {
            self.open.remove(&subject_of(&claim));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_cancelled)
    }
}

impl Engine {
    pub(super) fn clean(&mut self, request: &CleanRequest, done: Done, now: Now) {
        if request.is_cancelled() {
            return done(CleanReport::default());
        }
        let id = self.cleans.next;
        self.cleans.next += 1;
        let is_dry = request.dry_run || self.mode == Mode::DryRun;
        let request = &CleanRequest {
            dry_run: is_dry,
            ..request.clone()
        };
        let mut clean = Clean {
            queue: VecDeque::new(),
            open: BTreeMap::new(),
            report: CleanReport::default(),
            principal: request.principal.clone(),
            run: request.run.clone(),
            done,
        };
        clean.report.unknown_jobs = self.unknown_jobs(request);
        if !clean.report.unknown_jobs.is_empty() {
            return (clean.done)(clean.report);
        }
        if request.release && !is_dry && request.principal.is_client() {
            self.release_roots(&request.roots, &request.principal, now);
        }
        for (state, found) in self.select(request, now) {
            match state {
                LapseState::Never | LapseState::Waits(_) | LapseState::Claimed => {}
                LapseState::Held { hold, .. } => clean.report.held.push(found.report(Some(hold))),
                LapseState::Due => {
                    let (item, report) = (found.item.clone(), found.report(None));
                    let retention_ms = request.retention_of(found.lapse.rule);
                    let actor = Actor {
                        principal: request.principal.clone(),
                        request: Some(id),
                        run: request.run.as_ref().map(Run::id),
                    };
                    let claim = self.claim_of(found, now.wall, retention_ms, actor);
                    clean.open.insert(subject_of(&claim), report);
                    clean.queue.push_back((item, claim));
                }
            }
        }
        if let Some(run) = &clean.run {
            run.add_due(clean.open.len());
        }
        clean.report.dry_run = is_dry;
        clean.report.breaker = self.trips_of(&clean.report.held);
        clean.report.unread = self.unread(request);
        clean.report.is_blind = !self.is_judged(request);
        if clean.open.is_empty() {
            (clean.done)(clean.report);
        } else {
            self.cleans.running.insert(id, clean);
        }
    }

    /// Takes in what would become of the claims of dry runs.
    pub(super) fn on_previewed(&mut self, reaped: &[Reaped]) {
        self.claims.settle_previews(reaped.len());
        for Reaped { claim, outcome } in reaped {
            self.cleans.settle(claim, outcome);
        }
    }

    /// Gives up what no claim was given out for yet: the reports tell of the rest.
    pub fn give_up_cleans(&mut self) {
        self.cleans.forget_queued();
    }

    /// Hands queued claims to the reaper, as far as it can follow.
    pub(super) fn feed_cleans(&mut self, now: Now) {
        let mut running = std::mem::take(&mut self.cleans.running);
        for clean in running.values_mut() {
            if clean.is_cancelled() {
                clean.forget_queued();
            }
            while let Some((item, claim)) = clean
                .queue
                .pop_front_if(|(_, claim)| self.claims.has_room_for_clean(claim))
            {
                self.feed(clean, item, claim, now);
            }
        }
        let ids: Vec<u64> = running.keys().copied().collect();
        self.cleans.running = running;
        for id in ids {
            self.cleans.end_if_through(id);
        }
    }

    fn feed(&mut self, clean: &mut Clean, item: Item, claim: Claim, now: Now) {
        let subject = subject_of(&claim);
        // Claimed meanwhile, by its rule or for another request: that is answered there.
        if self.claims.contains(&subject) {
            clean.open.remove(&subject);
            clean.run.iter().for_each(|run| run.add_settled(1));
            return;
        }
        if clean.report.dry_run {
            self.claims.preview(claim);
            return;
        }
        let what = clean.open.get(&subject);
        let what = what.map_or((1, 0), |item| (item.files.max(1), item.bytes));
        let hold = match clean.principal.is_client() {
            _ if !self.is_all_of_job(&claim, now) => Some(Hold::Reconciling),
            true => None,
            false => {
                (!self.may_go_as_orphan(claim.root, claim.rule, what, now)).then_some(Hold::Breaker)
            }
        };
        if hold.is_none() {
            self.give_out(item, claim);
        } else if let Some(mut item) = clean.open.remove(&subject) {
            item.hold = hold;
            clean.report.held.push(item);
            clean.run.iter().for_each(|run| run.add_settled(1));
        }
    }

    /// Candidates that `request` is about, with their states.
    fn select(&self, request: &CleanRequest, now: Now) -> Vec<(LapseState, Candidate)> {
        let trigger = Trigger::Clean(request);
        let pages = self.index.pages().into_iter().map(Timer::Page);
        let units = self.roots.keys().flat_map(|&root| self.index.units(root));
        let units = units.map(|(dir, _)| Timer::Unit(dir));
        let mut rules = self.policy.each_rule();
        let are_jobs_wanted =
            rules.any(|(id, rule)| rule.unit == Unit::Job && trigger.wants_rule(&self.policy, id));
        let sources = self.policy.sources.keys().filter(|_| are_jobs_wanted);
        let jobs = sources.flat_map(|&source| {
            let numbers = 0..self.jobs.slots(source);
            numbers.map(move |no| Timer::Job(source, no))
        });
        let timers = pages.chain(units).chain(jobs);
        let found = timers.flat_map(|timer| self.candidates(timer, trigger, now));
        let wanted = found.filter_map(|(item, state, found)| {
            let found = found.filter(|found| self.is_wanted(request, found))?;
            let state = match (state, item) {
                (LapseState::Due, Item::Job(source, no, _))
                    if !self.arriving.is_known((source, no)) =>
                {
                    LapseState::held(Hold::Reconciling, None)
                }
                (state, _) => state,
            };
            Some((state, found))
        });
        wanted.collect()
    }

    /// Returns true if the request is about the job of the candidate, or about a root of what it
    /// owns.
    fn is_wanted(&self, request: &CleanRequest, found: &Candidate) -> bool {
        if found.job.is_none() {
            return self.wants_job(request, found);
        }
        let mut roots = found.pieces.iter().map(|piece| piece.root);
        found.pieces.is_empty() || roots.any(|root| request.wants_root(root))
    }

    fn wants_job(&self, request: &CleanRequest, found: &Candidate) -> bool {
        if request.jobs.is_empty() {
            return true;
        }
        let (root, path) = (found.root, found.path.as_bytes());
        let owner = self.owner(root, path);
        let captured = self.policy.owner(root, path);
        let mut ids = owner.jobs().iter().map(|job| job.key.id.as_bytes());
        ids.any(|id| request.wants_job_id(id))
            || captured.is_some_and(|id| request.wants_job_id(id))
    }

    /// The jobs that `request` names, and that neither a source nor a path in a root knows. While a
    /// source is not read, any may be.
    fn unknown_jobs(&self, request: &CleanRequest) -> Vec<String> {
        if request.jobs.is_empty() || self.sources.values().any(|of| of.down().is_some()) {
            return Vec::new();
        }
        let ids = request
            .jobs
            .iter()
            .map(|id| String::from_utf8_lossy(id).into_owned());
        ids.filter(|id| !self.is_job(id)).collect()
    }

    fn is_job(&self, id: &str) -> bool {
        let mut sources = self.policy.sources.keys().copied();
        sources.any(|source| {
            let key = JobKey {
                source,
                id: id.to_owned(),
            };
            self.jobs.number(&key).is_some()
                || self.policy.roots.keys().any(|&root| {
                    let dir = self.job_dir(root, &key);
                    dir.is_some_and(|dir| self.index.dir_id(root, dir.as_bytes()).is_some())
                        || !self.flat_entries(root, &key).is_empty()
                })
        })
    }

    /// Returns false if the job of a claim that waited in line owns something else by now. True for
    /// everything but jobs.
    pub(super) fn is_all_of_job(&self, claim: &Claim, now: Now) -> bool {
        let Some(job) = claim.job().map(|key| self.jobs.job(key)) else {
            return true;
        };
        job.is_some_and(|job| self.gather(&job, claim.rule, now.wall).pieces == claim.pieces)
    }
}

impl CleanRequest {
    /// Returns true if the run that it is a part of was cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_cancelled)
    }

    pub(super) fn wants_root(&self, root: RootId) -> bool {
        self.roots.is_empty() || self.roots.contains(&root)
    }

    pub(super) fn wants_job_id(&self, id: &[u8]) -> bool {
        self.jobs.is_empty() || self.jobs.iter().any(|wanted| **wanted == *id)
    }

    /// Returns true if it is about `rule` with this id. A rule that must be named has to be.
    pub(super) fn wants_rule(&self, id: RuleId, rule: &Rule) -> bool {
        if self.rules.is_empty() {
            return rule.schedule != Schedule::Named;
        }
        self.rules.contains(&id)
    }

    pub(super) fn retention_of(&self, rule: RuleId) -> Option<i64> {
        self.retention_ms
            .iter()
            .find(|(of, _)| *of == rule)
            .map(|&(_, ms)| ms)
    }
}
