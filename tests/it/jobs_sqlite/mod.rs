//! Jobs of SQLite databases that another process writes while the daemon runs: on the real binary, with real files and events.
//!
//! `LAPSED_CRASH_ROUNDS` is how often the daemon is killed (default: 10), `LAPSED_CRASH_SEED` the seed of that.

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
mod report;
mod rules;
mod schema;
mod shadow;
mod statistics;
mod times;
mod unnamed;
mod world;
