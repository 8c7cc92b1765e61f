//! Displaced things.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::{Operator, Viewer};
use crate::app::displaced;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{Displaced, DisplacedRemove, DisplacedRestore, Emptied, NoQuery, Undone};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(list)))
        .routes(ORDER.declare(routes!(restore)))
        .routes(ORDER.declare(routes!(remove)))
}

impl Example for DisplacedRestore {
    const EXAMPLE: &'static str = r#"{"root": "results", "names": ["displaced-17-report.pdf"]}"#;
}

impl Example for DisplacedRemove {
    const EXAMPLE: &'static str = r#"{"root": "results", "names": ["displaced-17-report.pdf"]}"#;
}

/// List what could not go back to its place, and is kept.
#[utoipa::path(get, path = "/v1/displaced", operation_id = "list_displaced", tag = "displaced",
    responses((status = 200, body = Displaced), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Displaced>, Problem> {
    Ok(Json(displaced::list(daemon).await?))
}

/// Restore displaced things.
///
/// A name that is taken is never overwritten: what it belongs to goes into the trash, and `left`
/// says so.
#[utoipa::path(post, path = "/v1/displaced/restore", operation_id = "restore_displaced", tag = "displaced",
    request_body = DisplacedRestore, responses((status = 200, body = Undone), OrderErrors))]
async fn restore(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<DisplacedRestore>,
) -> Result<Json<Undone>, Problem> {
    Ok(Json(displaced::restore(daemon, &operator, order).await?))
}

/// Delete displaced things.
#[utoipa::path(post, path = "/v1/displaced/remove", operation_id = "remove_displaced", tag = "displaced",
    request_body = DisplacedRemove, responses((status = 200, body = Emptied), OrderErrors))]
async fn remove(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<DisplacedRemove>,
) -> Result<Json<Emptied>, Problem> {
    Ok(Json(displaced::remove(daemon, &operator, order).await?))
}
