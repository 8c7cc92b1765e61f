//! Write leases (`fcntl(2)`), which tell if another process has a file open.
//!
//! The kernel grants a write lease only while no other descriptor of the file exists: open for
//! reading or writing, mapped, or executed, through any of its names. While the lease is held, a
//! process that opens the file waits, and the lease shows that it is being broken.
//!
//! **Invariant:** `SIGIO` must be ignored before the first lease is taken: the kernel sends it when
//! a lease is broken, and its default action kills the process.
//! **Invariant:** this process must hold at most one lease on an inode: opening the file by another
//! hard link, to take a second one, would break the first.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Once;

use parking_lot::{Condvar, Mutex};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::dir::{Dir, statx};
use crate::core::facts::{Facts, FileKey, Kind};

/// Inodes on which this process has a lease.
static LEASED: Mutex<BTreeSet<FileKey>> = Mutex::new(BTreeSet::new());
static RELEASED: Condvar = Condvar::new();

/// Write lease on one file. Released on drop.
#[derive(Debug)]
pub struct Lease {
    fd: OwnedFd,
    /// Dropped after the descriptor, or another thread could break this lease.
    _turn: Turn,
}

/// Regular file that was opened to take a lease on it.
#[derive(Debug)]
pub struct OpenFile {
    fd: OwnedFd,
    facts: Facts,
    turn: Turn,
}

/// Reason for which a lease was not granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaseError {
    /// Another process has the file open.
    Open,
    /// Openness cannot be known: the file belongs to another user, cannot be read, or is on a file
    /// system without leases.
    Unknown(Errno),
    /// Openness could not be determined now: no descriptors or memory were left, or an I/O error
    /// occurred.
    Failed(Errno),
    /// The name has another file than the expected one, or none.
    Replaced,
    /// This process has a lease on the inode, by another of its names.
    Busy,
}

/// Behavior while this process has a lease on the same inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenBusy {
    /// Wait until it is released. Only for threads that hold no lease: otherwise two of them could
    /// wait for each other.
    Wait,
    /// Return [`LeaseError::Busy`].
    Refuse,
}

/// Returns the number of leases that this process has, on all file systems.
#[must_use]
pub fn count() -> usize {
    LEASED.lock().len()
}

impl OpenFile {
    /// Opens the regular file `name` in `dir`, which must be the inode `key`, and looks at it.
    ///
    /// # Errors
    /// See [`LeaseError`]; never [`LeaseError::Open`].
    pub fn open(
        dir: &Dir,
        name: &[u8],
        key: FileKey,
        when_busy: WhenBusy,
    ) -> Result<Self, LeaseError> {
        static SIGIO: Once = Once::new();
        SIGIO.call_once(sys::ignore_sigio);
        let turn = Turn::take(key, when_busy).ok_or(LeaseError::Busy)?;
        // If a FIFO or a terminal was swapped in, it must not block, nor become the controlling
        // terminal.
        let flags =
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        let name = OsStr::from_bytes(name);
        let fd = rustix::fs::openat2(dir.fd(), name, flags, Mode::empty(), resolve)
            .map_err(LeaseError::of)?;
        let facts = statx(fd.as_fd(), b"").map_err(LeaseError::of)?;
        if facts.key != key || facts.kind != Kind::File {
            return Err(LeaseError::Replaced);
        }
        Ok(Self { fd, facts, turn })
    }

    /// Returns the attributes of the file.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes the lease.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub fn lease(self) -> Result<Lease, LeaseError> {
        sys::set_write_lease(self.fd.as_raw_fd()).map_err(LeaseError::of)?;
        Ok(Lease {
            fd: self.fd,
            _turn: self.turn,
        })
    }
}

impl Lease {
    /// Takes the lease on the regular file `name` in `dir`, which must be the inode `key`.
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub fn take(
        dir: &Dir,
        name: &[u8],
        key: FileKey,
        when_busy: WhenBusy,
    ) -> Result<Self, LeaseError> {
        OpenFile::open(dir, name, key, when_busy)?.lease()
    }

    /// Returns true if no process has tried to open the file since the lease was taken.
    #[must_use]
    pub fn holds(&self) -> bool {
        sys::has_write_lease(self.fd.as_raw_fd())
    }
}

impl Lease {
    /// Looks at the file, which may have lost its name.
    ///
    /// # Errors
    /// When the file system does not answer.
    pub fn look(&self) -> Result<Facts, Errno> {
        statx(self.fd.as_fd(), b"")
    }
}

impl LeaseError {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN | Errno::TXTBSY => Self::Open,
            Errno::NOENT
            | Errno::LOOP
            | Errno::XDEV
            | Errno::STALE
            | Errno::NXIO
            | Errno::NOTDIR => Self::Replaced,
            Errno::ACCESS
            | Errno::PERM
            | Errno::INVAL
            | Errno::NOLCK
            | Errno::NOSYS
            | Errno::OPNOTSUPP
            | Errno::NOTTY => Self::Unknown(errno),
            _ => Self::Failed(errno),
        }
    }
}

