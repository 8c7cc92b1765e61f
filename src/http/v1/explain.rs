//! Explanations.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::explain;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{ExplainQuery, Explanation};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(explain)))
}

/// Explain when a path lapses, and why.
#[utoipa::path(get, path = "/v1/explain", operation_id = "explain", tag = "files", params(ExplainQuery),
    responses((status = 200, body = Explanation), QuestionErrors))]
async fn explain(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(explain::explain(daemon, query).await?))
}
