//! Answers of `GET /v1/health` and `GET /v1/status`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use std::collections::BTreeMap;

use super::{
    Breaker, Cache, HealthState, JsonPath, LimitLine, Mode, Pause, Receiver, Reconciliation,
    RootPhase, ScheduleSettings, Source, Tally, Trigger, Trip,
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
    /// Under rules that a request has to name.
    pub named: Tally,
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
    /// Schedules beside those of rules.
    #[serde(default)]
    pub schedules: Vec<ScheduleSettings>,
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
    /// Inputs and claims that wait.
    pub queues: Queues,
    /// State of the cache.
    pub cache: Cache,
    /// State of the ledger.
    pub ledger: Ledger,
    /// Breakers that tripped.
    pub breaker: Breaker,
    /// Jobs of all sources, by status.
    pub jobs: BTreeMap<String, u64>,
    /// Pins that hold.
    pub pins: u64,
    /// Pauses that hold: nothing is removed from their roots.
    #[serde(default)]
    pub pauses: Vec<Pause>,
    /// Limits, and how full they are.
    #[serde(default)]
    pub limits: Vec<LimitLine>,
    /// Sources of jobs.
    pub sources: Vec<Source>,
    /// Receivers of notifications, and what waits for them.
    #[serde(default)]
    pub receivers: Vec<Receiver>,
    /// Resident memory of the daemon in bytes, as the kernel counts it; `null` where it does not
    /// tell.
    pub resident_bytes: Option<u64>,
    /// Milliseconds of processor time that the daemon has used since the start.
    pub cpu_ms: u64,
    /// Origin of the settings.
    pub configuration: Configuration,
    /// TCP ports on which the daemon answers, beside its Unix socket.
    pub http: Vec<HttpListener>,
}

/// A TCP port of the daemon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HttpListener {
    /// IP address and port.
    pub address: String,
    /// Its TLS; `null`: it answers in plain text.
    pub tls: Option<TlsState>,
}

/// TLS of a port.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TlsState {
    /// Path of the certificate.
    pub certificate: String,
    /// Instant at which the certificate in force expires; `null` if it does not say so.
    pub not_after: Option<String>,
    /// Warnings: an expired certificate, new files that cannot be used, a key that others can read.
    pub warnings: Vec<String>,
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
    /// Its files by rule: first those under no rule, then each rule that applies to it.
    pub rules: Vec<RuleLine>,
    /// Space of its file system; `null`: it is not there, or does not answer.
    pub space: Option<Volume>,
    /// Its breaker, when it has tripped.
    pub breaker: Option<Trip>,
    /// Findings and cost of the passes over it; absent before the first is done.
    pub reconciliation: Option<Reconciliation>,
}

/// Files of a root that are under one rule.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RuleLine {
    /// The rule's name; `null`: no rule matches these files, and they are kept.
    pub rule: Option<String>,
    /// Trigger of its removals; `null` without a rule.
    pub trigger: Option<Trigger>,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that are due, held or not.
    pub due: Tally,
    /// Removals since the first day; `null` without a rule, and while the registry cannot be read.
    pub removed: Option<RemovalSum>,
}

/// Sum of removals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RemovalSum {
    /// Files, directories and jobs that were removed as a whole.
    pub units: u64,
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were displaced: they are kept in the quarantine.
    pub displaced: u64,
}

/// Space of a file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Volume {
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Bytes that users other than root may still write.
    pub available_bytes: u64,
    /// Number of inodes; 0 where the file system has no fixed number.
    pub inodes: u64,
    /// Number of inodes that users other than root may still take.
    pub available_inodes: u64,
}

/// Inputs and claims that wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Queues {
    /// Inputs that wait for the engine.
    pub inputs: u64,
    /// Maximum number of them: who has more waits.
    pub inputs_max: u64,
    /// Claims that the reaper has.
    pub claims: u64,
}

/// State of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Ledger {
    /// Number of segments.
    pub segments: u64,
    /// Bytes of all segments.
    pub size_bytes: u64,
    /// Number of writes that failed since the start.
    pub errors: u64,
    /// Reason why the last write failed: nothing is removed until one succeeds.
    pub why: Option<String>,
}

/// The next deadline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NextDeadline {
    /// Instant.
    pub deadline: String,
    /// One of the files or units with that deadline.
    #[serde(flatten)]
    #[schema(value_type = super::OptionalPath)]
    pub path: Option<JsonPath>,
}

/// From the deadline (or the end of a hold) to the removal, in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
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
    /// Sum over all removals.
    pub sum_ms: i64,
    /// Removals by lateness, to 2 %.
    pub buckets: Vec<LatenessBucket>,
}

/// Bucket of [`Lateness`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LatenessBucket {
    /// Upper edge.
    pub until_ms: i64,
    /// Removals that were no later, those of the buckets before it included.
    pub count: u64,
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
    /// Number of events since the start.
    pub events: u64,
    /// Bytes of events that wait to be looked at.
    pub waiting_bytes: u64,
    /// Directories that wait to be listed.
    pub waiting_listings: u64,
    /// Directories with names that wait to be looked at.
    pub waiting_looks: u64,
    /// False if a thread of the watcher has ended: changes are not noticed any more.
    pub alive: bool,
}
