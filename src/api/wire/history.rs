//! What `GET /v1/history` answers.

use serde::{Deserialize, Serialize};

use crate::api::json_path::JsonPath;

/// `GET /v1/history`, as the client reads it: each line is the ledger's, word for word.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct History {
    /// The removals, newest first.
    pub removals: Vec<Removal>,
    /// Where to go on; `null`: this is all.
    pub cursor: Option<String>,
    /// What of the ledger cannot be read, and where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// A line of the ledger: what people want to see of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Removal {
    /// When the name was gone from its place.
    pub at: String,
    /// The absolute path.
    #[serde(flatten)]
    pub path: JsonPath,
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
    /// `removed`, or what else became of it.
    pub result: String,
    /// `file`, `dir`, `job`, or `empty-dir`.
    #[serde(default)]
    pub unit: String,
    /// The job that owned it.
    #[serde(default)]
    pub owner: Option<String>,
    /// Not 0: further paths of the unit whose line has the same number.
    #[serde(default)]
    pub part: u32,
    /// For a pin: when it ends.
    #[serde(default)]
    pub deadline: String,
    /// The pin that this is about.
    #[serde(default)]
    pub pin: Option<RemovalPin>,
    /// `"rule"`, or `{"uid": …}`.
    pub by: serde_json::Value,
}

/// A pin in a line of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemovalPin {
    /// Its number.
    pub id: u64,
    /// Who set it.
    pub who: String,
    /// Why.
    pub why: String,
}
