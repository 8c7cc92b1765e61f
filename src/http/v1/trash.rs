//! The trash.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::{Operator, Viewer};
use crate::app::trash;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{Emptied, EmptyOrder, NoQuery, Trash, TrashQuery, UndoOrder, Undone};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(list)))
        .routes(ORDER.declare(routes!(undo)))
        .routes(ORDER.declare(routes!(empty)))
}

impl Example for UndoOrder {
    const EXAMPLE: &'static str = r#"{"run": 12}"#;
}

impl Example for EmptyOrder {
    const EXAMPLE: &'static str = r#"{"root": "results"}"#;
}

/// List what can be restored, newest removal first.
#[utoipa::path(get, path = "/v1/trash", operation_id = "list_trash", tag = "trash", params(TrashQuery),
    responses((status = 200, body = Trash), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<TrashQuery>,
) -> Result<Json<Trash>, Problem> {
    Ok(Json(trash::list(daemon, query).await?))
}

/// Restore what was removed, while its undo window lasts.
///
/// What comes back is pinned first, so that it does not lapse again at once. A name that is taken
/// by now is never overwritten: what it belongs to stays in the trash, and `left` says so.
#[utoipa::path(post, path = "/v1/undo", operation_id = "undo", tag = "trash", request_body = UndoOrder,
    responses((status = 200, body = Undone), OrderErrors))]
async fn undo(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<UndoOrder>,
) -> Result<Json<Undone>, Problem> {
    Ok(Json(trash::undo(daemon, &operator, order).await?))
}

/// Delete things of the trash before the end of their undo windows.
#[utoipa::path(post, path = "/v1/trash/empty", operation_id = "empty_trash", tag = "trash", request_body = EmptyOrder,
    responses((status = 200, body = Emptied), OrderErrors))]
async fn empty(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<EmptyOrder>,
) -> Result<Json<Emptied>, Problem> {
    Ok(Json(trash::empty(daemon, &operator, order).await?))
}
