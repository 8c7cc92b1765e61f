//! Carries out claims: quarantine, second look, ledger, removal.
//!
//! **Invariant:** nothing is removed but out of the quarantine, after a second look at the thing
//! itself there, and after its ledger line is durable.
//! **Invariant:** what changed, is open, or cannot be known goes back to its place; when that is
//! taken it stays in the quarantine under a name that begins with `displaced-`, and is never
//! deleted.
//! **Invariant:** a crash at any instant leaves nothing that the next start does not finish, put
//! back or report.
#![doc = include_str!("DESIGN.md")]

pub mod reaper;

mod abort;
mod back;
mod candidate;
mod context;
mod displaced;
mod disposal;
mod hooks;
mod intent;
mod intents;
mod judge;
mod lanes;
mod leases;
mod leftovers;
mod links;
mod location;
mod look;
mod names;
mod newer;
mod open_roots;
mod origin;
mod parts;
mod pending;
mod pipeline;
mod preview;
mod prune;
mod quarantine_locks;
mod quarantines;
mod quarantining;
mod queue;
mod recover;
mod removal;
mod rows;
mod sort;
mod source_dirs;
mod sweep;
mod trash;
mod unit;

pub use hooks::{Hooks, OnPin, PinOrder, Recording};
pub use lanes::Options;
pub use location::RootLocation;
pub use origin::displaced_things;
pub use preview::{Preview, Previewer};
pub use quarantines::{QuarantineContents, inspect_quarantine};
pub use reaper::{Batch, ReapError, Reaper};
pub use trash::offline::{OfflineError, OfflineTrash};

#[cfg(test)]
mod tests;
