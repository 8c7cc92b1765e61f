//! Explanations.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::Daemon;
use crate::app::explain;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::{Query, Viewer};
use crate::types::{ExplainQuery, Explanation};

/// Explain when a path lapses, and why.
#[utoipa::path(get, path = "/v1/explain", operation_id = "explain", tag = "files", params(ExplainQuery),
    responses((status = 200, body = Explanation), QuestionErrors))]
pub(in crate::http) async fn explain(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(explain::explain(daemon, query).await?))
}
