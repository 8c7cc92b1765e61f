//! Endpoints of an older system: routes that the configuration declares.
//!
//! **Invariant:** credentials and role are checked before parameters are read, and nothing is
//! carried out while one of them cannot be taken.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderValue, Method as HttpMethod, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value as Json;

use super::error::Problem;
use super::extract::{JSON, pairs};
use super::route::BODY_MAX;
use crate::adapter::{Adapter, Endpoint, Failure, FailureKind, Fault, Method, Params, Place};
use crate::app::Daemon;
use crate::app::access::{Operator, Viewer};
use crate::app::adapter::answer;
use crate::core::role::Role;

mod document;

pub(super) use document::add_paths;

/// Media type of all answers.
const ANSWER_JSON: HeaderValue = HeaderValue::from_static(JSON);

/// Answers a request to an endpoint; `None`: there is none at this path.
pub(super) async fn handle(daemon: &Arc<Daemon>, request: Request) -> Result<Response, Request> {
    let adapter = daemon.adapter();
    let path = request.uri().path().to_owned();
    let known: Vec<Arc<Endpoint>> = adapter.at(&path).cloned().collect();
    if known.is_empty() {
        return Err(request);
    }
    let is_head = request.method() == HttpMethod::HEAD;
    let method = method_of(request.method());
    let Some(endpoint) = known.iter().find(|known| Some(known.method) == method) else {
        return Ok(wrong_method(&path, &request, &known));
    };
    let answered = respond(daemon, &adapter, endpoint, request).await;
    let mut response = match answered {
        Ok(body) => ([(header::CONTENT_TYPE, ANSWER_JSON)], body).into_response(),
        Err(refusal) => refusal.into_response(&adapter),
    };
    if is_head {
        *response.body_mut() = axum::body::Body::empty();
    }
    Ok(response)
}

fn method_of(method: &HttpMethod) -> Option<Method> {
    match method.as_str() {
        "GET" | "HEAD" => Some(Method::Get),
        "POST" => Some(Method::Post),
        "PUT" => Some(Method::Put),
        "DELETE" => Some(Method::Delete),
        _ => None,
    }
}

fn wrong_method(path: &str, request: &Request, known: &[Arc<Endpoint>]) -> Response {
    let allowed: Vec<&str> = known.iter().map(|known| known.method.into()).collect();
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        format!("\"{path}\" does not take {}", request.method()),
    );
    let mut response = problem.allowed(allowed.clone()).into_response();
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

/// A refusal, with the parameters that cannot be taken.
struct Refusal {
    problem: Problem,
    params: Vec<Fault>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let params = Vec::new();
        Self { problem, params }
    }
}

async fn respond(
    daemon: &Arc<Daemon>,
    adapter: &Arc<Adapter>,
    endpoint: &Arc<Endpoint>,
    request: Request,
) -> Result<String, Refusal> {
    let (mut parts, body) = request.into_parts();
    let viewer = Viewer::from_request_parts(&mut parts, daemon).await?;
    match endpoint.action.role {
        Role::Viewer => {}
        Role::Operator | Role::Admin => {
            Operator::from_request_parts(&mut parts, daemon).await?;
        }
    }
    let media = parts.headers.get(header::CONTENT_TYPE);
    let body = to_bytes(body, BODY_MAX).await;
    let body = body.map_err(|_| Problem::too_large(BODY_MAX))?;
    if !body.trim_ascii().is_empty() {
        let media = media.map_or("none", |media| media.to_str().unwrap_or("?"));
        let kind = media.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(JSON) {
            return Err(Problem::wrong_media(media, JSON).into());
        }
    }
    let params = params_of(endpoint, &parts.uri, &body)?;
    let answered = answer(
        Arc::clone(daemon),
        viewer,
        Arc::clone(adapter),
        Arc::clone(endpoint),
        params,
    );
    answered.await.map_err(|failed| {
        let mut problem = Problem::from(failed.error);
        problem.0.run = problem.0.run.or(failed.run);
        problem.into()
    })
}

/// Parameters of a request.
fn params_of(endpoint: &Endpoint, uri: &Uri, body: &[u8]) -> Result<Params, Refusal> {
    let mut given: Vec<(Place, String, Json)> = Vec::new();
    for (name, value) in pairs(uri)? {
        let value = String::from_utf8(value).map_err(|_| {
            Problem::bad_request(format!("query parameter \"{name}\" is not UTF-8"))
        })?;
        given.push((Place::Query, name, value.into()));
    }
    if !body.trim_ascii().is_empty() {
        let members = serde_json::from_slice(body).map_err(|error| {
            Problem::bad_request(format!("the request's body is not a JSON object: {error}"))
        })?;
        let members: serde_json::Map<String, Json> = members;
        given.extend(
            members
                .into_iter()
                .map(|(name, value)| (Place::Body, name, value)),
        );
    }
    Params::read(&endpoint.action.params, given).map_err(|params| {
        let faults = params.iter();
        let faults: Vec<String> = faults
            .map(|fault| format!("{:?} {}", fault.name, fault.message))
            .collect();
        let problem = Problem::bad_request(format!("parameter {}", faults.join("; ")));
        Refusal { problem, params }
    })
}

/// Reads the parameters of a request to `endpoint`, without a daemon: `target` is its path and
/// query.
///
/// # Errors
/// The answer to a request that cannot be taken: its status and its body.
pub fn read_request(
    adapter: &Adapter,
    endpoint: &Endpoint,
    target: &str,
    body: &str,
) -> Result<Params, (u16, String)> {
    let read = target
        .parse()
        .map_err(|error| Problem::bad_request(format!("{target:?} is no target: {error}")).into())
        .and_then(|uri: Uri| params_of(endpoint, &uri, body.as_bytes()));
    read.map_err(|refusal: Refusal| {
        let failure = refusal.failure();
        let status = adapter.error.status(&failure);
        let status = status.unwrap_or(refusal.problem.0.status);
        let body = adapter.error_body(&failure).and_then(Result::ok);
        (status, body.unwrap_or_else(|| refusal.problem.to_json()))
    })
}

impl Refusal {
    fn failure(&self) -> Failure {
        let problem = &self.problem.0;
        Failure {
            kind: kind_of(problem.status),
            code: problem.code.clone(),
            message: problem.detail.clone(),
            hint: problem.hint.clone(),
            run: problem.run,
            params: self.params.clone(),
        }
    }

    /// The answer in the form of the adapter. Headers, such as the challenge of a 401, stay.
    fn into_response(self, adapter: &Adapter) -> Response {
        let failure = self.failure();
        let status = adapter.error.status(&failure);
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let body = adapter.error_body(&failure);
        let mut response = self.problem.into_response();
        if let Some(status) = status {
            *response.status_mut() = status;
        }
        match body {
            None => {}
            Some(Ok(body)) => {
                response.headers_mut().remove(header::CONTENT_LENGTH);
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, ANSWER_JSON);
                *response.body_mut() = body.into();
            }
            Some(Err(error)) => {
                tracing::error!("[adapter] error cannot be rendered: {error}");
            }
        }
        response
    }
}

fn kind_of(status: u16) -> FailureKind {
    match status {
        400 | 422 => FailureKind::Invalid,
        409 => FailureKind::Conflict,
        500.. => FailureKind::Failed,
        _ => FailureKind::Other,
    }
}
