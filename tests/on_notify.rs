//! The same, when changes are told by the `notify` crate: `common::backend` reads the choice off this program's name.
//!
//! What is not here does not depend on who tells of changes (what the daemon says to people and programs, its configuration, the
//! breaker, damaged stores) or is about `auto` alone (`idle` counts the wake-ups of the default).

#![allow(
    clippy::duplicate_mod,
    reason = "each of the files brings the helpers that it needs when it is a program of its own"
)]

#[path = "crash.rs"]
mod crash;
#[path = "holds.rs"]
mod holds;
#[path = "hostile.rs"]
mod hostile;
#[path = "lapse.rs"]
mod lapse;
#[path = "moves.rs"]
mod moves;
#[path = "names.rs"]
mod names;
#[path = "restart.rs"]
mod restart;
#[path = "roots.rs"]
mod roots;
#[path = "watching.rs"]
mod watching;
