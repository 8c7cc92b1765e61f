//! Answer of `POST /v1/reload`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Configuration;

/// `POST /v1/reload`: the configuration is in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// Origin of the settings.
    pub configuration: Configuration,
    /// Changed settings that take effect at a restart: until then the earlier ones are in force.
    pub restart: Vec<String>,
}
