//! Attempt: its time, and its failure.

use std::time::Duration;

/// Time for an attempt, from the name of the host to the head of the answer.
pub(super) const ATTEMPT_TIME: Duration = Duration::from_secs(30);

/// Reason for which an attempt failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// It may succeed later.
    Retry {
        /// Description, without secrets.
        why: String,
        /// Time for which the receiver wants to be left alone.
        after: Option<Duration>,
    },
    /// It never succeeds.
    Final(String),
}
