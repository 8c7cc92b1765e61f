//! Command line, and client of the daemon.
//!
//! - [`app`]: arguments → command → exit status
//! - `commands`: one file for each command
//! - [`context`]: options and surroundings that commands share
//! - [`client`]: HTTP over the daemon's socket, or to a URL; [`remote`]: its options
//! - [`output`], [`list`], [`table`], [`human`]: output for people
//!
//! **Invariant:** exit status 0: done; 1: done with errors; 2: could not run. Mapped in one place.
//! **Invariant:** what goes to a terminal has no control characters but our own.

pub mod app;
pub mod client;
pub mod context;
pub mod human;
pub mod list;
pub mod log;
pub mod output;
pub mod remote;
pub mod table;

mod commands;
mod log_json;
mod log_line;
mod paths;
