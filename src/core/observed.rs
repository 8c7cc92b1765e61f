//! Reports of the watchers: looks at the file system, never raw events.
//!
//! **Invariant:** everything here was *seen* by a look after the event that caused it. An
//! observation may be doubled, late or out of order with others of its directory's neighbours, and
//! the engine must stay right.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{Facts, FileKey, RootId};
use super::path::RelPath;

/// The last component of a path.
pub type Name = Box<[u8]>;

/// Origin of an observation: decides whether a file that the index did not know has just arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discovery {
    /// The first crawl of a root: what is found was there before us, and its own timestamps tell
    /// its age.
    Crawl,
    /// An event, or a reconciliation of a root that was known before: what is new has arrived while
    /// we watched.
    Event,
}

/// Coverage of a directory by events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coverage {
    /// They are: it was watched before it was read.
    Watched,
    /// They are not: what was seen is true for that moment only.
    Unwatched,
}

/// Purpose of a pass over a root.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    Default,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PassKind {
    /// The first crawl.
    #[default]
    Crawl,
    /// After a restart: directories whose stamps are as they were saved are not read.
    Stamps,
    /// After that: the contents of those directories, in which files may have been written without
    /// a trace in the directory.
    Contents,
    /// Changes that raise no event.
    Missed,
    /// Everything again.
    Again,
}

impl PassKind {
    /// The word in JSON and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Cost of a pass over a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PassCost {
    /// Its purpose.
    pub kind: PassKind,
    /// Directories that were read.
    pub listed: u64,
    /// Directories that were not, because their stamps were as they had been saved.
    pub skipped: u64,
    /// From its begin to its end.
    pub took: Duration,
    /// Processor time of the threads that read directories.
    pub cpu: Duration,
}

/// A message from a watcher to the engine. The paths are relative to the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Observed {
    /// The whole content of one directory. What the index has in it and the listing has not is
    /// gone.
    Listing {
        /// The root that it is in.
        root: RootId,
        /// The directory.
        dir: RelPath,
        /// A look at the directory itself, taken *before* it was read.
        facts: Facts,
        /// Its regular files. Each name once.
        files: Vec<(Name, Facts)>,
        /// Its subdirectories on the same mount (the root's quarantine and nested roots left out).
        dirs: Vec<(Name, Facts)>,
        /// Origin.
        discovery: Discovery,
        /// Coverage by events from then on.
        coverage: Coverage,
    },
    /// Looks at some names of one directory, in any order.
    Looks {
        /// The root that it is in.
        root: RootId,
        /// The directory.
        dir: RelPath,
        /// A look at the directory itself.
        facts: Facts,
        /// Facts at each name; `None` when nothing stands there.
        names: Vec<(Name, Option<Facts>)>,
    },
    /// A directory cannot be read: what the index has in it stays, with what it knew.
    Unreadable {
        /// The root that it is in.
        root: RootId,
        /// The directory.
        dir: RelPath,
        /// The operating system's reason.
        error: String,
    },
    /// A directory and all beneath it is gone from its place.
    Gone {
        /// The root that it lay in.
        root: RootId,
        /// The directory. Never the root itself.
        dir: RelPath,
    },
    /// A directory was renamed within its root. What stood at `to` before is gone.
    Moved {
        /// The root.
        root: RootId,
        /// The old place.
        from: RelPath,
        /// The new place.
        to: RelPath,
    },
    /// A root's directory is there (again), as this inode; a crawl follows.
    RootFound {
        /// The root.
        root: RootId,
        /// Identity of its directory. When it is not the one from before, all that was known of it
        /// is forgotten.
        key: FileKey,
    },
    /// A root cannot be opened, which does not mean that it is not there: what is known of it
    /// stays, and a reconciliation follows when it can be opened again.
    RootUnreachable {
        /// The root.
        root: RootId,
        /// The reason and the remedy, for people.
        why: String,
    },
    /// A root's directory is not there.
    RootLost {
        /// The root.
        root: RootId,
        /// The reason, for people.
        why: String,
        /// Certainty that nothing stands at its path.
        absence: Absence,
    },
    /// The knowledge of a root may be incomplete (queue overflow, missing watches): removals go on,
    /// being verified by their own looks; a reconciliation follows.
    Doubted {
        /// The root.
        root: RootId,
        /// The reason, for people.
        why: String,
    },
    /// The crawl or reconciliation of a root is through: all that it found was reported before
    /// this.
    Reconciled {
        /// The root.
        root: RootId,
        /// Its begin, since the machine started: a clock that cannot be set.
        began: Duration,
        /// Its cost.
        cost: PassCost,
    },
}

/// Certainty about the absence of a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absence {
    /// The nearest directory above it that is there can be read, and has nothing of the next name
    /// on the way to it.
    Certain,
    /// Something else stands there or on the way, or it cannot be looked at.
    Doubtful,
}
