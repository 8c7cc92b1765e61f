//! Runs: each clean that could remove something, from its order to its report.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CleanOrder, HeldLine, Removal, ReportError, RuleTotals};
use crate::core::principal::Principal;
use crate::core::run::{RunCause, RunStatus};

/// `GET /v1/runs`: one page of runs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Runs {
    /// Runs, newest first.
    pub runs: Vec<Run>,
    /// Position to continue at; `null` when there is no more.
    pub cursor: Option<String>,
}

/// A run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its number: larger than that of every earlier run.
    pub id: u64,
    /// State or outcome.
    pub status: RunStatus,
    /// Start, in UTC.
    pub started: String,
    /// End, in UTC; `null`: it has not ended, or its process ended first.
    pub finished: Option<String>,
    /// Items that were due when it looked, while it is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
    /// Those of them that it is through with, while it is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<u64>,
    /// The part of the ledger that its removals are in.
    pub ledger: LedgerRange,
    /// Order, requester and sums.
    #[serde(flatten)]
    pub details: RunDetails,
}

/// Order, requester and sums of a [`Run`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunDetails {
    /// Cause.
    pub cause: RunCause,
    /// Name of the schedule whose run it is; rules with a schedule are in the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Requester.
    pub by: Principal,
    /// The order. Of a schedule: its rules.
    pub order: CleanOrder,
    /// Ids of jobs, paths and things in the order that are left out here, because there are too
    /// many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jobs_left_out: u64,
    /// Reason why it ended before it was through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Sums; of a run that is running, until now.
    #[serde(flatten)]
    pub summary: RunSummary,
}

/// Sums of a [`Run`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// Removed files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Jobs whose files were removed as a whole.
    #[serde(default)]
    pub jobs: u64,
    /// Things that were due and held.
    #[serde(default)]
    pub held: u64,
    /// Failures: what could not be read, removed or recorded.
    #[serde(default)]
    pub errors: u64,
    /// Totals of what was removed, by rule.
    #[serde(default)]
    pub rules: Vec<RuleTotals>,
    /// Numbers of held things, by reason.
    #[serde(default)]
    pub holds: Vec<HeldLine>,
    /// The first of the failures.
    #[serde(default)]
    pub failures: Vec<ReportError>,
}

/// Part of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LedgerRange {
    /// Position before its first line.
    pub from: String,
    /// Position behind its last line: a cursor of `GET /v1/history`. `null` while it grows.
    pub to: Option<String>,
}

/// `GET /v1/runs/{id}`: a run, with one page of what it removed.
///
/// Each removal is a line of the ledger, byte by byte: a client decodes it as a [`Removal`], or
/// takes its text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RunReport<L = Removal> {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Its removals, newest first.
    pub removed: Vec<L>,
    /// Position to continue at; `null` when there is no more.
    pub cursor: Option<String>,
    /// Descriptions of the lines that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
