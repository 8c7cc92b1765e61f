//! `[[schedule]]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::schedules::{Every, Times};
use super::super::setting::{Value, Values, Words};
use super::super::value::{Name, Period, Scalar};
use crate::config::queries::Zone;

/// A schedule: times at which the daemon cleans by itself, as one run. Unlike the schedule of a
/// rule, it makes up once at start for the times at which no daemon ran. If a run is under way, it
/// waits. With automatic = false, no schedule runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Schedule {
    /// Name of the schedule, unique.
    #[schemars(extend("x-required" = true), example = &"nightly")]
    pub name: Value<Name>,
    /// Times, in five fields as in cron (minute, hour, day, month, day of the week), "@hourly",
    /// "@daily", "@weekly", "@monthly" or "@yearly". A time that clocks leave out comes right
    /// after; one that they show twice comes once. An empty value counts as absent.
    #[schemars(example = &"0 2 * * *")]
    pub at: Value<Times>,
    /// Interval, at least 1m: from midnight if it divides a day, else from the last time. In place
    /// of `at`. An empty value counts as absent.
    #[schemars(example = &"24h")]
    pub every: Value<Every>,
    /// Run when the daemon starts, too, when all roots and sources have been read.
    #[schemars(extend("default" = false), example = true)]
    pub on_start: Value<bool>,
    /// Maximum of a random delay of each time.
    #[schemars(extend("default" = "0s"), example = &"5m")]
    pub jitter: Value<Period<0>>,
    /// Make up once, at start, for the times at which no daemon ran.
    #[schemars(extend("default" = true), example = false)]
    pub catch_up: Value<bool>,
    /// Time zone of `at` and `every`: "local" (TZ), "UTC", or an IANA name.
    #[schemars(extend("default" = "local"), example = &"Europe/Berlin")]
    pub timezone: Value<Zone>,
    /// Use the schedule.
    #[schemars(extend("default" = true), example = &"${NIGHTLY:-false}")]
    pub enabled: Value<bool>,
    /// Names of the rules whose due files are removed, one or a list. Default: all rules that need
    /// not be named.
    #[schemars(example = &["old"])]
    pub rules: Values<String>,
    /// Name of the command that is run, with its log, output and files, in place of `rules`.
    #[schemars(example = &"cleanup")]
    pub command: Value<Name>,
    /// Parameters of the command.
    #[schemars(example = serde_json::json!({ "dry_run": "true" }))]
    pub params: Words<Scalar>,
}
