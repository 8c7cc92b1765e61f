//! State of each limit, and of each sum that is above its mark.

use std::collections::BTreeMap;

use super::limit_space_state::SpaceState;
use crate::core::claim::LimitScope;
use crate::core::hold::Hold;
use crate::core::limits::Fill;
use crate::core::policy::Limit;
use crate::core::report::LimitPhase;
use crate::core::time::Timestamp;

/// A limit of the policy.
#[derive(Debug)]
pub(super) struct LimitState {
    pub(super) scope: LimitScope,
    pub(super) limit: Limit,
    /// It was not looked at since the start or an edit: what it makes due counts for the breaker.
    pub(super) is_fresh: bool,
    /// Likewise for what the file system lacks.
    pub(super) is_space_fresh: bool,
    /// Hold of it as a whole.
    pub(super) hold: Option<Hold>,
    /// Free space of the file system, for limits that ask for some.
    pub(super) space: SpaceState,
}

impl LimitState {
    pub(super) fn new(scope: LimitScope, limit: Limit) -> Self {
        Self {
            scope,
            limit,
            is_fresh: true,
            is_space_fresh: true,
            hold: None,
            space: SpaceState::default(),
        }
    }
}

/// A sum that is brought down.
#[derive(Debug)]
pub(super) struct Run {
    /// It is not tried again before.
    retry_at: Timestamp,
    /// Nor is it before this, when the sum has changed.
    changed_at: Timestamp,
    /// The sum at the last try.
    seen: Fill,
    tries: u32,
    /// Numbers of things that were passed over at the last try, by the hold's code.
    pub(super) passed: BTreeMap<&'static str, u64>,
    pub(super) is_unmet: bool,
    /// Something was claimed: from then on the low mark counts.
    pub(super) is_started: bool,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            retry_at: Timestamp::MIN,
            changed_at: Timestamp::MIN,
            seen: Fill::default(),
            tries: 0,
            passed: BTreeMap::new(),
            is_unmet: false,
            is_started: false,
        }
    }
}

/// The first try after one in vain.
const RETRY_MIN_MS: i64 = 1000;
/// The bound of later ones: what ends holds mostly raises no event for a limit.
const RETRY_MAX_MS: i64 = 60_000;
/// The first try after one in vain when the sum has changed, and when something is old enough: many
/// things may come, or reach their age, one after the other.
const CHANGE_MIN_MS: i64 = 20;

impl Run {
    /// Returns the instant from which the sum may be looked at, when it is `fill`.
    pub(super) fn try_at(&self, fill: Fill) -> Timestamp {
        if fill == self.seen {
            self.retry_at
        } else {
            self.retry_at.min(self.changed_at)
        }
    }

    pub(super) fn on_progress(&mut self) {
        (self.retry_at, self.tries) = (Timestamp::MIN, 0);
        self.is_unmet = false;
    }

    /// Nothing could be taken, or too little; what is passed over now is old enough at `next_age`.
    /// Returns when it is tried again.
    pub(super) fn on_unmet(
        &mut self,
        fill: Fill,
        next_age: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let wait = (RETRY_MIN_MS << self.tries.min(10)).min(RETRY_MAX_MS);
        let changed = (CHANGE_MIN_MS << self.tries.min(10)).min(RETRY_MIN_MS);
        (self.seen, self.changed_at) = (fill, now.plus_ms(changed));
        self.tries += 1;
        let mut at = now.plus_ms(wait);
        if let Some(age) = next_age {
            at = at.min(age.max(now.plus_ms(CHANGE_MIN_MS)));
        }
        self.is_unmet = true;
        self.retry_at = at;
        at
    }

    pub(super) fn phase(&self) -> LimitPhase {
        if self.is_unmet {
            let passed = self.passed.iter();
            LimitPhase::Unmet {
                passed: passed
                    .map(|(code, count)| ((*code).to_owned(), *count))
                    .collect(),
            }
        } else {
            LimitPhase::Removing
        }
    }
}
