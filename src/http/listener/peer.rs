//! The process at the other end of a connection, as the kernel knows it.
//!
//! **Invariant:** all of it is of the moment at which the process connected: what it becomes later,
//! and whoever gets its process id after it, gains nothing.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use rustix::io::Errno;
use tokio::net::UnixStream;

use crate::app::access::Peer;

/// Supplementary groups that are asked for at first; the kernel says when there are more.
const GROUPS_USUAL: usize = 64;

/// Returns the peer of `stream`.
///
/// # Errors
/// If the kernel does not tell its user and group.
pub fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    Ok(Peer {
        uid: credentials.uid(),
        gid: credentials.gid(),
        groups: groups(stream.as_raw_fd()),
    })
}

/// The supplementary groups of the socket's peer (`SO_PEERGROUPS`, since Linux 4.13).
fn groups(socket: RawFd) -> Vec<u32> {
    let mut groups = vec![0; GROUPS_USUAL];
    loop {
        match sys::peer_groups(socket, &mut groups) {
            Ok(length) if length <= groups.len() => {
                groups.truncate(length);
                return groups;
            }
            // They do not change any more: the second time all of them fit.
            Ok(length) => groups.resize(length, 0),
            Err(errno) => {
                tracing::debug!(%errno, "the groups of a client are not known");
                return Vec::new();
            }
        }
    }
}

#[expect(
    unsafe_code,
    reason = "getsockopt(2) of SO_PEERGROUPS, which neither rustix nor nix has"
)]
mod sys {
    use super::{Errno, RawFd};

    /// Fills `groups`, and says how many there are: where that is more than fit, nothing was filled
    /// in.
    pub(crate) fn peer_groups(socket: RawFd, groups: &mut [u32]) -> Result<usize, Errno> {
        let room = libc::socklen_t::try_from(size_of_val(groups)).map_err(|_| Errno::INVAL)?;
        let mut bytes = room;
        // SAFETY: `groups` is valid for `room` bytes, of which the kernel writes at most as many,
        // in whole 32-bit ids; any bits are a valid `u32`. `bytes` is a valid `socklen_t`.
        let done = unsafe {
            libc::getsockopt(
                socket,
                libc::SOL_SOCKET,
                linux_raw_sys::net::SO_PEERGROUPS.cast_signed(),
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let errno = || {
            let code = std::io::Error::last_os_error().raw_os_error();
            code.map_or(Errno::IO, Errno::from_raw_os_error)
        };
        match done {
            0 => Ok(bytes as usize / size_of::<u32>()),
            _ if errno() == Errno::RANGE => Ok(bytes as usize / size_of::<u32>()),
            _ => Err(errno()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_has_the_groups_of_its_process() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = peer_of(&here).unwrap();
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        let mut own: Vec<u32> = rustix::process::getgroups()
            .unwrap()
            .iter()
            .map(|gid| gid.as_raw())
            .collect();
        let mut told = peer.groups.clone();
        own.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, own);
        assert_eq!(peer.gid, rustix::process::getegid().as_raw());
    }

    #[test]
    fn more_groups_than_fit_are_counted() {
        let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
        let own = rustix::process::getgroups().unwrap().len();
        assert_eq!(sys::peer_groups(here.as_raw_fd(), &mut []), Ok(own));
    }
}
