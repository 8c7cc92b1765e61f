//! The JSON of displaced things, and of orders about them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JsonPath;

/// `GET /v1/displaced`: what could not go back to its place, and is kept in the quarantine of its
/// root.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Displaced {
    /// Displaced things, by root and name.
    pub things: Vec<DisplacedThing>,
    /// Quarantines that cannot be read, with the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// A displaced thing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DisplacedThing {
    /// Name of the root.
    pub root: String,
    /// Its name in the quarantine. Bytes that are not UTF-8 are replaced.
    pub name: String,
    /// Absolute path of where it is.
    #[serde(flatten)]
    pub path: JsonPath,
    /// True if it is a directory.
    pub is_dir: bool,
    /// Bytes; of a file.
    pub bytes: u64,
    /// Absolute path of where it was; `null`: it is not known.
    pub origin: Option<String>,
    /// Instant at which it was displaced.
    pub at: Option<String>,
    /// Reason.
    pub why: Option<String>,
}

/// Body of `POST /v1/displaced/restore`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"root": "results", "names": ["displaced-17-report.pdf"]})))]
pub struct DisplacedRestore {
    /// Name of the root.
    pub root: String,
    /// Names in its quarantine.
    pub names: Vec<String>,
    /// Absolute path in the root where it belongs, for a single one; absent: where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Restore beside a name that is taken by now: `NAME.restored-ID`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// Duration for which all that comes back is pinned, such as `7d`, which is the default.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
}

/// Body of `POST /v1/displaced/remove`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"root": "results", "names": ["displaced-17-report.pdf"]})))]
pub struct DisplacedRemove {
    /// Name of the root.
    pub root: String,
    /// Names in its quarantine.
    pub names: Vec<String>,
}
