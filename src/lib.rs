#![doc = include_str!("ARCHITECTURE.md")]

pub mod clock;
pub mod core;
pub mod fs;
pub mod ledger;
