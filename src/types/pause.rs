//! The JSON of pauses, and of orders about them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::core::pauses;

/// A pause: nothing is removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    /// Name of the root; `null`: all roots.
    pub root: Option<String>,
    /// Name of the user who ordered it.
    pub who: String,
    /// Reason.
    pub why: String,
    /// Instant at which it began.
    pub since: String,
    /// Instant at which it ends; later if the clock jumps forward meanwhile.
    pub until: String,
}

impl From<&pauses::Pause> for Pause {
    fn from(pause: &pauses::Pause) -> Self {
        Self {
            root: pause.root_name().map(str::to_owned),
            who: pause.who.clone(),
            why: pause.why.clone(),
            since: pause.since.to_string(),
            until: pause.until.to_string(),
        }
    }
}

/// `GET /v1/pause`, and the answer to an order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Pauses {
    /// The pauses that hold: first the one of all roots, then by the root's name.
    pub pauses: Vec<Pause>,
    /// Number of removals that had begun and are not through yet.
    pub under_way: u64,
}

/// Body of `POST /v1/pause`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"for": "2h", "why": "the backup is restored"}), json!({"for": "2h", "why": "an audit", "roots": ["results"]})))]
pub struct PauseOrder {
    /// Duration from now, such as `2h`; at most 30 days. Required.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
    /// Reason. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Names of roots; absent: all roots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<String>>,
}

/// Parameters of `DELETE /v1/pause`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct ResumeQuery {
    /// Only the pause of this root; absent: all pauses.
    pub root: Option<String>,
}

/// `DELETE /v1/pause`, answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Resumed {
    /// The pauses that were ended.
    pub resumed: Vec<Pause>,
}
