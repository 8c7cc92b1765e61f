//! The engine's reports: plain values for status, explanations and the report of a `clean`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod clean;

pub use clean::{
    BreakerTrip, CleanItem, CleanReport, CleanRequest, CleanTarget, Consent, PathFilter, Unread,
    UnreadPart,
};

use super::claim::{LimitScope, Unit};
use super::facts::{FileKey, RootId, Space};
use super::hold::Hold;
use super::jobs::SourceId;
use super::lateness::Lateness;
use super::observed::PassCost;
use super::path::RelPath;
use super::policy::{Class, Limit, Since};
use super::time::Timestamp;

/// Mode of removal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Everything that lapses is removed.
    Live,
    /// Only files that a user asks for are removed: `clean` without a daemon.
    OnRequest,
    /// Everything is watched, counted and told; nothing is removed.
    DryRun,
}

/// State of a root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Its directory is not there.
    Missing {
        /// The reason, for people.
        why: String,
    },
    /// Its directory cannot be opened, which does not mean that it is not there: what is known of
    /// it stays.
    Unreachable {
        /// The reason and the remedy, for people.
        why: String,
    },
    /// Its first crawl, or the crawl after a change of rules, is under way: nothing of it lapses
    /// yet.
    Crawling,
    /// Known, but being looked over again: removals go on, each verified by its own look.
    Reconciling {
        /// The reason, for people.
        why: String,
    },
    /// Known.
    Ready,
}

/// A root as the engine knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootStatus {
    /// The root.
    pub root: RootId,
    /// State.
    pub phase: Phase,
    /// It is optional, and nothing stands at its path: it counts as empty.
    pub is_void: bool,
    /// Identity of its directory now.
    pub key: Option<FileKey>,
    /// The breaker, when it has tripped.
    pub trip: Option<Trip>,
    /// The reason why the breaker tripped for orphans.
    pub orphan_trip: Option<String>,
    /// Findings and cost of the passes over it; `None` before the first is through.
    pub reconciliation: Option<Reconciliation>,
}

/// Findings and cost of the passes over a root, since it was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reconciliation {
    /// The first pass that was through.
    pub first: PassCost,
    /// The last one.
    pub last: PassCost,
    /// It began from saved state.
    pub restored: bool,
    /// Files that were there and not known.
    pub found: u64,
    /// Files that were known and not there.
    pub gone: u64,
    /// Files that were not as they were known.
    pub changed: u64,
}

/// Saved state of a root, beside its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SavedRoot {
    /// Identity of its directory.
    pub key: FileKey,
    /// True if its first crawl was through, and the breaker had looked at what that made due: what
    /// comes due after that is the passing of time.
    pub settled: bool,
    /// Its breaker.
    #[serde(flatten)]
    pub breaker: SavedBreaker,
}

/// Saved state of the breaker of a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SavedBreaker {
    /// Set when it had tripped: only a person releases it.
    pub trip: Option<Trip>,
    /// It had tripped for orphans.
    #[serde(default)]
    pub orphans_tripped: bool,
    /// Orphans that were claimed.
    #[serde(default)]
    pub orphans: HourCount,
    /// Files that changed facts had made due with their jobs.
    #[serde(default)]
    pub changed: HourCount,
    /// Jobs that changed facts had made due in that hour, of the source with most of them.
    #[serde(default)]
    pub changed_jobs: u64,
}

/// Count of the files of an hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HourCount {
    /// Begin of the hour.
    pub since: Timestamp,
    /// Number of files.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
}

/// Saved state of a source of jobs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SavedSource {
    /// Number of jobs when it was last read.
    pub jobs: u64,
    /// The reason why its breaker had tripped: only a person releases it.
    pub trip: Option<String>,
    /// The last instant at which it was known in full.
    pub read_at: Option<Timestamp>,
}

/// State of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourcePhase {
    /// It was not read through yet.
    Loading,
    /// It was read.
    Ready,
    /// It cannot be read.
    Down {
        /// The reason and the remedy.
        why: String,
    },
}

/// A source as the engine knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceStatus {
    /// The source.
    pub source: SourceId,
    /// State.
    pub phase: SourcePhase,
    /// The reason why its breaker tripped: orphans are held.
    pub trip: Option<String>,
}

/// A trip of the breaker for a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trip {
    /// Instant of the trip: everything with a deadline before it is held.
    pub at: Timestamp,
    /// Number that was due at once.
    pub due: u64,
    /// Of how many.
    pub of: u64,
    /// The things that were counted.
    #[serde(default)]
    pub what: Counted,
}

