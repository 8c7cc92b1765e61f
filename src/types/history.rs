//! Answer of `GET /v1/history`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::principal::Principal;
use crate::types::{RemovalResult, RemovalUnit};

/// `GET /v1/history`, as the client reads it. Each line is the ledger's, byte by byte: a client
/// decodes it as a [`Removal`], or takes its text.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct History<L = Removal> {
    /// Lines, newest first.
    pub removals: Vec<L>,
    /// Position to continue at; `null` when there is no more.
    pub cursor: Option<String>,
    /// Descriptions of the lines that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// Line of the ledger, as far as people want to see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Removal {
    /// Instant of the rename into the quarantine.
    pub at: String,
    /// The absolute path as text.
    pub path: String,
    /// The root's name.
    pub root: String,
    /// The rule's name.
    pub rule: String,
    /// From the deadline, or the end of a hold, to `at`.
    pub late_ms: i64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Result.
    pub result: RemovalResult,
    /// Kind of the thing that lapsed as a whole.
    #[serde(default)]
    pub unit: RemovalUnit,
    /// The job that owned it.
    #[serde(default)]
    pub owner: Option<String>,
    /// Not 0: further paths of the unit whose line has the same number.
    #[serde(default)]
    pub part: u32,
    /// For a pin or a pause: when it ends.
    #[serde(default)]
    pub deadline: String,
    /// The pin that this is about.
    #[serde(default)]
    pub pin: Option<RemovalPin>,
    /// The pause that this is about.
    #[serde(default)]
    pub pause: Option<RemovalPause>,
    /// Requester.
    pub by: Principal,
}

/// A pause in a line of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RemovalPause {
    /// Name of the user who ordered it.
    pub who: String,
    /// Reason.
    pub why: String,
}

/// A pin in a line of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RemovalPin {
    /// Its number.
    pub id: u64,
    /// Name of the user who set it.
    pub who: String,
    /// Reason.
    pub why: String,
}
