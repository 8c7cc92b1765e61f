//! Breakers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::{Admin, Viewer};
use crate::app::breaker;
use crate::core::role::Role;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{Breaker, NoQuery, Release, Released};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(show)))
        .routes(ORDER.role(Role::Admin).declare(routes!(release)))
}

impl Example for Release {
    const EXAMPLE: &'static str = "{}, which releases all roots";
}

/// Show breakers that tripped.
#[utoipa::path(get, path = "/v1/breaker", operation_id = "get_breaker", tag = "breaker",
    responses((status = 200, body = Breaker), QuestionErrors))]
async fn show(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Breaker>, Problem> {
    Ok(Json(breaker::show(&daemon).await?))
}

/// Release breakers that tripped.
#[utoipa::path(post, path = "/v1/breaker/release", operation_id = "release_breaker", tag = "breaker", request_body = Release,
    responses((status = 200, body = Released), OrderErrors))]
async fn release(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<Release>,
) -> Result<Json<Released>, Problem> {
    Ok(Json(breaker::release(&daemon, &admin, order).await?))
}
