//! Facts of a request on which access depends.

use std::fmt;
use std::net::SocketAddr;

use super::users::Peer;

/// Other end of a connection, as the kernel knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Process that connected to the Unix socket.
    Unix(Peer),
    /// Host that connected over TCP.
    Tcp {
        /// Its address.
        address: SocketAddr,
        /// Address of ours that it connected to.
        local: SocketAddr,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(peer) => peer.fmt(f),
            Self::Tcp { address, .. } => address.fmt(f),
        }
    }
}

impl From<Peer> for Origin {
    fn from(peer: Peer) -> Self {
        Self::Unix(peer)
    }
}

/// Facts of a request on which access depends.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Other end of its connection.
    pub origin: &'a Origin,
    /// Credentials that it shows.
    pub credentials: Credentials<'a>,
    /// Host that it asks.
    pub host: Option<&'a str>,
    /// Page that sends it (header `Origin`).
    pub web_origin: Option<&'a str>,
    /// Relation of that page to the host (header `Sec-Fetch-Site`).
    pub fetch_site: Option<&'a str>,
    /// True if a proxy says that it forwards it.
    pub is_forwarded: bool,
    /// True if it is of HTTP/1.0.
    pub is_http_1_0: bool,
}

impl<'a> RequestFacts<'a> {
    /// Facts of a request that says nothing about itself.
    #[must_use]
    pub const fn new(origin: &'a Origin) -> Self {
        Self {
            origin,
            credentials: Credentials::None,
            host: None,
            web_origin: None,
            fetch_site: None,
            is_forwarded: false,
            is_http_1_0: false,
        }
    }
}

/// Credentials of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// It shows none.
    None,
    /// Text after `Authorization: Bearer`.
    Bearer(&'a str),
    /// Something else.
    Other,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(…)",
            Self::Other => "Other",
        })
    }
}
