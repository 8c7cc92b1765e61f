//! Failures to get an answer.

use std::path::PathBuf;

use crate::types::Problem;

/// Failure to get an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error("no daemon listens on socket \"{}\"\n  start it with: lapsed serve --watch ./scratch=10s (or lapsed serve --config FILE)", .0.display())]
    NoDaemon(PathBuf),
    /// There is a socket that nobody answers.
    #[error("the daemon of socket \"{}\" is dead\n  start it again with: lapsed serve …", .0.display())]
    DeadDaemon(PathBuf),
    /// The socket may not be opened.
    #[error("socket \"{}\" may not be opened: permission denied\n  become a member of its group, or ask whoever runs the daemon", .0.display())]
    Denied(PathBuf),
    /// The path does not fit a socket's address.
    #[error("the socket's path \"{}\" is longer than the system takes\n  give a shorter one with --socket", .0.display())]
    TooLong(PathBuf),
    /// The server of a URL does not answer as a daemon does.
    #[error("{url}: {why}\n  {hint}")]
    Server {
        /// URL.
        url: String,
        /// Reason.
        why: String,
        /// Advice on how to mend it.
        hint: String,
    },
    /// It broke.
    #[error("the connection to the daemon ({place}) broke: {reason}")]
    Broken {
        /// Socket or URL.
        place: String,
        /// Reason, as far as it is known.
        reason: String,
    },
    /// The daemon refuses.
    #[error("{0}")]
    Refused(Problem),
}

impl ClientError {
    /// Returns true if no daemon runs on this host, so that a command may do without.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        match self {
            Self::NoDaemon(_) | Self::DeadDaemon(_) => true,
            Self::Denied(_)
            | Self::TooLong(_)
            | Self::Server { .. }
            | Self::Broken { .. }
            | Self::Refused(_) => false,
        }
    }
}
