//! Router: the routes, their document, and answers to other requests.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request};
use axum::http::StatusCode;
use axum::routing::{any, get};
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::docs;
use super::document::{Document, add_examples};
use super::error::Problem;
use super::metrics;
use super::route::QUESTION;
use super::v1;
use crate::app::{AppError, Daemon};

/// Returns the routes with their documents.
fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(v1::status::routes())
        .merge(v1::files::routes())
        .merge(v1::explain::routes())
        .merge(v1::plan::routes())
        .merge(v1::clean::routes())
        .merge(v1::runs::routes())
        .merge(v1::reload::routes())
        .merge(v1::history::routes())
        .merge(v1::stats::routes())
        .merge(v1::space::routes())
        .merge(v1::settings::routes())
        .merge(v1::events::routes())
        .merge(v1::sync::routes())
        .merge(v1::breaker::routes())
        .merge(v1::jobs::routes())
        .merge(v1::pins::routes())
        .merge(v1::tokens::routes())
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
    let unknown_path = move |OriginalUri(uri): OriginalUri| async move {
        let error = AppError::not_found(format!("there is nothing at \"{}\"", uri.path()));
        Problem::from(error).allowed(paths.iter().cloned())
    };
    let document = serde_json::to_value(document).unwrap_or_default();
    let pages = docs::routes(&document);
    let document = Arc::new(document);
    router
        .merge(pages)
        .route(
            "/openapi.json",
            QUESTION.guard(get(move || async move { Json(document.as_ref().clone()) })),
        )
        .fallback(QUESTION.guard(any(unknown_path)))
        .method_not_allowed_fallback(QUESTION.guard(any(unknown_method)))
        .with_state(daemon)
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
