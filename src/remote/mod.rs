//! Connections to HTTP servers of other programs and hosts: addresses, names, TLS.
//!
//! - `url`: addresses
//! - `connection`: from an address to a stream; `verifier`: certificates that a person named
//!
//! **Invariant:** nothing is sent to an address that the caller does not allow, whatever the name
//! of the host leads to.

mod connection;
mod url;
mod verifier;

pub use connection::{Allowed, ConnectError, Stream, Tls, TlsFault, open};
pub use url::Url;
