//! What is known of the jobs of the user's applications, and whose which file is.
//!
//! - `row`: one job as its source tells it
//! - `news`: what a source tells
//! - `packed`: a row in few bytes
//! - `one`, `table`: the jobs of one source, and of all
//! - `claims`: which paths a job names as its own
//! - `refused`: claims that are refused, and what they may mean
//! - `owner`: from a path to the jobs that own it
//!
//! **Invariant:** a job's id is a key, never a path: it is compared with what a template captures, and leads nowhere.
//! **Invariant:** what a source has not told is not known: nothing here guesses.

mod claims;
mod news;
mod one;
mod owner;
mod packed;
mod refused;
mod row;
mod table;

#[cfg(test)]
mod tests;

pub use news::{News, SourceNews};
pub use owner::{Fresh, Job, Owner};
pub use refused::{LedClaim, RefusedClaim, RefusedClaims};
pub use row::{JobKey, JobRow, Moments, SourceId, Status};
pub use table::{Jobs, Known};
