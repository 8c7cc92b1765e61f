//! `POST /v1/sync`: the barrier.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::daemon::Daemon;
use super::problem::Problem;
use super::query::Query;
use super::router::json;
use super::wire::Synced;
use crate::clock;

pub(super) async fn sync(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    Query::parse(request.uri(), &[])?;
    let before = clock::now().boot;
    daemon.link().sync().await?;
    let took = clock::now().boot.saturating_sub(before);
    Ok(json(&Synced {
        synced: true,
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    }))
}
