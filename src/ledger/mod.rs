//! Durable record of every removal: append-only JSON lines that people can read, search, and ship.
//!
//! **Invariant:** a line must be on the disk before the thing that it describes is deleted.
//! **Invariant:** a line is never dropped while something unfinished needs it, or before it was
//! counted.
//! **Invariant:** lines are appended to a segment only while it has its name and the length that it
//! was left with.
//! **Invariant:** a removal is always recorded as a whole or not at all: what could not be written
//! whole is cut off again.
//!
#![doc = include_str!("DESIGN.md")]

pub mod error;
pub mod journal;
pub mod line;

mod backwards;
mod encode;
mod forwards;
mod ids;
mod newest;
mod retention;
mod segment;
mod stats;
mod totals;

pub use backwards::RawLine;
pub use encode::EncodedLine;
pub use error::LedgerError;
pub use journal::{Ledger, Options};
pub use line::{Line, LineFields, LineJob, LineTrash, LineUnit, Mark};
pub use newest::{NewestFirst, Stretch};
pub use retention::{Needs, Surplus};
pub use stats::LedgerStats;
