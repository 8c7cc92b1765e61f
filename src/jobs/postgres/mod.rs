//! PostgreSQL databases of the users' applications.
//!
//! ```text
//! a trigger's NOTIFY ─▶ ear (ids) ─▶ reader ─▶ read (those rows, or pages of all) ─▶ news ─▶ tell (the engine)
//! nobody notifies ────▶ the poll's timer ─┘
//! a removal ──▶ asker (own connection) ─▶ one row, as it is now
//! a lapse ────▶ writer (own connection, for as long as it is used) ─▶ mark or forget, if the row is still as judged
//! ```
//!
//! - `options`: which database; `tls`: how connections are encrypted; `link`: a connection; `error`: what goes wrong with it
//! - `shape`, `row`: a query's columns, and their values. `names`: named parameters. `catalog`: tables, triggers, plans
//! - `reader`: what is done next; `ear`: what was heard; `read`: everything, what changed, or some; `telling`: to the engine
//! - `asker`, `find`, `write`: one job
//! - `source`: the source as the rest of the daemon sees it; `shared`: what its tasks share. `check`: whether the queries fit
//! - `trigger`: the table that a trigger is needed for
//!
//! **Invariant:** nothing is written to a database but a `mark` or `forget` of a row that is as it was judged.
//! **Invariant:** no transaction is held open.

mod asker;
mod catalog;
mod check;
mod ear;
mod error;
mod find;
mod link;
mod names;
mod options;
mod read;
mod reader;
mod row;
mod shape;
mod shared;
mod source;
mod telling;
#[cfg(test)]
mod tests;
mod tls;
mod trigger;
mod write;

pub use check::check_postgres;
pub use options::{PostgresOptions, Tls, TlsMode, TlsRoots, place};
pub use source::Postgres;
pub use trigger::{Table, table_of};
