//! Credentials of a request, and the other facts on which access depends.
//!
//! **Invariant:** nothing of a secret reaches a message or a log.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Version, header};

use super::error::Problem;
use crate::app::AppError;
use crate::app::access::{Credentials, Origin, RequestFacts};

/// Headers by which a proxy says that it forwards a request, besides those of [`FORWARDED_PREFIX`].
const FORWARDED: [&str; 3] = ["forwarded", "via", "x-real-ip"];

/// Start of the other headers of proxies.
const FORWARDED_PREFIX: &str = "x-forwarded-";

/// Parameters in which clients of other services send tokens.
const TOKEN_PARAMETERS: [&str; 5] = ["token", "access_token", "auth", "bearer", "jwt"];

/// Returns the facts of a request.
///
/// # Errors
/// If it sends a token in its query.
pub(super) fn facts(parts: &Parts) -> Result<RequestFacts<'_>, Problem> {
    let origin = parts.extensions.get::<Origin>();
    let origin =
        origin.ok_or_else(|| AppError::internal("the origin of the connection is unknown"))?;
    refuse_token_in(parts.uri.query().unwrap_or_default())?;
    let headers = &parts.headers;
    Ok(RequestFacts {
        origin,
        credentials: credentials(headers),
        // HTTP/1.1 has it in the target, too.
        host: parts
            .uri
            .authority()
            .map(axum::http::uri::Authority::as_str)
            .or_else(|| text(headers, &header::HOST)),
        web_origin: text(headers, &header::ORIGIN),
        fetch_site: text(headers, &HeaderName::from_static("sec-fetch-site")),
        is_forwarded: headers.keys().any(is_of_proxy),
        is_http_1_0: parts.version < Version::HTTP_11,
    })
}

fn is_of_proxy(name: &HeaderName) -> bool {
    FORWARDED.contains(&name.as_str()) || name.as_str().starts_with(FORWARDED_PREFIX)
}

/// A header's text; empty, which nothing accepts, if it is given twice or is no text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    match values.next() {
        None => Some(first.to_str().unwrap_or_default()),
        Some(_) => Some(""),
    }
}

fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let Some(value) = text(headers, &header::AUTHORIZATION) else {
        return Credentials::None;
    };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            Credentials::Bearer(token.trim())
        }
        _ => Credentials::Other,
    }
}

/// Refuses a token where logs and histories keep it.
fn refuse_token_in(query: &str) -> Result<(), Problem> {
    let names = query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .map(str::to_ascii_lowercase);
    for name in names {
        if TOKEN_PARAMETERS.contains(&name.as_str()) {
            return Err(Problem::bad_request(format!(
                "query parameter \"{name}\" is refused: logs and histories keep queries"
            ))
            .hint(
                "send a token as \"Authorization: Bearer TOKEN\", and revoke one that was sent so",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn one_bearer_is_read_and_everything_else_is_refused() {
        assert_eq!(credentials(&headers(&[])), Credentials::None);
        for value in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            let headers = headers(&[("authorization", value)]);
            assert_eq!(credentials(&headers), Credentials::Bearer("abc"), "{value}");
        }
        for value in ["", "abc", "Basic YTpi", "Bearerabc"] {
            let headers = headers(&[("authorization", value)]);
            assert_eq!(credentials(&headers), Credentials::Other, "{value}");
        }
        let mut twice = headers(&[("authorization", "Bearer abc")]);
        twice.append("authorization", "Bearer abc".parse().unwrap());
        assert_eq!(credentials(&twice), Credentials::Other);
    }

    #[test]
    fn a_token_in_a_query_is_refused_without_being_repeated() {
        assert!(refuse_token_in("root=a&path=token").is_ok());
        for query in ["token=s3cret", "a=1&Access_Token=s3cret", "jwt"] {
            let problem = refuse_token_in(query).unwrap_err();
            assert_eq!(problem.0.status, 400);
            assert!(!problem.to_json().contains("s3cret"));
        }
    }
}
