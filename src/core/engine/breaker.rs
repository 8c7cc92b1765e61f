//! The breaker: what a person is asked about first.
//!
//! **Invariant:** once tripped, only a person releases it: no reload, no restart, no passing of time.

use std::collections::BTreeSet;

use super::state::Engine;
use crate::core::claim::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::input::Event;
use crate::core::policy::JobFilter;
use crate::core::report::{Breaker, BreakerTrip, CleanItem};
use crate::core::time::{Now, Timestamp};

/// The span that orphans are counted over.
const HOUR_MS: i64 = 3_600_000;

/// What went of a root because nobody owned it.
#[derive(Clone, Debug, Default)]
pub(super) struct Orphans {
    /// Why no more go.
    pub(super) trip: Option<String>,
    /// Since when it is counted.
    since: Timestamp,
    entries: u64,
    bytes: u64,
}

impl Orphans {
    /// Those of a root whose breaker had tripped for them, or had not.
    pub(super) fn remembered(tripped: bool) -> Self {
        Self {
            trip: tripped.then(|| "it had tripped before the daemon was started".to_owned()),
            ..Self::default()
        }
    }

    /// Counts what is about to go, or says why it may not.
    fn count(
        &mut self,
        limits: &Breaker,
        of: u64,
        (files, bytes): (u64, u64),
        now: Timestamp,
    ) -> Result<(), String> {
        let passed = now.ms_since(self.since);
        if !(0..HOUR_MS).contains(&passed) {
            (self.since, self.entries, self.bytes) = (now, 0, 0);
        }
        let entries = self.entries + files;
        let sum = self.bytes.saturating_add(bytes);
        // What went is not in the root any more.
        let whole = of + self.entries;
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of files are far below 2^52"
        )]
        let exceeds_share = entries as f64 > limits.orphan_share * whole as f64;
        let why = if entries > limits.orphan_entries {
            format!("more than {} orphans within an hour", limits.orphan_entries)
        } else if limits.orphan_bytes.is_some_and(|most| sum > most) {
            format!(
                "more than {} bytes of orphans within an hour",
                limits.orphan_bytes.unwrap_or(0)
            )
        } else if entries > limits.entries && exceeds_share {
            format!("{entries} of {whole} files would go as orphans within an hour")
        } else {
            (self.entries, self.bytes) = (entries, sum);
            return Ok(());
        };
        self.trip = Some(why.clone());
        Err(why)
    }

    fn release(&mut self) -> bool {
        (self.entries, self.bytes) = (0, 0);
        self.trip.take().is_some()
    }
}

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
            trips.extend(state.trip.map(|trip| BreakerTrip::Backlog(root, trip)));
            let orphans = state.orphans.trip.clone();
            trips.extend(orphans.map(|why| BreakerTrip::RootOrphans(root, why)));
            sources.extend(self.policy.roots.get(&root).and_then(|known| known.source));
        }
        for source in sources {
            let why = self
                .sources
                .get(&source)
                .and_then(|state| state.trip.clone());
            trips.extend(why.map(|why| BreakerTrip::SourceOrphans(source, why)));
        }
        trips
    }

    /// Whether the breaker holds what is nobody's in `root`, and goes under `rule`.
    pub(super) fn orphans_held(&self, root: RootId, rule: RuleId) -> bool {
        self.policy.rule(rule).jobs == JobFilter::Nobody && self.has_orphan_trip(root)
    }

    /// Whether the breaker of `root` itself has tripped for orphans.
    pub(super) fn has_orphan_trip(&self, root: RootId) -> bool {
        self.roots
            .get(&root)
            .is_some_and(|state| state.orphans.trip.is_some())
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
        let limits = self.breaker;
        let Some(state) = self.roots.get_mut(&root) else {
            return false;
        };
        if state.orphans.trip.is_some() {
            return false;
        }
        match state.orphans.count(&limits, of, what, now.wall) {
            Ok(()) => true,
            Err(why) => {
                self.effects.tell(Event::OrphansTripped {
                    source: None,
                    root: Some(root),
                    why,
                });
                false
            }
        }
    }

    /// Trips the breaker when what was found since `root` was saved, and is due already, is too much. What was known before came due
    /// because time passed.
    pub(super) fn check_fresh(&mut self, root: RootId, due: u64, now: Now) {
        self.check_due_jobs(root, due, now);
    }

    pub(super) fn is_too_much(&self, due: u64, of: u64) -> bool {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of files are far below 2^52"
        )]
        let exceeds_share = due as f64 > self.breaker.share * of as f64;
        due > self.breaker.entries && exceeds_share
    }

    /// Trips the breaker when a change of facts has made too much of `root` due at once.
    pub(super) fn check_backlog(&mut self, root: RootId, now: Now) {
        let due: u64 = self
            .index
            .forecast(Some(root), now.wall)
            .into_iter()
            .filter(|part| self.policy.goes_unasked(part.rule))
            .map(|part| part.files)
            .sum();
        let before = self
            .roots
            .get_mut(&root)
            .and_then(|state| state.trip.take());
        let is_due = self.check_due_jobs(root, due, now);
        let stays = is_due || self.has_unread_source(root);
        // Once tripped, only a person releases it: not a reload, and not the root's growing around its backlog.
        if let Some(before) = before.filter(|_| stays)
            && self
                .roots
                .get(&root)
                .is_some_and(|state| state.trip.is_none())
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
    pub(super) fn release_roots(&mut self, roots: &[RootId], uid: u32, now: Now) {
        if roots.is_empty() {
            self.release(None, uid, now);
        }
        for &root in roots {
            self.release(Some(root), uid, now);
        }
    }

    /// Releases the breaker of `root` (or of all roots) and what the clock's jumps hold, because a person said so. Tells for
    /// which roots it had tripped.
    pub fn release(&mut self, root: Option<RootId>, uid: u32, now: Now) -> Vec<RootId> {
        let mut released = Vec::new();
        for (&id, state) in &mut self.roots {
            if root.is_none_or(|root| root == id) && state.release() {
                released.push(id);
            }
        }
        for (&id, state) in &mut self.roots {
            let is_meant = root.is_none_or(|root| root == id);
            if is_meant && state.orphans.release() && !released.contains(&id) {
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
            self.effects.tell(Event::Released { root, uid });
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
