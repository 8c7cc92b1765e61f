//! The state directory: one daemon at a time.
//!
//! **Invariant:** whoever holds the lock is the only one that removes anything for this state,
//! daemon or not.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::fs::error::reason;

/// Failure to lock the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process has it.
    #[error(
        "the state directory \"{}\" is in use by {holder}\n  stop that one first, or give this one its own with --state-dir",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Process that has it, as far as is known.
        holder: String,
    },
    /// It cannot be made, opened or locked.
    #[error("cannot {action} \"{}\": {}\n  choose another state directory with --state-dir, or mend this one", path.display(), reason(*errno))]
    Unusable {
        /// Attempted operation.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's answer.
        errno: Errno,
    },
}

/// The state directory, held until this is dropped.
#[derive(Debug)]
pub struct StateDir {
    _lock: File,
}

impl StateDir {
    /// Makes the directory where it is missing (mode 0700) and takes its lock.
    ///
    /// # Errors
    /// If another process has it, or the file system refuses.
    pub fn claim(path: &Path) -> Result<Self, StateDirError> {
        let failed = |action, path: &Path, error: &std::io::Error| StateDirError::Unusable {
            action,
            path: path.to_path_buf(),
            errno: Errno::from_io_error(error).unwrap_or(Errno::IO),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed("create the state directory", path, &error))?;
        let file = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&file)
            .map_err(|error| failed("open", &file, &error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let known = lock.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
                let holder = if known {
                    format!("process {}", pid.trim())
                } else {
                    "another process".to_owned()
                };
                return Err(StateDirError::InUse {
                    path: path.to_path_buf(),
                    holder,
                });
            }
            Err(errno) => {
                return Err(StateDirError::Unusable {
                    action: "lock",
                    path: file,
                    errno,
                });
            }
        }
        // The number is for people's eyes: the lock is what counts, so a full disk is no reason to
        // stop.
        let noted = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::warn!(
                "cannot note the process number in \"{}\": {error}",
                file.display()
            );
        }
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_learns_who_the_first_is() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("deep/state");
        let held = StateDir::claim(&path).unwrap();
        let error = StateDir::claim(&path).unwrap_err().to_string();
        assert!(
            error.contains(&format!("in use by process {}", std::process::id())),
            "{error}"
        );
        drop(held);
        assert!(StateDir::claim(&path).is_ok());
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("state");
        std::fs::write(&path, b"").unwrap();
        let error = StateDir::claim(&path).unwrap_err().to_string();
        assert!(error.contains(&*path.to_string_lossy()), "{error}");
    }
}
