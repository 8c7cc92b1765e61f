//! The JSON of explanations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FoundKind, JobLine, LimitPlace, Pin, Trigger};
use crate::core::claim::Unit;
use crate::core::policy::Since;
use crate::types::JsonPath;

/// `GET /v1/explain`. What is known of an entry; where there is no such file, most of it is `null`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Its absolute path.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Its root's name.
    pub root: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Last change of its content.
    pub mtime: Option<String>,
    /// The job that owns it; of several, the one that keeps it longest.
    pub job: Option<JobLine>,
    /// All the jobs that own it, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<JobLine>,
    /// True for an orphan: no job owns it, in a root with owners.
    pub orphan: bool,
    /// The rule that it falls under.
    pub rule: Option<String>,
    /// From when on its rule lets it go.
    pub deadline: Option<String>,
    /// Instant of the removal: the deadline, or the first instant of the rule's schedule after it.
    /// `null`: on request, or never.
    pub lapses_at: Option<String>,
    /// Trigger of the removal. `null`: it is never removed.
    pub reason: Option<Trigger>,
    /// Code of the hold that keeps it although it is due.
    pub hold: Option<String>,
    /// The pin that holds it, due or not.
    pub pin: Option<Pin>,
    /// Kind of the thing at the path; `null`: nothing is known there. The client, which can look
    /// for itself, tells more kinds from nothing.
    pub found: Option<FoundKind>,
    /// Removal of the path, if nothing is there now.
    pub removed: Option<PastRemoval>,
    /// Unit that it lapses with.
    pub unit: Option<Unit>,
    /// The path of the unit, when it is another one.
    pub unit_path: Option<String>,
    /// The timestamp that the rule counts from.
    pub since: Option<Since>,
    /// Its value.
    pub basis: Option<String>,
    /// The rule's time to live, in milliseconds.
    pub expire_ms: Option<i64>,
    /// Everything that keeps it, or would if it were due now.
    pub holds: Vec<HoldLine>,
    /// Limits that count it, and its place in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitPlace>,
    /// All that in sentences.
    pub text: Vec<String>,
}

/// A removal that the ledger has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PastRemoval {
    /// Instant of the removal.
    pub at: String,
    /// Name of the rule.
    pub rule: String,
}

/// A hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HoldLine {
    /// Its kind.
    pub code: String,
    /// Meaning, and what ends the hold.
    pub why: String,
}
