//! Removals on request: the same claims, the same reaper, and a report.
//!
//! **Invariant:** asking changes when and how long, never what the rules let go, nor what a hold
//! protects.
//! **Invariant:** under a limit, items are tried in the order of their deadlines, and no more are
//! under way than may still be removed: a dry run tries the same ones.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Engine;
use super::candidate::Candidate;
use super::due::{Subject, subject_of};
use super::item::Item;
use super::lapse::{LapseState, Trigger};
use crate::core::claim::{Actor, Claim, Outcome, Reaped, Removal, Unit};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::jobs::JobFacts;
use crate::core::path::RelPath;
use crate::core::principal::Principal;
use crate::core::report::{CleanItem, CleanReport, CleanRequest, Consent, Mode};
use crate::core::run::Run;
use crate::core::time::Now;

/// Called with the report when a `clean` is through.
pub(super) type Done = Box<dyn FnOnce(CleanReport) + Send>;

/// The cleans under way.
#[derive(Default)]
pub(super) struct Cleans {
    next: u64,
    /// Number of things of the trash that cleans wait for.
    purging: usize,
    running: BTreeMap<u64, Clean>,
}

/// Bytes of the facts of jobs that a report tells: of the jobs after that, none.
const FACTS_BYTES_MAX: usize = 16 << 20;

