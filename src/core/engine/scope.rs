//! Scope of a clean: the items that a request is about.
//!
//! **Invariant:** every part of a request narrows it: an item has to be meant by all of them.

use super::Engine;
use super::candidate::Candidate;
use super::item::Item;
use super::lapse::{LapseState, Trigger};
use super::timers::Timer;
use crate::core::claim::{Piece, Unit};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::JobKey;
use crate::core::policy::{Class, Rule, Schedule};
use crate::core::report::{CleanRequest, CleanTarget, PathFilter};
use crate::core::run::Run;
use crate::core::time::Now;

impl Engine {
    /// Candidates that `request` is about, with their states.
    pub(super) fn select(&self, request: &CleanRequest, now: Now) -> Vec<(LapseState, Candidate)> {
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

    /// Returns true if the request is about the paths of the candidate, and about its job, or about
    /// a root of what it owns.
    fn is_wanted(&self, request: &CleanRequest, found: &Candidate) -> bool {
        let is_meant = if found.job.is_none() {
            self.wants_job(request, found)
        } else {
            let mut roots = found.pieces.iter().map(|piece| piece.root);
            found.pieces.is_empty() || roots.any(|root| request.wants_root(root))
        };
        let (paths, targets) = (request.paths.as_ref(), request.targets.as_ref());
        is_meant
            && targets.is_none_or(|targets| targets.contains(&target(found)))
            && paths.is_none_or(|paths| self.is_within(paths, found))
    }

    /// Returns true if `paths` match all of the candidate. A job without files has no path.
    fn is_within(&self, paths: &PathFilter, found: &Candidate) -> bool {
        let path = found.path.as_bytes();
        match found.item {
            Item::File(..) => paths.has_file(path),
            Item::Dir(_) => paths.has_dir(path),
            Item::Job(.., rule) => {
                let mut pieces = found.pieces.iter();
                !found.pieces.is_empty() && pieces.all(|piece| self.has_piece(paths, piece, rule))
            }
        }
    }

    /// Returns true if `paths` match the piece, or each of the files that are removed with it.
    fn has_piece(&self, paths: &PathFilter, piece: &Piece, rule: RuleId) -> bool {
        let path = piece.path.as_bytes();
        if !piece.is_dir {
            return paths.has_file(path);
        }
        if paths.has_dir(path) {
            return true;
        }
        let top = self.index.dir_id(piece.root, path);
        let mut is_any = false;
        for dir in top.map_or(Vec::new(), |top| self.index.subtree(top)) {
            let Some((_, at)) = self.index.dir_path(dir) else {
                return false;
            };
            for (_, page) in self.index.snapshot_of(dir) {
                let entries = page.entries();
                for (name, _) in entries.filter(|(_, record)| record.class == Class::Job(rule)) {
                    is_any = true;
                    if !paths.has_file(at.join(name).as_bytes()) {
                        return false;
                    }
                }
            }
        }
        is_any
    }

    fn wants_job(&self, request: &CleanRequest, found: &Candidate) -> bool {
        if request.jobs.is_none() {
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
    pub(super) fn unknown_jobs(&self, request: &CleanRequest) -> Vec<String> {
        let named = request.jobs.iter().flatten();
        if self.sources.values().any(|of| of.down().is_some()) {
            return Vec::new();
        }
        let ids = named.map(|id| String::from_utf8_lossy(id).into_owned());
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
}

/// Names the candidate, as a request does.
fn target(found: &Candidate) -> CleanTarget {
    CleanTarget {
        root: found.root,
        path: found.path.clone(),
        unit: found.item.unit(),
        job: found.job.as_ref().map(|job| job.key.id.clone()),
    }
}

impl CleanRequest {
    /// Returns true if the run that it is a part of was cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        self.run.as_ref().is_some_and(Run::is_cancelled)
    }

    pub(super) fn wants_root(&self, root: RootId) -> bool {
        let roots = self.roots.as_ref();
        roots.is_none_or(|roots| roots.contains(&root))
    }

    pub(super) fn wants_job_id(&self, id: &[u8]) -> bool {
        let jobs = self.jobs.as_ref();
        jobs.is_none_or(|jobs| jobs.iter().any(|wanted| **wanted == *id))
    }

    /// Returns true if it is about `rule` with this id. A rule that must be named has to be.
    pub(super) fn wants_rule(&self, id: RuleId, rule: &Rule) -> bool {
        match &self.rules {
            Some(rules) => rules.contains(&id),
            None => rule.schedule != Schedule::Named,
        }
    }

    pub(super) fn retention_of(&self, rule: RuleId) -> Option<i64> {
        self.retention_ms
            .iter()
            .find(|(of, _)| *of == rule)
            .map(|&(_, ms)| ms)
    }
}
