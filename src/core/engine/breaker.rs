//! The breaker: what a person is asked about first. What it counts in a root, and whether it has
//! tripped.
//!
//! **Invariant:** once tripped, only a person releases it: no reload, no restart, no passing of
//! time.
//! **Invariant:** a count of the last hour outlives the process: a restart gives no new allowance.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::core::claim::Unit;
use crate::core::effect::Event;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::SourceId;
use crate::core::policy::JobFilter;
use crate::core::principal::Principal;
use crate::core::report::{Breaker, BreakerTrip, CleanItem, HourCount, SavedBreaker, Trip};
use crate::core::time::{Now, Timestamp};

/// Span that orphans and changed facts are counted over, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// Breaker of one root.
#[derive(Clone, Debug, Default)]
pub(super) struct RootBreaker {
    trip: Option<Trip>,
    /// The reason why orphans are held.
    orphan_trip: Option<String>,
    /// Orphans that were claimed.
    orphans: HourCount,
    /// Files that changed facts have made due with their jobs.
    changed: HourCount,
    /// Files of the root when `changed` began, or more by now.
    changed_of: u64,
    /// Jobs that changed facts have made due, by source: their shares are of its jobs.
    changed_jobs: BTreeMap<SourceId, u64>,
    /// Jobs that an earlier process counted, of the source with most of them: they count for each.
    changed_jobs_before: u64,
    /// Something was counted that was not compared with the limits.
    is_change_new: bool,
}

/// Counts of changed facts within an hour.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChangeCounts {
    pub(super) files: u64,
    /// Files of the root.
    pub(super) of: u64,
    pub(super) jobs: u64,
}

impl RootBreaker {
    /// Breaker of a root that an earlier process knew.
    pub(super) fn restored(memory: &SavedBreaker) -> Self {
        let orphan_trip = "it had tripped before the daemon was started".to_owned();
        Self {
            trip: memory.trip,
            orphan_trip: memory.orphans_tripped.then_some(orphan_trip),
            orphans: memory.orphans,
            changed: memory.changed,
            changed_jobs_before: memory.changed_jobs,
            ..Self::default()
        }
    }

    /// Returns what is to be saved of it.
    pub(super) fn memory(&self) -> SavedBreaker {
        SavedBreaker {
            trip: self.trip,
            orphans_tripped: self.orphan_trip.is_some(),
            orphans: self.orphans,
            changed: self.changed,
            changed_jobs: self.changed_jobs_before
                + self.changed_jobs.values().max().copied().unwrap_or(0),
        }
    }

    pub(super) fn trip(&self) -> Option<Trip> {
        self.trip
    }

    /// Returns the reason why orphans are held.
    pub(super) fn orphan_trip(&self) -> Option<&str> {
        self.orphan_trip.as_deref()
    }

    /// Trips it, or has it hold what is due by now, too. Returns true if that is to be reported:
    /// what comes in parts is reported once.
    pub(super) fn set_trip(&mut self, trip: Trip) -> bool {
        let before = self.trip.replace(trip);
        before.is_none_or(|before| before.what != trip.what)
    }

    /// Takes a trip away, for the backlog to be counted anew.
    pub(super) fn take_trip(&mut self) -> Option<Trip> {
        self.trip.take()
    }

    /// Releases it. Returns true if it had tripped.
    pub(super) fn release(&mut self) -> bool {
        let had_tripped = self.trip.is_some() || self.orphan_trip.is_some();
        *self = Self::default();
        had_tripped
    }

    /// Counts orphans that are about to be claimed in a root of `of` files; trips it when they are
    /// too many. Returns true if they may be claimed.
    pub(super) fn count_orphans(
        &mut self,
        limits: &Breaker,
        of: u64,
        (files, bytes): (u64, u64),
        now: Timestamp,
    ) -> bool {
        let mut count = self.orphans;
        count.renew(now);
        // What was removed is not in the root any more.
        let whole = of + count.files;
        count.add(files, bytes);
        let (most, most_bytes) = (limits.orphan_entries, limits.orphan_bytes);
        self.orphan_trip = if count.files > most {
            Some(format!("more than {most} orphans within an hour"))
        } else if let Some(most) = most_bytes.filter(|&most| count.bytes > most) {
            Some(format!("more than {most} bytes of orphans within an hour"))
        } else if count.files > limits.entries && exceeds(limits.orphan_share, count.files, whole) {
            let files = count.files;
            Some(format!(
                "{files} of {whole} files would go as orphans within an hour"
            ))
        } else {
            self.orphans = count;
            None
        };
        self.orphan_trip.is_none()
    }

    /// Counts one job that a changed fact made due, and its files, in a root of `of` files.
    pub(super) fn count_change(&mut self, source: SourceId, files: u64, of: u64, now: Timestamp) {
        if self.changed.renew(now) {
            self.changed_of = 0;
            self.changed_jobs.clear();
            self.changed_jobs_before = 0;
        }
        self.changed.add(files, 0);
        // What was removed meanwhile is not in the root any more.
        self.changed_of = self.changed_of.max(of);
        self.is_change_new = true;
        *self.changed_jobs.entry(source).or_default() += 1;
    }

