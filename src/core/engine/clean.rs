//! Removals that somebody asked for: the same claims, the same reaper, and a report.
//!
//! **Invariant:** asking changes when and how long, never what the rules let go, nor what a hold protects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::due::OUTSTANDING_MAX;
use super::held::{Stay, UNIT};
use super::job_units::JobSlot;
use super::orders::Order;
use super::outcome::request_of;
use super::standing::{Lapse, Standing};
use super::state::Engine;
use crate::core::claim::{Claim, Outcome, Reaped, Unit};
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::index::{DirId, Page};
use crate::core::input::Effect;
use crate::core::jobs::JobKey;
use crate::core::path::RelPath;
use crate::core::policy::{Class, JobFilter};
use crate::core::report::{Asker, CleanItem, CleanReport, CleanRequest, Mode};
use crate::core::time::{Now, Timestamp};

/// Called with the report when a `clean` is through.
pub(super) type Done = Box<dyn FnOnce(CleanReport) + Send>;

/// The cleans under way.
#[derive(Default)]
pub(super) struct Cleans {
    /// Those that wait.
    pub(super) orders: Vec<Order>,
    next: u64,
    running: BTreeMap<u64, Clean>,
    /// Claims of dry runs that were not answered yet.
    previews: usize,
}

pub(super) struct Clean {
    /// Claims that wait for the reaper to have a hand free, with where the index has them.
    queue: VecDeque<(Place, Claim)>,
    /// What has been claimed or is queued, to be found again when it is answered.
    open: BTreeMap<Subject, CleanItem>,
    pub(super) report: CleanReport,
    asker: Asker,
    done: Done,
}

/// What a claim is about. Two jobs may own the same first path, or none.
type Subject = (RootId, RelPath, Option<JobKey>);

fn subject(claim: &Claim) -> Subject {
    let job = claim.owners.first().filter(|_| claim.unit == Unit::Job);
    (claim.root, claim.path.clone(), job.cloned())
}

impl Clean {
    /// Queues a claim, of which the report is to tell.
    pub(super) fn queue(&mut self, place: Place, claim: Claim, item: CleanItem) {
        self.open.insert(subject(&claim), item);
        self.queue.push_back((place, claim));
    }
}

/// Where the engine has what a claim is about.
pub(super) enum Place {
    /// An entry or a unit of the index.
    Entry(DirId, Box<[u8]>),
    /// All that a job owns.
    Job(JobSlot),
}

/// One thing that a clean may take.
struct Candidate<'a> {
    dir: DirId,
    name: &'a [u8],
    item: CleanItem,
    key: FileKey,
    basis: Timestamp,
    known: Timestamp,
}

impl Cleans {
    /// Takes in what became of a claim.
    pub(super) fn settle(&mut self, claim: &Claim, outcome: &Outcome) {
        let Some(id) = request_of(claim) else { return };
        let Some(clean) = self.running.get_mut(&id) else {
            return;
        };
        let Some(mut item) = clean.open.remove(&subject(claim)) else {
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
            Outcome::Kept | Outcome::Spared { .. } | Outcome::Younger { .. }
                if claim.unit == Unit::Job =>
            {
                item.hold = Some(Hold::Unconfirmed);
                clean.report.held.push(item);
            }
            // It was not what it seemed: neither removed nor held.
            Outcome::Gone | Outcome::Kept | Outcome::Spared { .. } | Outcome::Younger { .. } => {}
        }
        self.end_if_through(id);
    }

