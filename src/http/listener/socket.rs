//! The daemon's socket in the file system: who owns it, who may connect.
//!
//! A lock beside the socket (`<socket>.lock`, flock(2)) decides who owns it, since a socket itself
//! tells nobody whether its daemon still lives. The kernel drops the lock with the process, so that
//! nothing stale can stay.
//!
//! **Invariant:** of two daemons at most one listens, and the other one is told which process does.
//! **Invariant:** nothing but a socket that nobody answers is ever replaced.
//! **Invariant:** the socket is never open to more than its mode says, not even for an instant.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Gid, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The longest path that fits `sockaddr_un` with its closing NUL (unix(7)).
pub const SOCKET_PATH_MAX: usize = 107;

/// Clients that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Number of attempts, if a lock file disappears because its daemon ends as this one starts.
const LOCK_TRIES_MAX: usize = 16;

/// Failure to make the socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path does not fit.
    #[error(
        "the socket's path \"{}\" has {} bytes, and the system takes {SOCKET_PATH_MAX}\n  give a shorter one with --socket",
        .0.display(), .0.as_os_str().len()
    )]
    TooLong(PathBuf),
    /// Its directory is not there.
    #[error("the directory of socket \"{}\" is not there\n  create it, or give another path with --socket", .0.display())]
    NoDirectory(PathBuf),
    /// A daemon has it.
    #[error(
        "another daemon{} owns socket \"{}\"\n  stop it first, or give this one another path with --socket",
        pid.map_or_else(String::new, |pid| format!(" (pid {pid})")), path.display()
    )]
    Owned {
        /// The socket.
        path: PathBuf,
        /// The process that holds the lock, where it says so.
        pid: Option<u32>,
    },
    /// Somebody answers there who does not hold the lock.
    #[error("somebody already listens on socket \"{}\"\n  stop it first, or give another path with --socket", .0.display())]
    Answered(PathBuf),
    /// It is something else.
    #[error("\"{}\" is there and is no socket\n  remove it yourself if it may go, or give another path with --socket", .0.display())]
    NotASocket(PathBuf),
    /// It cannot be given to the group.
    #[error(
        "cannot give socket \"{}\" to group {gid}: {}\n  \
         run the daemon with that group or with CAP_CHOWN (in its unit: SupplementaryGroups= or CapabilityBoundingSet=)",
        path.display(), std::io::Error::from(*errno)
    )]
    Group {
        /// The socket.
        path: PathBuf,
        /// The group's id.
        gid: u32,
        /// The answer.
        errno: Errno,
    },
    /// The operating system refused.
    #[error("cannot {action} \"{}\": {}", path.display(), std::io::Error::from(*errno))]
    Refused {
        /// Attempted operation.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        errno: Errno,
    },
}

/// Rights on the socket, and permission to create its directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketRights {
    /// Permission bits of the socket, at most 0o777.
    pub mode: u32,
    /// The group that it shall belong to.
    pub gid: Option<u32>,
    /// True if a missing parent directory is created (0755): only for default locations.
    pub create_parent: bool,
}

/// The socket, for as long as this lives. Both of its files go with it.
#[derive(Debug)]
pub struct OwnedSocket {
    path: PathBuf,
    /// Device and inode of the socket that we made: another one at the same path is not ours to
    /// remove.
    made: (u64, u64),
    lock: Lock,
}

#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// Holds the lock by being open.
    file: File,
}

