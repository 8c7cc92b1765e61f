//! Errors of the registry.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Consequence of moving the file away, for the advice in messages.
const LOST: &str = "it holds the pins, the jobs told through the API, and what is still to be written back to job sources: moved away, all \
                    of that is lost, and what was pinned may lapse";

/// Reason for which the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file is damaged.
    #[error("the registry \"{}\" is damaged: {why}\n  {LOST}\n  restore it from a backup; to begin anew, move it away with its -wal and -shm files", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        why: String,
    },
    /// A newer version wrote the file.
    #[error("the registry \"{}\" was written by a newer version of lapsed (format {found}, this version knows up to {known})\n  start the newer version again\n  {LOST}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Newest format that this version knows.
        known: i64,
    },
    /// The operating system refuses access.
    #[error("cannot {action} the registry \"{}\": {why}\n  see that the service's user may read and write it and its directory", path.display())]
    Refused {
        /// The operation, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        why: String,
    },
    /// Another process has locked the file.
    #[error("cannot {action} in the registry \"{}\": another process has it locked\n  end whatever else has it open", path.display())]
    Locked {
        /// The operation, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("cannot {action} in the registry \"{}\": no space left on device\n  make room on its file system, then try again", path.display())]
    Full {
        /// The operation, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// Failure of a database call.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// An error of SQLite.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// A value that cannot be encoded or decoded as JSON.
    #[error("a value in it cannot be read: {0}")]
    Value(#[from] serde_json::Error),
    /// A word that is not one of those that this version writes.
    #[error("a value in it cannot be read: \"{0}\"")]
    Word(String),
}

impl Fault {
    /// Returns the error for a failure of `action`.
    pub(super) fn into_error(self, action: &'static str, path: &Path) -> RegistryError {
        let path = path.to_path_buf();
        let code = match &self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Value(_) | Self::Word(_) => Some(ErrorCode::DatabaseCorrupt),
        };
        match code {
            Some(ErrorCode::NotADatabase) => RegistryError::Damaged {
                path,
                why: "it is no database".to_owned(),
            },
            Some(ErrorCode::DatabaseCorrupt) => RegistryError::Damaged {
                path,
                why: self.to_string(),
            },
            Some(ErrorCode::DiskFull) => RegistryError::Full { action, path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                RegistryError::Locked { action, path }
            }
            // SQLite's own message describes any other error.
            _ => RegistryError::Refused {
                action,
                path,
                why: self.to_string(),
            },
        }
    }
}

impl RegistryError {
    /// Returns the error for a refusal of `action` by the operating system.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { action, path }
            }
            _ => Self::Refused {
                action,
                path,
                why: error.to_string(),
            },
        }
    }
}
