//! The JSON of jobs, of their sources, and of orders about them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;
use crate::core::jobs;
use crate::core::policy::Record;
use crate::core::time::Timestamp;
use crate::types::{ChangesBy, ClaimState, JsonPath, SourceKind, SourceState};

/// Fields of every answer about a job.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct JobLine {
    /// Its id there.
    pub id: String,
    /// The name of the source that tells of it; `null`: no source is asked.
    pub source: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Status; `null`: no source knows it.
    pub status: Option<jobs::Status>,
    /// Instant of its creation.
    pub created_at: Option<String>,
    /// Instant of its end.
    pub completed_at: Option<String>,
    /// Instant of the last activity.
    pub last_activity: Option<String>,
    /// Instant at which it expires, by its own row.
    pub expires_at: Option<String>,
    /// Instant at which it was cleaned.
    pub cleaned_at: Option<String>,
}

impl JobLine {
    /// A job of which nothing is known but what a path says.
    #[must_use]
    pub fn captured(id: String, source: Option<String>) -> Self {
        Self {
            id,
            source,
            ..Self::default()
        }
    }

    /// Line of a job of the source named `source`.
    #[must_use]
    pub fn known(job: &jobs::Job, source: &str) -> Self {
        let known = Self {
            kind: job.kind.as_deref().map(str::to_owned),
            status: Some(job.status),
            ..Self::captured(job.key.id.clone(), Some(source.to_owned()))
        };
        known.at(&job.moments)
    }

    fn at(self, moments: &jobs::JobTimestamps) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            created_at: text(moments.created_at),
            completed_at: text(moments.completed_at),
            last_activity: text(moments.last_activity),
            expires_at: text(moments.expires_at),
            cleaned_at: text(moments.cleaned_at),
            ..self
        }
    }
}

/// `GET /v1/jobs`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Jobs {
    /// The jobs, by source and id.
    pub jobs: Vec<JobLine>,
    /// Position of the next page; `null`: this is the last.
    pub cursor: Option<String>,
}

/// `GET`, `PUT` and `DELETE /v1/jobs/{id}`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Fields of every answer about a job.
    #[serde(flatten)]
    pub line: JobLine,
    /// The source's own word, when nobody has said what it means: the job counts as running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_status: Option<String>,
    /// A value of it that cannot be read: then nothing of the job goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Error, in the application's words.
    pub error: Option<String>,
    /// The files that it claims, as its source names them.
    pub files: Vec<String>,
    /// Whatever else its source tells.
    pub attributes: BTreeMap<String, serde_json::Value>,
    /// Places of those files.
    pub claims: Vec<Claim>,
    /// Write to its row that is still to come, now that its files are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<PendingRecord>,
    /// True if its row was deleted at its source after its files were removed: these are the facts
    /// that were kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
    /// Instant of the deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten_at: Option<String>,
    /// Removal of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<JobRemoval>,
}

/// Removal of the files of a forgotten job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobRemoval {
    /// Instant.
    pub at: String,
    /// The rule's name.
    pub rule: String,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The number of its line in the ledger.
    pub ledger_id: u64,
}

impl Job {
    /// The row of a job of the source that is named `source`.
    #[must_use]
    pub fn from_row(row: jobs::JobRow, source: &str, claims: Vec<Claim>) -> Self {
        let line = JobLine {
            kind: row.kind,
            status: Some(row.status),
            ..JobLine::captured(row.id, Some(source.to_owned()))
        };
        Self {
            line: line.at(&row.moments),
            unknown_status: row.unknown_status,
            unreadable: row.unreadable,
            error: row.error,
            files: row.files,
            attributes: row.attributes,
            claims,
            ..Self::default()
        }
    }
}

/// A file that a job claims.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// As the source names it.
    pub file: String,
    /// Place.
    #[serde(flatten)]
    #[schema(value_type = super::OptionalPath)]
    pub path: Option<JsonPath>,
    /// State.
    pub state: ClaimState,
    /// Reason why it is not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Body of `PUT /v1/jobs/{id}`: the whole job; omitted fields are cleared.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"status": "completed", "files": ["results/17/scene.png"]})))]
pub struct JobOrder {
    /// Status. Required.
    pub status: Option<String>,
    /// Kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Instant of its creation; omitted: as known, or now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Moment>,
    /// Instant of its end; omitted for a job that has ended: as known, or now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Moment>,
    /// Instant of the last activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<Moment>,
    /// Instant at which it expires, by its own row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
    /// Instant at which it was cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleaned_at: Option<Moment>,
    /// Error, in the application's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The files that it claims.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Whatever else there is to say.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// A source of jobs, in [`super::Status`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Kind.
    pub kind: SourceKind,
    /// State of the reading.
    pub state: SourceState,
    /// Reason, and what would fix it.
    pub why: Option<String>,
    /// Way in which changes are noticed, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ChangesBy>,
    /// Reason why not in the better way, and what would fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_why: Option<String>,
    /// Number of jobs.
    pub jobs: u64,
    /// Instant at which jobs of a database were last read; `null`: not since the start.
    pub read_at: Option<String>,
    /// Records that wait to be written back to it.
    pub waiting_records: u64,
    /// Instant of the removal that the oldest of them is about.
    pub waiting_since: Option<String>,
    /// Number of them that the source refused; these do not delay the others.
    #[serde(default)]
    pub refused_records: u64,
    /// Some of those: the ones that were refused most often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<PendingRecord>,
    /// Error of the last attempt to write one.
    pub last_error: Option<String>,
    /// Claims of its jobs that are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_claims: Option<RefusedClaims>,
}

/// Claims that are refused: which files they mean is not known, and what they may mean is held.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusedClaims {
    /// Number of claims.
    pub claims: u64,
    /// Number of jobs that make them.
    pub jobs: u64,
    /// A job that makes one: one that has not ended, if there is such a job.
    pub job: String,
    /// Its claim, as the source has it.
    pub file: String,
    /// Reason of the refusal.
    pub why: String,
}

impl From<jobs::RefusedClaims> for RefusedClaims {
    fn from(found: jobs::RefusedClaims) -> Self {
        let jobs::RefusedClaim { job, file, why } = found.example;
        Self {
            claims: found.claims,
            jobs: found.jobs,
            job: job.id,
            file,
            why,
        }
    }
}

impl fmt::Display for RefusedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count, one, many| if count == 1 { one } else { many };
        if self.job == jobs::JobRow::UNNAMED {
            return write!(
                f,
                "{}: what they may own stays\n  give these rows an id, or leave them out of select",
                self.why
            );
        }
        write!(
            f,
            "{} {} of {} {} refused, such as {:?} of job {:?}: {}; what they may mean stays, with all that these jobs own\n  translate \
             their paths with path_map, set files_root, or leave such claims out of select",
            self.claims,
            plural(self.claims, "claim", "claims"),
            self.jobs,
            plural(self.jobs, "job is", "jobs are"),
            self.file,
            self.job,
            self.why,
        )
    }
}

/// A job's record that is still to be written back to its source.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PendingRecord {
    /// The job's id.
    pub job: String,
    /// Change that waits.
    pub action: Record,
    /// Instant at which the job's files were removed.
    pub since: String,
    /// Number of refusals by the source.
    pub attempts: u64,
    /// Last error of the source.
    pub error: Option<String>,
}

/// A breaker that has tripped for what nobody owns: of one root, or of all roots of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OrphanTrip {
    /// The root's name.
    pub root: Option<String>,
    /// The source's name.
    pub source: Option<String>,
    /// Reason.
    pub why: String,
}
