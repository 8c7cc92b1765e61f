//! The daemon as a whole: the owner thread, the wiring of its parts, start, reload and shutdown.
//!
//! - `serve`: from settings to a running daemon, and down again
//! - `owner`: the one thread that steps the engine, and carries out what it wants done; `answers`:
//!   what the reaper tells it
//! - `reload`: other rules while running; `signals`: what asks for either; `ending`: the end of all
//!   parts, whichever of them hangs
//! - `once`: `clean` without a daemon; `interrupts`: signals meanwhile
//! - `offline`: questions without a daemon; `survey`: a look that changes nothing
//! - `reading`: what `once` and `survey` begin with
//! - `output_file`: files that a command declares
//! - `parts`: how ledger, reaper and watchers are set up
//! - `saved_state`: what the registry gives back at the start
//! - `sources`: where jobs come from, and how each source is; `source_hooks`: what the reaper and
//!   the API ask of them; `record_writer`: the thread that writes back, and `records`: its orders
//! - `freshness`: sources that are brought up to date before somebody acts by them
//! - `restored`: what the cache gave back, for the watchers
//! - `scheduled_command`: commands that schedules run
//! - `agenda_items`: everything with a schedule
//! - `schedule`: rules that go at their times, and the one `clean` at the start; `database`: a
//!   source that is asked, of whichever kind
//! - `config_file`: edits of the configuration; `startup_log`: what is said first
//! - `sampling`: samples for charts
//! - `totals`: the ledger's lines, counted for ever
//! - `notifications`: what people are told: events, `error_tap` errors of the log, and
//!   `removal_notifications`
//! - `cache_parts`: the start of the cache, and its state
//! - `state_dir`: one daemon at a time; `watchdog`: pings for the service manager
//!
//! **Invariant:** the engine is stepped by one thread; everybody else sends it messages through one
//! bounded queue.
#![doc = include_str!("DESIGN.md")]

mod agenda_items;
mod answers;
mod backup;
mod cache_parts;
mod config_file;
mod database;
mod ending;
mod error_tap;
mod event_log;
mod freshness;
mod inherited;
mod interrupts;
mod links;
mod listeners;
mod notifications;
mod offline;
mod once;
mod output_file;
mod owner;
mod parts;
mod reading;
mod record_writer;
mod records;
mod reload;
mod removal_notifications;
mod removals;
mod restored;
mod sampling;
mod saved_state;
mod schedule;
mod scheduled_command;
mod serve;
mod settings;
mod shadow;
mod signals;
mod source_hooks;
mod source_status;
mod sources;
mod space;
mod start_run;
mod startup_log;
mod state_dir;
mod survey;
mod totals;
mod trash;
mod trash_door;
mod volumes;
mod watchdog;

pub use crate::app::trash::{thing as trash_line, undone};
pub use crate::reap::{OfflineTrash, QuarantineContents, inspect_quarantine};
pub use backup::backup;
pub use database::{Fit, fit};
pub use error_tap::ErrorTap;
pub use offline::offline;
pub use once::{Once, once};
pub use output_file::write_new_file;
pub use serve::serve;
pub use settings::describe;
pub use survey::{Baseline, Survey, survey};
