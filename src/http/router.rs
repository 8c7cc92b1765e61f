//! Router: the routes, their document, and answers to other requests.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Problem;
use super::v1::{
    breaker, clean, events, explain, files, history, jobs, pins, plan, stats, status, sync,
};
use crate::app::{AppError, Daemon};
use crate::types;

/// Document of the API, without its routes.
#[derive(OpenApi)]
#[openapi(
    components(schemas(types::Problem)),
    info(
        title = "lapsed",
        description = "Temporary files that live exactly as long as they should."
    )
)]
struct Document;

/// Returns the routes with their documents.
fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status::health))
        .routes(routes!(status::status))
        .routes(routes!(files::list))
        .routes(routes!(explain::explain))
        .routes(routes!(plan::plan))
        .routes(routes!(clean::clean))
        .routes(routes!(history::history))
        .routes(routes!(stats::stats))
        .routes(routes!(events::events))
        .routes(routes!(sync::sync))
        .routes(routes!(breaker::show))
        .routes(routes!(breaker::release))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show, jobs::put, jobs::remove))
        .routes(routes!(pins::list, pins::set))
        .routes(routes!(pins::extend, pins::remove))
}

/// Returns the `OpenAPI` document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// Returns the routes of `daemon`.
pub fn router(daemon: Arc<Daemon>) -> Router {
    let (router, document) = routes().split_for_parts();
    let paths: Arc<[String]> = document.paths.paths.keys().cloned().collect();
    let unknown_path = move |OriginalUri(uri): OriginalUri| async move {
        let error = AppError::not_found(format!("there is nothing at \"{}\"", uri.path()));
        Problem::from(error).allowed(paths.iter().cloned())
    };
    let document = Arc::new(document);
    router
        .route(
            "/openapi.json",
            get(move || async move { Json(document.as_ref().clone()) }),
        )
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
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
