//! JSON web tokens (RFC 7519) that an application signs.
//!
//! **Invariant:** a JWT is an application's word: it reaches an operator at most.
//! **Invariant:** what is not proven is refused: a missing `exp`, an audience that is not ours, a
//! claim of another type, an algorithm that the key is not for.

use std::collections::BTreeMap;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind as JwtError;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

use crate::core::role::Role;
use crate::core::time::Timestamp;

/// Longest subject that the ledger takes, in characters; the rest is cut off.
const SUBJECT_MAX: usize = 128;

/// Issuer whose JWTs are taken.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Key of its signatures.
    pub key: DecodingKey,
    /// Algorithms of that key, all of one family.
    pub algorithms: Vec<Algorithm>,
    /// Claim `iss`, if one is required.
    pub issuer: Option<String>,
    /// Claim `aud`: one of these, if any is given; otherwise a JWT may have none.
    pub audience: Vec<String>,
    /// Name of the claim that has the role, or several; dots lead into objects.
    pub role_claim: String,
    /// Role for each value of that claim; at most [`Role::Operator`].
    pub roles: BTreeMap<String, Role>,
    /// Values that other claims must have.
    pub require: BTreeMap<String, String>,
    /// Tolerance for clocks that differ.
    pub leeway: Duration,
}

/// Grant of a JWT that was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JwtGrant {
    /// Claim `sub`.
    pub subject: String,
    /// Role.
    pub role: Role,
    /// Instant from which it is refused.
    pub(super) expires_at: Timestamp,
}

/// Refusal of a JWT, with the reason; it never contains the JWT.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JwtRefusal {
    /// It is not valid.
    Invalid(String),
    /// It is valid, and has no role here.
    NoRole(String),
}

/// Checks `token` against each of `issuers`, and returns the grant of the first that takes it, or
/// the refusal of the one that came furthest.
pub(super) fn check(issuers: &[Issuer], token: &str) -> Result<JwtGrant, JwtRefusal> {
    let mut refusal = JwtRefusal::Invalid("the JWT is not signed by a known issuer".to_owned());
    for issuer in issuers {
        match issuer.check(token) {
            Ok(grant) => return Ok(grant),
            Err((_, why)) if matches!(why, JwtRefusal::NoRole(_)) => refusal = why,
            Err((true, why)) if !matches!(refusal, JwtRefusal::NoRole(_)) => refusal = why,
            Err(_) => {}
        }
    }
    Err(refusal)
}

impl Issuer {
    /// Checks `token`. An error tells whether the signature was this issuer's.
    fn check(&self, token: &str) -> Result<JwtGrant, (bool, JwtRefusal)> {
        let claims: Map<String, Value> = decode(token, &self.key, &self.validation())
            .map_err(|error| {
                let (is_ours, why) = explain(error.kind());
                (is_ours, JwtRefusal::Invalid(why))
            })?
            .claims;
        let invalid = |why: String| (true, JwtRefusal::Invalid(why));
        for (name, wanted) in &self.require {
            if text(claim(&claims, name)).as_deref() != Some(wanted) {
                return Err(invalid(format!("claim \"{name}\" is not \"{wanted}\"")));
            }
        }
        let subject = text(claims.get("sub")).filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| invalid("claim \"sub\" is missing".to_owned()))?;
        let expires_at = claims.get("exp").and_then(Value::as_f64);
        let expires_at =
            expires_at.ok_or_else(|| invalid("claim \"exp\" is missing".to_owned()))?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates: it is in the future"
        )]
        let expires_ms = (expires_at * 1000.0) as i64;
        let leeway_ms = i64::try_from(self.leeway.as_millis()).unwrap_or_default();
        Ok(JwtGrant {
            subject: subject.chars().take(SUBJECT_MAX).collect(),
            role: self.role(&claims).map_err(|why| (true, why))?,
            expires_at: Timestamp::from_unix_ms(expires_ms).plus_ms(leeway_ms),
        })
    }

    fn validation(&self) -> Validation {
        let first = self.algorithms.first().copied().unwrap_or_default();
        let mut validation = Validation::new(first);
        validation.algorithms.clone_from(&self.algorithms);
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if !self.audience.is_empty() {
            validation.set_audience(&self.audience);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    /// The highest role of those that `claims` name.
    fn role(&self, claims: &Map<String, Value>) -> Result<Role, JwtRefusal> {
        let found = claim(claims, &self.role_claim);
        let values = match found {
            Some(Value::Array(values)) => values.iter().collect(),
            Some(value) => vec![value],
            None => Vec::new(),
        };
        let roles = values.into_iter().filter_map(|value| text(Some(value)));
        let role = roles.filter_map(|name| self.roles.get(&name)).max();
        let role = role.ok_or_else(|| {
            JwtRefusal::NoRole(format!(
                "claim \"{}\" of the JWT names no role that the configuration maps",
                self.role_claim
            ))
        })?;
        Ok((*role).min(Role::Operator))
    }
}

/// The claim `name`; if there is none of that name, dots lead into objects.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (outer, inner) = name.split_once('.')?;
        claim(claims.get(outer)?.as_object()?, inner)
    })
}

/// A claim of text, a number or a truth value, as text.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Tells whether the signature was right, and what is wrong.
fn explain(error: &JwtError) -> (bool, String) {
    let (is_ours, why) = match error {
        JwtError::InvalidSignature => (false, "the signature of the JWT is wrong"),
        JwtError::InvalidAlgorithm => (false, "the JWT is signed by another algorithm"),
        JwtError::ExpiredSignature => (true, "the JWT has expired"),
        JwtError::ImmatureSignature => (true, "the JWT is not valid yet"),
        JwtError::InvalidIssuer => (true, "the JWT is of another issuer"),
        JwtError::InvalidAudience => (true, "the JWT is for another audience"),
        JwtError::MissingRequiredClaim(name) => {
            return (true, format!("claim \"{name}\" is missing"));
        }
        JwtError::InvalidClaimFormat(name) => {
            return (true, format!("claim \"{name}\" has another type"));
        }
        _ => (false, "the JWT cannot be read"),
    };
    (is_ours, why.to_owned())
}

#[cfg(test)]
mod tests;
