//! Barrier: everything that happened before a request is known.

use crate::app::daemon::Daemon;
use crate::app::error::AppError;
use crate::clock;
use crate::core::report::Phase;
use crate::types::Synced;

/// Waits until everything that happened in the roots before this call is known.
///
/// # Errors
/// If a root cannot be opened.
pub async fn sync(daemon: &Daemon) -> Result<Synced, AppError> {
    let before = clock::now().boot;
    sync_roots(daemon).await?;
    let took = clock::now().boot.saturating_sub(before);
    Ok(Synced {
        synced: true,
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    })
}

/// Waits until everything that happened in the roots before this call is known.
///
/// # Errors
/// If a root cannot be opened: changes in it are unknown until it can.
pub(crate) async fn sync_roots(daemon: &Daemon) -> Result<(), AppError> {
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
    Err(AppError::unavailable(detail).hint(hint))
}
