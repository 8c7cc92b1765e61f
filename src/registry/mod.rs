//! What people and programs told us and the file system cannot give back: jobs told through the API, pins, the outbox of what is to be
//! written back to sources, and what was last known of sources.
//!
//! It is an SQLite file, `registry.db` in the state directory, apart from the cache: that one is a cache which may be lost at any
//! time, this one is not.
//!
//! - `open`: the file at the start: made, checked, or refused; a look at it without a daemon
//! - `handle`: one connection, shared between threads
//! - `format`: its tables, and those that an older file lacks
//! - `jobs`, `pins`, `outbox`, `forgotten`, `sources`, `totals`: a table each
//!
//! **Invariant:** what was acknowledged is on the disk: every write is a transaction, synchronized before its call comes back.
//! **Invariant:** a write that fails has changed nothing.
//! **Invariant:** a file that is damaged, or of a newer version, is refused and left as it is: an empty one in its place would let
//! go what is pinned.

mod error;
mod forgotten;
mod format;
mod handle;
mod jobs;
mod open;
mod outbox;
mod pins;
mod sources;
mod totals;

#[cfg(test)]
mod tests;

pub use error::RegistryError;
pub use forgotten::{ForgottenJob, Removal};
pub use format::VERSION;
pub use handle::Registry;
pub use jobs::Change;
pub use outbox::{Backlog, FailureScope, OutboxItem, READY_MAX, WaitingItem};
pub use sources::SourceSeen;
