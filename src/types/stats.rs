//! Answer of `GET /v1/stats`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::jobs::Status;
use crate::core::totals::{Sum, TotalKey};

/// `GET /v1/stats`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Totals {
    /// Removals by day, where that is asked for, root and rule.
    pub totals: Vec<Total>,
    /// Jobs by the day on which they ended, where that is asked for, and source.
    pub jobs: Vec<JobTotal>,
    /// Names of sources that cannot be read now: their jobs are counted as they were last read.
    pub unread: Vec<String>,
}

/// Removals of a rule in a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Total {
    /// The day in UTC of the removals; `null`: all of them.
    pub day: Option<String>,
    /// The root's name; of a job in several roots the first one's.
    pub root: String,
    /// The rule's name.
    pub rule: String,
    /// Files, directories and jobs that went as a whole.
    pub units: i64,
    /// Jobs among them: all that a job owned under the rule.
    pub jobs: i64,
    /// Regular files.
    pub files: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Files that were displaced: they lie in the quarantine.
    pub displaced: i64,
}

/// Jobs of a source that have ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobTotal {
    /// The day in UTC on which they ended; `null`: all of them, or, by day, jobs whose source does
    /// not tell.
    pub day: Option<String>,
    /// The source's name.
    pub source: String,
    /// Numbers.
    #[serde(flatten)]
    pub counts: JobCounts,
    /// Completed jobs of those that completed or failed, from 0 to 1; `null`: there is none.
    pub rate: Option<f64>,
    /// Cleaned jobs of all that have ended, from 0 to 1; `null`: there is none.
    pub cleanup_rate: Option<f64>,
}

/// Numbers of jobs that have ended: those that their source has now, and those whose rows lapsed
/// deleted there. Jobs that the application deletes are not counted any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct JobCounts {
    /// Jobs that ended well.
    pub completed: u64,
    /// Jobs that ended badly.
    pub failed: u64,
    /// Jobs that a user ended.
    pub cancelled: u64,
    /// Removals, up to now, of all that one of the jobs owned: by the ledger, so jobs that the
    /// application has deleted since are among them. A job whose files lapse by several rules
    /// counts for each.
    pub cleaned: i64,
}

impl JobCounts {
    /// Adds `count` jobs that ended as `status` says.
    pub(crate) fn add(&mut self, status: Status, count: u64) {
        match status {
            Status::Completed => self.completed += count,
            Status::Failed => self.failed += count,
            Status::Cancelled => self.cancelled += count,
            Status::Pending | Status::Running => {}
        }
    }
}

impl From<((String, String), JobCounts)> for JobTotal {
    fn from(((day, source), counts): ((String, String), JobCounts)) -> Self {
        let cleaned = u64::try_from(counts.cleaned).unwrap_or(0);
        let tried = counts.completed + counts.failed;
        // What was cleaned had ended.
        let ended = cleaned.max(tried + counts.cancelled);
        Self {
            day: (!day.is_empty()).then_some(day),
            source,
            counts,
            rate: rate(counts.completed, tried),
            cleanup_rate: rate(cleaned, ended),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 jobs")]
fn rate(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

impl From<(TotalKey, (Sum, i64))> for Total {
    fn from((key, (sum, jobs)): (TotalKey, (Sum, i64))) -> Self {
        let Sum {
            units,
            files,
            bytes,
            displaced,
        } = sum;
        Self {
            day: (!key.day.is_empty()).then_some(key.day),
            root: key.root,
            rule: key.rule,
            units,
            jobs,
            files,
            bytes,
            displaced,
        }
    }
}
