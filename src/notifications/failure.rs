//! Failure of an attempt.

use std::time::Duration;

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
