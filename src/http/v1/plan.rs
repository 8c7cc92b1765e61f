//! Plans.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::Daemon;
use crate::app::plan;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::{Query, Viewer};
use crate::types::{Plan, PlanQuery};

/// Show what will lapse, by rule and root, and by the hour.
#[utoipa::path(get, path = "/v1/plan", operation_id = "plan", tag = "files", params(PlanQuery),
    responses((status = 200, body = Plan), QuestionErrors))]
pub(in crate::http) async fn plan(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<PlanQuery>,
) -> Result<Json<Plan>, Problem> {
    Ok(Json(plan::plan(daemon, query).await?))
}
