//! The JSON of tokens, and of orders about them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::role::Role;

/// Body of `POST /v1/tokens`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"role": "viewer", "name": "prometheus", "expires": "90d"})))]
pub struct TokenOrder {
    /// Role.
    pub role: Role,
    /// Name, as the ledger will have it: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Duration after which it is refused, such as `90d`; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A token, without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Instant at which it was made.
    pub created_at: String,
    /// Identity of who had it made.
    pub created_by: String,
    /// Instant from which it is refused; `null`: never.
    pub expires_at: Option<String>,
    /// True if that has come.
    pub is_expired: bool,
}

/// Answer of `POST /v1/tokens`: the only one that has the secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// The token, but for its secret.
    #[serde(flatten)]
    pub made: Token,
    /// Credentials that a client sends, as `Authorization: Bearer TOKEN`. They are not shown again.
    pub token: String,
}

/// `GET /v1/tokens`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// Tokens that are not revoked, by name.
    pub tokens: Vec<Token>,
}
