//! Totals.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::stats;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{StatsQuery, Totals};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(stats)))
}

/// Show totals of removals, by root and rule, and of jobs, by source.
#[utoipa::path(get, path = "/v1/stats", operation_id = "stats", tag = "history", params(StatsQuery),
    responses((status = 200, body = Totals), QuestionErrors))]
async fn stats(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Totals>, Problem> {
    Ok(Json(stats::stats(daemon, query).await?))
}
