//! `GET /v1/breaker`, `POST /v1/breaker/release`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::OrphanTrip;
use crate::core::report::Counted;

/// A breaker that has tripped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trip {
    /// The root's name.
    pub root: String,
    /// Instant; everything due before it is held.
    pub at: String,
    /// Number of things that were due at once.
    pub due: u64,
    /// Number of things in all.
    pub of: u64,
    /// Counted things: `files` of the root, or `jobs` of a source.
    #[serde(default)]
    pub what: Counted,
}

/// `GET /v1/breaker`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Breaker {
    /// Roots whose breaker has tripped.
    pub tripped: Vec<Trip>,
    /// Breakers that hold orphans.
    #[serde(default)]
    pub orphans: Vec<OrphanTrip>,
}

/// `POST /v1/breaker/release`, answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Released {
    /// The names of the roots that were held.
    pub released: Vec<String>,
}

/// Body of `POST /v1/breaker/release`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({}), json!({"root": "results"})))]
pub struct Release {
    /// Only this root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}
