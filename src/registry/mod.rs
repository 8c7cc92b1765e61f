//! State that neither the file system nor a database of jobs can give back: jobs that were reported
//! through the API, pins, pauses, the outbox of records to write to sources, the last known state
//! of sources, facts of forgotten jobs, totals, and tokens of clients.
//!
//! It is an SQLite file, `registry.db` in the state directory, apart from the cache, which may be
//! lost at any time.
//!
//! - `open`: opening of the file: it is created, checked, or refused; reading without a daemon
//! - `handle`: the connection, shared between threads
//! - `format`: tables, and migration of older files
//! - `shadow`: record of a daemon in shadow mode, in a file of its own
//! - `jobs`, `pins`, `pauses`, `outbox`, `forgotten`, `sources`, `totals`, `tokens`, `runs`: one
//!   table each; `deliveries`: notifications that wait for their receivers, and
//!   `notify_positions` of what was told
//!
//! **Invariant:** acknowledged changes must be on the disk: every write is a transaction that is
//! synchronized before its call returns.
//! **Invariant:** a write that fails changes nothing.
//! **Invariant:** a file that is damaged, or of a newer version, is refused and never changed: with
//! an empty one in its place, pinned files would be removed.
//!
#![doc = include_str!("DESIGN.md")]

mod deliveries;
mod error;
mod forgotten;
mod format;
mod handle;
mod jobs;
mod notify_positions;
mod open;
mod outbox;
mod pauses;
mod pins;
mod runs;
mod samples;
mod schedules;
mod shadow;
mod sources;
mod tokens;
mod totals;

#[cfg(test)]
mod tests;

pub use deliveries::{
    Delivery, DeliveryFilter, GIVEN_UP_MAX, NewDelivery, QueueName, QueueSums, WAITING_MAX,
};
pub use error::RegistryError;
pub use forgotten::{ForgottenJob, Removal};
pub use format::VERSION;
pub use handle::Registry;
pub use jobs::Change;
pub use open::FILE;
pub use outbox::{Backlog, FailureScope, OutboxItem, READY_MAX, WaitingItem};
pub use runs::{RUNS_MAX, RunRow};
pub use shadow::{
    ShadowError, ShadowExtent, ShadowFilter, ShadowRecord, ShadowReports, ShadowRow, ShadowSum,
};
pub use sources::SourceSeen;
pub use tokens::StoredToken;
