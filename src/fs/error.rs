//! Errors of system calls on a user's tree.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

/// A system call on a user's tree that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} \"{}\": {}", path.display(), reason(*.errno))]
pub struct FsError {
    /// The operation that failed.
    pub action: Action,
    /// The path that it was tried on.
    pub path: PathBuf,
    /// The operating system's answer.
    pub errno: Errno,
}

/// Operation on a user's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Open a directory.
    Open,
    /// Read a directory.
    List,
    /// Look at one name.
    Look,
    /// Rename.
    Move,
    /// Remove.
    Remove,
    /// Create a directory.
    Create,
    /// Write a file.
    Write,
    /// Read a file.
    Read,
    /// Write changes to the disk.
    Sync,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::List => "list",
            Self::Look => "look at",
            Self::Move => "move",
            Self::Remove => "remove",
            Self::Create => "create",
            Self::Write => "write",
            Self::Read => "read",
            Self::Sync => "synchronize the file system of",
        })
    }
}

impl FsError {
    /// Returns true if the entry is absent, or is another kind of thing than it was opened as: it
    /// is gone, or was replaced by another kind, a symbolic link, or a mount.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(
            self.errno,
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::STALE
        )
    }

    /// Returns true if the error proves that no directory is at the path, which was opened in full:
    /// nothing is there, or another kind of thing, or a symbolic link.
    #[must_use]
    pub fn proves_absence(&self) -> bool {
        matches!(self.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
    }

    /// Returns true if the process or the machine has run out of a resource: such an error says
    /// nothing about the path.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        matches!(self.errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    }

    /// Returns the advice that mends the error.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self.errno {
            Errno::MFILE => {
                "raise the limit of open files of the service (LimitNOFILE= in its unit, or ulimit -n)"
            }
            Errno::NFILE => "raise fs.file-max, or end what has so many files open",
            Errno::NOMEM => "free memory, or raise the memory limit of the service",
            Errno::ACCESS | Errno::PERM => {
                "give the service's user read and search permission on it, and search permission on all directories above it"
            }
            Errno::IO => "look into the kernel's log for errors of the disk",
            _ => "see whether the file system is there and answers",
        }
    }

    /// Returns true if permission is denied.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(self.errno, Errno::ACCESS | Errno::PERM | Errno::ROFS)
    }
}

/// Returns the operating system's text for `errno`, in lower case and without the number.
#[must_use]
pub fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
