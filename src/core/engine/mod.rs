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
//! - `roots`: where roots stand; the backlog breaker
//! - `memory`: what an earlier process knew, and what the next one is to know
//! - `clean`: removals that somebody asked for
//! - `answer`: status, explanations, holds for those who ask
//!
//! **Invariant:** a claim is only ever the order to look again; nothing here makes a look unnecessary.
//! **Invariant:** one entry or unit has at most one claim under way.
//! **Invariant:** whatever is due and not claimed is held for a reason that can be named, or waits in line.

mod answer;
mod armed;
mod clean;
mod due;
mod entries;
mod held;
mod memory;
mod observe;
mod outcome;
mod roots;
mod standing;
mod state;

pub use answer::Holds;
pub use memory::Memory;
pub use state::{Engine, Setup};
