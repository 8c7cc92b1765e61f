//! Answer of `GET /v1/shadow`: what this daemon would remove, beside what others remove.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JsonPath;
use crate::core::shadow::{ShadowKind, ShadowList};

/// `GET /v1/shadow`: one page of the comparison.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Shadow {
    /// True while a daemon in shadow mode records.
    pub active: bool,
    /// Begin of the record.
    pub since: String,
    /// Older things that were dropped because the record was full.
    pub dropped: u64,
    /// Things that could not be recorded.
    pub lost: u64,
    /// Sums of the three lists, since the instant that was asked for.
    pub totals: Vec<ShadowTotal>,
    /// Things, newest first.
    pub things: Vec<ShadowThing>,
    /// Position to continue at; `null` when there is no more.
    pub cursor: Option<String>,
}

/// Sums of a list, by kind and rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShadowTotal {
    /// The list.
    pub list: ShadowList,
    /// Kind of the things.
    pub kind: ShadowKind,
    /// The rule; `null`: no rule matches.
    pub rule: Option<String>,
    /// Number of things.
    pub things: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A thing that others removed, or that this daemon would have removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShadowThing {
    /// The list that it is in.
    pub list: ShadowList,
    /// Its kind.
    pub kind: ShadowKind,
    /// The root's name; of a record, the source's.
    pub root: String,
    /// The absolute path; of a record, the job's id.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Its bytes.
    pub bytes: u64,
    /// The job that owns it.
    pub job: Option<String>,
    /// The rule that it falls under.
    pub rule: Option<String>,
    /// Fate of a record: `marked` or `forgotten`.
    pub record: Option<String>,
    /// Its deadline.
    pub deadline: Option<String>,
    /// Instant at which this daemon would have removed it.
    pub would: Option<String>,
    /// Instant at which it was noticed that others removed it.
    pub removed: Option<String>,
    /// Milliseconds from `would` to `removed`; negative: others were first.
    pub later_ms: Option<i64>,
    /// State of what only this daemon would have removed; `null`: not known, or gone.
    pub state: Option<ShadowState>,
    /// The reason why it would be removed, or kept.
    pub why: String,
}

/// State of what only this daemon would have removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShadowState {
    /// It is still there.
    There,
    /// It was written again: it is still in use.
    WrittenAgain,
}
