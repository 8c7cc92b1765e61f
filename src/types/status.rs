//! Answers of `GET /v1/health` and `GET /v1/status`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use std::collections::BTreeMap;

use super::{Breaker, Cache, JsonPath, Reconciliation, Source, Tally, Trip};

/// What is due, and how fast it goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Due {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are removed a second, over the last minute or since the removals began.
    pub per_second: f64,
    /// When all that is not held will be gone at this rate.
    pub ends: Option<String>,
}

/// What is due and does not go by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waits {
    /// Under rules that have to be asked for.
    pub asked: Tally,
    /// Under rules with a schedule.
    pub scheduled: Tally,
    /// The next instant at which some of that goes.
    pub next: Option<String>,
}

/// Where the settings come from.
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
    /// When.
    pub at: String,
    /// Why, for people.
    pub error: String,
}

/// `GET /v1/health`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ready`; `reconciling`: some root is not known (again) yet; `holding`: something is due and held.
    pub status: String,
    /// The daemon's version.
    pub version: String,
}

/// `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// As [`Health::status`].
    pub health: String,
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// `live` or `dry-run`.
    pub mode: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// When it started.
    pub started: String,
    /// Every root.
    pub roots: Vec<RootLine>,
    /// Files in the index.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is due and goes without being asked for, held or not.
    pub due: Due,
    /// What is due and waits for its schedule, or to be asked for.
    pub waits: Waits,
    /// Whether anything has a deadline, past or to come.
    pub has_deadlines: bool,
    /// The next deadline, and what waits for it.
    pub next: Option<NextDeadline>,
    /// How late removals were.
    pub lateness: Lateness,
    /// What is due and held.
    pub holds: Vec<HeldLine>,
    /// What went since the start.
    pub removed: Tally,
    /// How changes are noticed.
    pub watches: Watches,
    /// How what is known is saved.
    pub cache: Cache,
    /// What waits for a person.
    pub breaker: Breaker,
    /// Jobs of all sources, by status.
    pub jobs: BTreeMap<String, u64>,
    /// Pins that hold.
    pub pins: u64,
    /// Where jobs come from.
    pub sources: Vec<Source>,
    /// Resident memory of the daemon in bytes, as the kernel counts it; `null` where it does not tell.
    pub resident_bytes: Option<u64>,
    /// Where the settings come from.
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
    /// `missing`, `crawling`, `reconciling` or `ready`.
    pub phase: String,
    /// Why, for people.
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
    /// What the passes over it found and cost; absent before the first is through.
    pub reconciliation: Option<Reconciliation>,
}

/// The next deadline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NextDeadline {
    /// When.
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
    /// How many.
    pub count: u64,
    /// What it means and what would end it, for people.
    pub why: String,
    /// The path of one of them.
    pub example: Option<String>,
}

/// How changes are noticed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Watches {
    /// The backend's name.
    pub backend: String,
    /// Directories watched.
    pub count: u64,
    /// Directories that should be and are not: looked over on a timer.
    pub missing: u64,
    /// The system's limit for this user.
    pub limit: Option<u64>,
    /// How often the kernel's queue ran over.
    pub overflows: u64,
}
