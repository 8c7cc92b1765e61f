//! Tokens of HTTP clients.
//!
//! **Invariant:** a token that is revoked lets nothing through from that moment on, even if the
//! registry cannot be written.

use std::sync::Arc;

use super::daemon::Daemon;
use super::order::{through, wait};
use crate::app::access::Admin;
use crate::app::access::tokens::Fresh;
use crate::app::error::AppError;
use crate::clock;
use crate::core::span;
use crate::core::time::Timestamp;
use crate::registry::StoredToken;
use crate::types::{NewToken, Token, TokenOrder, Tokens};

/// Tokens at once.
const TOKENS_MAX: usize = 1000;

/// Longest name, in bytes.
const NAME_MAX: usize = 64;

/// Lists the tokens.
#[must_use]
pub fn list(daemon: &Daemon, _: &Admin) -> Tokens {
    let now = clock::now().wall;
    let tokens = daemon.parts.access.tokens().list();
    Tokens {
        tokens: tokens.iter().map(|token| line(token, now)).collect(),
    }
}

/// Makes a token.
///
/// # Errors
/// If the name is taken or cannot be one, there are too many, or the registry cannot be written.
pub async fn create(
    daemon: Arc<Daemon>,
    admin: &Admin,
    order: TokenOrder,
) -> Result<NewToken, AppError> {
    check_name(&order.name)?;
    let now = clock::now().wall;
    let expires_at = order.expires.as_deref().map(|text| instant(text, now));
    let fresh = Fresh::generate()?;
    let stored = StoredToken {
        id: fresh.id,
        name: order.name,
        role: order.role,
        hash: fresh.hash,
        created_at: now,
        created_by: admin.principal().to_string(),
        expires_at: expires_at.transpose()?,
    };
    let made = line(&stored, now);
    through(async move {
        let _turn = daemon.turn().await;
        let tokens = daemon.parts.access.tokens();
        if tokens.list().len() >= TOKENS_MAX {
            let error = AppError::conflict(format!("there are {TOKENS_MAX} tokens already"));
            return Err(error.hint("`lapsed token revoke` removes those that nobody needs"));
        }
        let (registry, added) = (Arc::clone(&daemon.parts.registry), stored.clone());
        if !wait(move || registry.add_token(&added)).await?? {
            let why = format!("there is a token \"{}\" already", stored.name);
            return Err(AppError::conflict(why).hint("take another name, or revoke that one first"));
        }
        tokens.insert(stored);
        Ok(())
    })
    .await?;
    Ok(NewToken {
        made,
        token: fresh.text,
    })
}

/// Revokes the token with the id or the name `which`, and ends the streams that it opened.
///
/// # Errors
/// If there is none, or the registry cannot be written: then it is out of use until the next start
/// only.
pub async fn revoke(daemon: Arc<Daemon>, _: &Admin, which: String) -> Result<Token, AppError> {
    through(async move {
        let _turn = daemon.turn().await;
        let registry = Arc::clone(&daemon.parts.registry);
        let tokens = daemon.parts.access.tokens();
        let is_meant = |token: &StoredToken| token.id == which || token.name == which;
        let stored = Arc::clone(&registry);
        // Also one that is out of use, because the registry could not be written.
        let stored = wait(move || stored.tokens()).await??;
        let found = stored.into_iter().find(is_meant);
        let found = found.ok_or_else(|| {
            AppError::not_found(format!("there is no token \"{which}\""))
                .hint("`lapsed token ls` lists the tokens")
        })?;
        tokens.remove(&found.id);
        let id = found.id.clone();
        wait(move || registry.remove_token(&id)).await??;
        Ok(line(&found, clock::now().wall))
    })
    .await
}

fn check_name(name: &str) -> Result<(), AppError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_plain) {
        let why = format!("a token cannot be named {name:?}");
        let hint = format!("give 1 to {NAME_MAX} letters, digits, \".\", \"_\" and \"-\"");
        return Err(AppError::invalid(why).hint(hint));
    }
    Ok(())
}

/// The instant after the duration `text`.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, AppError> {
    let lasting = span::parse(text).ok().filter(|lasting| !lasting.is_zero());
    let lasting = lasting.ok_or_else(|| {
        AppError::invalid(format!("a token cannot expire after \"{text}\""))
            .hint("give a duration such as 12h or 90d")
    })?;
    Ok(now.after(lasting))
}

fn line(token: &StoredToken, now: Timestamp) -> Token {
    Token {
        id: token.id.clone(),
        name: token.name.clone(),
        role: token.role,
        created_at: token.created_at.to_string(),
        created_by: token.created_by.clone(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        is_expired: token.expires_at.is_some_and(|at| at <= now),
    }
}
