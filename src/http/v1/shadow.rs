//! Comparison with others who remove things.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::shadow;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{Shadow, ShadowQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(compare)))
}

/// Compare what this daemon would remove in shadow mode with what others remove.
#[utoipa::path(get, path = "/v1/shadow", operation_id = "shadow", tag = "history", params(ShadowQuery),
    responses((status = 200, body = Shadow), QuestionErrors))]
async fn compare(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<ShadowQuery>,
) -> Result<Json<Shadow>, Problem> {
    Ok(Json(shadow::shadow(daemon, query).await?))
}
