//! Reload of the configuration.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Admin;
use crate::app::reload;
use crate::core::role::Role;
use crate::http::error::{OrderErrors, Problem};
use crate::http::extract::Query;
use crate::http::route::ORDER;
use crate::types::{NoQuery, Reloaded};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(ORDER.role(Role::Admin).declare(routes!(reload)))
}

/// Read the configuration again, as SIGHUP does, and answer when it is in force.
///
/// A mistake is answered with 422, and what runs goes on.
#[utoipa::path(post, path = "/v1/reload", operation_id = "reload", tag = "daemon",
    responses((status = 200, body = Reloaded), OrderErrors))]
async fn reload(
    State(daemon): State<Arc<Daemon>>,
    admin: Admin,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Reloaded>, Problem> {
    Ok(Json(reload::reload(&daemon, &admin).await?))
}