    /// Returns what was counted so far, if something came since the last call.
    pub(super) fn take_changes(&mut self, source: SourceId) -> Option<ChangeCounts> {
        std::mem::take(&mut self.is_change_new).then(|| ChangeCounts {
            files: self.changed.files,
            of: self.changed_of,
            jobs: self.changed_jobs_before + self.changed_jobs.get(&source).copied().unwrap_or(0),
        })
    }
}

impl HourCount {
    /// Begins anew when the hour is over, or the clock was set back. Returns true if it did.
    fn renew(&mut self, now: Timestamp) -> bool {
        let is_over = !(0..HOUR_MS).contains(&now.ms_since(self.since));
        if is_over {
            *self = Self {
                since: now,
                ..Self::default()
            };
        }
        is_over
    }

    fn add(&mut self, files: u64, bytes: u64) {
        self.files += files;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Breaker {
    /// Returns true if it is too much that `due` of `of` are due at once.
    pub(super) fn is_exceeded(&self, due: u64, of: u64) -> bool {
        due > self.entries && exceeds(self.share, due, of)
    }
}

fn exceeds(share: f64, part: u64, of: u64) -> bool {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of files are far below 2^52"
    )]
    let exceeds = part as f64 > share * of as f64;
    exceeds
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
            let breaker = &state.breaker;
            trips.extend(breaker.trip().map(|trip| BreakerTrip::Backlog(root, trip)));
            let orphans = breaker.orphan_trip().map(str::to_owned);
            trips.extend(orphans.map(|why| BreakerTrip::RootOrphans(root, why)));
            sources.extend(self.policy.roots.get(&root).and_then(|known| known.source));
        }
        for source in sources {
            let why = self.sources.trip(source).map(str::to_owned);
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
            .is_some_and(|state| state.breaker.orphan_trip().is_some())
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
        let breaker = &mut state.breaker;
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
        self.regroup(now);
        let due = due.saturating_sub(self.kept_due(root, now.wall));
        let before = self
            .roots
            .get_mut(&root)
            .and_then(|state| state.breaker.take_trip());
        let is_due = self.check_due_jobs(root, due, now);
        let stays = is_due || self.has_unread_source(root);
        // Once tripped, only a person releases it: not a reload, and not the root's growing around
        // its backlog.
        if let Some(before) = before.filter(|_| stays)
            && self
                .roots
                .get(&root)
                .is_some_and(|state| state.breaker.trip().is_none())
        {
            let (due, of) = if due > 0 {
                (due, self.index.totals(root).files)
            } else {
                (before.due, before.of)
            };
            self.trip(root, (due, of, before.what), now);
        }
    }

    /// Releases the breakers of `roots`; `None`: of all roots.
    pub(super) fn release_roots(&mut self, roots: Option<&[RootId]>, by: &Principal, now: Now) {
        let Some(roots) = roots else {
            self.release(None, by, now);
            return;
        };
        for &root in roots {
            self.release(Some(root), by, now);
        }
    }

    /// Releases the breaker of `root` (or of all roots) and what the clock's jumps hold, because a
    /// person said so. Returns the roots for which it had tripped.
    pub fn release(&mut self, root: Option<RootId>, by: &Principal, now: Now) -> Vec<RootId> {
        let mut released = Vec::new();
        for (&id, state) in &mut self.roots {
            if root.is_none_or(|root| root == id) && state.breaker.release() {
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
            self.check_pauses(now);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000_000 + ms)
    }

    #[test]
    fn a_restart_gives_no_new_allowance_of_orphans() {
        let limits = Breaker {
            orphan_entries: 10,
            ..Breaker::default()
        };
        let mut breaker = RootBreaker::default();
        assert!(breaker.count_orphans(&limits, 1000, (8, 80), at(0)));
        let mut breaker = RootBreaker::restored(&breaker.memory());
        assert!(!breaker.count_orphans(&limits, 992, (3, 30), at(HOUR_MS - 1)));
        assert_eq!(
            breaker.orphan_trip(),
            Some("more than 10 orphans within an hour")
        );
        assert!(breaker.release());
        assert!(breaker.count_orphans(&limits, 992, (3, 30), at(HOUR_MS - 1)));
    }

    #[test]
    fn the_count_of_changed_facts_goes_on_after_a_restart_and_ends_with_the_hour() {
        let source = SourceId(0);
        let mut breaker = RootBreaker::default();
        breaker.count_change(source, 6, 100, at(0));
        let mut breaker = RootBreaker::restored(&breaker.memory());
        assert!(breaker.take_changes(source).is_none());
        breaker.count_change(source, 7, 90, at(1));
        let counts = breaker.take_changes(source).unwrap();
        assert_eq!((counts.files, counts.of, counts.jobs), (13, 90, 2));
        // Whose jobs they were is not saved.
        let mut breaker = RootBreaker::restored(&breaker.memory());
        breaker.count_change(SourceId(1), 0, 90, at(2));
        assert_eq!(breaker.take_changes(SourceId(1)).unwrap().jobs, 3);
        breaker.count_change(source, 1, 80, at(HOUR_MS));
        let counts = breaker.take_changes(source).unwrap();
        assert_eq!((counts.files, counts.jobs), (1, 1));
    }
}
