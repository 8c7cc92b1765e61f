//! The command line: one file for each command, each a client of the daemon unless its page says otherwise.
//!
//! - [`app`]: arguments → command → exit status
//! - [`client`]: HTTP over the daemon's socket
//! - [`output`], [`table`], [`human`]: what people see
//!
//! **Invariant:** exit status 0: done; 1: done with errors; 2: could not run. Mapped in one place.
//! **Invariant:** what goes to a terminal has no control characters but our own.

pub mod app;
pub mod client;
pub mod human;
pub mod log;
mod log_line;
pub mod output;
pub mod table;

mod breaker;
mod check;
mod clean;
mod config;
mod describe;
mod events;
mod explain;
mod extend;
mod history;
mod init;
mod job;
mod job_get;
mod job_ls;
mod job_put;
mod job_rm;
mod ls;
mod once;
mod pin;
mod pins;
mod plan;
mod report;
mod serve;
mod stats;
mod status;
mod sync;
mod trigger;
mod unpin;
