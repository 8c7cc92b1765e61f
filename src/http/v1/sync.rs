//! Barrier.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::sync;
use crate::core::role::Role;
use crate::http::error::{OrderErrors, Problem};
use crate::http::extract::Query;
use crate::http::route::ORDER;
use crate::types::{NoQuery, Synced};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(ORDER.role(Role::Viewer).declare(routes!(sync)))
}

/// Wait until the index has all changes made before this request.
#[utoipa::path(post, path = "/v1/sync", operation_id = "sync", tag = "daemon",
    responses((status = 200, body = Synced), OrderErrors))]
async fn sync(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Synced>, Problem> {
    Ok(Json(sync::sync(&daemon).await?))
}
