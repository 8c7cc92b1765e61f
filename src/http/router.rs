//! Router: the routes, their document, and answers to other requests.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::adapter;
use super::dashboard;
use super::docs;
use super::document::{Document, add_examples};
use super::error::Problem;
use super::metrics;
use super::route::{ORDER, QUESTION};
use super::v1;
use crate::app::access::Origin;
use crate::app::{AppError, Daemon};

/// Returns the routes with their documents.
fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(v1::status::routes())
        .merge(v1::whoami::routes())
        .merge(v1::files::routes())
        .merge(v1::explain::routes())
        .merge(v1::plan::routes())
        .merge(v1::clean::routes())
        .merge(v1::runs::routes())
        .merge(v1::samples::routes())
        .merge(v1::reload::routes())
        .merge(v1::history::routes())
        .merge(v1::shadow::routes())
        .merge(v1::stats::routes())
        .merge(v1::space::routes())
        .merge(v1::limits::routes())
        .merge(v1::settings::routes())
        .merge(v1::events::routes())
        .merge(v1::sync::routes())
        .merge(v1::breaker::routes())
        .merge(v1::jobs::routes())
        .merge(v1::notify::routes())
        .merge(v1::pause::routes())
        .merge(v1::pins::routes())
        .merge(v1::tokens::routes())
        .merge(v1::trash::routes())
        .merge(v1::displaced::routes())
        .merge(metrics::routes())
}

/// Returns the `OpenAPI` document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().into_openapi();
    add_examples(&mut document);
    document
}

/// Returns the routes of `daemon`.
pub fn router(daemon: Arc<Daemon>) -> Router {
    let (router, mut document) = routes().split_for_parts();
    add_examples(&mut document);
    let paths: Arc<[String]> = document.paths.paths.keys().cloned().collect();
    let other_path = |State(daemon): State<Arc<Daemon>>, request: Request| async move {
        match Box::pin(adapter::handle(&daemon, request)).await {
            Ok(response) => response,
            Err(request) => nothing_at(&request)
                .allowed(paths.iter().cloned())
                .into_response(),
        }
    };
    let document = Arc::new(serde_json::to_value(document).unwrap_or_default());
    let whole = move |daemon: &Arc<Daemon>| {
        let mut document = document.as_ref().clone();
        adapter::add_paths(&mut document, &daemon.adapter());
        document
    };
    let pages = docs::routes(whole.clone());
    let whole = move |State(daemon): State<Arc<Daemon>>| async move { Json(whole(&daemon)) };
    router
        .merge(pages)
        .merge(dashboard::routes())
        .route("/openapi.json", QUESTION.guard(get(whole)))
        .fallback(ORDER.guard(any(other_path)))
        .method_not_allowed_fallback(QUESTION.guard(any(unknown_method)))
        .layer(from_fn_with_state(Arc::clone(&daemon), offer))
        .with_state(daemon)
}

fn nothing_at(request: &Request) -> Problem {
    let path = request.uri().path();
    AppError::not_found(format!("there is nothing at \"{path}\"")).into()
}

/// Keeps clients over TCP from everything but declared endpoints, where the configuration says so.
async fn offer(State(daemon): State<Arc<Daemon>>, request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>();
    let is_limited = origin.is_some_and(|origin| daemon.access().has_only_endpoints(origin));
    if is_limited && daemon.adapter().at(request.uri().path()).next().is_none() {
        return nothing_at(&request).into_response();
    }
    next.run(request).await
}

async fn unknown_method(request: Request) -> Problem {
    let (path, method) = (request.uri().path(), request.method());
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        format!("\"{path}\" does not take {method}"),
    )
}

#[cfg(test)]
pub(crate) mod tests;
