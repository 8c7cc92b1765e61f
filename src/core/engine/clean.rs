//! Removals on request: the same claims, the same reaper, and a report.
//!
//! **Invariant:** asking changes when and how long, never what the rules let go, nor what a hold
//! protects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::candidate::Candidate;
use super::claims::{Subject, subject_of};
use super::item::Item;
use super::lapse::{Lapse, LapseState, Trigger};
use super::state::Engine;
use crate::core::claim::{Actor, Claim, Outcome, Reaped, Unit};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::PageId;
use crate::core::jobs::{Job, JobKey};
use crate::core::policy::{Class, JobFilter};
use crate::core::principal::Principal;
use crate::core::report::{CleanItem, CleanReport, CleanRequest, Mode};
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
    done: Done,
}

/// Candidates that a request is about, with how they stand.
type Candidates = Vec<(LapseState, Candidate)>;

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
        match outcome {
            Outcome::Removed(removal) => {
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
                item.hold = Some(Hold::Unconfirmed);
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
                for (_, claim) in std::mem::take(&mut clean.queue) {
                    clean.open.remove(&subject_of(&claim));
                }
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

impl Engine {
    pub(super) fn clean(&mut self, request: &CleanRequest, done: Done, now: Now) {
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
            done,
        };
        clean.report.unknown_jobs = self.unknown_jobs(request);
        if !clean.report.unknown_jobs.is_empty() {
            return (clean.done)(clean.report);
        }
        if request.release && !is_dry && request.principal.is_client() {
            self.release_roots(&request.roots, &request.principal, now);
        }
        let mut found = Vec::new();
        self.select_files(request, now, &mut found);
        self.select_units(request, now, &mut found);
        self.select_jobs(request, now, &mut found);
        for (state, found) in found {
            match state {
                LapseState::Never | LapseState::Waits(_) | LapseState::Claimed => {}
                LapseState::Held { hold, .. } => clean.report.held.push(found.report(Some(hold))),
                LapseState::Due => {
                    let (item, report) = (found.item.clone(), found.report(None));
                    let retention_ms = request.retention_of(found.lapse.rule);
                    let actor = Actor {
                        principal: request.principal.clone(),
                        request: Some(id),
                    };
                    let claim = self.claim_of(found, now.wall, retention_ms, actor);
                    clean.open.insert(subject_of(&claim), report);
                    clean.queue.push_back((item, claim));
                }
            }
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
        }
    }

    fn select_files(&self, request: &CleanRequest, now: Now, into: &mut Candidates) {
        for page in self.index.pages() {
            self.select_page(request, page, now, into);
        }
    }

    fn select_page(&self, request: &CleanRequest, page: PageId, now: Now, into: &mut Candidates) {
        let Some(page) = self.index.page(page) else {
            return;
        };
        // Nothing of most pages is due; with another time to live anything may be.
        let may_be_due = !request.retention_ms.is_empty()
            || page.min_deadline().is_some_and(|at| at <= now.wall);
        let Some((root, at)) = self.index.dir_path(page.dir()).filter(|_| may_be_due) else {
            return;
        };
        let dev = self.dev_of(page.dir());
        for (name, record) in page.entries().filter(|_| request.wants_root(root)) {
            let Class::File(rule) = record.class else {
                continue;
            };
            if record.expire_ms.is_none() || !request.wants_rule(rule) {
                continue;
            }
            let lapse = Lapse {
                rule,
                basis: record.basis,
                deadline: request.deadline(rule, record.basis, record.deadline()),
            };
            if lapse.deadline <= now.wall {
                let found =
                    Candidate::of_file((root, &at), (page.dir(), dev), (name, record), lapse);
                self.consider(request, found, now, into);
            }
        }
    }

    fn select_units(&self, request: &CleanRequest, now: Now, into: &mut Candidates) {
        for &root in self.roots.keys().filter(|&&root| request.wants_root(root)) {
            for (dir, unit) in self.index.units(root) {
                if !request.wants_rule(unit.rule) {
                    continue;
                }
                if let Some(mut found) = self.dir_candidate(dir) {
                    let deadline = request.deadline(unit.rule, unit.basis, unit.deadline);
                    found.lapse.deadline = deadline;
                    self.consider(request, found, now, into);
                }
            }
        }
    }

    /// Adds a candidate that the request is about, with how it stands.
    fn consider(&self, request: &CleanRequest, found: Candidate, now: Now, into: &mut Candidates) {
        let is_orphan = self.policy.rule(found.lapse.rule).jobs == JobFilter::Nobody;
        if self.wants_job(request, &found) && (!request.orphans_only || is_orphan) {
            let (item, lapse) = (&found.item, found.lapse);
            let state = self.lapse_state(found.root, item, lapse, Trigger::Clean, now);
            into.push((state, found));
        }
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

    fn select_jobs(&self, request: &CleanRequest, now: Now, into: &mut Candidates) {
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
        if !policy.each_rule().any(|(rule, _)| is_wanted(rule)) {
            return;
        }
        for &source in policy.sources.keys() {
            for no in 0..self.jobs.slots(source) {
                let Some(job) = self.jobs.numbered(source, no).filter(Job::can_lose) else {
                    continue;
                };
                if !request.wants_job_id(job.key.id.as_bytes()) {
                    continue;
                }
                for (rule, _) in policy.job_rules(&job).filter(|(rule, _)| is_wanted(*rule)) {
                    self.consider_job(request, &job, (no, rule), now, into);
                }
            }
        }
    }

    /// Returns false if the job of a claim that waited in line owns something else by now. True for
    /// everything but jobs.
    pub(super) fn is_all_of_job(&self, claim: &Claim, now: Now) -> bool {
        let Some(job) = claim.job().map(|key| self.jobs.job(key)) else {
            return true;
        };
        job.is_some_and(|job| self.gather(&job, claim.rule, now.wall).pieces == claim.pieces)
    }

    fn consider_job(
        &self,
        request: &CleanRequest,
        job: &Job,
        (no, rule): (u32, RuleId),
        now: Now,
        into: &mut Candidates,
    ) {
        let retention_ms = request.retention_of(rule);
        let (state, found) = self.job_state(job, (no, rule), retention_ms, Trigger::Clean, now);
        let Some(found) = found else { return };
        let mut roots = found.pieces.iter().map(|piece| piece.root);
        if !found.pieces.is_empty() && !roots.any(|root| request.wants_root(root)) {
            return;
        }
        let is_known = self.arriving.is_known((job.key.source, no));
        let state = match state {
            LapseState::Due if !is_known => LapseState::held(Hold::Reconciling, None),
            state => state,
        };
        into.push((state, found));
    }
}
