//! Requesters of changes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Requester of a change, as the ledger names it.
///
/// Records on disk encode the variants by position: append new ones.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// A rule whose deadline passed.
    #[default]
    Rule,
    /// A process with this user id.
    Uid(u32),
    /// A rule's schedule, or the daemon's start.
    Schedule,
    /// A client without credentials.
    Anonymous,
    /// The holder of the token with this name.
    Token(String),
    /// The subject of a JWT.
    Jwt(String),
}

impl Principal {
    /// Returns true if a person or program asked. Otherwise time has passed, and the breaker counts
    /// orphans as at their deadlines.
    #[must_use]
    pub const fn is_client(&self) -> bool {
        match self {
            Self::Rule | Self::Schedule => false,
            Self::Uid(_) | Self::Anonymous | Self::Token(_) | Self::Jwt(_) => true,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule => f.write_str("rule"),
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Schedule => f.write_str("schedule"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Token(name) => write!(f, "token {name}"),
            Self::Jwt(subject) => write!(f, "jwt {subject}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_earlier_versions_read_as_they_were_meant() {
        for (json, principal) in [
            ("\"rule\"", Principal::Rule),
            ("{\"uid\":1000}", Principal::Uid(1000)),
        ] {
            assert_eq!(serde_json::from_str::<Principal>(json).unwrap(), principal);
            assert_eq!(serde_json::to_string(&principal).unwrap(), json);
        }
    }
}
