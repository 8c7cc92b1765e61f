//! Holds by jobs, their sources, and pins; pins that are set, and end.
//!
//! **Invariant:** a source that cannot be read holds the files that its jobs may own, and no
//! others.

use std::sync::Arc;

use super::Engine;
use super::source_state::Sources;
use super::timers::Timer;
use crate::core::claim::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::Index;
use crate::core::jobs::{Jobs, Owner, SourceId};
use crate::core::path::RelPath;
use crate::core::pins::{Pin, Pins};
use crate::core::policy::{JobFilter, Policy};
use crate::core::time::{Now, Timestamp};

/// Holds by jobs and pins at one instant, to be asked for many things.
#[derive(Clone, Debug)]
pub(super) struct JobHolds {
    pub(super) policy: Arc<Policy>,
    pub(super) jobs: Arc<Jobs>,
    pub(super) pins: Arc<Pins>,
    pub(super) sources: Sources,
    pub(super) index: Arc<Index>,
}

impl JobHolds {
    /// Returns true if anything can hold what is in `root` on account of jobs or pins.
    pub(super) fn concern(&self, root: RootId) -> bool {
        !self.pins.is_empty() || self.governing(root).next().is_some()
    }

    /// The sources whose jobs may own what is in `root`.
    pub(super) fn governing(&self, root: RootId) -> impl Iterator<Item = SourceId> {
        let sources = self.policy.sources.keys().copied();
        sources.filter(move |&source| self.jobs.governs(&self.policy, source, root))
    }

    /// Hold of the file or directory at `path`, which is due under `rule`.
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
        if let Some(hold) = self.refused(root, path, rule, &owner) {
            return Some(hold);
        }
        let is_orphan = self.policy.rule(rule).jobs == JobFilter::Nobody;
        match owner {
            Owner::Unknown { source, .. } => {
                let is_stale = self.sources.get(source)?.is_stale();
                if self.sources.trip(source).is_some() {
                    return Some(Hold::Breaker);
                }
                (is_orphan && is_stale).then(|| Hold::SourceDown {
                    source: self.name(source),
                    why: "it has changed and is being read".to_owned(),
                })
            }
            Owner::Nobody | Owner::Jobs(_) => None,
        }
    }

    /// Hold of the file or directory at `path`, because a refused claim may mean it or something in
    /// it that no job owns.
    fn refused(&self, root: RootId, path: &RelPath, rule: RuleId, owner: &Owner) -> Option<Hold> {
        if !self.jobs.has_refused() {
            return None;
        }
        let hold_at = |path: &[u8]| self.jobs.refused_hold(&self.policy, root, path, rule);
        if owner.jobs().is_empty()
            && let Some(hold) = hold_at(path.as_bytes())
        {
            return Some(hold);
        }
        if self.policy.rule(rule).unit != Unit::Dir {
            return None;
        }
        let top = self.index.dir_id(root, path.as_bytes())?;
        let within = self.index.subtree(top).into_iter();
        let mut pages = within.flat_map(|dir| {
            let at = self.index.dir_path(dir).map(|(_, at)| at);
            let pages = self.index.snapshot_of(dir).into_iter();
            pages.filter_map(move |(_, page)| Some((at.clone()?, page)))
        });
        pages.find_map(|(at, page)| {
            page.entries().find_map(|(name, _)| {
                let path = at.join(name);
                let hold = hold_at(path.as_bytes())?;
                let owner = self.jobs.owner(&self.policy, root, path.as_bytes());
                owner.jobs().is_empty().then_some(hold)
            })
        })
    }

    /// Returns true if the breaker of the source of `root` has tripped: orphans are held.
    pub(super) fn orphans_tripped(&self, root: RootId) -> bool {
        let source = self.policy.roots.get(&root).and_then(|root| root.source);
        source.is_some_and(|source| self.sources.trip(source).is_some())
    }

    /// Hold of all that depends on `source`.
    pub(super) fn source_down(&self, source: SourceId) -> Option<Hold> {
        let why = match self.sources.get(source) {
            Some(state) => state.down()?,
            None => "it was not read yet".to_owned(),
        };
        Some(Hold::SourceDown {
            source: self.name(source),
            why,
        })
    }

    pub(super) fn name(&self, source: SourceId) -> String {
        let known = self.policy.sources.get(&source);
        known.map_or_else(String::new, |source| source.name.clone())
    }
}

impl Engine {
    /// Holds what `pin` says from now on; a pin with this number is changed.
    pub fn pin(&mut self, pin: Pin, now: Now) {
        self.pins.set(pin);
        self.arm_pins(now);
    }

    /// Lets go what the pin holds.
    pub fn unpin(&mut self, id: u64, now: Now) -> Option<Pin> {
        let pin = self.pins.remove(id);
        self.end_pins(now);
        pin
    }

    /// Arms the end of the next pin.
    pub(super) fn arm_pins(&mut self, now: Now) {
        if let Some(at) = self.pins.next_end(now.wall) {
            self.timers.arm(Timer::Pins, at);
        }
    }

    /// A pin has ended: what it held is looked at again.
    pub(super) fn end_pins(&mut self, now: Now) {
        self.arm_pins(now);
        self.arm_all(now);
        self.arm_held_jobs(|_| true, now);
    }
}
