//! Directories that are made again as they were, and small files of our own beside quarantined
//! things.
//!
//! **Invariant:** mode and owner are changed of directories alone that this process has just made.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::dir::Dir;
use super::error::{Action, FsError};
use crate::core::time::FileTime;

/// Attributes of a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DirAttributes {
    /// Permission bits.
    pub mode: u32,
    /// User id of its owner.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Last change of its content.
    pub mtime: FileTime,
}

impl Dir {
    /// Returns the attributes of the directory.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn attributes(&self) -> Result<DirAttributes, FsError> {
        let stat = rustix::fs::fstat(self.fd()).map_err(|errno| self.own(Action::Look, errno))?;
        Ok(DirAttributes {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: FileTime {
                secs: stat.st_mtime,
                nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
        })
    }

    /// Makes the directory `name` with mode and owner of `was`, and opens it. Where the owner
    /// cannot be given, the directory is this process's.
    ///
    /// # Errors
    /// `EEXIST` when the name is taken; when it cannot be made or opened.
    pub fn make_dir_as(&self, name: &[u8], was: DirAttributes) -> Result<Self, FsError> {
        self.make_dir(name)?;
        let dir = self.open_beneath(name)?;
        let (uid, gid) = (Uid::from_raw(was.uid), Gid::from_raw(was.gid));
        let owned = rustix::fs::fchown(dir.fd(), Some(uid), Some(gid));
        // The bits that lend the owner's rights are only for the owner that they were given by.
        let mode = if owned.is_ok() {
            was.mode
        } else {
            was.mode & 0o1777
        };
        rustix::fs::fchmod(dir.fd(), Mode::from_raw_mode(mode))
            .map_err(|errno| self.failed(Action::Create, name, errno))?;
        Ok(dir)
    }

    /// Sets the time of the directory's last change.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn set_mtime(&self, mtime: FileTime) -> Result<(), FsError> {
        let omitted = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        let times = Timestamps {
            last_access: omitted,
            last_modification: Timespec {
                tv_sec: mtime.secs,
                tv_nsec: mtime.nanos.into(),
            },
        };
        rustix::fs::futimens(self.fd(), &times).map_err(|errno| self.own(Action::Look, errno))
    }

    /// Writes the file `name` with mode 0600, in place of an older one. It has all of `bytes`, or
    /// is not there. Not synchronized.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_file(&self, name: &[u8], bytes: &[u8]) -> Result<(), FsError> {
        let fresh = [name, b".new"].concat();
        let failed = |errno| self.failed(Action::Write, name, errno);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = self.open_file(&fresh, flags, mode).map_err(failed)?;
        let written = File::from(file).write_all(bytes);
        written.map_err(|error| failed(errno_of(&error)))?;
        self.move_over(&fresh, self, name)
    }

    /// Reads the file `name`, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// `ENOENT` when there is none; `EFBIG` when it is longer; when it cannot be read.
    pub fn read_file(&self, name: &[u8], bytes_max: u64) -> Result<Vec<u8>, FsError> {
        let failed = |errno| self.failed(Action::Read, name, errno);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = self.open_file(name, flags, Mode::empty()).map_err(failed)?;
        let mut bytes = Vec::new();
        let read = File::from(file).take(bytes_max + 1).read_to_end(&mut bytes);
        read.map_err(|error| failed(errno_of(&error)))?;
        if bytes.len() as u64 > bytes_max {
            return Err(failed(Errno::FBIG));
        }
        Ok(bytes)
    }

    fn open_file(
        &self,
        name: &[u8],
        flags: OFlags,
        mode: Mode,
    ) -> Result<std::os::fd::OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        rustix::fs::openat(self.fd(), OsStr::from_bytes(name), flags, mode)
    }

    fn own(&self, action: Action, errno: Errno) -> FsError {
        FsError {
            action,
            path: self.path().to_path_buf(),
            errno,
        }
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::IO, Errno::from_raw_os_error)
}
