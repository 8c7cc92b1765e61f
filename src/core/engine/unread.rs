//! Parts that could not be read: every run reports them, since nothing that depends on them was
//! judged.
//!
//! **Invariant:** a run that reports nothing here has read all roots and sources that it was asked
//! about.

use std::collections::BTreeMap;

use super::Engine;
use super::job_holds::JobHolds;
use crate::core::claim::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{Job, SourceId};
use crate::core::path::RelPath;
use crate::core::policy::{JobFilter, Rule};
use crate::core::report::{CleanRequest, Unread, UnreadPart};

/// Directories that are kept one by one. A tree with more of them has one cause.
const DIRS_MAX: usize = 1000;

/// Directories that cannot be read, with the operating system's reasons.
#[derive(Debug, Default)]
pub(super) struct UnreadDirs(BTreeMap<(RootId, RelPath), String>);

impl UnreadDirs {
    pub(super) fn insert(&mut self, root: RootId, dir: &RelPath, error: String) {
        if self.0.len() < DIRS_MAX {
            self.0.insert((root, dir.clone()), error);
        }
    }

    /// Forgets a directory that was read. Returns true if it could not be read before.
    pub(super) fn remove(&mut self, root: RootId, dir: &RelPath) -> bool {
        !self.0.is_empty() && self.0.remove(&(root, dir.clone())).is_some()
    }

    /// Forgets a directory that is not there any more, with all beneath it. Returns true if one of
    /// them could not be read.
    pub(super) fn remove_all(&mut self, root: RootId, dir: &RelPath) -> bool {
        let before = self.0.len();
        self.0
            .retain(|(of, path), _| *of != root || !path.is_within(dir));
        self.0.len() < before
    }
}

impl Engine {
    /// Returns the hold of a job that may own files in a directory that cannot be read: they would
    /// be left behind.
    pub(super) fn hold_of_unread(&self, job: &Job, rule: RuleId) -> Option<Hold> {
        if self.unread_dirs.0.is_empty() {
            return None;
        }
        // Not all of them are kept.
        let is_full = self.unread_dirs.0.len() >= DIRS_MAX;
        let key = &job.key;
        let claimed = self.jobs.number(key).map_or(Vec::new(), |no| {
            self.jobs.claimed(&self.policy, key.source, no)
        });
        let roots = self.roots.keys();
        let own = roots.filter_map(|&root| Some((root, self.job_dir(root, key)?)));
        let rule = self.policy.rule(rule);
        let paths = claimed.into_iter().chain(own);
        let paths: Vec<_> = paths.filter(|(root, _)| rule.applies_to(*root)).collect();
        let hides = |root: RootId, dir: &RelPath| {
            let touches = |path: &RelPath| path.is_within(dir) || dir.is_within(path);
            paths.iter().any(|(of, path)| *of == root && touches(path))
        };
        let (_, dir, error) = self
            .unread_dirs()
            .find(|(root, dir, _)| is_full || hides(*root, dir))?;
        let error = format!("\"{dir}\" may hold files of the job and cannot be read: {error}");
        Some(Hold::Unreadable { error })
    }

    /// Returns the hold of a limit on `root`, of which a directory cannot be read.
    pub(super) fn hold_of_unread_root(&self, root: RootId) -> Option<Hold> {
        let (_, dir, error) = self.unread_dirs().find(|(of, ..)| *of == root)?;
        let error = format!("\"{dir}\" cannot be read, so its size is not known: {error}");
        Some(Hold::Unreadable { error })
    }

    /// Returns the hold of what `root` has under a rule that counts, while a directory of it cannot
    /// be read: what is in it is not counted.
    pub(super) fn hold_of_unread_group(&self, root: RootId) -> Option<Hold> {
        let (_, dir, error) = self.unread_dirs().find(|(of, ..)| *of == root)?;
        let error = format!("\"{dir}\" may hold more of its group and cannot be read: {error}");
        Some(Hold::Unreadable { error })
    }

    /// Directories that are there, as far as is known, and cannot be read.
    fn unread_dirs(&self) -> impl Iterator<Item = (RootId, &RelPath, &str)> {
        let all = self.unread_dirs.0.iter();
        let all = all.map(|((root, dir), error)| (*root, dir, error.as_str()));
        all.filter(|(root, dir, _)| self.index.dir_id(*root, dir.as_bytes()).is_some())
    }

    /// Everything that `request` is about and that could not be read.
    pub(super) fn unread(&self, request: &CleanRequest) -> Vec<Unread> {
        let mut unread = Vec::new();
        let mut push = |part: UnreadPart, why: &str, is_optional: bool| {
            let why = why.to_owned();
            unread.push(Unread {
                part,
                why,
                is_optional,
            });
        };
        let holds = self.job_holds();
        for (&source, known) in &self.policy.sources {
            let state = self.sources.get(source);
            if let Some(why) = state.and_then(super::source_state::SourceState::down)
                && self.is_asked_about(request, &holds, source)
            {
                push(UnreadPart::Source(source), &why, !known.required);
            }
        }
        for (&root, state) in &self.roots {
            if let Some(why) = state.why_unread()
                && request.wants_root(root)
            {
                let is_optional = self.policy.is_optional(root) && state.is_missing();
                push(UnreadPart::Root(root), why, is_optional);
            }
        }
        for (root, dir, error) in self.unread_dirs() {
            if request.wants_root(root) {
                push(UnreadPart::Dir(root, dir.clone()), error, false);
            }
        }
        unread
    }

    /// Returns true if any rule that `request` is about could be judged; also when there is none to
    /// judge.
    pub(super) fn is_judged(&self, request: &CleanRequest) -> bool {
        let holds = self.job_holds();
        let is_down = |source: SourceId| {
            let required = self
                .policy
                .sources
                .get(&source)
                .is_some_and(|of| of.required);
            required && holds.source_down(source).is_some()
        };
        let mut is_any = false;
        for (&root, state) in self
            .roots
            .iter()
            .filter(|(root, _)| request.wants_root(**root))
        {
            let is_void = self.policy.is_optional(root) && state.is_missing();
            if is_void
                || !self
                    .rules_of(request)
                    .any(|(_, rule)| rule.applies_to(root))
            {
                continue;
            }
            is_any = true;
            if state.is_reachable() && state.is_read() && !holds.governing(root).any(is_down) {
                return true;
            }
        }
        !is_any
    }

    /// Returns true if what `request` is about depends on what `source` says.
    fn is_asked_about(&self, request: &CleanRequest, holds: &JobHolds, source: SourceId) -> bool {
        let mut roots = self.roots.keys().filter(|root| request.wants_root(**root));
        let governs = roots.any(|&root| holds.governing(root).any(|of| of == source));
        governs || self.rules_of(request).any(|(_, rule)| asks(rule, source))
    }

    /// The rules that `request` is about and that let something go.
    fn rules_of<'e>(
        &'e self,
        request: &'e CleanRequest,
    ) -> impl Iterator<Item = (RuleId, &'e Rule)> {
        let rules = self.policy.each_rule();
        rules.filter(|(id, rule)| rule.expire_ms.is_some() && request.wants_rule(*id, rule))
    }
}

/// Returns true if `rule` depends on what `source` says of its jobs.
fn asks(rule: &Rule, source: SourceId) -> bool {
    let is_of_jobs = rule.unit == Unit::Job
        || rule.since.is_of_job()
        || matches!(rule.jobs, JobFilter::Standing(_));
    let sources = rule.sources.as_ref();
    is_of_jobs && sources.is_none_or(|sources| sources.contains(&source))
}
