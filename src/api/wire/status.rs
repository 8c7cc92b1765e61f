//! The JSON of parts of the status.

use serde::{Deserialize, Serialize};

use super::Tally;

/// What is due, and how fast it goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Due {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are removed a second, over the last minute or since the removals began.
    pub per_second: f64,
    /// When all that is not held will be gone at this rate.
    pub ends: Option<String>,
}

/// What is due and does not go by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waits {
    /// Under rules that have to be asked for.
    pub asked: Tally,
    /// Under rules with a schedule.
    pub scheduled: Tally,
    /// The next instant at which some of that goes.
    pub next: Option<String>,
}

/// Where the settings come from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Configuration {
    /// The file; `null`: the command line alone.
    pub file: Option<String>,
    /// Since when what it said then is in force.
    pub since: String,
    /// The last reload, when it failed: since then the file is not in force.
    pub failed: Option<FailedReload>,
}

/// A reload that failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedReload {
    /// When.
    pub at: String,
    /// Why, for people.
    pub error: String,
}
