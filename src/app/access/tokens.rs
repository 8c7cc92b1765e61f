//! Tokens: `lapsed_ID_SECRET`. The secret is 256 random bits in base64; its SHA-256 is stored.
//!
//! **Invariant:** a token that is revoked or expired lets nothing through, also on connections and
//! streams that it opened before.
//! **Invariant:** a secret is returned once, when it is made, and is in no message, log or answer
//! after that.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::app::error::AppError;
use crate::core::role::Role;
use crate::core::time::Timestamp;
use crate::registry::StoredToken;

/// Prefix of every token, by which scanners of leaked secrets find it.
pub const PREFIX: &str = "lapsed_";

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Tokens, by id.
#[derive(Debug, Default)]
pub struct Tokens(RwLock<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    stored: StoredToken,
    /// Dropped with the entry, which tells streams of the token to end.
    alive: watch::Sender<()>,
}

/// Grant of a token that was checked.
#[derive(Clone, Debug)]
pub struct TokenGrant {
    /// Name of the token.
    pub name: String,
    /// Role.
    pub role: Role,
    /// Instant from which it is refused.
    pub(super) expires_at: Option<Timestamp>,
    /// Closed when the token is revoked.
    pub(super) alive: watch::Receiver<()>,
}

impl Tokens {
    /// Tokens that are `stored`.
    #[must_use]
    pub fn new(stored: Vec<StoredToken>) -> Self {
        let tokens = Self::default();
        for token in stored {
            tokens.insert(token);
        }
        tokens
    }

    /// Adds a token.
    pub fn insert(&self, stored: StoredToken) {
        let (alive, _) = watch::channel(());
        self.0
            .write()
            .insert(stored.id.clone(), Entry { stored, alive });
    }

    /// Takes a token out of use, with the streams that it opened.
    pub fn remove(&self, id: &str) {
        self.0.write().remove(id);
    }

    /// Returns all tokens, ordered by name.
    #[must_use]
    pub fn list(&self) -> Vec<StoredToken> {
        let tokens = self.0.read();
        let mut list: Vec<_> = tokens.values().map(|entry| entry.stored.clone()).collect();
        list.sort_by(|one, other| one.name.cmp(&other.name));
        list
    }

    /// Checks `token` at `now`. The time taken tells nothing of the secret.
    ///
    /// # Errors
    /// The reason, if it is not valid.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<TokenGrant, &'static str> {
        const UNKNOWN: &str = "the token is unknown or revoked";
        let (id, secret) = parse(token).ok_or("the token is incomplete")?;
        let tokens = self.0.read();
        let entry = tokens.get(id).ok_or(UNKNOWN)?;
        if !bool::from(hash(&secret).ct_eq(&entry.stored.hash)) {
            return Err(UNKNOWN);
        }
        if entry.stored.expires_at.is_some_and(|at| at <= now) {
            return Err("the token has expired");
        }
        Ok(TokenGrant {
            name: entry.stored.name.clone(),
            role: entry.stored.role,
            expires_at: entry.stored.expires_at,
            alive: entry.alive.subscribe(),
        })
    }
}

/// Id, hash, and text of a new token.
pub struct Fresh {
    /// Id.
    pub id: String,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// Token, to be shown once.
    pub text: String,
}

impl Fresh {
    /// Makes a token of the kernel's random bits.
    ///
    /// # Errors
    /// If the kernel has none.
    pub fn generate() -> Result<Self, AppError> {
        let mut secret = [0; SECRET_BYTES];
        let id = getrandom::fill(&mut secret).and_then(|()| getrandom::u32());
        let id = id.map_err(|error| AppError::internal(format!("no random bits: {error}")))?;
        let id = format!("{id:08x}");
        Ok(Self {
            hash: hash(&secret),
            text: format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret)),
            id,
        })
    }
}

fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Splits a token into its id and its secret.
fn parse(token: &str) -> Option<(&str, Vec<u8>)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
    (secret.len() == SECRET_BYTES).then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

    fn stored(fresh: &Fresh, expires_at: Option<Timestamp>) -> StoredToken {
        StoredToken {
            id: fresh.id.clone(),
            name: "ci".to_owned(),
            role: Role::Operator,
            hash: fresh.hash,
            created_at: NOW,
            created_by: "uid 0".to_owned(),
            expires_at,
        }
    }

    #[test]
    fn only_the_token_itself_is_taken() {
        let (fresh, other) = (Fresh::generate().unwrap(), Fresh::generate().unwrap());
        let tokens = Tokens::new(vec![stored(&fresh, None)]);
        let grant = tokens.check(&fresh.text, NOW).unwrap();
        assert_eq!((grant.name.as_str(), grant.role), ("ci", Role::Operator));
        let secret = other.text.rsplit_once('_').unwrap().1;
        let mixed = format!("{PREFIX}{}_{secret}", fresh.id);
        let short = &fresh.text[..fresh.text.len() - 1];
        let long = format!("{}A", fresh.text);
        for wrong in ["", PREFIX, &other.text, &mixed, short, &long, "lapsed_x_"] {
            assert!(tokens.check(wrong, NOW).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_ends_at_its_instant_and_when_it_is_revoked() {
        let fresh = Fresh::generate().unwrap();
        let tokens = Tokens::new(vec![stored(&fresh, Some(NOW))]);
        assert!(tokens.check(&fresh.text, NOW.plus_ms(-1)).is_ok());
        let expired = tokens.check(&fresh.text, NOW).unwrap_err();
        assert_eq!(expired, "the token has expired");
        let grant = tokens.check(&fresh.text, NOW.plus_ms(-1)).unwrap();
        tokens.remove(&fresh.id);
        assert!(grant.alive.has_changed().is_err(), "its streams end");
        assert!(tokens.check(&fresh.text, NOW.plus_ms(-1)).is_err());
    }

    #[test]
    fn secrets_have_256_bits_and_differ() {
        let texts: std::collections::BTreeSet<_> =
            (0..64).map(|_| Fresh::generate().unwrap().text).collect();
        assert_eq!(texts.len(), 64);
        for text in texts {
            assert_eq!(parse(&text).unwrap().1.len() * 8, 256);
        }
    }
}
