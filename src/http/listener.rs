//! Ways in: what the server accepts connections from.

pub mod peer;
pub mod socket;
pub mod unix;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::app::access::Peer;

/// Accepts connections of one kind, and tells who is at their other end.
pub trait Listener: Send + 'static {
    /// Connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Holder of the address, such as the file of a socket: it outlives the last connection.
    type Address: Send;

    /// Accepts the next connection. Cancellation loses none.
    ///
    /// # Errors
    /// If none can be accepted at present.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Returns the peer of `stream`. Never waits for the peer.
    ///
    /// # Errors
    /// If the peer is not known.
    fn peer(stream: &Self::Stream) -> io::Result<Peer>;

    /// Accepts no more connections.
    fn close(self) -> Self::Address;
}
