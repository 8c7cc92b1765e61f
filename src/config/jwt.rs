//! `[[http.jwt]]`: issuers of JSON web tokens.

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};

use super::endpoints::Bases;
use super::error::Refusal;
use super::reader::{Reader, Reported};
use super::schema;
use super::setting::Table;
use super::settings::JwtSettings;
use crate::core::role::Role;

/// The shortest secret, in bytes. RFC 7518 wants as many as the hash has, which many applications
/// do not keep to; less than this is guessed.
const SECRET_BYTES_MIN: usize = 16;

/// The longest tolerance for clocks.
const LEEWAY_MAX: Duration = Duration::from_mins(1);

/// Returns true if `jwt` is off: its secret is empty, as that of a variable without a value. With
/// an empty key, every client could sign.
pub(super) fn is_off(jwt: &Table<schema::Jwt>) -> bool {
    let is_empty = |secret: &String| secret.trim().is_empty();
    jwt.secret.get().is_some_and(is_empty) && !jwt.key.is_present()
}

/// Warning about issuers that are off.
pub(super) fn note(off: usize) -> Option<String> {
    match off {
        0 => None,
        1 => Some(
            "an issuer of [[http.jwt]] is off, because its secret is empty: its JWTs are refused"
                .to_owned(),
        ),
        more => Some(format!(
            "{more} issuers of [[http.jwt]] are off, because their secrets are empty: their JWTs are refused"
        )),
    }
}

/// Reads and checks an issuer; `None` if something was reported.
pub(super) fn read(
    reader: &mut Reader,
    jwt: &Table<schema::Jwt>,
    bases: &Bases,
) -> Option<JwtSettings> {
    let (key, usual) = key(reader, jwt, bases).ok()?;
    let algorithms: Vec<Algorithm> = match jwt.algorithms.all() {
        None => vec![usual],
        Some(given) => {
            for (text, algorithm) in &given {
                if algorithm.family() != key.family() {
                    let refusal = Refusal::new("is an algorithm for another kind of key");
                    let family = key.family();
                    let others = family.algorithms().iter();
                    let others: Vec<_> = others.map(|one| format!("{one:?}")).collect();
                    let hint = format!("for this one: {}", others.join(", "));
                    reader.note(text.refuse(refusal.hint(hint)));
                }
            }
            given.into_iter().map(|(_, algorithm)| *algorithm).collect()
        }
    };
    if let Some((text, leeway)) = jwt.leeway.both()
        && leeway.0 > LEEWAY_MAX
    {
        reader.note(text.refuse(Refusal::new("is longer than the limit of 1m")));
    }
    let words = |role: Role| (role.as_str().to_owned(), role);
    let roles = if jwt.roles.text().is_none() {
        [Role::Viewer, Role::Operator].map(words).into()
    } else {
        let roles = jwt.roles.iter();
        roles
            .map(|(word, _, role)| (word.to_owned(), *role))
            .collect()
    };
    let require = jwt.require.iter();
    Some(JwtSettings {
        key,
        algorithms,
        issuer: jwt.issuer.get().cloned(),
        audience: jwt.audience.all().map_or_else(Vec::new, |all| {
            all.into_iter().map(|(_, text)| text.clone()).collect()
        }),
        role_claim: jwt.role_claim.get()?.clone(),
        roles,
        require: require
            .map(|(claim, _, value)| (claim.to_owned(), value.clone()))
            .collect(),
        leeway: jwt.leeway.get()?.0,
    })
}

/// The key, and the usual algorithm for it.
fn key(
    reader: &mut Reader,
    jwt: &Table<schema::Jwt>,
    bases: &Bases,
) -> Result<(DecodingKey, Algorithm), Reported> {
    let path = reader.path_below(&jwt.key, bases.file.as_deref())?;
    match (jwt.secret.both(), jwt.key.text().zip(path)) {
        (Some((text, secret)), None) => {
            let found = of_secret(secret).map_err(|refusal| text.refuse(refusal));
            reader.take(found).ok_or(Reported)
        }
        (None, Some((text, path))) => {
            let found = of_file(&path).map_err(|refusal| text.refuse(refusal));
            reader.take(found).ok_or(Reported)
        }
        (None, None) if jwt.secret.is_present() || jwt.key.is_present() => Err(Reported),
        (secret, _) => {
            let message = match secret {
                Some(_) => "secret and key exclude each other",
                None => "needs secret or key",
            };
            let mut problem = jwt.problem(message);
            problem.hint = Some("secret is for HS256, key for RS256, ES256 and EdDSA".to_owned());
            reader.note(problem);
            Err(Reported)
        }
    }
}

fn of_secret(secret: &str) -> Result<(DecodingKey, Algorithm), Refusal> {
    if secret.len() < SECRET_BYTES_MIN {
        let why = format!("is shorter than {SECRET_BYTES_MIN} bytes, and could be guessed");
        return Err(Refusal::new(why).hint("`openssl rand -base64 48` makes a good one"));
    }
    let key = DecodingKey::from_secret(secret.as_bytes());
    let key = key.map_err(|_| Refusal::new("is no secret"))?;
    Ok((key, Algorithm::HS256))
}

/// Text that every private key in PEM has.
const PRIVATE: &[u8] = b"PRIVATE KEY";

fn of_file(path: &Path) -> Result<(DecodingKey, Algorithm), Refusal> {
    let pem =
        std::fs::read(path).map_err(|error| Refusal::new(format!("cannot be read: {error}")))?;
    if pem.windows(PRIVATE.len()).any(|part| part == PRIVATE) {
        return Err(
            Refusal::new("has a private key, which belongs to the issuer alone")
                .hint("`openssl pkey -in FILE -pubout` prints the public key"),
        );
    }
    let key = DecodingKey::from_rsa_pem(&pem)
        .or_else(|_| DecodingKey::from_ec_pem(&pem))
        .or_else(|_| DecodingKey::from_ed_pem(&pem));
    let key = key.map_err(|_| {
        Refusal::new("is no public key in PEM of RSA, an elliptic curve, or Ed25519")
            .hint("it begins with -----BEGIN PUBLIC KEY-----")
    })?;
    let usual = match key.family() {
        AlgorithmFamily::Hmac => Algorithm::HS256,
        AlgorithmFamily::Rsa => Algorithm::RS256,
        AlgorithmFamily::Ec => Algorithm::ES256,
        AlgorithmFamily::Ed => Algorithm::EdDSA,
    };
    Ok((key, usual))
}
