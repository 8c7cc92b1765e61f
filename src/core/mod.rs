//! Decides: what lapses, when, and why not yet.
//!
//! **Invariant:** no I/O, no clock, no async, no randomness. Time arrives as an argument, facts
//! arrive as values, and every decision leaves as a value, so that one seed can drive years of it
//! in seconds.

#![doc = include_str!("DESIGN.md")]

pub mod agenda;
pub mod claim;
pub mod clock_guard;
pub mod effect;
pub mod engine;
pub mod facts;
pub mod hold;
pub mod index;
pub mod jobs;
pub mod lateness;
pub mod limits;
pub mod observed;
pub mod path;
pub mod pauses;
pub mod pins;
pub mod policy;
pub mod principal;
pub mod recurrence;
pub mod report;
pub mod role;
pub mod run;
pub mod shadow;
pub mod size;
pub mod span;
pub mod template;
pub mod time;
pub mod totals;
pub mod trash;
pub mod wheel;
