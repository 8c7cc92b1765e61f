//! Rows of the record of shadow mode, and of answers from it.

use crate::core::shadow::{ShadowKind, ShadowList};
use crate::core::time::Timestamp;

/// A thing in the record.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ShadowRow {
    /// Its number; 0 for one that is not recorded yet.
    pub id: i64,
    /// Its kind.
    pub kind: ShadowKind,
    /// The root's name; of a record, the source's.
    pub root: String,
    /// The absolute path; of a record, the job's id.
    pub path: Vec<u8>,
    /// Begin of its life.
    pub basis: Timestamp,
    /// Its bytes.
    pub bytes: u64,
    /// Job that owns it.
    pub job: Option<String>,
    /// Rule that it falls under.
    pub rule: Option<String>,
    /// Fate of a record: `marked` or `forgotten`.
    pub record: Option<String>,
    /// Reason for which it would be removed, or kept.
    pub why: String,
    /// Its deadline.
    pub deadline: Option<Timestamp>,
    /// Instant at which it would have been removed, had others not been first.
    pub foretold: Option<Timestamp>,
    /// Instant at which it would have been removed.
    pub due_at: Option<Timestamp>,
    /// Instant at which it was noticed that others removed it.
    pub gone_at: Option<Timestamp>,
    /// True if it was written again after it would have been removed.
    pub rewritten: bool,
    /// The list that it is in; before it is recorded, the default.
    pub list: ShadowList,
}

/// Sums of a list, by kind and rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShadowSum {
    /// The list.
    pub list: ShadowList,
    /// Its kind.
    pub kind: ShadowKind,
    /// The rule; empty for things without one.
    pub rule: String,
    /// Number of things.
    pub things: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Extent of the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShadowExtent {
    /// Its begin.
    pub since: Timestamp,
    /// Older things that were dropped because there were too many.
    pub dropped: u64,
    /// Reports that could not be recorded.
    pub lost: u64,
}

/// Rows of an answer.
#[derive(Clone, Copy, Debug)]
pub struct ShadowFilter {
    /// The list; `None`: all.
    pub list: Option<ShadowList>,
    /// Only what happened since.
    pub since: Option<Timestamp>,
    /// Only rows with a smaller number.
    pub before: Option<i64>,
    /// Maximum number of rows.
    pub limit: u64,
    /// The instant of the question.
    pub now: Timestamp,
}

/// Reports to be recorded together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ShadowReports {
    /// Things that would be removed.
    pub due: Vec<ShadowRow>,
    /// Things that others removed.
    pub gone: Vec<ShadowRow>,
    /// Things that have another name now.
    pub moved: Vec<ShadowRow>,
    /// Number of things that could not be recorded.
    pub lost: u64,
}
