//! PostgreSQL databases of the users' applications.
//!
//! ```text
//! a trigger's NOTIFY ─▶ listener (ids) ─▶ reader ─▶ read (rows or pages) ─▶ update ─▶ the engine
//! without a trigger ──▶ the poll's timer ─┘
//! a removal ──▶ lookup (own connection) ─▶ one row, as it is now
//! a lapse ────▶ writer (own connection) ─▶ mark or forget, if the row is still as judged
//! ```
//!
//! - `place`: the server, for people; `tls`: encryption; `connection`: one connection;
//!   `error`: its failures
//! - `shape`, `row`: the columns of a query, and their values. `names`: named parameters.
//!   `catalog`: tables and triggers; `plan`: plans of queries
//! - `reader`: the task and its schedule; `listener`: notifications; `read`: everything, what
//!   changed, or some; `publisher`: to the engine
//! - `lookup_connection`, `find`, `write`: one job
//! - `source`: the interface to the rest of the daemon; `context`: what its tasks share. `check`:
//!   whether the queries fit
//! - `trigger`: the table that a trigger is needed for
//!
//! **Invariant:** nothing is written to a database but a `mark` or `forget` of a row that is as it
//! was judged.
//! **Invariant:** no transaction is held open.

mod catalog;
mod check;
mod connection;
mod context;
mod error;
mod find;
mod listener;
mod lookup_connection;
mod names;
mod place;
mod plan;
mod publisher;
mod read;
mod reader;
mod row;
mod shape;
mod source;
#[cfg(test)]
mod tests;
mod tls;
mod trigger;
mod write;

pub use check::check_postgres;
pub use place::place;
pub use source::Postgres;
pub use trigger::{Table, table_of};
