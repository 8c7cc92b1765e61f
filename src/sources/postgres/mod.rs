//! PostgreSQL databases of the users' applications.
//!
//! ```text
//! a trigger's NOTIFY ─▶ listener (ids) ─▶ signal ─▶ reader ─▶ rows or pages ─▶ the course
//! without a trigger ──▶ polls of the snapshot ─┘
//! a removal ──▶ database (own connection) ─▶ one row, as it is now
//! a lapse ────▶ driver (own connection) ─▶ mark or forget
//! ```
//!
//! - `place`: the server, for people; `tls`: encryption; `runtime`, `connection`: connections,
//!   which are waited for; `error`: their failures
//! - `shape`, `row`: the columns of a query, and their values. `names`: named parameters.
//!   `catalog`: tables and triggers; `plan`: plans of queries
//! - `database`: what those who ask and the thread share; `driver`: one job, asked for and written;
//!   `find`: its row
//! - `reader`: the thread's connection; `listener`: notifications over it
//! - `check`: whether the queries fit. `trigger`: the table that a trigger is needed for
//!
//! **Invariant:** nothing is written to a database but a `mark` or `forget` of a row that is as it
//! was judged.
//! **Invariant:** no transaction is held open.

mod catalog;
mod check;
mod connection;
mod database;
mod driver;
mod error;
mod find;
mod listener;
mod names;
mod place;
mod plan;
mod reader;
mod row;
mod runtime;
mod shape;
#[cfg(test)]
mod tests;
mod tls;
mod trigger;

pub(super) use check::check;
pub(super) use database::PostgresDatabase;
pub use trigger::{Table, table_of};
