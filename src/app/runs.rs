//! Runs: cleans that may remove something, from the order to the report.
//!
//! - `active`: runs under way: who waits for whom, progress, cancelling
//! - `record`: rows of the registry, with and without a daemon
//! - `questions`: lists, reports
//!
//! **Invariant:** two runs of orders or schedules under way never have a root in common. Dry runs
//! are no runs: they write nothing, and never conflict.
//! **Invariant:** a run goes on when it cannot be recorded: the ledger decides what may be removed.

mod active;
mod questions;
mod record;

pub use active::{ActiveRuns, Cancellation, OnConflict, RunOrder, Running};
pub(crate) use questions::row;
pub use questions::{cancel, list, report};
pub use record::{Recording, details, settle};
