//! Report of a clean: the same with and without a daemon.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Breaker, HeldLine, JsonPath};
use crate::core::claim::Unit;
use crate::core::jobs::Status;
use crate::core::run::RunStatus;

/// The report of a run: what it removed, or would remove.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Number of the run; `null`: a dry run is none.
    #[serde(default)]
    pub run: Option<u64>,
    /// True if nothing was removed, by the order or by the configuration.
    pub dry_run: bool,
    /// Outcome.
    pub status: RunStatus,
    /// Start, in UTC.
    pub started: String,
    /// End, in UTC.
    pub finished: String,
    /// Files that were removed, or would be.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Totals of what was removed, or would be, by root; roots without any are left out.
    #[serde(default)]
    pub roots: Vec<RootTotals>,
    /// Totals of what was removed, or would be, by rule; rules without any are left out.
    pub rules: Vec<RuleTotals>,
    /// Removed things, or those that would be. Jobs without files are in `jobs` only.
    pub removed: Vec<ReportItem>,
    /// Things that are due and held for an ordinary reason, such as a process that has them open.
    pub held: Vec<ReportItem>,
    /// Numbers of held things, by reason.
    pub holds: Vec<HeldLine>,
    /// Failures: what could not be read, removed or recorded.
    pub errors: Vec<ReportError>,
    /// Optional things that could not be read.
    pub notes: Vec<ReportError>,
    /// Jobs whose files are removed as a whole, and their records; and jobs of which something was
    /// removed under a rule that names the status of jobs.
    pub jobs: Vec<ReportJob>,
    /// Breakers that hold something of what was asked for.
    pub breaker: Breaker,
}

/// Totals of one root in a [`Report`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RootTotals {
    /// The root's name.
    pub root: String,
    /// Files.
    pub files: u64,
    /// Top-level directories that are removed as a whole.
    pub directories: u64,
    /// Files, directories and jobs that are removed as a whole; a job counts in each root in which
    /// it loses something.
    pub units: u64,
    /// Jobs whose files are removed as a whole.
    pub jobs: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Totals of one rule in a [`Report`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RuleTotals {
    /// The rule's name.
    pub rule: String,
    /// Files.
    pub files: u64,
    /// Top-level directories that are removed as a whole.
    pub directories: u64,
    /// Files, directories and jobs that are removed as a whole.
    #[serde(default)]
    pub units: u64,
    /// Jobs whose files are removed as a whole, jobs without files included.
    pub jobs: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// One thing that was removed or is held.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportItem {
    /// Its absolute path.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Its root's name.
    pub root: String,
    /// Its unit.
    pub unit: Unit,
    /// The rule's name.
    pub rule: String,
    /// Id of the job that decides about it; `null`: none does.
    pub job: Option<String>,
    /// Instant that the deadline counts from, in UTC.
    pub since: String,
    /// The deadline that had passed, in UTC.
    pub deadline: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The limit that makes it due before its time: `max_size`, or `root.max_size` for one of its
    /// root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The code of the hold that keeps it.
    pub hold: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Subject of a [`ReportError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// A source of jobs could not be read.
    Source,
    /// A root is missing, or could not be read.
    Root,
    /// An optional root is missing: it counts as empty.
    RootMissing,
    /// A directory of a root could not be read.
    Directory,
    /// Something that is due could not be removed.
    Removal,
    /// A job's record could not be written to its source.
    Record,
    /// The run could not be recorded.
    Run,
}

/// A failure, or a note, in a [`Report`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportError {
    /// Subject.
    pub kind: ErrorKind,
    /// The source's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The root's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The absolute path.
    #[serde(flatten)]
    #[schema(value_type = super::OptionalPath)]
    pub path: Option<JsonPath>,
    /// The rule's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The code of the hold that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// Failure, and what would fix it.
    pub why: String,
}

impl ReportError {
    /// Failure without a subject.
    #[must_use]
    pub fn new(kind: ErrorKind, why: String) -> Self {
        Self {
            kind,
            source: None,
            root: None,
            path: None,
            rule: None,
            hold: None,
            why,
        }
    }
}

/// Outcome for a job's record at its source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobRecord {
    /// It stays as it is: the rule wants that.
    Kept,
    /// The source notes that the job was cleaned.
    Marked,
    /// The source removes it.
    Forgotten,
    /// It stays as it is, because the job is held.
    Held,
}

/// A job in a [`Report`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportJob {
    /// Its id.
    pub id: String,
    /// Its source's name.
    pub source: String,
    /// Its kind, in the application's words.
    pub kind: Option<String>,
    /// Its status.
    pub status: Status,
    /// The rule's name.
    pub rule: String,
    /// Instant of its creation, in UTC.
    pub created_at: Option<String>,
    /// Instant at which it began to run, in UTC.
    pub started_at: Option<String>,
    /// Instant of its end, in UTC.
    pub completed_at: Option<String>,
    /// Reason why it failed, in the application's words.
    pub error: Option<String>,
    /// Other columns of its row, as its source gives them; `null`: the row was not read for this
    /// (the job is held, or is not removed as a whole), or a report has no room for more.
    pub columns: Option<BTreeMap<String, serde_json::Value>>,
    /// Files that are removed with it, by themselves: the first 1,000 of these and of
    /// `directories` together.
    pub files: Vec<ReportThing>,
    /// Directories that are removed with it, as a whole.
    pub directories: Vec<ReportThing>,
    /// Files that are removed with it, those in directories included.
    pub file_count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Outcome for its record.
    pub record: JobRecord,
    /// The code of the hold that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A file or directory that is removed with a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReportThing {
    /// Its absolute path.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Its root's name.
    pub root: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}
