//! The cache in the answer of `GET /v1/status`, and its comparison with the trees.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::observed::PassKind;
use crate::types::{CacheState, JsonPath};

/// State of the cache.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Cache {
    /// State.
    pub state: CacheState,
    /// Reason why it fails, and what would fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Pages and directories that wait to be written.
    pub pending: u64,
    /// Directories that wait for a stamp: after a restart they would be read.
    pub unstamped: u64,
    /// Bytes on disk when something was last written.
    pub size_bytes: u64,
    /// Instant at which all changes up to then were on disk.
    pub saved_at: Option<String>,
    /// Number of writes since the start.
    pub saves: u64,
    /// Number of replacements by a smaller copy since the start.
    pub compactions: u64,
    /// Content at the start.
    pub loaded: Loaded,
    /// Place of a damaged cache that was set aside since the start.
    pub set_aside: Option<SetAside>,
}

/// Content of the cache at the start.
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
    /// Place.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Damage.
    pub why: String,
}

/// A pass over a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pass {
    /// Purpose.
    pub kind: PassKind,
    /// Directories that it read.
    pub listed: u64,
    /// Directories that it did not read, because nothing in them had changed.
    pub skipped: u64,
    /// Milliseconds from its begin to its end.
    pub took_ms: u64,
    /// Milliseconds of processor time that reading took.
    pub cpu_ms: u64,
}

/// Findings and cost of the passes over a root since it was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reconciliation {
    /// True if it began from the cache.
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
