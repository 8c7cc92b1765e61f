//! Candidates: what would be removed with an item, and why.

use std::collections::BTreeMap;

use super::Engine;
use super::item::Item;
use super::lapse::{Lapse, LapseState, Trigger};
use super::timers::Timer;
use crate::core::claim::{Actor, Claim, LimitCause, Piece};
use crate::core::facts::{FileKey, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{DirId, PageId};
use crate::core::jobs::{Job, JobKey, SourceId};
use crate::core::path::RelPath;
use crate::core::report::CleanItem;
use crate::core::time::{Now, Timestamp};

impl Engine {
    /// Root and path of a file or directory; `None` for jobs, and when the index has none of it any
    /// more.
    pub(super) fn path_of(&self, item: &Item) -> Option<(RootId, RelPath)> {
        match item {
            Item::File(dir, name) => {
                let (root, dir) = self.index.dir_path(*dir)?;
                Some((root, dir.join(name)))
            }
            Item::Dir(dir) => self.index.dir_path(*dir),
            Item::Job(..) => None,
        }
    }
}

/// An item that may be due, as the index and the sources have it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) item: Item,
    /// Its root: of all that a job owns, that of the first part.
    pub(super) root: RootId,
    pub(super) path: RelPath,
    /// Of all that a job owns, that of the first part.
    pub(super) key: FileKey,
    pub(super) lapse: Lapse,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Of a job, all that goes.
    pub(super) pieces: Vec<Piece>,
    /// Of a job, the number of its files in each root.
    pub(super) files_in: BTreeMap<RootId, u64>,
    /// Owner of all of it, for [`Item::Job`].
    pub(super) job: Option<Job>,
    /// The limit that makes it due before its time.
    pub(super) limit: Option<LimitCause>,
}

/// An item, its state, and what would go with it.
pub(super) type Standing = (Item, LapseState, Option<Candidate>);

impl Candidate {
    /// Place among others: the oldest deadline first.
    pub(super) fn order(&self) -> (Timestamp, RootId, RelPath, Option<JobKey>, RuleId) {
        let job = self.job.as_ref().map(|job| job.key.clone());
        (
            self.lapse.deadline,
            self.root,
            self.path.clone(),
            job,
            self.lapse.rule,
        )
    }
}

impl Engine {
    /// The line of a report about a candidate.
    pub(super) fn report_of(&self, found: &Candidate, hold: Option<Hold>) -> CleanItem {
        let job = match &found.job {
            Some(job) => Some(job.clone()),
            None => self.deciding_job(found),
        };
        CleanItem {
            root: found.root,
            path: found.path.clone(),
            unit: found.item.unit(),
            rule: found.lapse.rule,
            since: found.lapse.basis,
            deadline: found.lapse.deadline,
            files: found.files,
            bytes: found.bytes,
            hold,
            limit: found.limit,
            job: job.map(Box::new),
            share: None,
        }
    }

    /// The job that decides about a file or directory.
    fn deciding_job(&self, found: &Candidate) -> Option<Job> {
        let (root, path) = (found.root, found.path.as_bytes());
        if !self.job_holds().concern(root) {
            return None;
        }
        let owner = self.owner(root, path);
        let job = match found.item {
            Item::Dir(_) => self.policy.dir_rule(root, path, &owner)?.1,
            Item::File(..) | Item::Job(..) => self.policy.decide(root, path, &owner).1,
        };
        job.cloned()
    }

    /// Items of the page, the top-level directory or the job of `timer`, as far as `trigger` asks
    /// for them. Of files and directories only what is due; of jobs also what is not, without a
    /// candidate.
    pub(super) fn candidates(&self, timer: Timer, trigger: Trigger<'_>, now: Now) -> Vec<Standing> {
        match timer {
            Timer::Page(page) => self.file_candidates(page, trigger, now).unwrap_or_default(),
            Timer::Unit(dir) => {
                let found = self.dir_candidate(dir, trigger, now);
                found.into_iter().collect()
            }
            Timer::Job(source, no) => self.job_candidates((source, no), trigger, now),
            Timer::Shared(_)
            | Timer::Root(_)
            | Timer::Pins
            | Timer::Pauses
            | Timer::Trash
            | Timer::Limits => Vec::new(),
        }
    }

