//! TCP ports of the daemon.
//!
//! **Invariant:** a port for IPv6 never takes clients of IPv4: each family has its own address in
//! the configuration.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::TcpListener;

use super::Listener;
use super::stream::Stream;
use super::tls::Tls;
use crate::app::access::Origin;

/// Clients that may wait to be accepted; the kernel has a limit, too (`net.core.somaxconn`).
const BACKLOG: i32 = 1024;

/// Failure to listen on an address.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another program has it.
    #[error(
        "cannot listen on {0}: the address is in use\n  \
         stop the program that listens there (`ss -ltnp` names it), or give another address in [http] listen"
    )]
    InUse(SocketAddr),
    /// No network interface has it.
    #[error(
        "cannot listen on {0}: no network interface of this host has the address\n  \
         give one that `ip address` shows in [http] listen"
    )]
    NotOurs(SocketAddr),
    /// The operating system refused.
    #[error("cannot listen on {address}: {}\n  give another address in [http] listen", io::Error::from(*errno))]
    Refused {
        /// Address.
        address: SocketAddr,
        /// Answer of the operating system.
        errno: Errno,
    },
    /// The runtime does not take it.
    #[error("cannot wait for clients: {0}")]
    Runtime(#[from] io::Error),
}

/// Port that listens.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl Port {
    /// Listens on `address`. To be called on a runtime.
    ///
    /// # Errors
    /// [`PortError`], with the address and what would mend it.
    pub fn bind(address: SocketAddr, tls: Option<Arc<Tls>>) -> Result<Self, PortError> {
        let socket = listen(address).map_err(|errno| match errno {
            Errno::ADDRINUSE => PortError::InUse(address),
            Errno::ADDRNOTAVAIL => PortError::NotOurs(address),
            errno => PortError::Refused { address, errno },
        })?;
        Self::new(std::net::TcpListener::from(socket), tls)
    }

    /// Takes a socket that listens already, and does not block. To be called on a runtime.
    ///
    /// # Errors
    /// If the socket cannot be used.
    pub fn new(listener: std::net::TcpListener, tls: Option<Arc<Tls>>) -> Result<Self, PortError> {
        let listener = TcpListener::from_std(listener)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            tls,
        })
    }

    /// Address on which it listens, with the port that the kernel chose for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn listen(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    // Connections of an earlier daemon that are still being closed do not keep us from the port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

impl Listener for Port {
    type Stream = Stream;
    type Address = ();

    async fn accept(&mut self) -> io::Result<Stream> {
        loop {
            let (tcp, address) = self.listener.accept().await?;
            // The client may have gone already, which is no failure of ours.
            let local = tcp.set_nodelay(true).and_then(|()| tcp.local_addr());
            if let Ok(local) = local {
                let origin = Origin::Tcp { address, local };
                return Ok(Stream::new(tcp, origin, self.tls.clone()));
            }
        }
    }

    fn origin(stream: &Stream) -> io::Result<Origin> {
        Ok(stream.origin().clone())
    }

    fn close(self) {}
}