    /// Gives up what no claim was given out for yet.
    pub(super) fn forget_queued(&mut self) {
        let ids: Vec<u64> = self.running.keys().copied().collect();
        for id in ids {
            if let Some(clean) = self.running.get_mut(&id) {
                for (_, claim) in std::mem::take(&mut clean.queue) {
                    clean.open.remove(&subject(&claim));
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
    pub(super) fn clean(
        &mut self,
        request: &CleanRequest,
        done: Done,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
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
            asker: request.asker,
            done,
        };
        clean.report.unknown_jobs = self.unknown_jobs(request);
        if !clean.report.unknown_jobs.is_empty() {
            return (clean.done)(clean.report);
        }
        if let (true, Asker::User(uid)) = (request.release && !is_dry, request.asker) {
            self.release_roots(&request.roots, uid, now, effects);
        }
        self.select_files(request, id, &mut clean, now);
        self.select_units(request, id, &mut clean, now);
        self.select_jobs(request, id, &mut clean, now);
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
        self.cleans.previews = self.cleans.previews.saturating_sub(reaped.len());
        for Reaped { claim, outcome } in reaped {
            self.cleans.settle(claim, outcome);
        }
    }

    /// Gives up what no claim was given out for yet: the reports tell of the rest.
    pub fn give_up_cleans(&mut self) {
        self.cleans.forget_queued();
    }

    /// Hands queued claims to the reaper, as far as it can follow.
    pub(super) fn feed_cleans(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut running = std::mem::take(&mut self.cleans.running);
        for clean in running.values_mut() {
            while self.claimed.len() + self.jobs_out + self.cleans.previews < OUTSTANDING_MAX
                && let Some((place, claim)) = clean.queue.pop_front()
            {
                self.feed(clean, place, claim, now, effects);
            }
        }
        let ids: Vec<u64> = running.keys().copied().collect();
        self.cleans.running = running;
        for id in ids {
            self.cleans.end_if_through(id);
        }
    }

    fn feed(
        &mut self,
        clean: &mut Clean,
        place: Place,
        claim: Claim,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        // Claimed meanwhile, by its rule or for somebody else: that is answered there.
        let at = (claim.root, claim.path.clone());
        if claim.unit != Unit::Job && self.claimed.contains_key(&at) {
            clean.open.remove(&subject(&claim));
            return;
        }
        if clean.report.dry_run {
            self.cleans.previews += 1;
            self.previews.push(claim);
            return;
        }
        let what = clean
            .open
            .get(&subject(&claim))
            .map(|item| (item.files.max(1), item.bytes));
        let what = what.unwrap_or((1, 0));
        let hold = match clean.asker {
            _ if !self.is_all_of_job(&claim, now) => Some(Hold::Reconciling),
            Asker::User(_) => None,
            Asker::Schedule => (!self.may_go_as_orphan(claim.root, claim.rule, what, now, effects))
                .then_some(Hold::Breaker),
        };
        match (hold, place) {
            (None, Place::Entry(dir, name)) => self.give_out(dir, &name, claim),
            (None, Place::Job(slot)) => self.give_out_job(slot, claim, 0),
            (Some(hold), _) => {
                if let Some(mut item) = clean.open.remove(&subject(&claim)) {
                    item.hold = Some(hold);
                    clean.report.held.push(item);
                }
            }
        }
    }

    fn select_files(&self, request: &CleanRequest, id: u64, clean: &mut Clean, now: Now) {
        for page in self.index.pages() {
            let Some(page) = self.index.page(page) else {
                continue;
            };
            let Some((root, dir)) = self.index.dir_path(page.dir()) else {
                continue;
            };
            // Nothing of most pages is due; with another time to live anything may be.
            let may_be_due = !request.retention_ms.is_empty()
                || page.min_deadline().is_some_and(|at| at <= now.wall);
            if may_be_due && request.wants_root(root) {
                self.select_page(request, id, clean, root, &dir, &page, now);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one page of one request")]
    fn select_page(
        &self,
        request: &CleanRequest,
        id: u64,
        clean: &mut Clean,
        root: RootId,
        dir: &RelPath,
        page: &Arc<Page>,
        now: Now,
    ) {
        let key_dev = self.dev_of(page.dir());
        for (name, record) in page.entries() {
            let Class::File(rule) = record.class else {
                continue;
            };
            if record.expire_ms.is_none() || !request.wants_rule(rule) {
                continue;
            }
            let path = dir.join(name);
            let candidate = Candidate {
                dir: page.dir(),
                name,
                item: CleanItem {
                    root,
                    path,
                    unit: Unit::File,
                    rule,
                    deadline: request.deadline(rule, record.basis, record.deadline()),
                    files: 1,
                    bytes: record.size,
                    hold: None,
                    job: None,
                },
                key: FileKey {
                    dev: key_dev,
                    ino: record.ino,
                },
                basis: record.basis,
                known: record.basis,
            };
            self.consider(request, id, clean, candidate, now);
        }
    }

    fn select_units(&self, request: &CleanRequest, id: u64, clean: &mut Clean, now: Now) {
        for &root in self.roots.keys().filter(|&&root| request.wants_root(root)) {
            for (dir_id, unit) in self.index.units(root) {
                let known = self.index.dir(dir_id).zip(self.index.dir_path(dir_id));
                let Some((dir, (_, path))) = known else {
                    continue;
                };
                if unit.deadline.is_none() || !request.wants_rule(unit.rule) {
                    continue;
                }
                let candidate = Candidate {
                    dir: dir_id,
                    name: UNIT,
                    item: CleanItem {
                        root,
                        path,
                        unit: Unit::Dir,
                        rule: unit.rule,
                        deadline: request.deadline(unit.rule, unit.basis, unit.deadline),
                        files: unit.files,
                        bytes: unit.bytes,
                        hold: None,
                        job: None,
                    },
                    key: dir.facts.key,
                    basis: unit.basis,
                    known: unit.basis,
                };
                self.consider(request, id, clean, candidate, now);
            }
        }
    }

    /// Claims a candidate that is due and free, reports one that is held, and leaves one that is not due.
    fn consider(
        &self,
        request: &CleanRequest,
        id: u64,
        clean: &mut Clean,
        candidate: Candidate<'_>,
        now: Now,
    ) {
        let Candidate {
            dir,
            name,
            mut item,
            key,
            basis,
            known,
        } = candidate;
        let is_orphan = self.policy.rule(item.rule).jobs == JobFilter::Nobody;
        if item.deadline > now.wall
            || !self.wants_job(request, &item)
            || (request.orphans_only && !is_orphan)
        {
            return;
        }
        let lapse = Lapse {
            rule: item.rule,
            basis,
            deadline: item.deadline,
        };
        match self.asked_standing(item.root, dir, name, lapse, now) {
            Standing::Never | Standing::Waits(_) | Standing::Claimed => {}
            Standing::Held { hold, .. } => {
                item.hold = Some(hold);
                clean.report.held.push(item);
            }
            Standing::Due => {
                let claim = Claim {
                    root: item.root,
                    path: item.path.clone(),
                    unit: item.unit,
                    owners: self.readings(item.root, item.path.as_bytes()),
                    pieces: Vec::new(),
                    key,
                    rule: item.rule,
                    known,
                    retention_ms: request.retention_of(item.rule),
                    due: now.wall,
                    actor: request.asker.actor(id),
                };
                clean.queue(Place::Entry(dir, name.into()), claim, item);
            }
        }
    }

    /// As [`Engine::standing`], for somebody who asks: a manual rule's time has come, and what was held by itself is tried.
    fn asked_standing(
        &self,
        root: RootId,
        dir: DirId,
        name: &[u8],
        lapse: Lapse,
        now: Now,
    ) -> Standing {
        let path = self
            .path_of(dir, name)
            .map(|(_, path)| path)
            .unwrap_or_default();
        let claimed = self.claimed.contains_key(&(root, path));
        if claimed || matches!(self.held.get(dir, name), Some(Stay::Claimed { .. })) {
            return Standing::Claimed;
        }
        let root_state = self.roots.get(&root);
        let hold = root_state.and_then(|state| state.hold(lapse.deadline));
        // What is not decided yet is not for the asking either.
        let undecided = match self.held.get(dir, name) {
            Some(Stay::Held {
                hold: Hold::Reconciling,
                ..
            }) => Some(Hold::Reconciling),
            Some(Stay::Held { .. } | Stay::Claimed { .. }) | None => None,
        };
        hold.or_else(|| self.unsaved_hold())
            .or(undecided)
            .or_else(|| self.guard.hold(lapse.basis, lapse.deadline, now))
            .or_else(|| self.hold_by_job(root, dir, name, lapse.rule, now))
            .map_or(Standing::Due, |hold| Standing::Held { hold, until: None })
    }

    fn wants_job(&self, request: &CleanRequest, item: &CleanItem) -> bool {
        if request.jobs.is_empty() {
            return true;
        }
        let owner = self.owner(item.root, item.path.as_bytes());
        let captured = self.policy.owner(item.root, item.path.as_bytes());
        let mut ids = owner.jobs().iter().map(|job| job.key.id.as_bytes());
        ids.any(|id| request.wants_job_id(id))
            || captured.is_some_and(|id| request.wants_job_id(id))
    }
}
