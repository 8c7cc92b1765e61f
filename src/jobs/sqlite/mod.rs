//! SQLite databases of the users' applications.
//!
//! ```text
//! the directory's events ─▶ bell ─▶ reader ─ data_version ─▶ read (pages) ─▶ news ─▶ tell (the engine)
//!                                     (own thread)
//! a removal ──▶ asker (own connection) ─▶ one row, as it is now
//! a lapse ────▶ write (a connection for each) ─▶ mark or forget, if the row is still as judged
//! ```
//!
//! - `options`: which database. `check`: whether the queries fit it; `error`: why it cannot be read
//! - `open`: connections that create nothing; which file a path leads to
//! - `reader`: the thread, and what it does next; `bell` wakes it; `surroundings` watches the file's directory
//! - `read`: everything, or what changed; `lock_pace`: in pages that hardly lock writers out; `row`: the values of a row
//! - `asker`, `find`, `write`: one job; `lacking`: columns that a table is to have
//! - `source`: the source as the rest of the daemon sees it
//!
//! **Invariant:** a database is never created, and nothing is written to it but a `mark` or `forget` of a row that is as it was judged,
//! and, together with a `mark`, the columns that the configuration adds.
//! **Invariant:** no polling: a timer exists only while a change is awaited, a reading rests, or the database is down.

mod asker;
mod check;
mod error;
mod find;
mod lacking;
mod lock_pace;
mod open;
mod options;
mod read;
mod reader;
mod row;
mod source;
mod surroundings;
#[cfg(test)]
mod tests;
mod write;

pub use check::check_sqlite;
pub use lacking::AddedColumn;
pub use options::SqliteOptions;
pub use source::Sqlite;
