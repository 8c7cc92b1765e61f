//! Answer of `GET /v1/whoami`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::principal::Principal;
use crate::core::role::Role;

/// `GET /v1/whoami`: the client, as the daemon knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// Identity, as the ledger names it.
    pub principal: Principal,
    /// Highest role that it has.
    pub role: Role,
}
