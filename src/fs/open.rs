//! Opening of directories: the one call of `openat2(2)`.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Access to a directory whose contents are read.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// Calls `openat2(2)` for a directory, with `access` to it. Tries again when the kernel answers
/// `EAGAIN`, because a rename raced with the resolution.
pub(super) fn open_retrying(
    at: impl std::os::fd::AsFd + Copy,
    path: &[u8],
    access: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    /// Maximum number of tries. Each is a full resolution, so if all of them raced with a rename,
    /// another process provokes it.
    const TRIES_MAX: usize = 64;
    let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut last = Errno::AGAIN;
    for _ in 0..TRIES_MAX {
        match rustix::fs::openat2(at, OsStr::from_bytes(path), flags, Mode::empty(), resolve) {
            Err(errno @ (Errno::AGAIN | Errno::INTR)) => last = errno,
            done => return done,
        }
    }
    Err(last)
}

/// Returns the path of `name` in `dir`, for messages.
pub(super) fn named(dir: &Path, name: &[u8]) -> PathBuf {
    dir.join(OsStr::from_bytes(name))
}
