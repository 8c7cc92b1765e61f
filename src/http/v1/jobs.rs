//! Jobs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lines::{lines, wants_lines};
use crate::app::Daemon;
use crate::app::access::{Operator, Viewer};
use crate::app::jobs::{self, list::Listing};
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Body, Example, Query, Segment};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{Job, JobOrder, Jobs, JobsQuery, SourceQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(list)))
        .routes(QUESTION.declare(routes!(show)))
        .routes(ORDER.declare(routes!(put, remove)))
}

impl Example for JobOrder {
    const EXAMPLE: &'static str = r#"{"status": "completed"}"#;
}

/// List jobs.
///
/// With `accept: application/x-ndjson` the list is one job a line, of any length.
#[utoipa::path(get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs", params(JobsQuery),
    responses((status = 200, body = Jobs), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<JobsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let listing = jobs::list::list(&daemon, query, wants_lines(&headers)).await?;
    Ok(match listing {
        Listing::Object(object) => Json(object).into_response(),
        Listing::Lines(all) => lines(all),
    })
}

/// Show a job, as its source tells it now.
#[utoipa::path(get, path = "/v1/jobs/{id}", operation_id = "get_job", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job"), SourceQuery),
    responses((status = 200, body = Job), QuestionErrors))]
async fn show(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Segment(id): Segment,
    Query(query): Query<SourceQuery>,
) -> Result<Json<Job>, Problem> {
    Ok(Json(jobs::show(daemon, id, query.source.as_deref()).await?))
}

/// Create or replace a job of an API source; omitted fields are cleared.
#[utoipa::path(put, path = "/v1/jobs/{id}", operation_id = "put_job", tag = "jobs", request_body = JobOrder,
    params(("id" = String, Path, description = "Id of the job"), SourceQuery),
    responses((status = 200, body = Job), (status = 201, description = "The job is new", body = Job), OrderErrors))]
async fn put(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(id): Segment,
    Query(query): Query<SourceQuery>,
    Body(order): Body<JobOrder>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let (job, is_new) = jobs::put(daemon, &operator, id, query.source.as_deref(), order).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(job)))
}

/// Delete a job of an API source; its files become orphans.
#[utoipa::path(delete, path = "/v1/jobs/{id}", operation_id = "delete_job", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job"), SourceQuery),
    responses((status = 200, body = Job), OrderErrors))]
async fn remove(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(id): Segment,
    Query(query): Query<SourceQuery>,
) -> Result<Json<Job>, Problem> {
    Ok(Json(
        jobs::remove(daemon, &operator, id, query.source.as_deref()).await?,
    ))
}
