//! The breaker: what a person is asked about first.
//!
//! **Invariant:** once tripped, only a person releases it: no reload, no restart, no passing of
//! time.

use std::collections::BTreeSet;

use super::source_state::SourceState;
use super::state::Engine;
use crate::core::claim::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::input::Event;
use crate::core::policy::JobFilter;
use crate::core::principal::Principal;
use crate::core::report::{BreakerTrip, CleanItem};
use crate::core::time::Now;

impl Engine {
    /// The breakers that hold any of `held`.
    pub(super) fn trips_of(&self, held: &[CleanItem]) -> Vec<BreakerTrip> {
        let of_breaker = held.iter().filter(|item| item.hold == Some(Hold::Breaker));
        let mut roots: BTreeSet<RootId> = of_breaker.clone().map(|item| item.root).collect();
        // All that a job owns waits for each of its rule's roots.
        for item in of_breaker.filter(|item| item.unit == Unit::Job) {
            let rule = self.policy.rule(item.rule);
            roots.extend(self.roots.keys().filter(|root| rule.applies_to(**root)));
        }
        let mut trips = Vec::new();
        let mut sources = BTreeSet::new();
        for root in roots {
            let Some(state) = self.roots.get(&root) else {
                continue;
            };
            let breaker = state.breaker();
            trips.extend(breaker.trip().map(|trip| BreakerTrip::Backlog(root, trip)));
            let orphans = breaker.orphan_trip().map(str::to_owned);
            trips.extend(orphans.map(|why| BreakerTrip::RootOrphans(root, why)));
            sources.extend(self.policy.roots.get(&root).and_then(|known| known.source));
        }
        for source in sources {
            let why = self
                .sources
                .get(source)
                .and_then(SourceState::trip)
                .map(str::to_owned);
            trips.extend(why.map(|why| BreakerTrip::SourceOrphans(source, why)));
        }
        trips
    }

    /// Returns true if the breaker holds the orphans of `root` that lapse under `rule`.
    pub(super) fn orphans_held(&self, root: RootId, rule: RuleId) -> bool {
        self.policy.rule(rule).jobs == JobFilter::Nobody && self.has_orphan_trip(root)
    }

    /// Returns true if the breaker of `root` itself has tripped for orphans.
    pub(super) fn has_orphan_trip(&self, root: RootId) -> bool {
        self.roots
            .get(&root)
            .is_some_and(|state| state.breaker().orphan_trip().is_some())
    }

    /// Counts an orphan that is about to go. Says whether it may.
    pub(super) fn may_go_as_orphan(
        &mut self,
        root: RootId,
        rule: RuleId,
        what: (u64, u64),
        now: Now,
    ) -> bool {
        if self.policy.rule(rule).jobs != JobFilter::Nobody {
            return true;
        }
        let of = self.index.totals(root).files;
        let Some(state) = self.roots.get_mut(&root) else {
            return false;
        };
        let breaker = state.breaker_mut();
        if breaker.orphan_trip().is_some() {
            return false;
        }
        let may_go = breaker.count_orphans(&self.breaker, of, what, now.wall);
        if let Some(why) = breaker.orphan_trip() {
            self.effects.tell(Event::OrphansTripped {
                source: None,
                root: Some(root),
                why: why.to_owned(),
            });
        }
        may_go
    }

    /// Trips the breaker when a change of facts has made too much of `root` due at once.
    pub(super) fn check_backlog(&mut self, root: RootId, now: Now) {
        let due: u64 = self
            .index
            .forecast(Some(root), now.wall)
            .into_iter()
            .filter(|part| self.policy.lapses_by_itself(part.rule))
            .map(|part| part.files)
            .sum();
        let before = self
            .roots
            .get_mut(&root)
            .and_then(|state| state.breaker_mut().take_trip());
        let is_due = self.check_due_jobs(root, due, now);
        let stays = is_due || self.has_unread_source(root);
        // Once tripped, only a person releases it: not a reload, and not the root's growing around
        // its backlog.
        if let Some(before) = before.filter(|_| stays)
            && self
                .roots
                .get(&root)
                .is_some_and(|state| state.breaker().trip().is_none())
        {
            let (due, of) = if due > 0 {
                (due, self.index.totals(root).files)
            } else {
                (before.due, before.of)
            };
            self.trip(root, (due, of, before.what), now);
        }
    }

    /// Releases the breakers of `roots`, or of all roots when there are none.
    pub(super) fn release_roots(&mut self, roots: &[RootId], by: &Principal, now: Now) {
        if roots.is_empty() {
            self.release(None, by, now);
        }
        for &root in roots {
            self.release(Some(root), by, now);
        }
    }

    /// Releases the breaker of `root` (or of all roots) and what the clock's jumps hold, because a
    /// person said so. Returns the roots for which it had tripped.
    pub fn release(&mut self, root: Option<RootId>, by: &Principal, now: Now) -> Vec<RootId> {
        let mut released = Vec::new();
        for (&id, state) in &mut self.roots {
            if root.is_none_or(|root| root == id) && state.breaker_mut().release() {
                released.push(id);
            }
        }
        for id in self.release_sources(root) {
            if !released.contains(&id) {
                released.push(id);
            }
        }
        let calmed = root.is_none() && !self.guard.is_calm();
        if calmed {
            self.guard.release();
            self.saved.on_clock_changed();
        }
        for &root in &released {
            self.effects.tell(Event::Released {
                root,
                by: by.clone(),
            });
        }
        let rearm = if calmed {
            self.roots.keys().copied().collect()
        } else {
            released.clone()
        };
        for root in rearm {
            self.arm_root(root, now);
        }
        released
    }
}
