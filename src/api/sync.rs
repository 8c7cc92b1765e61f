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
use crate::core::report::Phase;

pub(super) async fn sync(
    State(daemon): State<Arc<Daemon>>,
    request: Request,
) -> Result<Response, Problem> {
    Query::parse(request.uri(), &[])?;
    let before = clock::now().boot;
    sync_roots(&daemon).await?;
    let took = clock::now().boot.saturating_sub(before);
    Ok(json(&Synced {
        synced: true,
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    }))
}

/// Waits until everything that happened in the roots before this call is known.
///
/// # Errors
/// When a root cannot be opened: what happens in it is not known before it can.
pub(super) async fn sync_roots(daemon: &Daemon) -> Result<(), Problem> {
    let link = daemon.link();
    link.sync().await?;
    let roots = link.ask(|engine, now| engine.status(now).roots).await?;
    let policy = daemon.policy();
    let unreachable: Vec<String> = roots
        .into_iter()
        .filter_map(|root| match root.phase {
            Phase::Unreachable { why } => {
                let path = policy.roots.get(&root.root).map(|root| root.path.display());
                Some(path.map_or_else(|| why.clone(), |path| format!("\"{path}\": {why}")))
            }
            Phase::Crawling | Phase::Reconciling { .. } | Phase::Ready | Phase::Missing { .. } => {
                None
            }
        })
        .collect();
    if unreachable.is_empty() {
        return Ok(());
    }
    let detail = format!("not in sync: cannot open root {}", unreachable.join("; "));
    let hint = "what happens there is known once it can be opened; it is tried again by itself";
    Err(Problem::busy(detail).hint(hint))
}
