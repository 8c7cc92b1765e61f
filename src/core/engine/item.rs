//! Items, each of which lapses as a whole.

use std::ops::{Range, RangeInclusive};

use crate::core::claim::Unit;
use crate::core::facts::RuleId;
use crate::core::index::DirId;
use crate::core::jobs::SourceId;
use crate::core::observed::Name;

/// One thing that lapses as a whole, where the engine has it: the key of the tables of holds and
/// claims.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Item {
    /// An entry of a directory.
    File(DirId, Name),
    /// A top-level directory with all that it holds.
    Dir(DirId),
    /// All that a job owns and one rule takes.
    Job(SourceId, u32, RuleId),
}

impl Item {
    /// The entry `name` of `dir`.
    pub(super) fn file(dir: DirId, name: &[u8]) -> Self {
        Self::File(dir, name.into())
    }

    /// The range of all entries of `dir`.
    pub(super) fn files_of(dir: DirId) -> Range<Self> {
        let end = dir.0.checked_add(1);
        let end = DirId(end.expect("invariant: the last number is no directory"));
        Self::file(dir, b"")..Self::file(end, b"")
    }

    /// The range of all that a job owns, under any rule.
    pub(super) fn rules_of(source: SourceId, no: u32) -> RangeInclusive<Self> {
        Self::Job(source, no, RuleId(0))..=Self::Job(source, no, RuleId(u16::MAX))
    }

    /// The word for what goes with it.
    pub(super) const fn unit(&self) -> Unit {
        match self {
            Self::File(..) => Unit::File,
            Self::Dir(_) => Unit::Dir,
            Self::Job(..) => Unit::Job,
        }
    }
}
