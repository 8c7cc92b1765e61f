//! What `GET /v1/status` tells of what is saved, and of how that was compared with what is there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::types::JsonPath;

/// How what is known is saved.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Cache {
    /// `ok`, or `failing`: then nothing is removed.
    pub state: String,
    /// Why it fails, and what would mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Pages and directories that wait to be written.
    pub pending: u64,
    /// Directories that wait for a stamp: after a restart they would be read.
    pub unstamped: u64,
    /// Bytes on disk when something was last written.
    pub size_bytes: u64,
    /// When everything that had changed by then was on disk.
    pub saved_at: Option<String>,
    /// How often something was written since the start.
    pub saves: u64,
    /// How often it was replaced by a smaller copy since the start.
    pub compactions: u64,
    /// What was there at the start.
    pub loaded: Loaded,
    /// Where a damaged one was moved to since the start.
    pub set_aside: Option<SetAside>,
}

/// What was saved before the start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Loaded {
    /// Files.
    pub entries: u64,
    /// Directories.
    pub dirs: u64,
    /// Milliseconds that it took to read it.
    pub took_ms: u64,
    /// Pages that could not be used.
    pub lost_pages: u64,
    /// Directories that could not be used.
    pub lost_dirs: u64,
}

/// A damaged cache.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SetAside {
    /// Where it is.
    #[serde(flatten)]
    pub path: JsonPath,
    /// What was wrong with it.
    pub why: String,
}

/// A pass over a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pass {
    /// `crawl`: everything for the first time; `stamps`: after a restart, what changed; `contents`: after that, what is in the files
    /// of the directories that did not change; `missed`: what no event tells of; `again`: everything.
    pub kind: String,
    /// Directories that it read.
    pub listed: u64,
    /// Directories that it did not read, because nothing in them had changed.
    pub skipped: u64,
    /// Milliseconds from its begin to its end.
    pub took_ms: u64,
    /// Milliseconds of processor time that reading took.
    pub cpu_ms: u64,
}

/// What the passes over a root found and cost since it was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reconciliation {
    /// Whether it began from what had been saved.
    pub restored: bool,
    /// The first pass that was through: it made the root ready.
    pub first: Pass,
    /// The last one.
    pub last: Pass,
    /// Files that were there and not known, in all passes.
    pub found: u64,
    /// Files that were known and not there.
    pub gone: u64,
    /// Files that were not as they were known.
    pub changed: u64,
}
