//! Answer of `GET /v1/settings`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JsonPath;
use crate::core::claim::Unit;
use crate::core::policy::{Record, Since};

/// `GET /v1/settings`: the settings in force that decide what is removed, and when.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// The configuration file; `null`: there is none.
    pub file: Option<String>,
    /// Directory that relative paths of the file are below.
    pub base_dir: String,
    /// True if nothing is ever removed.
    pub dry_run: bool,
    /// True if due files are removed without a request.
    pub automatic: bool,
    /// True if the daemon removes at its start what is due.
    pub clean_at_start: bool,
    /// Roots.
    pub roots: Vec<RootSettings>,
    /// Rules, in the order in which they are tried; disabled ones come last.
    pub rules: Vec<RuleSettings>,
    /// Schedules, disabled ones included.
    pub schedules: Vec<ScheduleSettings>,
}

/// A root in [`Settings`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RootSettings {
    /// Its name.
    pub name: String,
    /// Its path: absolute, without symbolic links.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Its path as it is written in the file, with the values of variables.
    pub written: String,
}

/// A rule in [`Settings`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleSettings {
    /// Its name.
    pub name: String,
    /// Lifetime in seconds; `null`: for ever.
    #[schema(value_type = Option<f64>)]
    pub expire: Option<serde_json::Number>,
    /// Its `schedule`; `null`: each file at its deadline.
    pub schedule: Option<String>,
    /// Names of the roots that it applies to.
    pub roots: Vec<String>,
    /// Timestamp that the lifetime counts from.
    pub since: Since,
    /// Unit that lapses as a whole.
    pub unit: Unit,
    /// Status of the owning jobs; `none`: orphans; `null`: any file.
    pub job: Option<Vec<String>>,
    /// Fate of the job's record.
    pub record: Record,
    /// False if the configuration switches it off.
    pub enabled: bool,
}

/// A schedule in [`Settings`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScheduleSettings {
    /// Its name.
    pub name: String,
    /// Instants, as in cron; `null`: see `every`.
    pub at: Option<String>,
    /// Interval in seconds; `null`: see `at`.
    #[schema(value_type = Option<f64>)]
    pub every: Option<serde_json::Number>,
    /// True if it also runs at the daemon's start.
    pub on_start: bool,
    /// False if the configuration switches it off.
    pub enabled: bool,
    /// Next instant, in UTC; `null`: none, or no daemon runs.
    pub next: Option<String>,
}

/// `ms` milliseconds in seconds: a whole number where it is one.
#[must_use]
pub fn seconds(ms: i64) -> serde_json::Number {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let fraction = || serde_json::Number::from_f64(ms as f64 / 1000.0);
    let whole = || Some((ms / 1000).into());
    let exact = if ms % 1000 == 0 { whole() } else { fraction() };
    exact.unwrap_or_else(|| (ms / 1000).into())
}
