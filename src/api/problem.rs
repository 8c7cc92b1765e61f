//! Errors as clients see them: RFC 9457 problem details.
//!
//! **Invariant:** whatever goes wrong in a request leaves as `application/problem+json`, with a detail that names the thing and,
//! where the user can mend it, a hint that says how.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A request that was not carried out, and why.
///
/// As JSON it also has `type`, always `about:blank`: the status says which kind it is (RFC 9457, 4.2.1), and `title`, the status
/// in words.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, naming the thing.
    pub detail: String,
    /// How to mend it.
    #[serde(default)]
    pub hint: Option<String>,
    /// What would be accepted.
    #[serde(default)]
    pub allowed: Vec<String>,
}

impl Problem {
    /// A problem with `status`.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            allowed: Vec::new(),
        }
    }

    /// 400: the request itself is wrong.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 403: who asks may not do this.
    #[must_use]
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 408: the client took too long to send its request.
    #[must_use]
    pub fn slow_request() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "the request's body did not arrive in time",
        )
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request's body is larger than {limit} bytes"),
        )
    }

    /// 415: the body is of another kind than `expected`.
    #[must_use]
    pub fn wrong_media(found: &str, expected: &str) -> Self {
        let mut problem = Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the content-type of the request's body is \"{found}\""),
        );
        problem.allowed.push(expected.to_owned());
        problem
    }

    /// 500: our fault.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// 503: the daemon is about to end.
    #[must_use]
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping")
    }

    /// 503: a limit is reached.
    #[must_use]
    pub fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// 504: the answer took longer than a request may take.
    #[must_use]
    pub fn slow_answer() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "the answer took too long; nothing is known of what became of the request",
        )
    }

    /// The same, with how to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with what would be accepted.
    #[must_use]
    pub fn allowed<S: Into<String>>(mut self, allowed: impl IntoIterator<Item = S>) -> Self {
        self.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    /// The body, as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut body = Map::new();
        body.insert("type".to_owned(), "about:blank".into());
        body.insert("title".to_owned(), self.title().into());
        body.insert("status".to_owned(), self.status.into());
        body.insert("detail".to_owned(), self.detail.as_str().into());
        if let Some(hint) = &self.hint {
            body.insert("hint".to_owned(), hint.as_str().into());
        }
        if !self.allowed.is_empty() {
            body.insert("allowed".to_owned(), self.allowed.as_slice().into());
        }
        Value::Object(body).to_string()
    }

    fn title(&self) -> &'static str {
        let status = StatusCode::from_u16(self.status).ok();
        status
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error")
    }
}

impl std::fmt::Display for Problem {
    /// The detail; what is allowed and how to mend it on lines of their own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        if !self.allowed.is_empty() {
            write!(f, "\n  allowed: {}", self.allowed.join(", "))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static(PROBLEM_JSON);
        (status, [(header::CONTENT_TYPE, json)], self.to_json()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let problem = Problem::bad_request("unknown query parameter \"rot\"")
            .allowed(["root", "rule"])
            .hint("did you mean \"root\"?");
        insta::assert_snapshot!(problem.to_json(), @r#"{"allowed":["root","rule"],"detail":"unknown query parameter \"rot\"","hint":"did you mean \"root\"?","status":400,"title":"Bad Request","type":"about:blank"}"#);
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    }

    #[test]
    fn a_problem_reads_back_as_it_was_written() {
        for problem in [
            Problem::stopping(),
            Problem::too_large(5),
            Problem::wrong_media("text/plain", "application/json"),
            Problem::not_found("x").hint("y"),
        ] {
            let back: Problem = serde_json::from_str(&problem.to_json()).unwrap();
            assert_eq!(back, problem);
        }
    }

    #[test]
    fn people_read_the_detail_first() {
        let problem = Problem::not_found("no root has \"/etc\"")
            .allowed(["/srv"])
            .hint("mend it");
        assert_eq!(
            problem.to_string(),
            "no root has \"/etc\"\n  allowed: /srv\n  mend it"
        );
    }
}
