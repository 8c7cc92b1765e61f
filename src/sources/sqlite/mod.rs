//! SQLite databases of the users' applications.
//!
//! ```text
//! the directory's events ─▶ signal ─▶ reader ─ data_version ─▶ read (pages) ─▶ update ─▶ the
//! engine
//!                                     (own thread)
//! a removal ──▶ lookup (own connection) ─▶ one row, as it is now
//! a lapse ────▶ write (a connection for each) ─▶ mark or forget, if the row is still as judged
//! ```
//!
//! - `options`: the database and its queries. `check`: whether the queries fit it; `error`: why it
//!   cannot be read
//! - `open`: connections that create nothing; the file that a path leads to
//! - `reader`: the thread and its schedule; `parent_watcher` watches the file's directory and
//!   raises the change signal
//! - `read`: everything, or what changed; `lock_pace`: in pages that hardly lock writers out;
//!   `row`: the values of a row
//! - `lookup_connection`, `find`, `write`: one job; `missing_columns`: columns that a table is
//!   given with the first mark
//! - `source`: the interface to the rest of the daemon
//!
//! **Invariant:** a database is never created, and nothing is written to it but a `mark` or
//! `forget` of a row that is as it was judged, and, together with a `mark`, the columns that the
//! configuration adds.
//! **Invariant:** no polling: a timer exists only while a change is awaited, a reading rests, or
//! the database is down.

mod check;
mod copy;
mod error;
mod find;
mod lock_pace;
mod lookup_connection;
mod missing_columns;
mod open;
mod options;
mod parent_watcher;
mod read;
mod reader;
mod row;
mod source;
#[cfg(test)]
mod tests;
mod write;

pub use check::check_sqlite;
pub use missing_columns::AddedColumn;
pub use options::SqliteOptions;
pub use source::Sqlite;
