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
    /// When; what was due before is held.
    pub at: String,
    /// How many were due at once.
    pub due: u64,
    /// Of how many.
    pub of: u64,
    /// What was counted: `files` of the root, or `jobs` of a source.
    #[serde(default)]
    pub what: Counted,
}

/// `GET /v1/breaker`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Breaker {
    /// Roots whose breaker has tripped.
    pub tripped: Vec<Trip>,
    /// What nobody owns, and is held.
    #[serde(default)]
    pub orphans: Vec<OrphanTrip>,
}

/// `POST /v1/breaker/release`, answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Released {
    /// The names of the roots that were held.
    pub released: Vec<String>,
}

/// What `POST /v1/breaker/release` takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Only this root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}
