//! The trash: what was removed and can come back until its undo window ends.
//!
//! **Invariant:** the table is changed by the reaper alone, which has the things; everyone else
//! reads it.
//! **Invariant:** nothing is known of the trash of a root before it was read: what depends on it
//! waits.

mod table;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use table::Trash;

use super::claim::Unit;
use super::facts::RootId;
use super::principal::Principal;
use super::time::Timestamp;

/// Maximum number of things in the trash of all roots, ~100 bytes each, and ~150 more for those of
/// jobs. Beyond it nothing more is moved there: what lapses is held.
pub const THINGS_MAX: usize = 1_000_000;

/// Time for which what came back is pinned, unless the order says otherwise.
pub const PINNED_FOR: Duration = Duration::from_hours(7 * 24);

/// A job, by the names that outlive a process.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct JobName {
    /// The name of its source.
    pub source: String,
    /// Its id there.
    pub id: String,
}

/// Thing that one removal took out of one root and left in its trash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trashed {
    /// Number of the removal's line in the ledger.
    pub id: u64,
    /// Instant of the removal.
    pub at: Timestamp,
    /// End of its undo window.
    pub until: Timestamp,
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Run that removed it.
    pub run: Option<u64>,
    /// All jobs that own it, or may.
    pub jobs: Box<[JobName]>,
}

/// A thing in a trash, with everything that its manifest says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrashItem {
    /// Its number, times and sums.
    pub what: Trashed,
    /// Name of its root.
    pub root: String,
    /// Its unit.
    pub unit: Unit,
    /// Name of the rule that removed it.
    pub rule: String,
    /// The job that owned it, as the ledger names it.
    pub owner: Option<String>,
    /// Requester of the removal.
    pub by: Principal,
    /// Its parts, in the order of their numbers.
    pub parts: Vec<TrashPart>,
}

/// A part of a thing: a file, or a directory with all below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrashPart {
    /// Absolute path that it had.
    pub path: PathBuf,
    /// True if it is a directory.
    pub is_dir: bool,
}

/// Thing that could not go back to its place, in the quarantine of its root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DisplacedThing {
    /// Its name in the quarantine.
    pub name: Vec<u8>,
    /// True if it is a directory.
    pub is_dir: bool,
    /// Bytes, of a file.
    pub bytes: u64,
    /// Absolute path that it had; `None`: it is not known.
    pub path: Option<PathBuf>,
    /// Instant at which it was displaced.
    pub at: Option<Timestamp>,
    /// Reason.
    pub why: Option<String>,
}

/// Filter of the things of the trash. Everything that is `None` means all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrashFilter {
    /// The things with these numbers.
    pub ids: Option<BTreeSet<u64>>,
    /// Those of this root.
    pub root: Option<RootId>,
    /// Those that this run removed.
    pub run: Option<u64>,
    /// Those of the job with this id.
    pub job: Option<String>,
    /// Those of jobs of this source.
    pub source: Option<String>,
    /// Those of which a part was at this absolute path, or below it.
    pub path: Option<PathBuf>,
    /// Those that were removed at this instant or later.
    pub since: Option<Timestamp>,
}

impl TrashFilter {
    /// Returns true if the table alone shows that `what` is meant, but for its path.
    #[must_use]
    pub fn takes(&self, root: RootId, what: &Trashed) -> bool {
        let has_job = |job: &JobName| {
            self.job.as_ref().is_none_or(|id| *id == job.id)
                && self.source.as_ref().is_none_or(|name| *name == job.source)
        };
        self.ids.as_ref().is_none_or(|ids| ids.contains(&what.id))
            && self.root.is_none_or(|wanted| wanted == root)
            && self.run.is_none_or(|run| what.run == Some(run))
            && self.since.is_none_or(|since| what.at >= since)
            && ((self.job.is_none() && self.source.is_none()) || what.jobs.iter().any(has_job))
    }

    /// Returns true if a part was at a path that is meant.
    #[must_use]
    pub fn takes_path<'p>(&self, mut paths: impl Iterator<Item = &'p Path>) -> bool {
        let Some(wanted) = &self.path else {
            return true;
        };
        paths.any(|path| path.starts_with(wanted) || wanted.starts_with(path))
    }
}

/// Things of a page of a list, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrashPage {
    /// The things.
    pub items: Vec<TrashItem>,
    /// Position of the next page: the number and root of the last thing; `None`: there is none.
    pub next: Option<(u64, RootId)>,
    /// Things whose manifests cannot be read, with the reasons: at most 100.
    pub unreadable: Vec<String>,
}

/// Sums of the trash of one root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrashSums {
    /// The root.
    pub root: RootId,
    /// Number of things.
    pub things: u64,
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The next end of an undo window.
    pub first_end: Option<Timestamp>,
    /// False while it is still being read.
    pub is_known: bool,
}

/// Order to bring things back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RestoreOrder {
    /// Numbers of the things, in the trash of whatever roots.
    pub ids: BTreeSet<u64>,
    /// Gives what finds its name taken a name beside it.
    pub beside: bool,
    /// Time for which what comes back is pinned; `None`: seven days.
    pub pinned_for: Option<Duration>,
    /// The requester.
    pub by: Principal,
}

/// Result of bringing one thing back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Its number.
    pub id: u64,
    /// Name of its root.
    pub root: String,
    /// Parts that are back, with the paths where they are now.
    pub restored: Vec<PathBuf>,
    /// Parts whose names are taken: they are in the trash still.
    pub taken: Vec<PathBuf>,
    /// Other reasons why a part is not back.
    pub errors: Vec<String>,
    /// Regular files that are back.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Restored {
    /// Returns true if all of it is back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.taken.is_empty() && self.errors.is_empty()
    }
}

/// Outcome of the order to delete a thing of the trash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PurgeOutcome {
    /// It is deleted, or was not there any more.
    Gone {
        /// Regular files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// It changed in the trash, or something in it is open: it is kept as displaced.
    Displaced,
    /// It stays in the trash for a reason that will end.
    Held(super::hold::Hold),
}

/// Answer for a thing of the trash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purged {
    /// Its root.
    pub root: RootId,
    /// Its number.
    pub id: u64,
    /// Its end.
    pub outcome: PurgeOutcome,
    /// Jobs of which it was.
    pub jobs: Box<[JobName]>,
}

/// Order to the reaper to delete things of the trash of one root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PurgeOrder {
    /// The root.
    pub root: RootId,
    /// Their numbers.
    pub ids: Vec<u64>,
    /// True if it happens before the end of their windows, because a person or a limit says so.
    pub is_early: bool,
    /// The requester.
    pub by: Principal,
}

/// News of the trash, for the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TrashNews {
    /// The trash of a root was read.
    Read(RootId),
    /// Things were to be deleted.
    Purged(Vec<Purged>),
    /// Things of these jobs left the trash and are in their places.
    Restored(Vec<JobName>),
}
