//! Request to list a directory, and the result.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::backend::WatchId;
use super::node_id::NodeId;
use super::ways::Way;
use crate::core::facts::{Facts, FileKey};
use crate::core::observed::Name;
use crate::core::path::RelPath;
use crate::core::policy::Globs;
use crate::core::time::FileTime;
use crate::fs::{FsError, QUARANTINE};

/// Place of a root, shared by all jobs of it.
#[derive(Debug)]
pub(super) struct RootPlace {
    pub(super) path: PathBuf,
    pub(super) key: FileKey,
}

/// A directory to list.
pub(super) struct Job {
    pub(super) node: NodeId,
    pub(super) place: Arc<RootPlace>,
    pub(super) path: RelPath,
    /// The open directory that contains it, and its name there.
    pub(super) way: Option<(Arc<Way>, Name)>,
    /// The era of the ways when it was asked for.
    pub(super) era: u64,
    /// Key of the directory that it must be.
    pub(super) key: FileKey,
    /// True if a watch is to be added first.
    pub(super) watch: bool,
    /// With this change time it holds the names that are known, and is not read.
    pub(super) stamp: Option<FileTime>,
    /// Names in it that are left out.
    pub(super) hidden: Exclusions,
}

/// Result of a job.
pub(super) struct Done {
    pub(super) node: NodeId,
    /// Result of adding the watch; `None` if it was not tried.
    pub(super) watch: Option<Result<WatchId, Errno>>,
    pub(super) outcome: Result<Seen, Failure>,
    /// The directory itself, when others are to be listed beneath it.
    pub(super) way: Option<Way>,
    /// Processor time that it took.
    pub(super) cpu: Duration,
}

/// View of a directory.
pub(super) enum Seen {
    /// All that it holds.
    Content(Content),
    /// It holds the names that are known.
    Unchanged(Facts),
}

/// A directory's content.
pub(super) struct Content {
    /// The directory itself, seen before it was read.
    pub(super) facts: Facts,
    pub(super) files: Vec<(Name, Facts)>,
    pub(super) dirs: Vec<(Name, Facts)>,
}

impl Done {
    /// Number of names it holds, and one for itself.
    pub(super) fn weight(&self) -> usize {
        let names = match &self.outcome {
            Ok(Seen::Content(content)) => content.files.len() + content.dirs.len(),
            Ok(Seen::Unchanged(_)) | Err(_) => 0,
        };
        names + 1
    }
}

/// Reason why there is no content.
pub(super) enum Failure {
    /// The root itself is not there as it was, or cannot be opened.
    Root,
    /// Another thing stands there, or none.
    Absent,
    /// The operating system refuses.
    Refused(FsError),
    /// A bug.
    Bug(String),
}

/// Names in a directory that do not exist for us: quarantines, nested roots, and what a root leaves
/// out at its top.
#[derive(Debug, Default)]
pub(super) struct Exclusions {
    pub(super) names: Vec<Name>,
    /// All but what these match.
    pub(super) but: Option<Arc<Globs>>,
}

impl Exclusions {
    /// Returns whether `name` is left out.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        name == QUARANTINE
            || self.names.iter().any(|hidden| **hidden == *name)
            || self.but.as_ref().is_some_and(|but| !but.matches(name))
    }
}
