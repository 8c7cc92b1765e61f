//! What is known of the roots, on disk: read once at the start, written by one thread while the daemon runs.
//!
//! It is a cache of the file system, kept in [sled](https://docs.rs/sled/0.34.7), and used so that what sled is weak at does not
//! matter: one value a page instead of one a file, one writer, flushes of our own, a ceiling on its size, and nothing but
//! checked values believed. What is lost of it costs a listing.
//!
//! - `open`: the cache at the start: opened, read, or set aside
//! - `place`: the directory: what a crash left of a swap, caches that are set aside, starts that never came to an end
//! - `db`: sled, and all that can go wrong in it, as values
//! - `value`: the frame around each value
//! - `known`: which roots were known, for when the database has lost it
//! - `records`: what is kept beside pages and directories
//! - `handle`, `inbox`, `writer`, `save`: from changes to the disk
//! - `compact`: a smaller copy in its place
//! - `stats`: how it goes
//!
//! **Invariant:** a stamp is on disk only after all that it vouches for.
//! **Invariant:** a root counts as settled on disk only after its pages are there, and stops to before the first page is written
//! under other rules.
//! **Invariant:** whatever is on the disk, opening ends: with the cache, with an empty one beside the damaged one, or with a refusal
//! that says what to do.

mod compact;
mod db;
mod error;
mod handle;
mod inbox;
mod known;
mod open;
mod place;
mod records;
mod save;
mod stats;
mod value;
mod writer;

#[cfg(test)]
mod tests;

pub use error::CacheError;
pub use handle::{Cache, Hooks, Unstarted};
pub use open::{Opened, Options, Peek, open, peek};
pub use records::Rules;
pub use stats::{CacheStats, Loaded};
pub use value::{FORMAT, Tree, frame};
