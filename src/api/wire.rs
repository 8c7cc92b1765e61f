//! The JSON that leaves and enters: one type for each answer, written by the daemon and read by its client.
//!
//! **Invariant:** times are RFC 3339 in UTC with milliseconds; what is absent is `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json_path::JsonPath;
use crate::core::report::Counted;

mod clean;
mod explain;
mod history;
mod jobs;
mod moment;
mod pins;
mod saved;
mod stats;
mod status;

pub use clean::{
    CleanOrder, ErrorKind, JobRecord, Report, ReportError, ReportItem, ReportJob, RuleTotals,
    RunStatus,
};
pub use explain::{Explanation, HoldLine, PastRemoval};
pub use history::{History, Removal, RemovalPin};
pub use jobs::{
    Claim, Job, JobLine, JobOrder, JobRemoval, Jobs, OrphanTrip, PendingRecord, RefusedClaims,
    Source,
};
pub use moment::Moment;
pub use pins::{Pin, PinChange, PinOrder, Pins};
pub use saved::{Cache, Loaded, Pass, Reconciliation, SetAside};
pub use stats::{Total, Totals};
pub use status::{Configuration, Due, FailedReload, Waits};

/// `GET /v1/health`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Health {
    /// `ready`; `reconciling`: some root is not known (again) yet; `holding`: something is due and held.
    pub status: String,
    /// The daemon's version.
    pub version: String,
}

/// `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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

/// A breaker that has tripped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trip {
    /// The root's name.
    pub root: String,
    /// When; what was due before is held.
    pub at: String,
    /// How many were due at once.
    pub due: u64,
    /// Of how many.
    pub of: u64,
    /// What was counted: `files` of the root, or `jobs` of a source.
    #[serde(default)]
    pub what: Counted,
}

/// `GET /v1/breaker`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// Roots whose breaker has tripped.
    pub tripped: Vec<Trip>,
    /// What nobody owns, and is held.
    #[serde(default)]
    pub orphans: Vec<OrphanTrip>,
}

/// `POST /v1/breaker/release`, answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Released {
    /// The names of the roots that were held.
    pub released: Vec<String>,
}

/// What `POST /v1/breaker/release` takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Only this root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

/// The next deadline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NextDeadline {
    /// When.
    pub deadline: String,
    /// One of the files or units with that deadline.
    #[serde(flatten)]
    pub path: Option<JsonPath>,
}

/// From the deadline (or the end of a hold) to the removal, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// Files and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tally {
    /// Counts more; the bytes stay at the most that can be told.
    pub(super) fn add(&mut self, files: u64, bytes: u64) {
        self.files += files;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// How changes are noticed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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

/// A file of the index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its absolute path.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Its root's name.
    pub root: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Last change of its content.
    pub mtime: Option<String>,
    /// The job that owns it; of several, the one that keeps it longest.
    pub job: Option<String>,
    /// That job's source.
    pub source: Option<String>,
    /// That job's status.
    pub status: Option<String>,
    /// The rule that it falls under.
    pub rule: Option<String>,
    /// From when on its rule lets it go.
    pub deadline: Option<String>,
    /// When it goes: at the deadline, or at the first instant of the rule's schedule after it. `null`: when asked, or never.
    pub lapses_at: Option<String>,
    /// What makes it go: `deadline`, `schedule` or `asked`. `null`: it never goes.
    pub reason: Option<String>,
    /// What keeps it though it is due: a hold's code.
    pub hold: Option<String>,
    /// The pin that holds it, due or not.
    pub pin: Option<u64>,
}

/// `GET /v1/files`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Files {
    /// The entries.
    pub files: Vec<Entry>,
    /// Where to go on; `null`: this is all.
    pub cursor: Option<String>,
}

/// `GET /v1/plan`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The instant that this was computed at.
    pub from: String,
    /// Until then.
    pub until: String,
    /// Files that go until then without being asked for, overdue ones included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are due until then, and go later by a schedule, or when somebody asks.
    pub waits: Tally,
    /// By root and rule.
    pub groups: Vec<PlanGroup>,
    /// The whole hours from `from` on, one by one and to the minute; what is overdue counts in the first.
    pub hours: Vec<PlanHour>,
}

/// What lapses by one rule in one root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanGroup {
    /// The root's name.
    pub root: String,
    /// The rule's name.
    pub rule: String,
    /// Files that go without being asked for, overdue ones included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that should be gone: held, or about to go.
    pub overdue: Tally,
    /// Files that are due, and go later by the schedule, or when somebody asks.
    pub waits: Tally,
    /// The rule's schedule: `manual`, or its instants. `null`: what is due goes at its deadline.
    pub schedule: Option<String>,
    /// The next instant of the schedule.
    pub next: Option<String>,
}

impl PlanGroup {
    /// Whether it goes only when somebody asks.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.schedule.is_some() && self.next.is_none()
    }
}

/// What lapses within one hour.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanHour {
    /// The hour's begin.
    pub from: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `POST /v1/sync`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Synced {
    /// Always true: an answer means that the barrier is through.
    pub synced: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_entry_has_exactly_its_fields() {
        let entry = Entry {
            path: JsonPath::new(Path::new("/srv/a")),
            root: "srv".to_owned(),
            size: Some(1),
            mtime: None,
            job: None,
            source: None,
            status: None,
            rule: None,
            deadline: None,
            lapses_at: None,
            reason: None,
            hold: None,
            pin: None,
        };
        insta::assert_snapshot!(serde_json::to_string(&entry).unwrap(), @r#"{"path":"/srv/a","root":"srv","size":1,"mtime":null,"job":null,"source":null,"status":null,"rule":null,"deadline":null,"lapses_at":null,"reason":null,"hold":null,"pin":null}"#);
    }
}