/// The things that the breaker counts.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "lowercase")]
pub enum Counted {
    /// Files of a root.
    #[default]
    Files,
    /// Jobs of a source, with what they own and their records.
    Jobs,
}

impl Counted {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the variant of that name; any other word stands for files.
    #[must_use]
    pub fn named(word: &str) -> Self {
        if word == Self::Jobs.as_str() {
            Self::Jobs
        } else {
            Self::Files
        }
    }
}

/// Limits of the breaker, which trips when more than `entries` *and* more than `share` of a root
/// become due at once; and when too much of a root would go within an hour because no job owns it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Breaker {
    /// Entries that may become due at once.
    pub entries: u64,
    /// Part of a root that may become due at once, from 0 to 1.
    pub share: f64,
    /// Orphans that may go from a root within an hour.
    pub orphan_entries: u64,
    /// Bytes of orphans that may go from a root within an hour; `None`: any number.
    pub orphan_bytes: Option<u64>,
    /// Part of a root that may go as orphans within an hour, from 0 to 1. Counts only above
    /// `entries`.
    pub orphan_share: f64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            entries: 1000,
            share: 0.5,
            orphan_entries: 10_000,
            orphan_bytes: None,
            orphan_share: 0.5,
        }
    }
}

/// Fill of a limit.
#[derive(Clone, PartialEq, Debug)]
pub struct LimitStatus {
    /// Scope of the limit.
    pub scope: LimitScope,
    /// The limit.
    pub limit: Limit,
    /// The owner whose files are counted; `None`: all.
    pub owner: Option<Box<[u8]>>,
    /// Number of files that it counts.
    pub files: u64,
    /// Bytes that they take, by their blocks, at most [`u64::MAX`].
    pub bytes: u64,
    /// Space of the file system when it was asked last, for a limit on it.
    pub space: Option<Space>,
    /// State.
    pub phase: LimitPhase,
}

/// Place of a thing in the order of a limit that counts it.
#[derive(Clone, PartialEq, Debug)]
pub struct LimitPlace {
    /// The limit, and how full it is.
    pub status: LimitStatus,
    /// Number of things that go before it, at most [`LimitPlace::AHEAD_MAX`]; `None`: the limit may
    /// not remove it.
    pub ahead: Option<u64>,
    /// The thing right before it.
    pub next_ahead: Option<(RootId, RelPath)>,
    /// Instant from which it is old enough for the limit, if that has not come.
    pub not_before: Option<Timestamp>,
}

impl LimitPlace {
    /// Things that are counted before one: a walk of some milliseconds.
    pub const AHEAD_MAX: u64 = 10_000;
}

/// State of a limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LimitPhase {
    /// Everything that it counts is within it.
    Met,
    /// It is exceeded, and things are removed.
    Removing,
    /// It is exceeded, and nothing more may be removed now.
    Unmet {
        /// Things that were passed over, by the reason's code.
        passed: BTreeMap<String, u64>,
    },
    /// It is held as a whole.
    Held {
        /// The reason.
        hold: Hold,
    },
}

/// Number of due entries that one kind of hold keeps, with an example.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldCount {
    /// The hold, as the example has it.
    pub hold: Hold,
    /// Number of entries and units.
    pub count: u64,
    /// One of them.
    pub example: Option<(RootId, RelPath)>,
}

/// The state of the engine at one instant.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// Mode of removal.
    pub mode: Mode,
    /// Every root.
    pub roots: Vec<RootStatus>,
    /// Every source of jobs.
    pub sources: Vec<SourceStatus>,
    /// The next deadline that something waits for.
    pub next: Option<Timestamp>,
    /// One of the files or units with that deadline.
    pub next_example: Option<(RootId, RelPath)>,
    /// Claims that the reaper has.
    pub in_flight: u64,
    /// Counts of what is due and held.
    pub held: Vec<HeldCount>,
    /// Lateness of removals.
    pub lateness: Lateness,
    /// Files removed since the start.
    pub removed_files: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Forward jumps of the wall clock that hold removals: when, and by how much in milliseconds.
    pub clock_jumps: Vec<(Timestamp, i64)>,
}

/// Explanation of the deadline of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Rule that it falls under.
    pub class: Class,
    /// The unit that lapses: the file, or the top-level directory that it is in (or is).
    pub unit: Option<Unit>,
    /// The path of the unit, where it is not the path that was asked for.
    pub unit_path: Option<RelPath>,
    /// The timestamp that the rule counts from.
    pub since: Option<Since>,
    /// Its value.
    pub basis: Option<Timestamp>,
    /// Deadline; absent: never.
    pub deadline: Option<Timestamp>,
    /// Everything that keeps it, or would keep it now if it were due.
    pub holds: Vec<Hold>,
}
