//! Identity and role of the client.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::http::error::QuestionErrors;
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{NoQuery, Whoami};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(whoami)))
}

/// Show who the daemon takes the client for, and what that client may do.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "whoami", tag = "daemon",
    responses((status = 200, body = Whoami), QuestionErrors))]
async fn whoami(
    State(daemon): State<Arc<Daemon>>,
    viewer: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Json<Whoami> {
    let principal = viewer.principal();
    let role = daemon.access().role(&viewer.into_client()).await;
    Json(Whoami { principal, role })
}
