//! States of items: waiting, due, claimed, or held, with the reason.
//!
//! **Invariant:** everything that keeps a due item in its place is named here, or in `job_units`
//! for all that a job owns.

use std::borrow::Cow;
use std::iter::once_with;

use super::Engine;
use super::holds::{HoldTable, Refused};
use super::item::Item;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{DirId, Index};
use crate::core::jobs::Job;
use crate::core::path::RelPath;
use crate::core::policy::{Class, JobFilter, Policy, Schedule};
use crate::core::report::{CleanRequest, Mode};
use crate::core::time::{Now, Timestamp};

/// State of an item at an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum LapseState {
    /// It never lapses by itself.
    Never,
    /// It lapses at this instant at the earliest.
    Waits(Timestamp),
    /// It is due, and claimed.
    Claimed,
    /// It is due, and held; tried again at `until`, or when the reason ends.
    Held {
        hold: Hold,
        until: Option<Timestamp>,
    },
    /// It is due.
    Due,
}

/// Rule and deadline by which an item lapses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lapse {
    pub(super) rule: RuleId,
    pub(super) basis: Timestamp,
    pub(super) deadline: Timestamp,
    /// The deadline under the rule's own time to live.
    pub(super) regular: Timestamp,
}

/// Occasion on which the state of an item is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trigger<'r> {
    /// Its timer.
    Timer,
    /// A clean: the time of a rule with a schedule has come, and what was held by itself is tried.
    Clean(&'r CleanRequest),
    /// A limit is exceeded: this age in milliseconds is enough. On request of a clean, or by
    /// itself.
    Limit(i64, Option<&'r CleanRequest>),
}

impl<'r> Trigger<'r> {
    fn request(self) -> Option<&'r CleanRequest> {
        match self {
            Self::Timer | Self::Limit(_, None) => None,
            Self::Clean(request) | Self::Limit(_, Some(request)) => Some(request),
        }
    }

    /// Returns true if a clean asks.
    pub(super) fn is_asked(self) -> bool {
        self.request().is_some()
    }

    pub(super) fn wants_root(self, root: RootId) -> bool {
        self.request().is_none_or(|of| of.wants_root(root))
    }

    pub(super) fn wants_job(self, job: &Job) -> bool {
        let id = job.key.id.as_bytes();
        self.request().is_none_or(|of| of.wants_job_id(id))
    }

    pub(super) fn wants_rule(self, policy: &Policy, id: RuleId) -> bool {
        let rule = policy.rule(id);
        // What tells orphans from files whose job is not known yet is their age.
        if matches!(self, Self::Limit(..)) && rule.jobs == JobFilter::Nobody {
            return false;
        }
        let Some(request) = self.request() else {
            return rule.schedule == Schedule::AtDeadline;
        };
        request.wants_rule(id, rule)
            && (!request.orphans_only || rule.jobs == JobFilter::Nobody)
            && request
                .roots
                .as_ref()
                .is_none_or(|roots| roots.iter().any(|root| rule.applies_to(*root)))
    }

    /// Returns true if some rule has another time to live than its own.
    pub(super) fn has_retention(self) -> bool {
        matches!(self, Self::Limit(..))
            || self.request().is_some_and(|of| !of.retention_ms.is_empty())
    }

    /// Returns the time to live that `rule` has instead of its own.
    pub(super) fn retention_of(self, rule: RuleId) -> Option<i64> {
        match self {
            Self::Limit(age_ms, _) => Some(age_ms),
            Self::Timer | Self::Clean(_) => self.request()?.retention_of(rule),
        }
    }

    /// Returns `lapse` with that time to live.
    pub(super) fn lapse(self, lapse: Lapse) -> Lapse {
        lapse.under(self.retention_of(lapse.rule))
    }
}

impl LapseState {
    /// Instant at which a timer should look at it again.
    pub(super) fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Never | Self::Claimed | Self::Held { until: None, .. } => None,
            Self::Waits(at)
            | Self::Held {
                until: Some(at), ..
            } => Some(*at),
            Self::Due => Some(Timestamp::MIN),
        }
    }

    pub(super) fn held(hold: Hold, until: Option<Timestamp>) -> Self {
        let until = until.filter(|&at| at < Timestamp::MAX);
        Self::Held { hold, until }
    }
}

impl Lapse {
    pub(super) const fn at(deadline: Timestamp, rule: RuleId, basis: Timestamp) -> Self {
        Self {
            rule,
            basis,
            deadline,
            regular: deadline,
        }
    }

    pub(super) fn new(rule: RuleId, basis: Timestamp, expire_ms: i64) -> Self {
        Self::at(basis.plus_ms(expire_ms), rule, basis)
    }

    /// The same with another time to live, if there is one.
    pub(super) fn under(self, retention_ms: Option<i64>) -> Self {
        let deadline = retention_ms.map_or(self.deadline, |ms| self.basis.plus_ms(ms));
        Self { deadline, ..self }
    }

    /// Lapse of an entry with a deadline of its own.
    pub(super) fn of(class: Class, basis: Timestamp, deadline: Option<Timestamp>) -> Option<Self> {
        match class {
            Class::File(rule) => Some(Self::at(deadline?, rule, basis)),
            Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => None,
        }
    }
}

