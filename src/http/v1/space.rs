//! Space.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::space;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{Space, SpaceQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(space)))
}

/// Show files and bytes by root and by rule, and what is due.
#[utoipa::path(get, path = "/v1/space", operation_id = "space", tag = "files", params(SpaceQuery),
    responses((status = 200, body = Space), QuestionErrors))]
async fn space(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<SpaceQuery>,
) -> Result<Json<Space>, Problem> {
    Ok(Json(space::space(daemon, query).await?))
}
