//! HTTP/1 on a Unix socket: from a path in the file system to a request, and back.
//!
//! ```text
//! socket → server (limits, peer) → router → v1 (extractors, roles) → app → types
//! ```
//!
//! **Invariant:** whatever a client does or fails to do costs the daemon a bounded amount of
//! memory and time.

pub mod error;
pub mod listener;
pub mod router;
pub mod server;
pub mod socket;

mod extract;
mod peer;
mod stall;
mod v1;

pub use listener::{Listener, answer};