/// Right to have a lease on an inode, within this process.
#[derive(Debug)]
struct Turn(FileKey);

impl Turn {
    fn take(key: FileKey, when_busy: WhenBusy) -> Option<Self> {
        let mut leased = LEASED.lock();
        while !leased.insert(key) {
            match when_busy {
                WhenBusy::Wait => RELEASED.wait(&mut leased),
                WhenBusy::Refuse => return None,
            }
        }
        Some(Self(key))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        LEASED.lock().remove(&self.0);
        RELEASED.notify_all();
    }
}

/// System calls that no safe crate offers.
#[expect(
    unsafe_code,
    reason = "leases and the disposition of SIGIO are not in rustix"
)]
mod sys {
    use std::os::fd::RawFd;

    use rustix::io::Errno;

    /// Ignores `SIGIO`, unless it has a handler already.
    pub(super) fn ignore_sigio() {
        // SAFETY: both structures are valid for the call, all-zero bytes are a valid `sigaction`
        // (SIG_DFL, empty mask), and ignoring a signal runs no code of this process.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            let read = libc::sigaction(libc::SIGIO, std::ptr::null(), &raw mut now);
            if read == 0 && now.sa_sigaction == libc::SIG_DFL {
                now.sa_sigaction = libc::SIG_IGN;
                libc::sigaction(libc::SIGIO, &raw const now, std::ptr::null_mut());
            }
        }
    }

    pub(super) fn set_write_lease(fd: RawFd) -> Result<(), Errno> {
        // SAFETY: plain integers; the kernel checks the descriptor.
        let done = unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) };
        if done == 0 { Ok(()) } else { Err(last_errno()) }
    }

    pub(super) fn has_write_lease(fd: RawFd) -> bool {
        // SAFETY: plain integers; the kernel checks the descriptor.
        let held = unsafe { libc::fcntl(fd, libc::F_GETLEASE) };
        held == libc::F_WRLCK
    }

    fn last_errno() -> Errno {
        let code = std::io::Error::last_os_error().raw_os_error();
        code.map_or(Errno::IO, Errno::from_raw_os_error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::fs::RootDir;

    fn setup() -> (tempfile::TempDir, RootDir, FileKey) {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::write(base.join("file"), b"12345").unwrap();
        std::fs::hard_link(base.join("file"), base.join("link")).unwrap();
        let root = RootDir::open(&base).unwrap();
        let key = root.top().look(b"file").unwrap().unwrap().key;
        (scratch, root, key)
    }

    fn take(root: &RootDir, name: &[u8], key: FileKey) -> Result<Lease, LeaseError> {
        Lease::take(root.top(), name, key, WhenBusy::Refuse)
    }

    #[test]
    fn every_way_to_have_a_file_open_is_noticed() {
        let (scratch, root, key) = setup();
        let path = scratch.path().join("link");
        assert!(take(&root, b"file", key).is_ok());

        let reader = File::open(&path).unwrap();
        assert_eq!(take(&root, b"file", key).unwrap_err(), LeaseError::Open);
        drop(reader);
        let writer = OpenOptions::new().append(true).open(&path).unwrap();
        assert_eq!(take(&root, b"file", key).unwrap_err(), LeaseError::Open);
        drop(writer);

        let mut child = Command::new("sh")
            .args(["-c", "exec 3<\"$0\"; echo ready; read line"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        assert_eq!(take(&root, b"file", key).unwrap_err(), LeaseError::Open);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(take(&root, b"file", key).is_ok());
    }

    #[test]
    fn an_opener_breaks_the_lease_and_no_process_is_killed() {
        let (scratch, root, key) = setup();
        let lease = take(&root, b"file", key).unwrap();
        assert!(lease.holds());
        let mut opener = OpenOptions::new();
        opener.read(true).custom_flags(libc::O_NONBLOCK);
        let refused = opener.open(scratch.path().join("link")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
        assert!(!lease.holds());
        drop(lease);
        assert!(opener.open(scratch.path().join("link")).is_ok());
    }

    #[test]
    fn two_names_of_one_file_do_not_break_one_anothers_lease() {
        let (_scratch, root, key) = setup();
        let lease = take(&root, b"file", key).unwrap();
        assert_eq!(take(&root, b"link", key).unwrap_err(), LeaseError::Busy);
        assert!(lease.holds());
        std::thread::scope(|scope| {
            let waiting =
                scope.spawn(|| Lease::take(root.top(), b"link", key, WhenBusy::Wait).is_ok());
            drop(lease);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn another_file_at_the_name_is_noticed() {
        let (scratch, root, key) = setup();
        std::fs::write(scratch.path().join("other"), b"").unwrap();
        assert_eq!(
            take(&root, b"other", key).unwrap_err(),
            LeaseError::Replaced
        );
        assert_eq!(take(&root, b"none", key).unwrap_err(), LeaseError::Replaced);
        std::os::unix::fs::symlink("file", scratch.path().join("alias")).unwrap();
        assert_eq!(
            take(&root, b"alias", key).unwrap_err(),
            LeaseError::Replaced
        );
    }
}
