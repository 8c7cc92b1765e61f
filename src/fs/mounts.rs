//! List of mounts, and notification of its changes (`proc_pid_mountinfo(5)`).
//!
//! **Invariant:** [`Mounts::changed`] always reports a change that happened after [`Mounts::open`],
//! or after the call that reported one before. A list that was read in between may be old, but not
//! for long.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::{Action, FsError};

/// Path of the list of mounts that this process sees.
pub const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Watch of the list of mounts.
#[derive(Debug)]
pub struct Mounts {
    file: OwnedFd,
}

/// Mount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Mount point.
    pub point: PathBuf,
    /// Number that the kernel gave it: another mount at the same point has another number.
    pub id: u64,
}

impl Mounts {
    /// Starts the watch.
    ///
    /// # Errors
    /// When the list cannot be opened.
    pub fn open() -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(MOUNTINFO, flags, Mode::empty())?;
        Ok(Self { file })
    }

    /// Returns true if there was a mount or unmount since the last call, or since the watch
    /// started.
    #[must_use]
    pub fn changed(&self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::PRI)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let is_ready = poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0);
        is_ready && fds[0].revents().intersects(PollFlags::PRI | PollFlags::ERR)
    }
}

impl AsFd for Mounts {
    /// Descriptor to poll for `POLLPRI`. Polling consumes the change: [`Mounts::changed`] does not
    /// report it then.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Lists the mounts that this process sees.
///
/// # Errors
/// When the list cannot be read.
pub fn mounts() -> Result<Vec<Mount>, FsError> {
    let text = std::fs::read(MOUNTINFO).map_err(|error| FsError {
        action: Action::List,
        path: Path::new(MOUNTINFO).to_path_buf(),
        errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })?;
    Ok(text.split(|&b| b == b'\n').filter_map(parse_line).collect())
}

/// Parses `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`: the first field is the
/// number, the fifth the mount point.
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let point = unescape(fields.nth(3)?);
    Some(Mount {
        point: PathBuf::from(OsString::from_vec(point)),
        id,
    })
}

/// Decodes blanks, tabs, newlines, backslashes and hashes, which are encoded as a backslash and
/// three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'\\')
            .then(|| tail.first_chunk::<3>())
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code {
            plain.push(code);
            rest = &tail[3..];
        } else {
            plain.push(first);
            rest = tail;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_its_escapes() {
        let line = br"36 35 98:0 /mnt1 /mnt\040a\134b\xff rw,noatime master:1 - ext3 /dev/root rw";
        let mount = parse_line(line).unwrap();
        assert_eq!(mount.id, 36);
        assert_eq!(mount.point, PathBuf::from(r"/mnt a\b\xff"));
        assert_eq!(parse_line(b""), None);
        assert_eq!(parse_line(b"36 35 98:0 /"), None);
    }

    #[test]
    fn the_root_of_all_is_mounted_and_nothing_changes_by_looking() {
        let watch = Mounts::open().unwrap();
        assert!(
            mounts()
                .unwrap()
                .iter()
                .any(|mount| mount.point == Path::new("/"))
        );
        // Other tests may mount in namespaces of their own, which does not show here.
        assert!(!watch.changed());
    }
}
