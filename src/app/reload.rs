//! Reload of the configuration by request.

use tokio::sync::oneshot;

use super::daemon::Daemon;
use crate::app::access::Admin;
use crate::app::error::{AppError, ErrorKind};
use crate::types::Reloaded;

/// Reloads the configuration, and returns when it is in force.
///
/// # Errors
/// If the configuration has a mistake; then what runs goes on.
pub async fn reload(daemon: &Daemon, _: &Admin) -> Result<Reloaded, AppError> {
    let reloads = daemon
        .reloads
        .get()
        .ok_or_else(|| AppError::unavailable("the daemon is starting"))?;
    let (done, answer) = oneshot::channel();
    if reloads.send(done).await.is_err() {
        return Err(AppError::stopping());
    }
    match answer.await {
        Ok(Ok(restart)) => Ok(Reloaded {
            configuration: daemon.configuration(),
            restart,
        }),
        Ok(Err(mistakes)) => Err(AppError::from_text(ErrorKind::Unprocessable, &mistakes)),
        Err(_) => Err(AppError::stopping()),
    }
}
