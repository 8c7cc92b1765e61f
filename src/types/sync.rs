//! `POST /v1/sync`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/sync`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Synced {
    /// Always true: an answer means that the barrier is through.
    pub synced: bool,
    /// Duration in microseconds.
    pub took_us: u64,
}
