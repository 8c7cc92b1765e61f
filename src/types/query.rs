//! Query parameters, one struct for each route: the client writes them, the server reads them.
//!
//! **Invariant:** a parameter that is not a field is refused.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Bytes, Retention, SampleStep, Since, Size, Span};
use crate::core::jobs::Status;
use crate::core::run::{RunCause, RunStatus};
use crate::core::shadow::ShadowList;

/// Parameters of a route that takes none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

/// Parameters of `GET /v1/health`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct HealthQuery {
    /// Answer 503 unless the daemon is ready.
    pub ready: bool,
    /// Answer 503 while the daemon holds something or reads its roots, and while the last reload
    /// has failed.
    pub strict: bool,
}

/// Order of a list of files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SortBy {
    /// Oldest content first.
    Age,
    /// Largest first.
    Size,
    /// Soonest deadline first; files without one come last in both directions.
    Deadline,
    /// Bytes of the path.
    Path,
}

/// Direction of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SortOrder {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

/// Parameters of `GET /v1/files`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct FilesQuery {
    /// Name of a root.
    pub root: Option<String>,
    /// Id of a job that owns the files.
    pub job: Option<Bytes>,
    /// Status of a job that owns the files.
    pub status: Option<Status>,
    /// Only orphans: files that no job owns, in a root with owners.
    pub orphan: bool,
    /// Only pinned files.
    pub pinned: bool,
    /// Name of a rule; `none`: files that no rule matches.
    pub rule: Option<String>,
    /// Glob that the path in the root must match.
    pub glob: Option<String>,
    /// Code of a hold.
    pub hold: Option<String>,
    /// Only files with a deadline within this time.
    pub expiring_within: Option<Span>,
    /// Only files whose content did not change for this time.
    pub older_than: Option<Span>,
    /// Minimum size.
    pub min_size: Option<Size>,
    /// Order.
    pub sort: Option<SortBy>,
    /// Direction.
    pub order: Option<SortOrder>,
    /// Maximum number of files.
    pub limit: Option<u64>,
    /// Cursor of an earlier answer.
    pub cursor: Option<String>,
    /// Wait until all earlier changes are known.
    pub sync: bool,
}

/// Parameters of `GET /v1/explain`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct ExplainQuery {
    /// Absolute path.
    pub path: Option<Bytes>,
    /// The path in base64, instead of `path`.
    pub path_b64: Option<String>,
}

/// Parameters of `GET /v1/plan`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct PlanQuery {
    /// Time to look ahead; 24 h by default.
    pub within: Option<Span>,
}

/// Parameters of `GET /v1/space`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct SpaceQuery {
    /// Other times to live by rule, such as `old=7d,*=12h`: what would be due under them. `*`:
    /// every rule that is not named, apart from those of orphans.
    #[param(value_type = Option<String>)]
    pub retention: Option<Retention>,
}

/// Parameters of `GET /v1/history`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryQuery {
    /// Maximum number of lines.
    pub limit: Option<u64>,
    /// Cursor of an earlier answer.
    pub cursor: Option<String>,
    /// Name of a root.
    pub root: Option<String>,
    /// Name of a rule.
    pub rule: Option<String>,
    /// Id of a job.
    pub job: Option<String>,
    /// Number of a run.
    pub run: Option<u64>,
    /// Earliest instant, or a duration before now.
    #[param(value_type = Option<String>)]
    pub since: Option<Since>,
    /// Absolute path; removals of it and of everything below it.
    pub path: Option<Bytes>,
}

/// Parameters of `GET /v1/runs`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct RunsQuery {
    /// Maximum number of runs.
    pub limit: Option<u64>,
    /// Cursor of an earlier answer.
    pub cursor: Option<String>,
    /// State or outcome.
    pub status: Option<RunStatus>,
    /// Cause.
    pub cause: Option<RunCause>,
    /// Name of a root that the order is about; an order that names no root is about all.
    pub root: Option<String>,
    /// The client's word in the order.
    pub key: Option<String>,
    /// Earliest start, or a duration before now.
    #[param(value_type = Option<String>)]
    pub since: Option<Since>,
}

/// Parameters of `GET /v1/shadow`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct ShadowQuery {
    /// One of the three lists; all by default.
    pub list: Option<ShadowList>,
    /// Earliest instant, or a duration before now.
    #[param(value_type = Option<String>)]
    pub since: Option<Since>,
    /// Maximum number of things.
    pub limit: Option<u64>,
    /// Cursor of an earlier answer.
    pub cursor: Option<String>,
}

/// Parameters of `GET /v1/runs/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct RunQuery {
    /// Maximum number of removals.
    pub limit: Option<u64>,
    /// Cursor of an earlier answer.
    pub cursor: Option<String>,
}

/// Grouping of totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// By day in UTC.
    Day,
}

/// Parameters of `GET /v1/stats`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct StatsQuery {
    /// Group by this as well.
    pub by: Option<By>,
    /// First day, in UTC: an instant, or a duration before now. Jobs of which no day is known are
    /// left out.
    #[param(value_type = Option<String>)]
    pub since: Option<Since>,
}

/// Parameters of `GET /v1/samples`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct SamplesQuery {
    /// Time of each sample.
    pub by: SampleStep,
    /// First sample: an instant, or a duration before now.
    #[param(value_type = Option<String>)]
    pub since: Option<Since>,
}

/// Parameters of `GET /v1/events`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct EventsQuery {
    /// Number of the last event that the client has.
    pub after: Option<u64>,
    /// Include every observed change of a file.
    pub observed: bool,
}

/// Parameters of `/v1/jobs/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct SourceQuery {
    /// Name of the job's source, where several have the id.
    pub source: Option<String>,
}

/// Parameters of `GET /v1/jobs`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct JobsQuery {
    /// Name of a source.
    pub source: Option<String>,
    /// Status.
    pub status: Option<Status>,
    /// Kind.
    pub kind: Option<String>,
    /// Maximum number of jobs.
    pub limit: Option<u64>,
    /// Cursor of an earlier answer.
    pub cursor: Option<String>,
}
