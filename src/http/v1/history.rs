//! The ledger.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::lines::json;
use crate::app::Daemon;
use crate::app::history;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::{Query, Viewer};
use crate::types::{History, HistoryQuery, Removal};

/// List removals, newest first.
#[utoipa::path(get, path = "/v1/history", operation_id = "history", tag = "history", params(HistoryQuery),
    responses((status = 200, body = History<Removal>), QuestionErrors))]
pub(in crate::http) async fn history(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, Problem> {
    Ok(json(history::history(daemon, query).await?))
}