    fn file_candidates(
        &self,
        page: PageId,
        trigger: Trigger<'_>,
        now: Now,
    ) -> Option<Vec<Standing>> {
        let page = self.index.page(page)?;
        let dir = page.dir();
        let (root, at) = self.index.dir_path(dir)?;
        if !trigger.wants_root(root) {
            return None;
        }
        let dev = self.dev_of(dir);
        // Nothing of most pages is due; with another time to live anything may be.
        let until = if trigger.has_retention() {
            Timestamp::MAX
        } else {
            now.wall
        };
        let found = page.due(until).filter_map(|(name, record)| {
            let lapse = Lapse::of(record.class, record.basis, record.deadline())?;
            let (item, path, ino) = (Item::file(dir, name), at.join(name), record.ino);
            let place = (root, path, FileKey { dev, ino });
            self.candidate(item, place, lapse, (1, record.size), trigger, now)
        });
        Some(found.collect())
    }

    fn dir_candidate(&self, dir: DirId, trigger: Trigger<'_>, now: Now) -> Option<Standing> {
        let unit = self.index.unit(dir)?;
        let (root, path) = self.index.dir_path(dir)?;
        let place = (root, path, self.index.dir(dir)?.facts.key);
        let lapse = Lapse::at(unit.deadline?, unit.rule, unit.basis);
        let sums = (unit.files, unit.bytes);
        trigger.wants_root(root).then_some(())?;
        self.candidate(Item::Dir(dir), place, lapse, sums, trigger, now)
    }

    /// A file or directory and its state; `None` when it is not due or not asked for.
    fn candidate(
        &self,
        item: Item,
        (root, path, key): (RootId, RelPath, FileKey),
        lapse: Lapse,
        (files, bytes): (u64, u64),
        trigger: Trigger<'_>,
        now: Now,
    ) -> Option<Standing> {
        let due = trigger.lapse(lapse);
        if due.deadline > now.wall || !trigger.wants_rule(&self.policy, due.rule) {
            return None;
        }
        let place = (root, path, key);
        let (state, found) = self.state_of(item, place, lapse, (files, bytes), trigger, now);
        Some((found.item.clone(), state, Some(found)))
    }

    /// State of a file or directory, and what would go with it.
    pub(super) fn state_of(
        &self,
        item: Item,
        (root, path, key): (RootId, RelPath, FileKey),
        lapse: Lapse,
        (files, bytes): (u64, u64),
        trigger: Trigger<'_>,
        now: Now,
    ) -> (LapseState, Candidate) {
        let lapse = trigger.lapse(lapse);
        let state = self.lapse_state((root, Some(&path)), &item, lapse, trigger, now);
        let found = Candidate {
            item,
            root,
            path,
            key,
            lapse,
            files,
            bytes,
            pieces: Vec::new(),
            files_in: BTreeMap::new(),
            job: None,
            limit: None,
        };
        (state, found)
    }

    fn job_candidates(
        &self,
        (source, no): (SourceId, u32),
        trigger: Trigger<'_>,
        now: Now,
    ) -> Vec<Standing> {
        // What runs (again) is not asked over and over whether it still does: its row tells when it
        // ends.
        let job = self.jobs.numbered(source, no).filter(Job::can_lose);
        let Some(job) = job.filter(|job| trigger.wants_job(job)) else {
            return Vec::new();
        };
        let rules = self.policy.job_rules(&job).map(|(rule, _)| rule);
        let rules = rules.filter(|&rule| trigger.wants_rule(&self.policy, rule));
        let found = rules.map(|rule| {
            let (state, found) = self.job_state(&job, (no, rule), trigger, now);
            (Item::Job(source, no, rule), state, found)
        });
        found.collect()
    }

    /// The order to remove a candidate.
    pub(super) fn claim_of(
        &self,
        of: Candidate,
        due: Timestamp,
        retention_ms: Option<i64>,
        actor: Actor,
    ) -> Claim {
        let owners = match &of.job {
            Some(job) => vec![job.key.clone()],
            None => self
                .jobs
                .readings(&self.policy, of.root, of.path.as_bytes()),
        };
        let newer = self.newest_of_group(of.root, of.lapse.rule, &of.path);
        Claim {
            newer,
            root: of.root,
            path: of.path,
            owners,
            unit: of.item.unit(),
            pieces: of.pieces,
            key: of.key,
            rule: of.lapse.rule,
            known: of.lapse.basis,
            retention_ms,
            limit: of.limit,
            due,
            actor,
        }
    }

    /// Gives out a claim. What has come to stand at its path while another claim is under way there
    /// is looked at again when that is answered.
    pub(super) fn give_out(&mut self, item: Item, claim: Claim) {
        if let Item::Job(source, no, _) = item {
            self.arriving.renew((source, no));
        }
        self.count_going(&item, &claim);
        self.holds_mut().claim(item.clone());
        self.claims.give_out(item, claim);
    }

    /// The device that the files of a directory are on: its own, no mount being entered.
    pub(super) fn dev_of(&self, dir: DirId) -> u64 {
        self.index.dir(dir).map_or(0, |dir| dir.facts.key.dev)
    }
}
