//! Settings in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{NoQuery, Settings};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(settings)))
}

/// Show the settings in force that decide what is removed, and when.
#[utoipa::path(get, path = "/v1/settings", operation_id = "settings", tag = "status",
    responses((status = 200, body = Settings), QuestionErrors))]
async fn settings(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Settings>, Problem> {
    Ok(Json(daemon.settings()))
}
