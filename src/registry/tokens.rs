//! Tokens of clients.
//!
//! **Invariant:** the secret itself is nowhere: only its hash is.

use std::str::FromStr;

use rusqlite::{OptionalExtension, Row, params};

use super::error::{Fault, RegistryError};
use super::handle::Registry;
use crate::core::role::Role;
use crate::core::time::Timestamp;

/// Token, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredToken {
    /// Id: a part of the token that is no secret.
    pub id: String,
    /// Name, which no other token has.
    pub name: String,
    /// Role.
    pub role: Role,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Instant at which it was made.
    pub created_at: Timestamp,
    /// Identity of who had it made.
    pub created_by: String,
    /// Instant from which it is refused; `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl Registry {
    /// Returns all tokens, also expired ones, ordered by name.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn tokens(&self) -> Result<Vec<StoredToken>, RegistryError> {
        self.read("read tokens", |connection| {
            let mut query = connection.prepare(
                "SELECT id, name, role, hash, created_at, created_by, expires_at FROM token ORDER BY name",
            )?;
            let tokens = query.query_map([], token)?;
            Ok(tokens.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Adds `token`; false if its id or its name is taken.
    ///
    /// # Errors
    /// When the registry cannot be written. The token is not added then.
    pub fn add_token(&self, token: &StoredToken) -> Result<bool, RegistryError> {
        self.write("keep a token", |changes| {
            let added = changes
                .prepare_cached(
                    "INSERT INTO token (id, name, role, hash, created_at, created_by, expires_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                )?
                .execute(params![
                    token.id,
                    token.name,
                    token.role.as_str(),
                    token.hash,
                    token.created_at.unix_ms(),
                    token.created_by,
                    token.expires_at.map(Timestamp::unix_ms),
                ])?;
            Ok(added == 1)
        })
    }

    /// Removes the token `id`; false if there is none.
    ///
    /// # Errors
    /// When the registry cannot be written. The token is still there then.
    pub fn remove_token(&self, id: &str) -> Result<bool, RegistryError> {
        self.write("remove a token", |changes| {
            let removed = changes
                .prepare_cached("DELETE FROM token WHERE id = ?1 RETURNING 1")?
                .query_row([id], |_| Ok(()))
                .optional()?;
            Ok::<_, Fault>(removed.is_some())
        })
    }
}

fn token(row: &Row<'_>) -> rusqlite::Result<StoredToken> {
    let role: String = row.get(2)?;
    let unknown = |error: strum::ParseError| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(error))
    };
    let expires_at: Option<i64> = row.get(6)?;
    Ok(StoredToken {
        id: row.get(0)?,
        name: row.get(1)?,
        role: Role::from_str(&role).map_err(unknown)?,
        hash: row.get(3)?,
        created_at: Timestamp::from_unix_ms(row.get(4)?),
        created_by: row.get(5)?,
        expires_at: expires_at.map(Timestamp::from_unix_ms),
    })
}
