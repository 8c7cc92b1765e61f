//! What could not be read: every run reports it, since nothing that depends on it was judged.
//!
//! **Invariant:** a run that reports nothing here has read all roots and sources that it was asked about.

use std::collections::BTreeMap;

use super::job_holds::JobHolds;
use super::state::Engine;
use crate::core::claim::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::core::policy::{JobFilter, Rule};
use crate::core::report::{CleanRequest, Phase, Unread, UnreadPart};

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

    /// The directory was read.
    pub(super) fn remove(&mut self, root: RootId, dir: &RelPath) {
        if !self.0.is_empty() {
            self.0.remove(&(root, dir.clone()));
        }
    }

    /// The directory is not there any more.
    pub(super) fn remove_all(&mut self, root: RootId, dir: &RelPath) {
        self.0
            .retain(|(of, path), _| *of != root || !path.is_within(dir));
    }
}

impl Engine {
    /// Everything that `request` is about and that could not be read.
    pub(super) fn unread(&self, request: &CleanRequest) -> Vec<Unread> {
        let mut unread = Vec::new();
        let holds = self.job_holds();
        for (&source, known) in &self.policy.sources {
            let state = self.sources.get(&source);
            if let Some(why) = state.and_then(super::sources::SourceState::down)
                && self.is_asked_about(request, &holds, source)
            {
                unread.push(Unread {
                    part: UnreadPart::Source(source),
                    why,
                    is_optional: !known.required,
                });
            }
        }
        for (&root, state) in &self.roots {
            if let (Some(why), _) | (None, Phase::Missing { why }) =
                (&state.unreachable, &state.phase)
                && request.wants_root(root)
            {
                let known = self.policy.roots.get(&root);
                let may_be_missing = known.is_some_and(|known| known.optional);
                unread.push(Unread {
                    part: UnreadPart::Root(root),
                    why: why.clone(),
                    is_optional: may_be_missing && state.unreachable.is_none(),
                });
            }
        }
        for ((root, dir), error) in &self.unread_dirs.0 {
            if request.wants_root(*root) {
                unread.push(Unread {
                    part: UnreadPart::Dir(*root, dir.clone()),
                    why: error.clone(),
                    is_optional: false,
                });
            }
        }
        unread
    }

    /// Whether any rule that `request` is about could be judged; also when there is none to judge.
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
            let is_void = self.policy.roots.get(&root).is_some_and(|known| {
                known.optional
                    && state.unreachable.is_none()
                    && matches!(state.phase, Phase::Missing { .. })
            });
            if is_void
                || !self
                    .rules_of(request)
                    .any(|(_, rule)| rule.applies_to(root))
            {
                continue;
            }
            is_any = true;
            let is_read = matches!(state.phase, Phase::Ready | Phase::Reconciling { .. });
            if is_read && state.unreachable.is_none() && !holds.governing(root).any(is_down) {
                return true;
            }
        }
        !is_any
    }

    /// Whether what `request` is about depends on what `source` says.
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
        let rules = (0u16..).map(RuleId).zip(&self.policy.rules);
        rules.filter(|(id, rule)| rule.expire_ms.is_some() && request.wants_rule(*id))
    }
}

/// Whether `rule` depends on what `source` says of its jobs.
fn asks(rule: &Rule, source: SourceId) -> bool {
    let is_of_jobs = rule.unit == Unit::Job
        || rule.since.is_of_job()
        || matches!(rule.jobs, JobFilter::Standing(_));
    let sources = rule.sources.as_ref();
    is_of_jobs && sources.is_none_or(|sources| sources.contains(&source))
}
