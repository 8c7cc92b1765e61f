//! Sources of jobs that are asked: SQLite databases of the users' applications.
//!
//! ```text
//! the directory's events ─▶ bell ─▶ reader ─ data_version ─▶ read (pages) ─▶ news ─▶ tell (the engine)
//!                                     (own thread)
//! a removal ──▶ asker (own connection) ─▶ one row, as it is now
//! a lapse ────▶ write (a connection for each) ─▶ mark or forget, if the row is still as judged
//! ```
//!
//! - `options`: what is asked, and of what. `check`: whether that fits the database.
//! - `open`: connections that create nothing; which file a path leads to
//! - `moment`, `zone`: timestamps as people write them → instants. `decode`: a row of the database → a row of ours
//! - `reader`: the thread, and what it does next; `pace`: when; `bell` wakes it; `surroundings` watches the file's directory
//! - `read`: everything, or what changed; `view`: against what is known, by `ticks`
//! - `asker`, `write`: one job
//! - `sqlite`: the source as the rest of the daemon sees it; `stats`
//!
//! **Invariant:** a database is never created, and nothing is written to it but a `mark` or `forget` of a row that is as it was judged.
//! **Invariant:** what cannot be read is told as such, and never as jobs that are gone.
//! **Invariant:** no polling: a timer exists only while a change is awaited, a reading rests, or the database is down.

mod asker;
mod bell;
mod check;
mod decode;
mod error;
mod find;
mod moment;
mod open;
mod options;
mod pace;
mod read;
mod reader;
mod sqlite;
mod stats;
mod surroundings;
#[cfg(test)]
mod tests;
mod ticks;
mod view;
mod write;
mod zone;

pub use check::check_sqlite;
pub use error::{QueryError, WriteError};
pub use options::{Queries, SqliteOptions};
pub use sqlite::Sqlite;
pub use stats::{SourceState, SourceStats};
pub use write::{WriteBack, Written};
