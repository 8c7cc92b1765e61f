//! Orders that change the registry: on disk first, then in the engine.
//!
//! **Invariant:** an order that has begun comes to its end, also when whoever gave it does not wait
//! for the answer.

use crate::app::error::AppError;

/// Carries `order` through on a task of its own.
pub(crate) async fn through<T: Send + 'static>(
    order: impl Future<Output = Result<T, AppError>> + Send + 'static,
) -> Result<T, AppError> {
    let done = tokio::spawn(order).await;
    done.map_err(|_| AppError::internal("the order ended by a fault of ours"))?
}

/// Does `work`, which waits for a disk or a network, off the runtime's threads.
pub(crate) async fn wait<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AppError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| AppError::internal("the order ended by a fault of ours"))
}
