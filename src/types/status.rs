//! Answers of `GET /v1/health` and `GET /v1/status`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use std::collections::BTreeMap;

use super::{
    Breaker, Cache, HealthState, JsonPath, Mode, Reconciliation, RootPhase, Source, Tally, Trip,
};

/// Due files, and the rate of removals.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Due {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are removed a second, over the last minute or since the removals began.
    pub per_second: f64,
    /// Instant at which everything that is not held will be removed, at this rate.
    pub ends: Option<String>,
}

/// Files that are due and wait for a schedule or a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waits {
    /// Under rules that have to be asked for.
    pub asked: Tally,
    /// Under rules with a schedule.
    pub scheduled: Tally,
    /// The next instant at which some of that goes.
    pub next: Option<String>,
}

/// Origin of the settings.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Configuration {
    /// The file; `null`: the command line alone.
    pub file: Option<String>,
    /// Since when what it said then is in force.
    pub since: String,
    /// The last reload, when it failed: since then the file is not in force.
    pub failed: Option<FailedReload>,
}

/// A reload that failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FailedReload {
    /// Instant.
    pub at: String,
    /// Reason.
    pub error: String,
}

/// `GET /v1/health`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Health.
    pub status: HealthState,
    /// The daemon's version.
    pub version: String,
}

/// `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// As [`Health::status`].
    pub health: HealthState,
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Mode of removals.
    pub mode: Mode,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Instant of the start.
    pub started: String,
    /// Every root.
    pub roots: Vec<RootLine>,
    /// Files in the index.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are due and removed without a request, held or not.
    pub due: Due,
    /// Files that are due and wait for a schedule or a request.
    pub waits: Waits,
    /// True if any file has a deadline.
    pub has_deadlines: bool,
    /// The next deadline, and what waits for it.
    pub next: Option<NextDeadline>,
    /// Lateness of removals.
    pub lateness: Lateness,
    /// Things that are due and held.
    pub holds: Vec<HeldLine>,
    /// Removals since the start.
    pub removed: Tally,
    /// Watching of changes.
    pub watches: Watches,
    /// State of the cache.
    pub cache: Cache,
    /// Breakers that tripped.
    pub breaker: Breaker,
    /// Jobs of all sources, by status.
    pub jobs: BTreeMap<String, u64>,
    /// Pins that hold.
    pub pins: u64,
    /// Sources of jobs.
    pub sources: Vec<Source>,
    /// Resident memory of the daemon in bytes, as the kernel counts it; `null` where it does not
    /// tell.
    pub resident_bytes: Option<u64>,
    /// Origin of the settings.
    pub configuration: Configuration,
}

/// A root in [`Status`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RootLine {
    /// Its name.
    pub name: String,
    /// Its path.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Knowledge of it.
    pub phase: RootPhase,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Files.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Directories.
    pub dirs: u64,
    /// Its breaker, when it has tripped.
    pub breaker: Option<Trip>,
    /// Findings and cost of the passes over it; absent before the first is done.
    pub reconciliation: Option<Reconciliation>,
}

/// The next deadline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NextDeadline {
    /// Instant.
    pub deadline: String,
    /// One of the files or units with that deadline.
    #[serde(flatten)]
    pub path: Option<JsonPath>,
}

/// From the deadline (or the end of a hold) to the removal, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Lateness {
    /// Removals.
    pub count: u64,
    /// The earliest.
    pub min_ms: i64,
    /// Half were no later.
    pub p50_ms: i64,
    /// 99 of 100 were no later.
    pub p99_ms: i64,
    /// The latest.
    pub max_ms: i64,
}

/// Due entries under one kind of hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HeldLine {
    /// The kind.
    pub code: String,
    /// Number of entries.
    pub count: u64,
    /// Meaning, and what ends the hold.
    pub why: String,
    /// The path of one of them.
    pub example: Option<String>,
}

/// Watching of changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Watches {
    /// The backend's name.
    pub backend: String,
    /// Directories watched.
    pub count: u64,
    /// Directories without a watch: they are listed on a timer.
    pub missing: u64,
    /// The system's limit for this user.
    pub limit: Option<u64>,
    /// Number of overflows of the kernel's queue.
    pub overflows: u64,
}
