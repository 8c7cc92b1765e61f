//! Refusals over HTTP: RFC 9457 problem details.
//!
//! **Invariant:** every failure of a request leaves as `application/problem+json` with a stable
//! code, a detail that names the thing and, where the client can fix it, a hint.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use strum::VariantArray as _;
use utoipa::IntoResponses;
use utoipa::openapi::{self, RefOr};

use crate::app::link::Stopping;
use crate::app::{AppError, ErrorKind};
use crate::types;

/// Media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Challenge to a request without credentials (RFC 6750).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"lapsed\"");

/// Challenge to a request whose credentials are not valid.
const CHALLENGE_INVALID: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"lapsed\", error=\"invalid_token\"");

/// Seconds after which the limit on failed attempts is over at the latest.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("60");

/// Refusal of a request, or failure to carry it out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem(pub Box<types::Problem>);

impl Problem {
    /// Problem with `status` and `code`.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(types::Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            hint: None,
            allowed: Vec::new(),
            run: None,
        }))
    }

    /// Problem of a malformed request.
    #[must_use]
    pub fn bad_request(detail: impl Into<String>) -> Self {
        AppError::invalid(detail).into()
    }

    /// Problem of a body that does not arrive in time.
    #[must_use]
    pub fn slow_request() -> Self {
        let detail = "the request's body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow-request", detail)
    }

    /// Problem of a body larger than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the request's body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    }

    /// Problem of a body of another media type than `expected`.
    #[must_use]
    pub fn wrong_media(found: &str, expected: &str) -> Self {
        let detail = format!("the content-type of the request's body is \"{found}\"");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, "wrong-media-type", detail).allowed([expected])
    }

    /// Problem of an answer that takes longer than a request may.
    #[must_use]
    pub fn slow_answer() -> Self {
        let detail = "the answer took too long; the outcome of the request is unknown";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "slow-answer", detail)
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the accepted values.
    #[must_use]
    pub fn allowed<S: Into<String>>(mut self, allowed: impl IntoIterator<Item = S>) -> Self {
        self.0.allowed = allowed.into_iter().map(Into::into).collect();
        self
    }

    /// Renders the answer, the last one on its connection, for clients with which no request was
    /// read.
    #[must_use]
    pub fn to_last_answer(&self) -> String {
        let body = self.to_json();
        let (status, title, length) = (self.0.status, &self.0.title, body.len());
        format!(
            "HTTP/1.1 {status} {title}\r\ncontent-type: {PROBLEM_JSON}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }

    /// Renders the body.
    ///
    /// # Panics
    /// Never: a problem has only text and numbers.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).expect("invariant: a problem has only text and numbers")
    }
}

/// Status of each kind of failure.
const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated | ErrorKind::InvalidCredentials => StatusCode::UNAUTHORIZED,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict | ErrorKind::RunInProgress => StatusCode::CONFLICT,
        ErrorKind::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// Codes of refusals that no use case knows.
const TRANSPORT_CODES: [(u16, &str); 4] = [
    (408, "slow-request"),
    (413, "too-large"),
    (415, "wrong-media-type"),
    (504, "slow-answer"),
];

/// Returns the codes that a problem of `of` may have.
fn codes(of: u16) -> Vec<&'static str> {
    let kinds = ErrorKind::VARIANTS.iter();
    let kinds = kinds.filter(|&&kind| status(kind) == of);
    let transport = TRANSPORT_CODES.iter().filter(|(status, _)| *status == of);
    let codes = transport.map(|(_, code)| *code);
    kinds.map(|kind| kind.code()).chain(codes).collect()
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let mut problem = Self::new(status(error.kind), error.kind.code(), error.message);
        problem.0.hint = error.hint;
        problem.0.run = error.run;
        problem.allowed(error.allowed)
    }
}

impl From<Stopping> for Problem {
    fn from(stopping: Stopping) -> Self {
        AppError::from(stopping).into()
    }
}

impl From<types::QueryError> for Problem {
    fn from(error: types::QueryError) -> Self {
        let mut problem = Self::bad_request(error.detail);
        problem.0.hint = error.hint;
        problem.allowed(error.allowed)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static(PROBLEM_JSON);
        let mut answer = (status, [(header::CONTENT_TYPE, json)], self.to_json()).into_response();
        let headers = answer.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                let is_wrong = self.0.code == ErrorKind::InvalidCredentials.code();
                let challenge = if is_wrong {
                    CHALLENGE_INVALID
                } else {
                    CHALLENGE
                };
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        answer
    }
}

/// Refusals that a question may meet.
pub(super) struct QuestionErrors;

/// Refusals that an order may meet.
pub(super) struct OrderErrors;

impl IntoResponses for QuestionErrors {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        responses(&[400, 401, 403, 404, 408, 413, 429, 500, 503, 504])
    }
}

impl IntoResponses for OrderErrors {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        responses(&[
            400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 503, 507,
        ])
    }
}

fn responses(statuses: &[u16]) -> BTreeMap<String, RefOr<openapi::Response>> {
    let response = |status: u16| {
        let title = StatusCode::from_u16(status).ok();
        let title = title.and_then(|status| status.canonical_reason());
        let code = openapi::ObjectBuilder::new()
            .schema_type(openapi::Type::String)
            .enum_values(Some(codes(status)));
        let schema = openapi::AllOfBuilder::new()
            .item(openapi::Ref::from_schema_name("Problem"))
            .item(openapi::ObjectBuilder::new().property("code", code));
        let content = openapi::ContentBuilder::new()
            .schema(Some(openapi::Schema::AllOf(schema.build())))
            .build();
        openapi::ResponseBuilder::new()
            .description(title.unwrap_or_default())
            .content(PROBLEM_JSON, content)
            .build()
    };
    let statuses = statuses.iter();
    statuses
        .map(|&status| (status.to_string(), response(status).into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let problem = Problem::bad_request("unknown query parameter \"rot\"")
            .allowed(["root", "rule"])
            .hint("did you mean \"root\"?");
        insta::assert_snapshot!(problem.to_json(), @r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid","detail":"unknown query parameter \"rot\"","hint":"did you mean \"root\"?","allowed":["root","rule"]}"#);
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
    }

    #[test]
    fn a_problem_reads_back_as_it_was_written() {
        for problem in [
            Problem::slow_answer(),
            Problem::too_large(5),
            Problem::wrong_media("text/plain", "application/json"),
            AppError::not_found("x").hint("y").into(),
        ] {
            let back: types::Problem = serde_json::from_str(&problem.to_json()).unwrap();
            assert_eq!(back, *problem.0);
        }
    }

    #[test]
    fn people_read_the_detail_first() {
        let problem: Problem = AppError::not_found("no root has \"/etc\"")
            .allowed(["/srv"])
            .hint("mend it")
            .into();
        assert_eq!(
            problem.0.to_string(),
            "no root has \"/etc\"\n  allowed: /srv\n  mend it"
        );
    }
}
