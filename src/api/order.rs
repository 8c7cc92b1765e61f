//! How an order is carried through that changes what the registry keeps: on disk first, then in the engine.
//!
//! **Invariant:** an order that has begun comes to its end, also when whoever gave it does not wait for the answer.

use axum::http::StatusCode;

use super::problem::Problem;
use crate::ledger::LedgerError;
use crate::registry::RegistryError;

/// Carries `order` through on a task of its own.
pub(super) async fn through<T: Send + 'static>(
    order: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(order).await;
    done.map_err(|_| Problem::internal("the order ended by a fault of ours"))?
}

/// Does `work`, which waits for a disk or a network, off the runtime's threads.
pub(super) async fn wait<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::internal("the order ended by a fault of ours"))
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let status = match &error {
            RegistryError::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            RegistryError::Locked { .. } => StatusCode::SERVICE_UNAVAILABLE,
            RegistryError::Damaged { .. }
            | RegistryError::Newer { .. }
            | RegistryError::Refused { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        told(status, &error.to_string())
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        told(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
    }
}

/// The first line says what failed, the others what would mend it.
fn told(status: StatusCode, text: &str) -> Problem {
    let (detail, hint) = text.split_once('\n').unwrap_or((text, ""));
    let problem = Problem::new(status, detail);
    let hint: Vec<&str> = hint.lines().map(str::trim).collect();
    match hint.join("; ") {
        hint if hint.is_empty() => problem,
        hint => problem.hint(hint),
    }
}
