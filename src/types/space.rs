//! Answer of `GET /v1/space`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JsonPath;

/// `GET /v1/space`: files by root and by rule, and what is due.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Space {
    /// All roots.
    pub roots: Vec<RootSpace>,
    /// All rules, in the order in which they are tried.
    pub rules: Vec<RuleSpace>,
}

/// Files of a root.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RootSpace {
    /// The root's name.
    pub root: String,
    /// Its path.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Files, those under no rule included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files right in the root.
    pub top_files: u64,
    /// Directories right in the root.
    pub top_directories: u64,
}

/// Files under a rule.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct RuleSpace {
    /// The rule's name.
    pub rule: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that are due, held or not.
    pub due_files: u64,
    /// Bytes of these.
    pub due_bytes: u64,
}
