//! HTTP/1: from a connection to a use case, and back.
//!
//! ```text
//! listener (peer) → server (limits of connections) → router → route (limits of requests)
//!   → v1 (extractors, roles) → app → types
//! ```
//!
//! **Invariant:** whatever a client does or fails to do costs the daemon a bounded amount of
//! memory and time.
#![doc = include_str!("DESIGN.md")]

mod credentials;
pub mod error;
pub mod listener;
pub mod router;
pub mod server;

pub mod adapter;
mod capacity;
mod dashboard;
mod docs;
mod document;
mod extract;
mod metrics;
mod route;
mod v1;
