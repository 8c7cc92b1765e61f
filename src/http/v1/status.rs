//! Health and state.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::Daemon;
use crate::app::status;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::{Query, Viewer};
use crate::types::{Health, HealthQuery, NoQuery, Status};

/// Show the health of the daemon.
#[utoipa::path(get, path = "/v1/health", operation_id = "health", tag = "daemon", params(HealthQuery),
    responses((status = 200, body = Health), QuestionErrors))]
pub(in crate::http) async fn health(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<HealthQuery>,
) -> Result<Json<Health>, Problem> {
    Ok(Json(status::health(&daemon, query).await?))
}

/// Show the state of the daemon: roots, holds, sources, next deadline.
#[utoipa::path(get, path = "/v1/status", operation_id = "status", tag = "daemon",
    responses((status = 200, body = Status), QuestionErrors))]
pub(in crate::http) async fn status(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Status>, Problem> {
    Ok(Json(status::status(daemon).await?))
}
