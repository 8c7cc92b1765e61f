//! Options and reports of a watcher.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::core::facts::{FileKey, RootId};
use crate::core::observed::{Name, Observed};
use crate::core::path::RelPath;
use crate::core::policy::Globs;
use crate::core::time::FileTime;

/// Options of a watcher.
#[derive(Debug, Clone)]
pub struct Options {
    /// The roots.
    pub roots: Vec<WatchRoot>,
    /// Source of events.
    pub backend: BackendKind,
    /// Interval at which directories without a watch are listed: with [`BackendKind::Poll`] all of
    /// them.
    pub reconcile_every: Duration,
    /// Directories that are never entered, wherever they are met: the state directory, for one.
    pub skip: Vec<FileKey>,
    /// Bytes of events that may wait to be looked at; past it all of them are dropped, which counts
    /// as an overflow.
    pub queue_bytes_max: usize,
    /// The shortest time from the end of a reconciliation after an overflow to the next one's
    /// beginning.
    pub reconcile_rest: Duration,
    /// Saved roots, which saves the reading of directories that have not changed since.
    pub restored: Vec<RestoredRoot>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            backend: BackendKind::Inotify,
            // A crawl of a million files costs 1.5 s of CPU: 0.5 % of the time.
            reconcile_every: Duration::from_mins(5),
            skip: Vec::new(),
            // About two million events: minutes of a busy engine.
            queue_bytes_max: 64 * 1024 * 1024,
            reconcile_rest: Duration::from_secs(1),
            restored: Vec::new(),
        }
    }
}

/// Source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// `inotify(7)`, read by us.
    Inotify,
    /// The `notify` crate.
    Notify,
    /// No events: everything is listed again, every `reconcile_every` and for each barrier.
    Poll,
}

/// A root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRoot {
    /// Its id.
    pub id: RootId,
    /// Its path: absolute, without symbolic links.
    pub path: PathBuf,
    /// Other roots beneath it: never entered, and reported as if they were not there.
    pub nested: Vec<RelPath>,
    /// Patterns for the names at its top that are of it; the others are never entered, and reported
    /// as if they were not there.
    pub only: Option<Arc<Globs>>,
}

/// Saved directories of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredRoot {
    /// The root.
    pub id: RootId,
    /// Its own directory first, and every directory after its parent.
    pub dirs: Vec<RestoredDir>,
}

/// A directory as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredDir {
    /// Index of its parent in the list; 0 for the first one.
    pub parent: usize,
    /// Its name in there.
    pub name: Name,
    /// Its inode.
    pub ino: u64,
    /// With this change time it holds the names that are known.
    pub stamp: Option<FileTime>,
}

/// A message of the watcher.
#[derive(Debug)]
pub enum Report {
    /// Observations, in order.
    Observed(Vec<Observed>),
    /// The barrier of this token is through: all that happened before it has been reported.
    Synced(u64),
}

/// Receiver of reports. Called by one thread at a time; may wait, and then the watcher waits with
/// it, while events are still taken from the operating system.
pub type Sink = Arc<dyn Fn(Report) + Send + Sync>;
