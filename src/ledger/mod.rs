//! The durable record of every removal: append-only JSON lines that people can read, grep and ship.
//!
//! **Invariant:** a line that was appended is on the disk before the thing it tells of is removed for good.
//! **Invariant:** no line is dropped that something unfinished needs, or that was not counted.
//! **Invariant:** lines are appended to a segment only while it is as it was left: under its name, and of its length.
//! **Invariant:** what could not be recorded whole is cut off again: no line, or the whole line.

pub mod error;
pub mod journal;
pub mod line;

mod backwards;
mod encode;
mod ids;
mod newest;
mod retention;
mod segment;
mod totals;

pub use backwards::RawLine;
pub use encode::EncodedLine;
pub use error::LedgerError;
pub use journal::{Ledger, Options};
pub use line::{By, Line, LineFields, LineUnit, Mark};
pub use newest::{NewestFirst, Stretch, last_removal};
pub use retention::{Needs, Surplus};
