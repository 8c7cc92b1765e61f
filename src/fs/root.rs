//! Directory of a root, opened for one batch of work.
//!
//! **Invariant:** a [`RootDir`] must be the directory that the caller named by device and inode. A
//! root that was replaced, mounted over, or turned into a symbolic link never opens as the old one.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::dir::Dir;
use super::error::{Action, FsError};
use super::open::{READ, open_retrying};
use crate::core::facts::FileKey;
use crate::core::path::RelPath;

/// Longest path of one system call, in bytes: `PATH_MAX` is 4,096 with its NUL. Longer paths are
/// opened in pieces.
const PATH_BYTES_MAX: usize = 4000;

/// Open root.
#[derive(Debug)]
pub struct RootDir {
    dir: Dir,
    key: FileKey,
}

impl RootDir {
    /// Opens the directory at `path` (absolute), no component of which may be a symbolic link.
    ///
    /// # Errors
    /// When it is missing, is not a directory, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let failed = |errno| FsError {
            action: Action::Open,
            path: path.to_path_buf(),
            errno,
        };
        let fd = open_root(path, READ).map_err(failed)?;
        let dir = Dir::new(fd, path.to_path_buf());
        let key = dir.facts()?.key;
        Ok(Self { dir, key })
    }

    /// Opens the directory at `path` if it is the one that `key` identifies.
    ///
    /// # Errors
    /// As [`RootDir::open`]; `ESTALE` when it is another directory.
    pub fn open_as(path: &Path, key: FileKey) -> Result<Self, FsError> {
        let root = Self::open(path)?;
        if root.key == key {
            Ok(root)
        } else {
            Err(FsError {
                action: Action::Open,
                path: path.to_path_buf(),
                errno: Errno::STALE,
            })
        }
    }

    /// Returns the identity of the directory.
    #[must_use]
    pub fn key(&self) -> FileKey {
        self.key
    }

    /// Returns the absolute path that it had when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the root itself as a directory.
    #[must_use]
    pub fn top(&self) -> &Dir {
        &self.dir
    }

    /// Returns true if this directory is still at the root's path.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        // A descriptor that only identifies the directory costs half as much as one to read it.
        let found = open_root(self.path(), OFlags::PATH);
        let found = found.map(|fd| Dir::new(fd, PathBuf::new()));
        found.is_ok_and(|dir| dir.facts().is_ok_and(|facts| facts.key == self.key))
    }

    /// Opens the directory at `path`, of any depth, beneath this root; the root itself for the
    /// empty path.
    ///
    /// # Errors
    /// When it is missing, when a component is a symbolic link or a mount
    /// ([`FsError::is_absence`]), or when a component may not be entered.
    ///
    /// # Panics
    /// Never: a path has at least one piece.
    pub fn dir(&self, path: &RelPath) -> Result<Dir, FsError> {
        let mut dir: Option<Dir> = None;
        let mut rest = if path.is_root() {
            &b"."[..]
        } else {
            path.as_bytes()
        };
        while !rest.is_empty() {
            let (piece, tail) = split_piece(rest);
            dir = Some(dir.as_ref().unwrap_or(&self.dir).open_beneath(piece)?);
            rest = tail;
        }
        Ok(dir.expect("invariant: a path has at least one piece"))
    }
}

fn open_root(path: &Path, access: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    open_retrying(CWD, path.as_os_str().as_bytes(), access, resolve)
}

/// Splits off as many leading components as one system call takes.
fn split_piece(path: &[u8]) -> (&[u8], &[u8]) {
    if path.len() <= PATH_BYTES_MAX {
        return (path, &[]);
    }
    let slash = path[..PATH_BYTES_MAX]
        .iter()
        .rposition(|&b| b == b'/')
        .expect("invariant: a component is shorter than 256 bytes");
    (&path[..slash], &path[slash + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_root_or_a_directory_is_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("root/real")).unwrap();
        std::fs::create_dir(base.join("outside")).unwrap();
        std::os::unix::fs::symlink(base.join("root"), base.join("alias")).unwrap();
        std::os::unix::fs::symlink(base.join("outside"), base.join("root/link")).unwrap();

        assert!(RootDir::open(&base.join("alias")).unwrap_err().is_absence());
        let root = RootDir::open(&base.join("root")).unwrap();
        assert!(root.dir(&RelPath::parse(b"real").unwrap()).is_ok());
        assert!(
            root.dir(&RelPath::parse(b"link").unwrap())
                .unwrap_err()
                .is_absence()
        );
    }

    #[test]
    fn a_replaced_root_does_not_open_as_the_old_one() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("root")).unwrap();
        let key = RootDir::open(&base.join("root")).unwrap().key();
        // The old directory is kept under another name, or its inode could be given to the new one.
        std::process::Command::new("mv")
            .arg(base.join("root"))
            .arg(base.join("old"))
            .status()
            .unwrap();
        std::fs::create_dir(base.join("root")).unwrap();
        assert_eq!(
            RootDir::open_as(&base.join("root"), key).unwrap_err().errno,
            Errno::STALE
        );
    }

    #[test]
    fn trees_deeper_than_a_path_can_be_long_are_reached() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        let root = RootDir::open(&base).unwrap();
        let name = vec![b'd'; 200];
        let mut path = RelPath::root();
        for _ in 0..60 {
            root.dir(&path).unwrap().make_dir(&name).unwrap();
            path = path.join(&name);
        }
        assert!(path.as_bytes().len() > 2 * PATH_BYTES_MAX);
        assert!(root.dir(&path).unwrap().facts().is_ok());
        // tempfile removes the tree by path, which is too long for it: take it down from below.
        while let Some((parent, last)) = path.split() {
            root.dir(&parent).unwrap().remove_dir(last).unwrap();
            path = parent;
        }
    }
}