impl HoldTable {
    /// The directory in which others share the holds of `item`: its own, or the root's for a
    /// top-level directory.
    pub(super) fn place_of(index: &Index, item: &Item) -> Option<(DirId, Refused)> {
        match item {
            Item::File(dir, name) => Some((*dir, Refused::File(Index::hash_of(*dir, name)))),
            Item::Dir(dir) => Some((index.dir(*dir)?.parent?, Refused::Dir(*dir))),
            Item::Job(..) => None,
        }
    }

    /// Hold of `item` alone, not of a whole root, with the instant of its next try if it has one of
    /// its own.
    pub(super) fn hold_of(&self, index: &Index, item: &Item) -> Option<(&Hold, Option<Timestamp>)> {
        if let Some(held) = self.get(item) {
            return Some((&held.hold, Some(held.retry_at)));
        }
        let place = self.has_shared().then(|| Self::place_of(index, item))??;
        Some((self.shared_hold(place)?, None))
    }
}

impl Engine {
    /// State of a file or directory. The order tells which of several holds is named. `path`: its
    /// path, if that is known.
    pub(super) fn lapse_state(
        &self,
        (root, path): (RootId, Option<&RelPath>),
        item: &Item,
        lapse: Lapse,
        trigger: Trigger<'_>,
        now: Now,
    ) -> LapseState {
        let is_on_request = !trigger.is_asked() && self.mode == Mode::OnRequest;
        if is_on_request || !trigger.wants_rule(&self.policy, lapse.rule) {
            return LapseState::Never;
        }
        if lapse.deadline > now.wall {
            return LapseState::Waits(self.guard.effective(lapse.basis, lapse.deadline));
        }
        if self.is_claimed_for(item, trigger) {
            return LapseState::Claimed;
        }
        if let Some((hold, until)) = self.holds_around((root, path), item, lapse, now).next() {
            return LapseState::held(hold, until);
        }
        match (self.holds.hold_of(&self.index, item), trigger.is_asked()) {
            (Some((hold, until)), false) if until.is_none_or(|at| at > now.wall) => {
                LapseState::held(hold.clone(), until)
            }
            // What is not decided yet is not for the asking either.
            (Some((Hold::Reconciling, _)), true) => LapseState::held(Hold::Reconciling, None),
            (_, _) => LapseState::Due,
        }
    }

    /// Holds of a due file or directory for other reasons than its own, each with the instant at
    /// which it ends by itself.
    fn holds_around<'e>(
        &'e self,
        (root, path): (RootId, Option<&'e RelPath>),
        item: &'e Item,
        lapse: Lapse,
        now: Now,
    ) -> impl Iterator<Item = (Hold, Option<Timestamp>)> + 'e {
        let of_pause = move || Some((self.paused(root)?, None));
        let of_root = move || {
            let hold = self.roots.get(&root)?.hold(lapse.deadline)?;
            Some((hold, None))
        };
        let path = move || match path {
            Some(path) => Some(Cow::Borrowed(path)),
            None => Some(Cow::Owned(self.path_of(item)?.1)),
        };
        let of_clock = move || {
            let hold = self.guard.hold(lapse.basis, lapse.deadline, now)?;
            let until = self.guard.effective(lapse.basis, lapse.deadline);
            Some((hold, Some(until.max(now.wall.plus_ms(1)))))
        };
        once_with(of_pause)
            .chain(once_with(of_root))
            .chain(once_with(|| Some((self.saved.hold()?, None))))
            .chain(once_with(of_clock))
            .chain(once_with(move || {
                Some((self.hold_by_job(root, path, lapse.rule, now)?, None))
            }))
            .chain(once_with(move || {
                let of = (lapse.rule, lapse.basis);
                Some((self.hold_by_count(root, path, of)?, None))
            }))
            .flatten()
    }

    /// Everything that holds a due item, or (when it is not due yet) would hold it now.
    pub(super) fn all_holds(&self, root: RootId, item: &Item, lapse: Lapse, now: Now) -> Vec<Hold> {
        let around = self.holds_around((root, None), item, lapse, now);
        let mut holds: Vec<Hold> = around.map(|(hold, _)| hold).collect();
        let own = self.holds.hold_of(&self.index, item);
        holds.extend(own.map(|(hold, _)| hold.clone()));
        if self.mode == Mode::DryRun && !holds.contains(&Hold::DryRun) {
            holds.push(Hold::DryRun);
        }
        holds
    }

    /// Hold of a due file or directory by the jobs that own it, or may own it, and by pins.
    fn hold_by_job<'p>(
        &self,
        root: RootId,
        path: impl FnOnce() -> Option<Cow<'p, RelPath>>,
        rule: RuleId,
        now: Now,
    ) -> Option<Hold> {
        let holds = self.job_holds();
        if !holds.concern(root) {
            return None;
        }
        let path = path()?;
        if self.orphans_held(root, rule) {
            return Some(Hold::Breaker);
        }
        holds.hold(root, &path, rule, now.wall)
    }
}
