//! The engine: `step(now, input) → effects`. Everything that is decided is decided here, one input at a time.
//!
//! - [`step`](Engine::step): the line of inputs; the clock's guard
//! - `observe`: looks → index
//! - `entries`: from what a look saw to an entry
//! - `due`: timers → claims
//! - `outcome`: the reaper's answers → index
//! - `standing`: how one entry or unit stands, and what holds it
//! - `armed`: when the wheel lets what be looked at
//! - `held`: what is claimed or held, one by one
//! - `roots`: where roots stand
//! - `memory`: what an earlier process knew, and what the next one is to know
//! - `arriving`: files that may still be on their way when their job ends
//! - `pinned`: pins that are set, and end
//! - `sources`, `job_holds`: what sources of jobs tell, and what they hold
//! - `owned`, `passing`: whose entries are whose
//! - `breaker`, `job_breaker`: what a person is asked about first
//! - `gathered`, `job_units`, `job_outcome`: all that a job owns, as one
//! - `clean`, `clean_jobs`: removals that somebody asked for
//! - `orders`: removals that were ordered, until everything that was reported before is known
//! - `unread`: what could not be read, for reports
//! - `answer`: status, explanations, holds for those who ask
//!
//! **Invariant:** a claim is only ever the order to look again; nothing here makes a look unnecessary.
//! **Invariant:** one entry or unit has at most one claim under way.
//! **Invariant:** whatever is due and not claimed is held for a reason that can be named, or waits in line.

mod answer;
mod armed;
mod arriving;
mod breaker;
mod clean;
mod clean_jobs;
mod due;
mod entries;
mod gathered;
mod held;
mod job_breaker;
mod job_holds;
mod job_outcome;
mod job_units;
mod memory;
mod observe;
mod orders;
mod outcome;
mod owned;
mod passing;
mod pinned;
mod request;
mod roots;
mod sources;
mod stall;
mod standing;
mod state;
mod unread;

#[cfg(test)]
mod tests;

pub use answer::Holds;
pub use memory::Memory;
pub use state::{Engine, Setup};
