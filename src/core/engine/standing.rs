//! How one entry or unit stands: it waits, is due, is claimed, or is held, and why.
//!
//! **Invariant:** everything that keeps a due thing in its place is named here.

use super::held::Stay;
use super::state::Engine;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::policy::{Class, Schedule};
use crate::core::report::Mode;
use crate::core::time::{Now, Timestamp};

/// How one entry or unit stands at an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
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

/// What [`Engine::standing`] looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lapse {
    pub(super) rule: RuleId,
    pub(super) basis: Timestamp,
    pub(super) deadline: Timestamp,
}

impl Standing {
    /// When a timer should look at it again.
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
}

impl Engine {
    /// How an entry or unit stands. The order tells which of several holds is named.
    pub(super) fn standing(
        &self,
        root: RootId,
        dir: DirId,
        name: &[u8],
        lapse: Lapse,
        now: Now,
    ) -> Standing {
        let by_itself = self.policy.rule(lapse.rule).schedule == Schedule::AtDeadline;
        if self.mode == Mode::OnRequest || !by_itself {
            return Standing::Never;
        }
        let effective = self.guard.effective(lapse.basis, lapse.deadline);
        if lapse.deadline > now.wall {
            return Standing::Waits(effective);
        }
        let stay = self.held.get(dir, name);
        if matches!(stay, Some(Stay::Claimed { .. })) {
            return Standing::Claimed;
        }
        if let Some(hold) = self
            .roots
            .get(&root)
            .and_then(|state| state.hold(lapse.deadline))
        {
            return Standing::Held { hold, until: None };
        }
        if let Some(hold) = self.unsaved_hold() {
            return Standing::Held { hold, until: None };
        }
        if let Some(hold) = self.guard.hold(lapse.basis, lapse.deadline, now) {
            return Standing::Held {
                hold,
                until: Some(effective.max(now.wall.plus_ms(1))),
            };
        }
        if let Some(hold) = self.hold_by_job(root, dir, name, lapse.rule, now) {
            return Standing::Held { hold, until: None };
        }
        match stay {
            Some(Stay::Held { hold, retry_at, .. }) if *retry_at > now.wall => Standing::Held {
                hold: hold.clone(),
                until: Some(*retry_at).filter(|&at| at < Timestamp::MAX),
            },
            Some(Stay::Held { .. } | Stay::Claimed { .. }) | None => Standing::Due,
        }
    }
}

impl Engine {
    /// What holds a due thing on account of the jobs that own it, or may own it, and of pins.
    pub(super) fn hold_by_job(
        &self,
        root: RootId,
        dir: DirId,
        name: &[u8],
        rule: RuleId,
        now: Now,
    ) -> Option<Hold> {
        let holds = self.job_holds();
        if !holds.concern(root) {
            return None;
        }
        let (_, path) = self.path_of(dir, name)?;
        if self.orphans_held(root, rule) {
            return Some(Hold::Breaker);
        }
        holds.hold(root, &path, rule, now.wall)
    }
}

/// What decides about an entry with a deadline of its own.
pub(super) fn lapse_of(
    class: Class,
    basis: Timestamp,
    deadline: Option<Timestamp>,
) -> Option<Lapse> {
    match class {
        Class::File(rule) => Some(Lapse {
            rule,
            basis,
            deadline: deadline?,
        }),
        Class::Unruled | Class::Kept(_) | Class::Dir(_) | Class::Job(_) => None,
    }
}
