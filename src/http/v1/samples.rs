//! Samples for charts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::samples;
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{Samples, SamplesQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(samples)))
}

/// Show sizes, removals and lateness over time, for charts.
#[utoipa::path(get, path = "/v1/samples", operation_id = "samples", tag = "history",
    params(SamplesQuery), responses((status = 200, body = Samples), QuestionErrors))]
async fn samples(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<SamplesQuery>,
) -> Result<Json<Samples>, Problem> {
    Ok(Json(samples::samples(daemon, query).await?))
}
