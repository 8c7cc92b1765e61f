//! Files of the index.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lines::{json, lines, wants_lines};
use crate::app::Daemon;
use crate::app::access::Viewer;
use crate::app::files::{self, Listing};
use crate::http::error::{Problem, QuestionErrors};
use crate::http::extract::Query;
use crate::http::route::QUESTION;
use crate::types::{Files, FilesQuery};

/// Returns the routes.
pub(in crate::http) fn routes() -> OpenApiRouter<Arc<Daemon>> {
    OpenApiRouter::new().routes(QUESTION.declare(routes!(list)))
}

/// List files, with their rule, job, deadline and hold.
///
/// With `accept: application/x-ndjson` the list is one file a line, of any length.
#[utoipa::path(get, path = "/v1/files", operation_id = "list_files", tag = "files", params(FilesQuery),
    responses((status = 200, body = Files), QuestionErrors))]
async fn list(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(query): Query<FilesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let listing = files::list(&daemon, &query, wants_lines(&headers)).await?;
    Ok(match listing {
        Listing::Object(object) => json(object),
        Listing::Lines(all) => lines(all),
    })
}