pub(super) struct Clean {
    /// Claims that wait for the reaper to have a hand free, with where the index has them.
    queue: VecDeque<(Item, Claim)>,
    /// Items that are claimed or queued, to be found again when their claims are answered.
    open: BTreeMap<Subject, CleanItem>,
    pub(super) report: CleanReport,
    /// Number of files and directories that are claimed.
    others: usize,
    /// Number of items that may still be removed; `None`: any.
    left: Option<usize>,
    /// Number of items that were tried, or are being tried.
    tried: usize,
    /// Number of items that the run says are due.
    due: usize,
    facts_bytes: usize,
    principal: Principal,
    run: Option<Run>,
    done: Done,
    /// It would remove things if the engine did.
    would_act: bool,
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
        if claim.unit != Unit::Job {
            clean.others = clean.others.saturating_sub(1);
        }
        if let Some(run) = &clean.run {
            run.add_settled(1);
        }
        match outcome {
            Outcome::Removed(removal) => clean.on_removed(item, removal),
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

    /// Returns true if the clean of `claim` would remove something if the engine did.
    fn would_act(&self, claim: &Claim) -> bool {
        let clean = claim.actor.request.and_then(|id| self.running.get(&id));
        clean.is_some_and(|clean| clean.would_act)
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
        let is_through = |clean: &Clean| clean.open.is_empty();
        if self.running.get(&id).is_some_and(is_through)
            && self.purging == 0
            && let Some(clean) = self.running.remove(&id)
        {
            (clean.done)(clean.report);
        }
    }
}

impl Clean {
    fn on_removed(&mut self, mut item: CleanItem, removal: &Removal) {
        if let Some(run) = &self.run {
            run.add_removed(removal.files, removal.bytes);
        }
        (item.files, item.bytes) = (removal.files, removal.bytes);
        item.share.clone_from(&removal.share);
        let facts = item.share.as_mut().map(|share| &mut share.facts);
        if let Some(facts) = facts {
            self.facts_bytes += facts.as_ref().map_or(0, JobFacts::bytes);
            facts.take_if(|_| self.facts_bytes > FACTS_BYTES_MAX);
        }
        self.report.removed.push(item);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.forget_queued();
            }
        }
    }

    /// Number of items that may be tried besides those that are under way.
    fn room(&self) -> usize {
        let under_way = self.open.len().saturating_sub(self.queue.len());
        self.left
            .map_or(self.queue.len(), |left| left.saturating_sub(under_way))
            .min(self.queue.len())
    }

    /// Takes the next item that is to be tried, if `may_go` says so. A job waits for files and
    /// directories: its record goes with it, which another source may need for what it owns.
    fn next(&mut self, may_go: impl FnOnce(&Claim) -> bool) -> Option<(Item, Claim)> {
        if self.room() == 0 {
            return None;
        }
        let others = self.others;
        let is_next = |claim: &Claim| (claim.unit != Unit::Job || others == 0) && may_go(claim);
        let next = self.queue.pop_front_if(|(_, claim)| is_next(claim))?;
        self.tried += 1;
        Some(next)
    }

    /// Tells the run of items that are due by now.
    fn announce(&mut self) {
        let due = self.tried + self.room();
        if let Some(run) = &self.run {
            run.add_due(due.saturating_sub(self.due));
        }
        self.due = due.max(self.due);
    }

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
        let is_asked_dry = request.dry_run;
        let is_dry = is_asked_dry || self.is_shadow();
        let request = &CleanRequest {
            dry_run: is_dry,
            ..request.clone()
        };
        let mut clean = Clean {
            queue: VecDeque::new(),
            open: BTreeMap::new(),
            others: 0,
            report: CleanReport::default(),
            left: request.limit,
            tried: 0,
            due: 0,
            facts_bytes: 0,
            principal: request.principal.clone(),
            run: request.run.clone(),
            done,
            would_act: is_dry && !is_asked_dry,
        };
        clean.report.unknown_jobs = self.unknown_jobs(request);
        if !clean.report.unknown_jobs.is_empty() {
            return (clean.done)(clean.report);
        }
        let releases = request.consent == Consent::Release && request.principal.is_client();
        if releases && !is_dry {
            self.release_roots(request.roots.as_deref(), &request.principal, now);
        }
        if self.mode == Mode::OnRequest && !is_dry {
            self.purge_with_clean(now);
            self.cleans.purging = self.purges.ordered();
        }
        let mut found = self.select(request, now);
        let mut trips = self.check_overrides(request, &mut found, now);
        trips.extend(self.select_by_limits(request, &mut found, now));
        if request.limit.is_some() {
            found.sort_by_cached_key(|(_, found)| found.order());
        } else {
            found.sort_by_key(|(_, found)| found.job.is_some());
        }
        self.hold_rows(&mut found);
        for (state, found) in found {
            match state {
                LapseState::Never | LapseState::Waits(_) | LapseState::Claimed => {}
                LapseState::Held { hold, .. } => {
                    clean.report.held.push(self.report_of(&found, Some(hold)));
                }
                LapseState::Due => {
                    let (item, report) = (found.item.clone(), self.report_of(&found, None));
                    let retention_ms = self
                        .limit_age(&found)
                        .or_else(|| request.retention_of(found.lapse.rule));
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
        if clean.left == Some(0) {
            clean.forget_queued();
        }
        clean.announce();
        clean.report.dry_run = is_dry;
        clean.report.breaker = self.trips_of(&clean.report.held);
        clean.report.breaker.extend(trips);
        clean.report.unread = self.unread(request);
        clean.report.is_blind = !self.is_judged(request);
        if clean.open.is_empty() && self.cleans.purging == 0 {
            (clean.done)(clean.report);
        } else {
            self.cleans.running.insert(id, clean);
        }
    }

    /// Ends the cleans that have waited for the trash only.
    pub(super) fn end_cleans(&mut self) {
        self.cleans.purging = self.purges.ordered();
        let ids: Vec<u64> = self.cleans.running.keys().copied().collect();
        for id in ids {
            self.cleans.end_if_through(id);
        }
    }

    /// Holds jobs whose rows are needed for something that this clean does not remove.
    fn hold_rows(&self, found: &mut [(LapseState, Candidate)]) {
        let due = found.iter().filter(|(state, _)| *state == LapseState::Due);
        let due = due.filter(|(_, found)| found.job.is_none());
        let going: BTreeSet<(RootId, RelPath)> = due
            .map(|(_, found)| (found.root, found.path.clone()))
            .collect();
        for (state, found) in found {
            let rule = found.lapse.rule;
            let job = found.job.as_ref().filter(|_| *state == LapseState::Due);
            let goes = |root: RootId, path: &RelPath| going.contains(&(root, path.clone()));
            if let Some(hold) = job.and_then(|job| self.hold_of_row(job, rule, goes)) {
                *state = LapseState::held(hold, None);
            }
        }
    }

    /// Takes in what would become of the claims of dry runs.
    pub(super) fn on_previewed(&mut self, reaped: Vec<Reaped>, now: Now) {
        let is_of_clean = |reaped: &Reaped| reaped.claim.actor.request.is_some();
        let (of_cleans, due): (Vec<_>, Vec<_>) = reaped.into_iter().partition(is_of_clean);
        self.claims.settle_previews(of_cleans.len());
        for Reaped { claim, outcome } in &of_cleans {
            if let Outcome::Removed(removal) = outcome
                && self.cleans.would_act(claim)
            {
                self.on_would_remove(claim, removal);
            }
            self.cleans.settle(claim, outcome);
        }
        // Those of an engine in a dry run.
        self.settle_all(due, now);
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
            while let Some((item, claim)) =
                clean.next(|claim| self.claims.has_room_for_clean(claim))
            {
                self.feed(clean, item, claim, now);
            }
            clean.announce();
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
        if !self.is_shadow() && self.claims.contains(&subject) {
            clean.open.remove(&subject);
            clean.run.iter().for_each(|run| run.add_settled(1));
            return;
        }
        let other = usize::from(claim.unit != Unit::Job);
        if clean.report.dry_run {
            clean.others += other;
            self.claims.preview(claim);
            return;
        }
        let what = clean.open.get(&subject);
        let what = what.map_or((1, 0), |item| (item.files.max(1), item.bytes));
        let judged = self.hold_of_queued(&item, &claim, now);
        let hold = match clean.principal.is_client() {
            _ if judged.is_some() => judged,
            true => None,
            false => {
                (!self.may_go_as_orphan(claim.root, claim.rule, what, now)).then_some(Hold::Breaker)
            }
        };
        if hold.is_none() {
            clean.others += other;
            self.give_out(item, claim);
        } else if let Some(mut item) = clean.open.remove(&subject) {
            item.hold = hold;
            clean.report.held.push(item);
            clean.run.iter().for_each(|run| run.add_settled(1));
        }
    }

    /// Judges what waited in line once more: a pause may have begun, and a job must still be due
    /// with all that is claimed.
    pub(super) fn hold_of_queued(&self, item: &Item, claim: &Claim, now: Now) -> Option<Hold> {
        if let Some(hold) = self.pauses.hold_of_claim(&self.policy, claim) {
            return Some(hold);
        }
        let Item::Job(_, no, rule) = *item else {
            return None;
        };
        let Some(job) = claim.job().and_then(|key| self.jobs.job(key)) else {
            return Some(Hold::Reconciling);
        };
        let request = CleanRequest {
            retention_ms: claim
                .retention_ms
                .map(|ms| (rule, ms))
                .into_iter()
                .collect(),
            ..CleanRequest::default()
        };
        match self.job_state(&job, (no, rule), Trigger::Clean(&request), now) {
            (LapseState::Due, Some(found)) if found.pieces == claim.pieces => {
                self.hold_of_row(&job, rule, |_, _| false)
            }
            (LapseState::Held { hold, .. }, _) => Some(hold),
            (_, _) => Some(Hold::Reconciling),
        }
    }
}
