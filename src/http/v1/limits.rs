//! Limits.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::limits;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{Limits, NoQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(show)))
}

/// Show how full each limit is, and why one that is exceeded removes nothing.
#[utoipa::path(get, path = "/v1/limits", operation_id = "limits", tag = "files",
    responses((status = 200, body = Limits), QuestionErrors))]
async fn show(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Limits>, Problem> {
    Ok(Json(limits::show(&daemon).await?))
}
