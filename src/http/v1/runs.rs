//! Runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lines::json;
use crate::app::Daemon;
use crate::app::access::{Operator, Viewer};
use crate::app::runs;
use crate::http::error::{OrderErrors, Problem, QuestionErrors};
use crate::http::extract::{Query, Segment};
use crate::http::route::{ORDER, QUESTION};
use crate::types::{NoQuery, Removal, Run, RunQuery, RunReport, Runs, RunsQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new()
        .routes(QUESTION.declare(routes!(list)))
        .routes(QUESTION.declare(routes!(show)))
        .routes(ORDER.declare(routes!(cancel)))
}

/// List runs, newest first.
///
/// A run is a clean that may remove something: ordered, by a schedule, or at the start.
#[utoipa::path(get, path = "/v1/runs", operation_id = "list_runs", tag = "runs", params(RunsQuery),
    responses((status = 200, body = Runs), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<RunsQuery>,
) -> Result<Json<Runs>, Problem> {
    Ok(Json(runs::list(daemon, query).await?))
}

/// Show a run: its progress or its outcome, and what it removed, from the ledger.
#[utoipa::path(get, path = "/v1/runs/{id}", operation_id = "get_run", tag = "runs",
    params(("id" = u64, Path, description = "Number of the run"), RunQuery),
    responses((status = 200, body = RunReport<Removal>), QuestionErrors))]
async fn show(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Segment(id): Segment,
    Query(query): Query<RunQuery>,
) -> Result<Response, Problem> {
    let id = number(&id)?;
    Ok(json(runs::report(daemon, id, query).await?))
}

/// Cancel a run: it stops before its next removal.
///
/// The answer is the run as it is then. What it has begun to remove is removed or put back.
#[utoipa::path(delete, path = "/v1/runs/{id}", operation_id = "cancel_run", tag = "runs",
    params(("id" = u64, Path, description = "Number of the run")),
    responses((status = 200, body = Run), OrderErrors))]
async fn cancel(
    State(daemon): State<Arc<Daemon>>,
    operator: Operator,
    Segment(id): Segment,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Run>, Problem> {
    let id = number(&id)?;
    Ok(Json(runs::cancel(daemon, &operator, id).await?))
}

fn number(id: &str) -> Result<u64, Problem> {
    id.parse().map_err(|_| {
        Problem::bad_request(format!("\"{id}\" is not the number of a run"))
            .hint("`lapsed history --runs` lists the runs")
    })
}
