//! The JSON of the trash and of displaced things, and of orders about them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Bytes, JsonPath, RemovalUnit, Since};
use crate::core::principal::Principal;

/// Parameters of `GET /v1/trash`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct TrashQuery {
    /// Name of a root.
    pub root: Option<String>,
    /// Number of a removal.
    pub id: Option<u64>,
    /// Number of a run.
    pub run: Option<u64>,
    /// Id of a job.
    pub job: Option<String>,
    /// Absolute path; things that were there or below it.
    pub path: Option<Bytes>,
    /// Earliest removal, or a duration before now.
    #[param(value_type = Option<String>)]
    pub since: Option<Since>,
    /// Maximum number of things.
    pub limit: Option<u64>,
    /// Cursor of an earlier answer.
    pub cursor: Option<String>,
}

/// `GET /v1/trash`: what can be restored, newest removal first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Trash {
    /// Things of one page.
    pub things: Vec<TrashedThing>,
    /// Sums of all things, by root.
    pub roots: Vec<TrashTotal>,
    /// Position to continue at; `null` when there is no more.
    pub cursor: Option<String>,
    /// Things whose manifests cannot be read, with the reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}

/// Files and directories that one removal moved into the trash of a root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrashedThing {
    /// Number of the removal, as in the ledger.
    pub id: u64,
    /// Name of the root.
    pub root: String,
    /// Absolute path, of the first piece of several.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Number of further pieces in this root.
    pub further: u64,
    /// Unit that lapsed.
    pub unit: RemovalUnit,
    /// Id of the job that owned it; `null`: none.
    pub owner: Option<String>,
    /// Name of the rule.
    pub rule: String,
    /// Number of the run that removed it; `null`: its deadline passed.
    pub run: Option<u64>,
    /// Origin of the removal.
    pub by: Principal,
    /// Instant of the removal.
    pub at: String,
    /// Instant from which it is deleted.
    pub until: String,
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Sums of the trash of a root.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TrashTotal {
    /// Name of the root.
    pub root: String,
    /// False while the trash is still being read.
    pub is_known: bool,
    /// Things.
    pub things: u64,
    /// Regular files.
    pub files: u64,
    /// Their bytes, which are freed when they are deleted.
    pub bytes: u64,
    /// Instant at which the first of them is deleted; `null`: nothing waits.
    pub next: Option<String>,
}

/// Body of `POST /v1/undo`: one way to say what comes back. What was removed under one number comes
/// back together.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"run": 12}), json!({"path": "/srv/results/7", "beside": true})))]
pub struct UndoOrder {
    /// Numbers of removals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<u64>,
    /// Number of a run: all that it removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Id of a job: all that was removed of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Absolute path: all that was removed there and below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path's bytes in base64, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// All that was removed since then: an instant, or a duration before now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub since: Option<Since>,
    /// The last removal, with all that its run removed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// Restore beside a name that is taken by now: `NAME.restored-ID`. Without it such a thing
    /// stays in the trash. Nothing is ever overwritten.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// Duration for which all that comes back is pinned, such as `7d`, which is the default.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
    /// Tell what would come back, and restore nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Answer of `POST /v1/undo`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Undone {
    /// True if nothing was restored: it would have been, but for names that are taken by then.
    pub dry_run: bool,
    /// Things that came back, wholly or in part.
    pub things: u64,
    /// Regular files in them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Instant until which they are pinned; `null`: nothing came back.
    pub pinned_until: Option<String>,
    /// Files and directories that came back: at most 10,000.
    pub restored: Vec<RestoredPath>,
    /// Number of others.
    pub restored_left_out: u64,
    /// Things that stay in the trash, with the reason: at most 10,000.
    pub left: Vec<LeftInTrash>,
    /// Number of others.
    pub left_left_out: u64,
}

/// A file or directory that came back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RestoredPath {
    /// Number of the removal.
    pub id: u64,
    /// Name of the root.
    pub root: String,
    /// Absolute path of where it is now.
    #[serde(flatten)]
    pub path: JsonPath,
}

/// A thing of the trash that stays there, or a part of one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeftInTrash {
    /// Number of the removal.
    pub id: u64,
    /// Name of the root.
    pub root: String,
    /// Reason, with what would mend it.
    pub why: String,
}

/// Body of `POST /v1/trash/empty`: what is deleted before its time. An order that names nothing is
/// refused.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"root": "results"}), json!({"ids": [17]})))]
pub struct EmptyOrder {
    /// All things.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Numbers of removals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<u64>,
    /// Only of the root of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Only what was removed before this instant, or longer ago than this duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub before: Option<Since>,
}

/// Answer of `POST /v1/trash/empty`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Emptied {
    /// Things that were deleted.
    pub things: u64,
    /// Regular files in them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Things that could not be deleted, with the reason: at most 10,000.
    pub left: Vec<LeftInTrash>,
    /// Number of others.
    pub left_out: u64,
}
