//! Health and state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::status;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{Health, HealthQuery, NoQuery, Status};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(health)))
        .routes(QUESTION.declare(routes!(status)))
}

/// Show the health of the daemon.
#[utoipa::path(get, path = "/v1/health", operation_id = "health", tag = "daemon", params(HealthQuery),
    responses((status = 200, body = Health), QuestionErrors))]
async fn health(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<HealthQuery>,
) -> Result<Json<Health>, Problem> {
    Ok(Json(status::health(&daemon, query).await?))
}

/// Show the state of the daemon: roots, holds, sources, next deadline.
#[utoipa::path(get, path = "/v1/status", operation_id = "status", tag = "daemon",
    responses((status = 200, body = Status), QuestionErrors))]
async fn status(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Status>, Problem> {
    Ok(Json(status::status(daemon).await?))
}
