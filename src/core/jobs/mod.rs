//! Known jobs of the users' applications, and the files that each of them owns.
//!
//! - `row`: one job as its source reports it; `packed`: the same in few bytes
//! - `news`: updates of a source
//! - `source_jobs`, `table`: the jobs of one source, and of all
//! - `claims`: paths that a job names as its own; `refusals`: claims that are refused, and the
//!   files that they may mean; `refused`: what they hold
//! - `owner`: the jobs that own a path
//! - `ended`: jobs that have ended; `forecast`: what lapses with jobs until an instant
//!
//! **Invariant:** a job's id is a key, never a path: it is compared with what a template captures,
//! and leads nowhere.
//! **Invariant:** nothing here is guessed: what a source has not reported is not known.

mod claims;
mod ended;
mod forecast;
mod owner;
mod packed;
mod refusals;
mod refused;
mod row;
mod source_jobs;
mod table;
mod update;

#[cfg(test)]
mod tests;

pub use owner::{Job, JobLookup, Owner};
pub use refused::{RefusedClaim, RefusedClaims, ResolvedClaim};
pub use row::{JobFacts, JobKey, JobRow, JobTimestamps, SourceId, Status};
pub use table::{Jobs, RowDiff};
pub use update::{JobChange, SourceUpdate};
