//! What jobs, their sources and pins hold.
//!
//! **Invariant:** a source that cannot be read holds the files that its jobs may own, and no others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sources::SourceState;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{Jobs, Owner, SourceId};
use crate::core::path::RelPath;
use crate::core::pins::Pins;
use crate::core::policy::{JobFilter, Policy};
use crate::core::time::Timestamp;

/// What jobs and pins hold at one instant, to be asked for many things.
#[derive(Clone, Debug)]
pub(super) struct JobHolds {
    pub(super) policy: Arc<Policy>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) pins: Arc<Pins>,
    pub(super) sources: Arc<BTreeMap<SourceId, SourceState>>,
}

impl JobHolds {
    /// Whether anything can hold what is in `root` on account of jobs or pins.
    pub(super) fn concern(&self, root: RootId) -> bool {
        !self.pins.is_empty() || self.governing(root).next().is_some()
    }

    /// The sources whose jobs may own what is in `root`.
    pub(super) fn governing(&self, root: RootId) -> impl Iterator<Item = SourceId> {
        let own = self.policy.roots.get(&root).and_then(|root| root.source);
        let path = self.policy.roots.get(&root).map(|root| &root.path);
        self.policy
            .sources
            .iter()
            .filter(move |(id, source)| {
                let files = source.files_root.as_ref().filter(|_| source.claims);
                own == Some(**id)
                    || files.zip(path).is_some_and(|(files, path)| {
                        files.starts_with(path) || path.starts_with(files)
                    })
                    || self.jobs.claims_in(**id, root)
            })
            .map(|(&id, _)| id)
    }

    /// What holds the file or directory at `path`, which is due under `rule`.
    pub(super) fn hold(
        &self,
        root: RootId,
        path: &RelPath,
        rule: RuleId,
        now: Timestamp,
    ) -> Option<Hold> {
        if !self.concern(root) {
            return None;
        }
        for source in self.governing(root) {
            if let Some(hold) = self.source_down(source) {
                return Some(hold);
            }
        }
        let owner = self.jobs.owner(&self.policy, root, path.as_bytes());
        if let Some(hold) = owner.jobs().iter().find_map(|job| self.policy.held_by(job)) {
            return Some(hold);
        }
        if let Some(pin) = self.pins.find(&self.policy, root, path, &owner, now) {
            return Some(pin.hold());
        }
        let is_orphan = self.policy.rule(rule).jobs == JobFilter::Nobody;
        match owner {
            Owner::Unknown { source, .. } => {
                let state = self.sources.get(&source)?;
                if state.trip.is_some() {
                    return Some(Hold::Breaker);
                }
                (is_orphan && state.is_stale).then(|| Hold::SourceDown {
                    source: self.name(source),
                    why: "it has changed and is being read".to_owned(),
                })
            }
            Owner::Nobody | Owner::Jobs(_) => None,
        }
    }

    /// Whether the breaker of the source of `root` has tripped: what nobody owns is held.
    pub(super) fn orphans_tripped(&self, root: RootId) -> bool {
        let source = self.policy.roots.get(&root).and_then(|root| root.source);
        let state = source.and_then(|source| self.sources.get(&source));
        state.is_some_and(|state| state.trip.is_some())
    }

    /// What holds all that depends on `source`.
    pub(super) fn source_down(&self, source: SourceId) -> Option<Hold> {
        let why = match self.sources.get(&source) {
            Some(state) => state.down()?,
            None => "it was not read yet".to_owned(),
        };
        Some(Hold::SourceDown {
            source: self.name(source),
            why,
        })
    }

    fn name(&self, source: SourceId) -> String {
        let known = self.policy.sources.get(&source);
        known.map_or_else(String::new, |source| source.name.clone())
    }
}
