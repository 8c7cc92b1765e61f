//! Barrier.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::app::Daemon;
use crate::app::sync;
use crate::http::error::{OrderErrors, Problem};
use crate::http::extract::{Query, Viewer};
use crate::types::{NoQuery, Synced};

/// Wait until the index has all changes made before this request.
#[utoipa::path(post, path = "/v1/sync", operation_id = "sync", tag = "daemon",
    responses((status = 200, body = Synced), OrderErrors))]
pub(in crate::http) async fn sync(
    State(daemon): State<Arc<Daemon>>,
    _: Viewer,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<Json<Synced>, Problem> {
    Ok(Json(sync::sync(&daemon).await?))
}