/// Listens on `path`, after making sure that nobody else does.
///
/// The umask of the process is narrowed for an instant: to be called before anything else writes
/// files.
///
/// # Errors
/// [`SocketError`], with what would mend it.
pub fn bind(path: &Path, rights: SocketRights) -> Result<(UnixListener, OwnedSocket), SocketError> {
    if path.as_os_str().len() > SOCKET_PATH_MAX {
        return Err(SocketError::TooLong(path.to_path_buf()));
    }
    ensure_parent(path, rights.create_parent)?;
    let lock = Lock::take(path)?;
    clear(path)?;
    let (socket, made) = make(path)?;
    // Whatever is refused from here on, the socket goes with this.
    let owned = OwnedSocket {
        path: path.to_path_buf(),
        made: made.key,
        lock,
    };
    restrict(&made.held, path, rights)?;
    rustix::net::listen(&socket, BACKLOG).map_err(refused("listen on", path))?;
    Ok((UnixListener::from(socket), owned))
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> SocketError {
    let path = path.to_path_buf();
    move |errno| SocketError::Refused {
        action,
        path,
        errno,
    }
}

fn ensure_parent(path: &Path, create: bool) -> Result<(), SocketError> {
    let Some(parent) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
        return Ok(());
    };
    if parent.is_dir() {
        return Ok(());
    }
    if !create {
        return Err(SocketError::NoDirectory(path.to_path_buf()));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(parent)
        .map_err(|error| {
            refused("create directory", parent)(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
}

impl Lock {
    /// Takes the lock beside `socket` and writes our process id into it.
    fn take(socket: &Path) -> Result<Self, SocketError> {
        let mut name = OsString::from(socket);
        name.push(".lock");
        let path = PathBuf::from(name);
        for _ in 0..LOCK_TRIES_MAX {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(0o644);
            let mut file = File::from(
                rustix::fs::open(&path, flags, mode).map_err(refused("open lock", &path))?,
            );
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(SocketError::Owned {
                        path: socket.to_path_buf(),
                        pid: read_pid(&mut file),
                    });
                }
                Err(errno) => return Err(refused("lock", &path)(errno)),
            }
            // The file may have been removed by its last owner between our open and our lock: then
            // somebody else can lock a new one at the same path.
            if is_at(&file, &path) {
                write_pid(&mut file).map_err(|error| {
                    refused("write lock", &path)(Errno::from_io_error(&error).unwrap_or(Errno::IO))
                })?;
                return Ok(Self { path, file });
            }
        }
        Err(refused("lock", &path)(Errno::AGAIN))
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (rustix::fs::fstat(file), rustix::fs::lstat(path)) else {
        return false;
    };
    (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

/// Removes a socket that nobody answers; refuses everything else that stands at `path`. The lock
/// must be held.
fn clear(path: &Path) -> Result<(), SocketError> {
    let stat = match rustix::fs::lstat(path) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(refused("look at", path)(errno)),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(SocketError::NotASocket(path.to_path_buf()));
    }
    // Not blocking: a listener with a full backlog is alive, too.
    let probe = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
    .map_err(refused("probe", path))?;
    let address = SocketAddrUnix::new(path).map_err(refused("probe", path))?;
    match rustix::net::connect(&probe, &address) {
        Err(Errno::CONNREFUSED) => rustix::fs::unlink(path).map_err(refused("replace", path)),
        Err(Errno::NOENT) => Ok(()),
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS) => {
            Err(SocketError::Answered(path.to_path_buf()))
        }
        Err(errno) => Err(refused("probe", path)(errno)),
    }
}

/// A new socket file.
struct Made {
    held: OwnedFd,
    /// Device and inode.
    key: (u64, u64),
}

/// Binds a socket to `path`, for us alone until its group and mode are set.
fn make(path: &Path) -> Result<(OwnedFd, Made), SocketError> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
    .map_err(refused("make socket", path))?;
    let address = SocketAddrUnix::new(path).map_err(refused("bind", path))?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = rustix::net::bind(&socket, &address);
    rustix::process::umask(before);
    bound.map_err(refused("bind", path))?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = rustix::fs::open(path, flags, Mode::empty()).map_err(refused("open", path))?;
    let stat = rustix::fs::fstat(&held).map_err(refused("look at", path))?;
    let is_ours = FileType::from_raw_mode(stat.st_mode) == FileType::Socket
        && stat.st_uid == rustix::process::geteuid().as_raw();
    if !is_ours {
        return Err(SocketError::NotASocket(path.to_path_buf()));
    }
    let key = (stat.st_dev, stat.st_ino);
    Ok((socket, Made { held, key }))
}

/// Gives the new socket its group and mode, through a descriptor: whatever else may be put at the
/// path is left alone.
fn restrict(held: &OwnedFd, path: &Path, rights: SocketRights) -> Result<(), SocketError> {
    if let Some(gid) = rights.gid {
        let group = Some(Gid::from_raw(gid));
        rustix::fs::chownat(held, "", None, group, AtFlags::EMPTY_PATH).map_err(|errno| {
            SocketError::Group {
                path: path.to_path_buf(),
                gid,
                errno,
            }
        })?;
    }
    let itself = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(held));
    rustix::fs::chmodat(
        CWD,
        itself.as_bytes(),
        Mode::from_raw_mode(rights.mode & 0o777),
        AtFlags::empty(),
    )
    .map_err(refused("set the mode of", path))
}

impl Drop for OwnedSocket {
    fn drop(&mut self) {
        let is_ours =
            rustix::fs::lstat(&self.path).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.made);
        // At the end there is nobody left to tell; a stale socket is replaced by the next daemon.
        if is_ours {
            let _ = rustix::fs::unlink(&self.path);
        }
        // Before the lock is dropped, or it could be the next owner's file.
        if is_at(&self.lock.file, &self.lock.path) {
            let _ = rustix::fs::unlink(&self.lock.path);
        }
    }
}

/// Returns true if `path` fits into the address of a socket.
#[must_use]
pub fn fits(path: &Path) -> bool {
    path.as_os_str().as_bytes().len() <= SOCKET_PATH_MAX
}

#[cfg(test)]
mod tests;
