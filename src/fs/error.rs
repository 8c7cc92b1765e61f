//! What the file system refused, and where.

use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

/// A system call on a user's tree that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {action} \"{}\": {}", path.display(), reason(*.errno))]
pub struct FsError {
    /// What was tried, as a verb.
    pub action: Action,
    /// On what.
    pub path: PathBuf,
    /// The operating system's answer.
    pub errno: Errno,
}

/// What was tried.
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
    /// Make a directory.
    Create,
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
        })
    }
}

impl FsError {
    /// Whether the thing is not there, or not as what it was opened for: gone, or replaced by another kind, a symbolic
    /// link or a mount.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(
            self.errno,
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::STALE
        )
    }

    /// Whether the operating system refuses for want of permission.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(self.errno, Errno::ACCESS | Errno::PERM | Errno::ROFS)
    }
}

/// The operating system's words, as a message of ours reads: lower case, without the number.
#[must_use]
pub fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
