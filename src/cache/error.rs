//! Errors of the cache.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Reason for which the daemon cannot start with the existing cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another process has it open.
    #[error(
        "the cache \"{}\" is in use by another process\n  end that one first, or give this one a state directory of its own with --state-dir",
        path.display()
    )]
    InUse {
        /// Path of the cache.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "the cache \"{}\" was written by a newer version of lapsed (format {found}, this version knows up to {known})\n  \
         start the newer version, or move that directory away to begin anew",
        path.display()
    )]
    Newer {
        /// Path of the cache.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Newest format that this version knows.
        known: u64,
    },
    /// The operating system refuses access.
    #[error("cannot {action} \"{}\": {error}\n  see that the service's user may write there, or choose another state directory with --state-dir", path.display())]
    Refused {
        /// The operation.
        action: &'static str,
        /// Path that it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
}

/// Failure of the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The disk is full.
    #[error("no space left on device")]
    Full,
    /// The operating system refuses access, for a reason that would affect a new database as well.
    #[error("{0}")]
    Refused(io::Error),
    /// Another process has it open.
    #[error("another process has it open")]
    InUse,
    /// It has a newer format.
    #[error("it is of format {0}")]
    Newer(u64),
    /// It is damaged, or sled panicked.
    #[error("{0}")]
    Damaged(String),
    /// The cache is being stopped.
    #[error("it is to end")]
    Stopped,
}

impl Fault {
    /// Classifies an I/O error.
    pub(super) fn of_io(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::Full,
            Some(
                Errno::ACCESS
                | Errno::PERM
                | Errno::ROFS
                | Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM,
            ) => Self::Refused(error),
            // sled has locked its file.
            Some(Errno::WOULDBLOCK) => Self::InUse,
            // For some errors sled keeps only the kind.
            None => match error.kind() {
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge => Self::Full,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Self::Refused(error)
                }
                _ => Self::Damaged(error.to_string()),
            },
            Some(_) => Self::Damaged(error.to_string()),
        }
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
                Self::InUse
            }
            sled::Error::Io(error) => Self::of_io(error),
            sled::Error::Corruption { .. } => {
                Self::Damaged("it is not what was written".to_owned())
            }
            sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_) => Self::Damaged(error.to_string()),
        }
    }
}

/// Returns the message for a cache at `path` that cannot be written.
pub(super) fn failure(path: &Path, why: &str) -> String {
    format!(
        "cannot write the cache \"{}\": {why}\nmake room for it, or see that the service may write there; it is tried again by itself",
        path.display()
    )
}
