//! Totals.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::Daemon;
use crate::app::stats;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::{Query, Viewer};
use crate::types::{StatsQuery, Totals};

/// Show totals of removals, by root and rule.
#[utoipa::path(get, path = "/v1/stats", operation_id = "stats", tag = "history", params(StatsQuery),
    responses((status = 200, body = Totals), QuestionErrors))]
pub(in crate::http) async fn stats(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Totals>, Problem> {
    Ok(Json(stats::stats(&daemon, query).await?))
}
