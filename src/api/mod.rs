//! Questions and orders: HTTP/1 on a Unix socket.
//!
//! ```text
//! socket → server (limits, who asks) → router → Daemon → index, engine, ledger → wire types
//! ```
//!
//! - [`listener`], [`socket`], [`server`]: from a path in the file system to a request
//! - [`auth`], [`query`], [`problem`]: who asks, what, and what is wrong with it
//! - [`daemon`], [`link`], [`events`]: where answers come from
//! - [`router`], and a file for each route
//! - [`wire`]: the JSON, as both sides know it
//!
//! **Invariant:** questions read the index by pages and never hold the engine up; whatever changes something goes through the
//! engine's one line of inputs.
//! **Invariant:** whatever a client does or fails to do costs the daemon a bounded amount of memory and time.

pub mod auth;
pub mod calendar;
pub mod clean;
pub mod daemon;
pub mod events;
pub mod json_path;
pub mod link;
pub mod listener;
pub mod plan;
pub mod problem;
pub mod query;
pub mod report;
pub mod router;
pub mod server;
pub mod socket;
pub mod status;
pub mod survey;
pub mod wire;

mod belonging;
mod breaker;
mod entry;
mod explain;
mod files;
mod history;
mod jobs;
mod order;
mod peer;
mod pins;
mod preparation;
mod rate;
mod select;
mod sse;
mod stall;
mod stats;
mod sync;
mod view;

pub use daemon::{Daemon, Parts};
pub use events::Events;
pub use link::EngineLink;
pub use listener::Listener;
