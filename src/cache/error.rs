//! Why a cache cannot be used, and what becomes of it then.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why the daemon cannot start with the cache that is there.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another process has it open.
    #[error(
        "the cache \"{}\" is in use by another process\n  end that one first, or give this one a state directory of its own with --state-dir",
        path.display()
    )]
    InUse {
        /// The cache.
        path: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "the cache \"{}\" was written by a newer version of lapsed (format {found}, this version knows up to {known})\n  \
         start the newer version, or move that directory away to begin anew",
        path.display()
    )]
    Newer {
        /// The cache.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that is known.
        known: u64,
    },
    /// The operating system refuses.
    #[error("cannot {action} \"{}\": {error}\n  see that the service's user may write there, or choose another state directory with --state-dir", path.display())]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
}

/// What went wrong in the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There is no room on the disk.
    #[error("no space left on device")]
    Full,
    /// The operating system refuses for a reason that another cache would meet, too.
    #[error("{0}")]
    Refused(io::Error),
    /// Another process has it open.
    #[error("another process has it open")]
    InUse,
    /// It is of a newer format.
    #[error("it is of format {0}")]
    Newer(u64),
    /// It is not what was written, or its code failed on it.
    #[error("{0}")]
    Damaged(String),
    /// The cache is to end.
    #[error("it is to end")]
    Stopped,
}

impl Fault {
    /// What an I/O error means.
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
            // sled's lock on its file.
            Some(Errno::WOULDBLOCK) => Self::InUse,
            // The database hands some errors on by their kinds alone.
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
