//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::routing::{get, patch, post};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::auth::Peer;
use super::daemon::Daemon;
use super::problem::Problem;
use super::server::read_body;
use super::{breaker, clean, explain, files, history, jobs, pins, plan, sse, stats, status, sync};

/// Every path, for those who ask for another one.
const PATHS: [&str; 16] = [
    "/v1/health",
    "/v1/status",
    "/v1/files",
    "/v1/explain",
    "/v1/plan",
    "/v1/clean",
    "/v1/history",
    "/v1/stats",
    "/v1/events",
    "/v1/sync",
    "/v1/breaker",
    "/v1/breaker/release",
    "/v1/jobs",
    "/v1/jobs/{id}",
    "/v1/pins",
    "/v1/pins/{id}",
];

/// The routes of `daemon`.
pub fn router(daemon: Arc<Daemon>) -> Router {
    Router::new()
        .route("/v1/health", get(status::health))
        .route("/v1/status", get(status::status))
        .route("/v1/files", get(files::files))
        .route("/v1/explain", get(explain::explain))
        .route("/v1/plan", get(plan::plan))
        .route("/v1/clean", post(clean::clean))
        .route("/v1/history", get(history::history))
        .route("/v1/stats", get(stats::stats))
        .route("/v1/events", get(sse::events))
        .route("/v1/sync", post(sync::sync))
        .route("/v1/breaker", get(breaker::show))
        .route("/v1/breaker/release", post(breaker::release))
        .route("/v1/jobs", get(jobs::list::list))
        .route(
            "/v1/jobs/{id}",
            get(jobs::show).put(jobs::put).delete(jobs::remove),
        )
        .route("/v1/pins", get(pins::list).post(pins::set))
        .route("/v1/pins/{id}", patch(pins::extend).delete(pins::remove))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .with_state(daemon)
}

async fn unknown_path(request: Request) -> Problem {
    Problem::not_found(format!("there is nothing at \"{}\"", request.uri().path())).allowed(PATHS)
}

async fn unknown_method(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "\"{}\" does not take {}",
            request.uri().path(),
            request.method()
        ),
    )
}

/// A 200 with `value` as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> axum::response::Response {
    json_with(StatusCode::OK, value)
}

/// An answer with `value` as JSON.
pub(super) fn json_with<T: Serialize>(status: StatusCode, value: &T) -> axum::response::Response {
    use axum::response::IntoResponse;
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Problem::internal(error.to_string()).into_response(),
    }
}

/// Who asks.
pub(super) fn peer(request: &Request) -> Result<Peer, Problem> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| Problem::internal("the connection does not tell who asks"))
}

/// Reads the body of `request` as `T`. An order has to be said: no body, or one that a form of any page could send, is none.
/// `example` tells what one may look like.
pub(super) async fn body<T: DeserializeOwned>(
    request: Request,
    example: &str,
) -> Result<T, Problem> {
    const JSON: &str = "application/json";
    let media = request.headers().get(header::CONTENT_TYPE).cloned();
    let body = read_body(request).await?;
    if body.is_empty() {
        let hint =
            format!("send a JSON object with content-type: application/json, such as {example}");
        return Err(Problem::bad_request("the request has no body").hint(hint));
    }
    let media = media.as_ref().map_or(Ok("none"), |media| media.to_str());
    let media = media.unwrap_or("?");
    let kind = media.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(JSON) {
        return Err(Problem::wrong_media(media, JSON));
    }
    // Serde would take a list for a structure, field by field: `[]` for an order to remove all that is due.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_request("the request's body is no JSON object"));
    }
    serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request(format!("the request's body cannot be read: {error}"))
    })
}

#[cfg(test)]
pub(super) mod tests;
