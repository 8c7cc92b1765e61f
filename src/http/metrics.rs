//! `GET /metrics`: the state of the daemon, for Prometheus.
//!
//! **Invariant:** the values are those of `GET /v1/status`: what one of them knows, the other does.

mod exposition;
mod families;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::status;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::{Query, Scraper};
use crate::http::route::QUESTION;
use crate::types::NoQuery;

/// Media type of the exposition format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the route.
pub(super) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(metrics)))
}

/// Show the state of the daemon as metrics, in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "daemon",
    responses((status = 200, description = "Families of metrics", body = String, content_type = "text/plain"), QuestionErrors))]
async fn metrics(
    State(daemon): State<Arc<Daemon>>,
    _: Scraper,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Response, Problem> {
    let text = families::render(&status::status(daemon).await?);
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}
