//! The ledger.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lines::json;
use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::history;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{History, HistoryQuery, Removal};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(history)))
}

/// List removals, newest first.
#[utoipa::path(get, path = "/v1/history", operation_id = "history", tag = "history", params(HistoryQuery),
    responses((status = 200, body = History<Removal>), QuestionErrors))]
async fn history(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Problem> {
    Ok(json(history::history(daemon, query).await?))
}
