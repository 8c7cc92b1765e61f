//! Breakers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::Daemon;
use crate::app::breaker;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Admin, Body, Example, Query, Viewer};
use crate::types::{Breaker, NoQuery, Release, Released};

impl Example for Release {
    const EXAMPLE: &'static str = "{}, which releases all roots";
}

/// Show breakers that tripped.
#[utoipa::path(get, path = "/v1/breaker", operation_id = "get_breaker", tag = "breaker",
    responses((status = 200, body = Breaker), QuestionErrors))]
pub(in crate::http) async fn show(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Breaker>, Problem> {
    Ok(Json(breaker::show(&daemon).await?))
}

/// Release breakers that tripped.
#[utoipa::path(post, path = "/v1/breaker/release", operation_id = "release_breaker", tag = "breaker", request_body = Release,
    responses((status = 200, body = Released), OrderErrors))]
pub(in crate::http) async fn release(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<Release>,
) -> Result<Json<Released>, Problem> {
    Ok(Json(
        breaker::release(&daemon, admin.principal, order).await?,
    ))
}
