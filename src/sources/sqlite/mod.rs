//! SQLite databases of the users' applications.
//!
//! ```text
//! the directory's events ─▶ signal ─▶ reader ─ data_version ─▶ rows (pages) ─▶ the course
//! a removal ──▶ database (own connection) ─▶ one row, as it is now
//! a lapse ────▶ driver (a connection for each) ─▶ mark or forget
//! ```
//!
//! - `database`: what those who ask and the thread share; `driver`: one job, asked for and written;
//!   `find`: its row
//! - `reader`: the thread's connection, `queries` and `rows`: what it reads; `parent_watcher`
//!   watches the file's directory and raises the signal
//! - `lock_pace`: pages that hardly lock writers out; `copy`: a copy to read instead
//! - `open`: connections that create nothing; the file that a path leads to. `row`: values.
//!   `missing_columns`: columns that a table is given with the first mark
//! - `check`: whether the queries fit; `error`: why it cannot be read
//!
//! **Invariant:** a database is never created, and nothing is written to it but a `mark` or
//! `forget` of a row that is as it was judged, and, together with a `mark`, the columns that the
//! configuration adds.
//! **Invariant:** no polling where changes raise events.

mod check;
mod copy;
mod database;
mod driver;
mod error;
mod find;
mod lock_pace;
mod missing_columns;
mod open;
mod parent_watcher;
mod queries;
mod reader;
mod row;
#[cfg(test)]
mod tests;

pub(super) use check::check;
pub(super) use database::SqliteDatabase;
