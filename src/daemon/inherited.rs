//! Sockets that systemd opened for the daemon (`sd_listen_fds(3)`).

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use anyhow::Context;
use listenfd::ListenFd;

/// Sockets that listen already. Their files are not ours to remove.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    pub(super) unix: Vec<UnixListener>,
    pub(super) tcp: Vec<TcpListener>,
}

impl Inherited {
    /// Takes the sockets. To be called once, before other threads run: the variables that name the
    /// sockets are removed.
    ///
    /// # Errors
    /// If one of them is neither a Unix socket nor a TCP socket that listens.
    pub(super) fn take() -> anyhow::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut found = Self::default();
        for place in 0..given.len() {
            if let Ok(Some(socket)) = given.take_unix_listener(place) {
                socket.set_nonblocking(true)?;
                found.unix.push(socket);
                continue;
            }
            let socket = given.take_tcp_listener(place).with_context(|| {
                format!(
                    "socket {place} of systemd is neither a Unix socket nor a TCP socket that listens\n  \
                     give only ListenStream= in its unit"
                )
            })?;
            if let Some(socket) = socket {
                socket.set_nonblocking(true)?;
                found.tcp.push(socket);
            }
        }
        Ok(found)
    }
}
