//! Ways in: what the server accepts connections from.

pub mod peer;
pub mod socket;
pub mod tcp;
pub mod tls;
pub mod unix;

mod stream;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::app::access::Origin;

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

    /// Returns who is at the other end of `stream`. Never waits for it.
    ///
    /// # Errors
    /// If that is not known.
    fn origin(stream: &Self::Stream) -> io::Result<Origin>;

    /// Accepts no more connections.
    fn close(self) -> Self::Address;
}
