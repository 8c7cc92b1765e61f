//! Open directory: looks, listings, atomic moves, removals.
//!
//! **Invariant:** every call except [`Dir::open_beneath`] names one component of a directory that
//! is held open, so that no other process can swap the path between the check and the change.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, RawDir, RenameFlags, ResolveFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;

use super::error::{Action, FsError};
use super::open::{READ, named, open_retrying};
use crate::core::facts::{Facts, FileKey, Kind};
use crate::core::time::FileTime;

/// Bytes that one `getdents64(2)` call fills: ~1,000 names.
const LIST_BUFFER_BYTES: usize = 32 * 1024;

/// Open directory of a user's tree.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    pub(super) fn new(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// Returns the absolute path that it had when it was opened, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the descriptor, for system calls of other modules of `fs` and of the watchers.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a directory below this one. `path` may have several components.
    ///
    /// # Errors
    /// See [`super::RootDir::dir`].
    pub fn open_beneath(&self, path: &[u8]) -> Result<Self, FsError> {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let place = if path == b"." {
            self.path.clone()
        } else {
            named(&self.path, path)
        };
        match open_retrying(&self.fd, path, READ, resolve) {
            Ok(fd) => Ok(Self { fd, path: place }),
            Err(errno) => Err(FsError {
                action: Action::Open,
                path: place,
                errno,
            }),
        }
    }

    /// Looks at the directory itself.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn facts(&self) -> Result<Facts, FsError> {
        statx(self.fd(), b"").map_err(|errno| FsError {
            action: Action::Look,
            path: self.path.clone(),
            errno,
        })
    }

    /// Looks at `name`, without following it; `None` when there is nothing of that name.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn look(&self, name: &[u8]) -> Result<Option<Facts>, FsError> {
        match statx(self.fd(), name) {
            Ok(facts) => Ok(Some(facts)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed(Action::Look, name, errno)),
        }
    }

    /// Calls `each` with every name in the directory and a look at it, except for names that vanish
    /// meanwhile. Reads from the start each time.
    ///
    /// # Errors
    /// When the directory cannot be read to its end.
    pub fn list(&self, mut each: impl FnMut(&[u8], Facts)) -> Result<(), FsError> {
        let failed = |errno| FsError {
            action: Action::List,
            path: self.path.clone(),
            errno,
        };
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(0)).map_err(failed)?;
        // Not `vec![uninit; n]`, which a debug build fills byte by byte.
        let mut buffer = Vec::with_capacity(LIST_BUFFER_BYTES);
        let mut entries = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // A directory that is removed while it is read has come to its end.
                Err(Errno::NOENT) => break,
                Err(errno) => return Err(failed(errno)),
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if let Some(facts) = self.look(name)? {
                each(name, facts);
            }
        }
        Ok(())
    }

    /// Returns true if the directory is empty. Stops at the first name.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn is_empty(&self) -> Result<bool, FsError> {
        let failed = |errno| FsError {
            action: Action::List,
            path: self.path.clone(),
            errno,
        };
        rustix::fs::seek(&self.fd, rustix::fs::SeekFrom::Start(0)).map_err(failed)?;
        let mut buffer = Vec::with_capacity(1024);
        let mut entries = RawDir::new(&self.fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns true if this process may remove names from the directory, judging by its mode.
    #[must_use]
    pub fn may_change(&self) -> bool {
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        rustix::fs::accessat(&self.fd, ".", access, AtFlags::EACCESS).is_ok()
    }

    /// Checks whether `name` could be moved out of the directory, judging by modes and attributes.
    ///
    /// # Errors
    /// The error that the move would fail with.
    pub fn check_move(&self, name: &[u8]) -> Result<(), FsError> {
        let failed = |errno| self.failed(Action::Move, name, errno);
        let write = rustix::fs::Access::WRITE_OK;
        let may = |name: &[u8], access| {
            rustix::fs::accessat(&self.fd, OsStr::from_bytes(name), access, AtFlags::EACCESS)
        };
        may(b".", write | rustix::fs::Access::EXEC_OK).map_err(failed)?;
        let attributes = |name| {
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
            let asked = StatxFlags::BASIC_STATS;
            rustix::fs::statx(&self.fd, OsStr::from_bytes(name), flags, asked).map_err(failed)
        };
        let (here, there) = (attributes(b".".as_slice())?, attributes(name)?);
        let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
        let is_fixed = here
            .stx_attributes
            .union(there.stx_attributes)
            .intersects(fixed);
        let is_sticky = u32::from(here.stx_mode) & Mode::SVTX.bits() != 0;
        let me = rustix::process::geteuid().as_raw();
        let is_ours = me == here.stx_uid || me == there.stx_uid || may_act_as_owner();
        if is_fixed || (is_sticky && !is_ours) {
            return Err(failed(Errno::PERM));
        }
        // A directory has an entry for its parent, which the move changes.
        match rustix::fs::FileType::from_raw_mode(there.stx_mode.into()) {
            rustix::fs::FileType::Directory => may(name, write).map_err(failed),
            _ => Ok(()),
        }
    }

    /// Renames `name` to `to_name` in `to`, which must be on the same mount. Never replaces
    /// anything (`renameat2(2)`, `NOREPLACE`).
    ///
    /// # Errors
    /// `EEXIST` when `to_name` is taken; `EXDEV` across mounts; `EBUSY` for a mount point.
    pub fn move_to(&self, name: &[u8], to: &Self, to_name: &[u8]) -> Result<(), FsError> {
        rustix::fs::renameat_with(
            &self.fd,
            OsStr::from_bytes(name),
            &to.fd,
            OsStr::from_bytes(to_name),
            RenameFlags::NOREPLACE,
        )
        .map_err(|errno| self.failed(Action::Move, name, errno))
    }

    /// Renames `name` to `to_name` in `to`, and removes the file that has this name. Does nothing
    /// if both are names of one file.
    ///
    /// # Errors
    /// As [`Dir::move_to`]; `ENOTDIR` when `name` is a directory.
    pub fn move_over(&self, name: &[u8], to: &Self, to_name: &[u8]) -> Result<(), FsError> {
        let (from, onto) = (OsStr::from_bytes(name), OsStr::from_bytes(to_name));
        rustix::fs::renameat(&self.fd, from, &to.fd, onto)
            .map_err(|errno| self.failed(Action::Move, name, errno))
    }

    /// Creates the directory `name` with mode 0700.
    ///
    /// # Errors
    /// `EEXIST` when the name is taken.
    pub fn make_dir(&self, name: &[u8]) -> Result<(), FsError> {
        rustix::fs::mkdirat(&self.fd, OsStr::from_bytes(name), Mode::RWXU)
            .map_err(|errno| self.failed(Action::Create, name, errno))
    }

    /// Waits until all changes to the directory's file system are on its disk (`syncfs(2)`).
    ///
    /// # Errors
    /// When the file system could not write something.
    pub fn sync_file_system(&self) -> Result<(), FsError> {
        rustix::fs::syncfs(&self.fd).map_err(|errno| FsError {
            action: Action::Sync,
            path: self.path.clone(),
            errno,
        })
    }

    /// Removes the name of anything but a directory.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove_file(&self, name: &[u8]) -> Result<(), FsError> {
        rustix::fs::unlinkat(&self.fd, OsStr::from_bytes(name), AtFlags::empty())
            .map_err(|errno| self.failed(Action::Remove, name, errno))
    }

    /// Removes the empty directory `name`.
    ///
    /// # Errors
    /// `ENOTEMPTY` when it is not empty.
    pub fn remove_dir(&self, name: &[u8]) -> Result<(), FsError> {
        rustix::fs::unlinkat(&self.fd, OsStr::from_bytes(name), AtFlags::REMOVEDIR)
            .map_err(|errno| self.failed(Action::Remove, name, errno))
    }

    /// Creates an error of `action` on `name` in this directory.
    #[must_use]
    pub fn failed(&self, action: Action, name: &[u8], errno: Errno) -> FsError {
        FsError {
            action,
            path: named(&self.path, name),
            errno,
        }
    }
}

