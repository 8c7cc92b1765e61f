//! Jobs of SQLite databases that another process writes while the daemon runs: on the real binary, with real files and events.
//!
//! `LAPSED_CRASH_ROUNDS` is how often the daemon is killed (default: 10), `LAPSED_CRASH_SEED` the seed of that.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::similar_names,
    clippy::unnecessary_debug_formatting,
    clippy::print_stdout,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

#[path = "../common/mod.rs"]
mod common;

mod breaker;
mod cleans;
mod crashes;
mod forget;
mod gone;
mod hostile;
mod last_moment;
mod lives;
mod once;
mod orphans;
mod other;
mod outages;
mod ownership;
mod refused;
mod reload;
mod rules;
mod schema;
mod times;
mod unnamed;
mod world;
