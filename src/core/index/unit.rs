//! Top-level directories that lapse as a whole.
//!
//! **Invariant:** a unit's usage is exactly the entries beneath it that go with it
//! ([`Class::Dir`]).
//!
//! [`Class::Dir`]: crate::core::policy::Class::Dir

use super::usage::Usage;
use crate::core::facts::{Latest, RuleId};
use crate::core::time::Timestamp;

/// Rule and deadline of a top-level directory that lapses as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitRule {
    /// The rule.
    pub rule: RuleId,
    /// The timestamp that the rule counts from.
    pub basis: Timestamp,
    /// The latest timestamps in the tree.
    pub latest: Latest,
    /// Time to live in milliseconds; `None`: for ever.
    pub expire_ms: Option<i64>,
}

/// A top-level directory that lapses as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitState {
    /// The rule.
    pub rule: RuleId,
    /// The timestamp that the rule counts from.
    pub basis: Timestamp,
    /// The latest timestamps in the tree.
    pub latest: Latest,
    /// Deadline; `None`: never.
    pub deadline: Option<Timestamp>,
    /// Files beneath it that go with it.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
}

/// A unit as the catalog keeps it.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) rule: UnitRule,
    pub(super) usage: Usage,
}

impl Unit {
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let expire_ms = self.rule.expire_ms?;
        Some(self.rule.basis.plus_ms(expire_ms))
    }

    pub(super) fn state(&self) -> UnitState {
        UnitState {
            rule: self.rule.rule,
            basis: self.rule.basis,
            latest: self.rule.latest,
            deadline: self.deadline(),
            files: self.usage.files(),
            bytes: self.usage.bytes(),
        }
    }
}
