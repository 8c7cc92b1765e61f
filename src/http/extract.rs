//! Extractors: the typed parts of a request.
//!
//! **Invariant:** a handler has a [`Requester`] with a role only if the client has the role. Use
//! cases that act ask for one.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{Uri, header};
use serde::de::DeserializeOwned;

use super::credentials;
use super::error::Problem;
use super::route::BODY_MAX;
use crate::app::Daemon;
use crate::app::access::{HasRole, Requester, Viewer};
use crate::types::from_query;

/// Media type of a body.
pub(super) const JSON: &str = "application/json";

/// Query parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(from_query(pairs(&parts.uri)?)?))
    }
}

/// Splits the query of `uri` (`application/x-www-form-urlencoded`: `+` is a space).
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    let text = uri.query().unwrap_or_default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = String::from_utf8_lossy(&decode(name)?).into_owned();
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(Problem::bad_request(format!(
                "query parameter \"{name}\" is given twice"
            )));
        }
        pairs.push((name, decode(value)?));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    let broken = || Problem::bad_request(format!("\"{text}\" in the query is not percent-encoded"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_at_checked(2).ok_or_else(broken)?;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let value = digit(digits[0]).zip(digit(digits[1]));
                let (high, low) = value.ok_or_else(broken)?;
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| broken())?);
                rest = after;
            }
            plain => bytes.push(plain),
        }
    }
    Ok(bytes)
}

/// Last segment of a path, percent-decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(segment) =
            path.map_err(|error| Problem::bad_request(format!("the id cannot be read: {error}")))?;
        Ok(Self(segment))
    }
}

/// Example of a body, for messages.
pub(super) trait Example {
    /// JSON, and what it means.
    const EXAMPLE: &'static str;
}

/// Body, as JSON. A form that any web page could send is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned + Example, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media = request.headers().get(header::CONTENT_TYPE).cloned();
        // The route has read it already, within its own limit.
        let body = to_bytes(request.into_body(), BODY_MAX).await;
        let body = body.map_err(|_| Problem::too_large(BODY_MAX))?;
        if body.is_empty() {
            let hint = format!(
                "send a JSON object with content-type: application/json, such as {}",
                T::EXAMPLE
            );
            return Err(Problem::bad_request("the request has no body").hint(hint));
        }
        let media = media.as_ref().map_or(Ok("none"), |media| media.to_str());
        let media = media.unwrap_or("?");
        let kind = media.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(JSON) {
            return Err(Problem::wrong_media(media, JSON));
        }
        // Serde would take a list for a struct, field by field: `[]` for an order to remove all
        // that is due.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::bad_request(
                "the request's body is not a JSON object",
            ));
        }
        let value = serde_json::from_slice(&body).map_err(|error: serde_json::Error| {
            let detail = format!("the request's body cannot be read: {error}");
            let problem = Problem::bad_request(detail);
            if error.is_data() {
                problem.hint(format!("send a JSON object such as {}", T::EXAMPLE))
            } else {
                problem
            }
        })?;
        Ok(Self(value))
    }
}

impl<R: HasRole> FromRequestParts<Arc<Daemon>> for Requester<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, daemon: &Arc<Daemon>) -> Result<Self, Problem> {
        let client = daemon.authenticate(&credentials::facts(parts)?)?;
        Ok(daemon.authorize(client).await?)
    }
}

/// Client that may read the metrics: a viewer, or a program of this host where the configuration
/// wants no credentials of it.
#[derive(Debug)]
pub(super) struct Scraper;

impl FromRequestParts<Arc<Daemon>> for Scraper {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, daemon: &Arc<Daemon>) -> Result<Self, Problem> {
        if !daemon.access().may_scrape(&credentials::facts(parts)?) {
            Viewer::from_request_parts(parts, daemon).await?;
        }
        Ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_to_bytes() {
        let pairs = |query: &str| pairs(&format!("/x?{query}").parse().unwrap());
        assert_eq!(
            pairs("path=%2Fa+b%ff&sync&min="),
            Ok(vec![
                ("path".to_owned(), b"/a b\xff".to_vec()),
                ("sync".to_owned(), Vec::new()),
                ("min".to_owned(), Vec::new()),
            ])
        );
        for broken in ["path=%", "path=%f", "path=%zz", "path=%+1", "path=1&path=2"] {
            assert_eq!(pairs(broken).unwrap_err().0.status, 400, "{broken}");
        }
    }
}
