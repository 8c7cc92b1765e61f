//! Plans.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::plan;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{Plan, PlanQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(plan)))
}

/// Show what will lapse, by rule and root, and by the hour.
#[utoipa::path(get, path = "/v1/plan", operation_id = "plan", tag = "files", params(PlanQuery),
    responses((status = 200, body = Plan), QuestionErrors))]
async fn plan(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<PlanQuery>,
) -> Result<Json<Plan>, Problem> {
    Ok(Json(plan::plan(daemon, query).await?))
}
