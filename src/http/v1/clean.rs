//! Removals on request.

use std::sync::Arc;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::extract::{FromRequest, Request, State};

use crate::app::Daemon;
use crate::app::clean;
use crate::http::error::{OrderErrors, Problem};
use crate::http::extract::{Body, Example, Operator, Query, Viewer};
use crate::types::{CleanOrder, NoQuery, Report};

impl Example for CleanOrder {
    const EXAMPLE: &'static str = "{\"dry_run\": false}, which removes all that is due";
}

/// Remove what is due, or list it.
///
/// A dry run takes the role of a viewer; a run takes that of an operator.
#[utoipa::path(post, path = "/v1/clean", operation_id = "clean", tag = "files", request_body = CleanOrder,
    responses((status = 200, body = Report), OrderErrors))]
pub(in crate::http) async fn clean(
    State(daemon): State<Arc<Daemon>>,
    viewer: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
    request: Request,
) -> Result<Json<Report>, Problem> {
    let (mut parts, body) = request.into_parts();
    let operator = Operator::from_request_parts(&mut parts, &daemon).await;
    let request = Request::from_parts(parts, body);
    let Body(order) = Body::<CleanOrder>::from_request(request, &()).await?;
    let principal = if order.dry_run {
        viewer.principal
    } else {
        operator?.principal
    };
    Ok(Json(clean::clean(daemon, principal, &order).await?))
}
