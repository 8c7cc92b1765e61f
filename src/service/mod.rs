//! The daemon as a whole: the owner thread, the wiring of its parts, start, reload and shutdown.
//!
//! - `serve`: from settings to a running daemon, and down again
//! - `owner`: the one thread that steps the engine, and carries out what it wants done
//! - `reload`: other rules while running
//! - `once`: `plan` and `clean` without a daemon
//! - `parts`: how ledger, reaper and watchers are set up
//! - `recalled`: what the registry gives back at the start
//! - `sources`: where jobs come from, and how each source is; `source_hooks`: what the reaper and the API ask of them; `records`: what is written back
//! - `restored`: what the store gave back, for the watchers
//! - `config_file`: edits of the configuration
//! - `state_dir`: one daemon at a time
//!
//! **Invariant:** the engine is stepped by one thread; everybody else sends it messages through one bounded queue.

mod config_file;
mod once;
mod owner;
mod parts;
mod recalled;
mod records;
mod reload;
mod restored;
mod serve;
mod source_hooks;
mod sources;
mod state_dir;

pub use once::{Once, once};
pub use serve::serve;
pub use sources::misfits;
