//! Why the registry cannot be used, or a write to it failed.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What would be lost, for whoever thinks of moving the file away.
const LOST: &str = "it holds the pins, the jobs told through the API, and what is still to be written back to job sources: moved away, all \
                    of that is lost, and what was pinned may lapse";

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It is not what was written.
    #[error("the registry \"{}\" is damaged: {why}\n  {LOST}\n  restore it from a backup; to begin anew, move it away with its -wal and -shm files", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A newer version wrote it.
    #[error("the registry \"{}\" was written by a newer version of lapsed (format {found}, this version knows up to {known})\n  start the newer version again\n  {LOST}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is known.
        known: i64,
    },
    /// The operating system refuses.
    #[error("cannot {action} the registry \"{}\": {why}\n  see that the service's user may read and write it and its directory", path.display())]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        why: String,
    },
    /// Another process holds it locked.
    #[error("cannot {action} in the registry \"{}\": another process has it locked\n  end whatever else has it open", path.display())]
    Locked {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// There is no room on the disk.
    #[error("cannot {action} in the registry \"{}\": no space left on device\n  make room on its file system, then try again", path.display())]
    Full {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
}

/// What went wrong in the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// In its code.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
    /// In a value of ours.
    #[error("a value in it cannot be read: {0}")]
    Value(#[from] serde_json::Error),
    /// In a word of ours.
    #[error("a value in it cannot be read: \"{0}\"")]
    Word(String),
}

impl Fault {
    /// What it means that this happened while `action` was tried.
    pub(super) fn told(self, action: &'static str, path: &Path) -> RegistryError {
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
            // Whatever else: SQLite's own words say which.
            _ => RegistryError::Refused {
                action,
                path,
                why: self.to_string(),
            },
        }
    }
}

impl RegistryError {
    /// The operating system's refusal of `action`.
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
