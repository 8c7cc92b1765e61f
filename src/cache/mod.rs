//! Cache of the index on disk: read once at the start, written by one thread while the daemon runs.
//!
//! It is kept in [sled](https://docs.rs/sled/0.34.7). A value that is lost costs a listing, and no
//! file.
//!
//! - `open`: opening: the cache is opened, read, or set aside
//! - `files`: names in the state directory: remains of a swap, caches that were set aside, starts
//!   that were cut off
//! - `db`: sled, with its failures as values
//! - `value`: frame of a value
//! - `known`: list of known roots, in case the database is lost
//! - `records`: records beside pages and directories
//! - `handle`, `queue`, `writer`, `save`: the way of changes to the disk
//! - `compact`: replacement by a smaller copy
//! - `stats`: figures
//!
//! **Invariant:** a stamp is written only after everything that it confirms.
//! **Invariant:** a root is marked as settled on disk only after its pages are there, and is never
//! marked so while pages are written under other rules.
//! **Invariant:** whatever is on the disk, opening always ends: with the cache, with an empty one
//! beside the damaged one, or with an error that says what to do.
//!
#![doc = include_str!("DESIGN.md")]

mod compact;
mod db;
mod error;
mod files;
mod handle;
mod known;
mod open;
mod queue;
mod records;
mod save;
mod stats;
mod value;
mod writer;

#[cfg(test)]
mod tests;

pub use error::CacheError;
pub use handle::{Cache, Unstarted};
pub use open::{Opened, Options, Peek, open, peek};
pub use records::Rules;
pub use stats::{CacheStats, Loaded};
pub use value::{FORMAT, Tree, frame};
pub use writer::Hooks;