/// Returns true if this process counts as the owner of every file (`CAP_FOWNER`).
fn may_act_as_owner() -> bool {
    let sets = rustix::thread::capabilities(None);
    sets.is_ok_and(|sets| {
        sets.effective
            .contains(rustix::thread::CapabilitySet::FOWNER)
    })
}

/// Calls `statx(2)` for `name` in `dir`, or for `dir` itself if `name` is empty.
pub(super) fn statx(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Facts, Errno> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    let seen = rustix::fs::statx(
        dir,
        OsStr::from_bytes(name),
        flags,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME,
    )?;
    let time = |at: rustix::fs::StatxTimestamp| FileTime {
        secs: at.tv_sec,
        nanos: at.tv_nsec,
    };
    let ctime = time(seen.stx_ctime);
    let born = StatxFlags::from_bits_retain(seen.stx_mask).contains(StatxFlags::BTIME);
    let on_mount = !name.is_empty() && seen.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    let kind = match rustix::fs::FileType::from_raw_mode(seen.stx_mode.into()) {
        // A file can be a mount point as well, and must not be moved then.
        _ if on_mount => Kind::Mount,
        rustix::fs::FileType::RegularFile => Kind::File,
        rustix::fs::FileType::Directory => Kind::Dir,
        _ => Kind::Other,
    };
    Ok(Facts {
        kind,
        key: FileKey {
            dev: u64::from(seen.stx_dev_major) << 32 | u64::from(seen.stx_dev_minor),
            ino: seen.stx_ino,
        },
        nlink: seen.stx_nlink,
        size: seen.stx_size,
        blocks: seen.stx_blocks,
        mtime: time(seen.stx_mtime).at_latest(ctime),
        ctime: ctime.at_latest(ctime),
        btime: born.then(|| time(seen.stx_btime).at_latest(ctime)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RootDir;

    #[test]
    fn looks_and_listings_tell_what_is_there() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::write(base.join("file"), b"12345").unwrap();
        std::fs::create_dir(base.join("dir")).unwrap();
        std::os::unix::fs::symlink("file", base.join("link")).unwrap();
        let root = RootDir::open(&base).unwrap();

        let file = root.top().look(b"file").unwrap().unwrap();
        assert_eq!((file.kind, file.size), (Kind::File, 5));
        assert_eq!(root.top().look(b"missing").unwrap(), None);
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.clear();
            root.top()
                .list(|name, facts| seen.push((name.to_vec(), facts.kind)))
                .unwrap();
        }
        seen.sort_unstable();
        let expected = [
            (b"dir".to_vec(), Kind::Dir),
            (b"file".to_vec(), Kind::File),
            (b"link".to_vec(), Kind::Other),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_move_never_replaces() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::write(base.join("a"), b"a").unwrap();
        std::fs::write(base.join("b"), b"b").unwrap();
        let root = RootDir::open(&base).unwrap();
        let error = root.top().move_to(b"a", root.top(), b"b").unwrap_err();
        assert_eq!(error.errno, Errno::EXIST);
        assert_eq!(std::fs::read(base.join("b")).unwrap(), b"b");
        assert_eq!(
            error.to_string(),
            format!("cannot move \"{}\": file exists", base.join("a").display())
        );
    }
}
