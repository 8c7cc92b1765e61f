//! Use cases: what can be asked of the daemon, and what it can be told to do.
//!
//! ```text
//! http, cli → app → index, engine, ledger, registry
//! ```
//!
//! - [`daemon`], [`link`], [`events`]: the running daemon as use cases see it
//! - one file for each use case
//!
//! **Invariant:** questions read the index by pages and never hold up the engine; every change
//! goes through the engine's one queue of inputs.
#![doc = include_str!("DESIGN.md")]

pub mod access;
pub mod adapter;
pub mod alerts;
pub mod calendar;
pub mod clean;
pub mod daemon;
pub mod digest;
pub mod displaced;
pub mod error;
mod event_line;
pub mod events;
pub mod link;
pub mod plan;
pub mod reload;
pub mod report;
pub mod retention;
pub mod runs;
pub mod shadow;
pub mod space;
pub mod status;
pub mod survey;

mod belonging;
pub mod breaker;
mod entry;
pub mod explain;
pub mod files;
pub mod history;
pub mod jobs;
pub mod limits;
pub mod notify;
mod order;
pub mod pause;
pub mod pins;
mod preparation;
mod rate;
mod sampler;
pub mod samples;
mod select;
mod soon;
pub mod stats;
pub mod sync;
pub mod tokens;
mod totals;
pub mod trash;
pub mod trash_door;
mod view;

pub use daemon::{Daemon, Parts};
pub use error::{AppError, ErrorKind};
pub use event_line::event_line;
pub use events::Events;
pub use link::EngineLink;
