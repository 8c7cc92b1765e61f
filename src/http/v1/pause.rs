//! Pauses.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::{Admin, Viewer};
use crate::app::pause;
use crate::core::role::Role;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{NoQuery, PauseOrder, Pauses, ResumeQuery, Resumed};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(show)))
        .routes(ORDER.role(Role::Admin).declare(routes!(begin, end)))
}

impl Example for PauseOrder {
    const EXAMPLE: &'static str = r#"{"for": "2h", "why": "the backup is restored"}"#;
}

/// Show pauses of removals.
#[utoipa::path(get, path = "/v1/pause", operation_id = "get_pause", tag = "pause",
    responses((status = 200, body = Pauses), QuestionErrors))]
async fn show(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Pauses>, Problem> {
    Ok(Json(pause::show(&daemon).await?))
}

/// Remove nothing for a while. A pause of the same roots is replaced.
///
/// The answer waits, for a few seconds at most, until removals that had begun are through.
#[utoipa::path(post, path = "/v1/pause", operation_id = "pause", tag = "pause", request_body = PauseOrder,
    responses((status = 200, body = Pauses), OrderErrors))]
async fn begin(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<PauseOrder>,
) -> Result<Json<Pauses>, Problem> {
    Ok(Json(pause::begin(daemon, &admin, order).await?))
}

/// End pauses: what is due is removed again.
#[utoipa::path(delete, path = "/v1/pause", operation_id = "resume", tag = "pause", params(ResumeQuery),
    responses((status = 200, body = Resumed), OrderErrors))]
async fn end(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(query): Query<ResumeQuery>,
) -> Result<Json<Resumed>, Problem> {
    Ok(Json(pause::end(daemon, &admin, query).await?))
}
