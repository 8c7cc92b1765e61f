//! The engine: `step(now, input) → effects`. Everything that is decided is decided here, one input
//! at a time.
//!
//! - [`step`](Engine::step): the line of inputs; the clock's guard
//! - `observe`, `entries`: looks → index; from what a look saw to an entry
//! - `item`, `candidate`: what lapses as a whole, and what would go with it
//! - `lapse`: how an item stands, and what holds it
//! - `holds`, `claims`, `timers`: the tables of what is held, what the reaper has, and when what is
//!   looked at
//! - `due`: timers → claims
//! - `settle`: the reaper's answers → index; `removals`: figures of removals
//! - `effects`: effects of the step under way
//! - `clean`, `orders`: removals on request, and those that wait until everything that
//!   was reported before is known
//! - `root_state`, `root_breaker`, `stall`: the state of a root; `roots`: what changes it
//! - `memory`: what an earlier process knew; `saved`: what the next one is to know
//! - `source_state`, `sources`, `job_holds`: sources of jobs, what they report, and what they hold
//! - `owned`, `passing`: whose entries are whose
//! - `gathered`, `job_units`: all that a job owns, as one
//! - `arriving`: files that may still be on their way when their job ends
//! - `job_records`: records of jobs that were ordered
//! - `breaker`, `job_breaker`: what a person is asked about first
//! - `pinned`: pins that are set, and end
//! - `unread`: what could not be read, for reports
//! - `answer`: status, explanations, holds for those who ask
//!
//! **Invariant:** a claim is only ever the order to look again; nothing here makes a look
//! unnecessary.
//! **Invariant:** one item has at most one claim under way.
//! **Invariant:** whatever is due and not claimed is held for a reason that can be named, or waits
//! in line.
#![doc = include_str!("DESIGN.md")]

mod answer;
mod arriving;
mod breaker;
mod candidate;
mod claims;
mod clean;
mod due;
mod effects;
mod entries;
mod gathered;
mod holds;
mod item;
mod job_breaker;
mod job_holds;
mod job_records;
mod job_units;
mod lapse;
mod memory;
mod observe;
mod orders;
mod owned;
mod passing;
mod pinned;
mod removals;
mod root_breaker;
mod root_state;
mod roots;
mod saved;
mod settle;
mod source_state;
mod sources;
mod stall;
mod state;
mod timers;
mod unread;

#[cfg(test)]
mod tests;

pub use answer::Holds;
pub use memory::Memory;
pub use state::{Engine, Setup};
