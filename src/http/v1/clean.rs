//! Removals on request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::clean;
use crate::core::role::Role;
use crate::http::error::{OrderErrors, Problem};
use crate::http::extract::{Body, Example, Query};
use crate::http::route::ORDER;
use crate::types::{CleanOrder, NoQuery, Report};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        // A dry run takes the role of a viewer; the use case checks that of a run.
        .routes(ORDER.role(Role::Viewer).declare(routes!(clean)))
}

impl Example for CleanOrder {
    const EXAMPLE: &'static str = r#"{"dry_run": true}, which lists what is due; false removes it"#;
}

/// Remove what is due, or list it.
///
/// A dry run takes the role of a viewer; a run takes that of an operator, and is listed in
/// `/v1/runs` while it is under way and after it. Runs on the same root follow one another: 409
/// `run-in-progress` names the one that is in the way.
#[utoipa::path(post, path = "/v1/clean", operation_id = "clean", tag = "files", request_body = CleanOrder,
    responses((status = 200, body = Report), OrderErrors))]
async fn clean(
    State(daemon): State<Arc<Daemon>>,
    viewer: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
    Body(order): Body<CleanOrder>,
) -> Result<Json<Report>, Problem> {
    Ok(Json(clean::clean(daemon, viewer, order).await?))
}
