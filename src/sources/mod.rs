//! Sources of jobs that are asked: databases of the users' applications.
//!
//! - `source`: a database as a source of jobs. `reader`: its thread; `reading`: rows → `publisher`;
//!   `writer`: records. All are one course for every kind of database
//! - `driver`: what a kind has to do: `sqlite`, `postgres`; `without_postgres`: the same interface
//!   in a build without it
//! - `options`: the databases and their queries. `schema_check`: whether they fit; `error`: why not
//! - `sql_value`: a value of a row. `timestamp`, `zone`: timestamps as applications write them →
//!   instants. `decode`: rows → jobs
//! - `lookup`: the row of one id; `unnamed`: rows without a usable id. `snapshot_diff`: what a
//!   reading of everything changes in `known_jobs`, by means of a `bit_set`
//! - `pending`: readings that are owed; `pacing`: when the next one begins. `write_back`: records
//!   of cleaned jobs. `context`, `change_signal`: what threads share; `stats`: for `status`
//!
//! **Invariant:** nothing is written to a database but a `mark` or `forget` of a row that is as it
//! was judged.
//! **Invariant:** what cannot be read is reported as such, and never as jobs that are gone.
//!
#![doc = include_str!("DESIGN.md")]

mod bit_set;
mod change_signal;
mod context;
mod decode;
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "of PostgreSQL only")
)]
mod driver;
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "of PostgreSQL only")
)]
mod error;
mod known_jobs;
mod lookup;
mod options;
mod pacing;
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "of PostgreSQL only")
)]
mod pending;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(not(feature = "postgres"))]
#[path = "without_postgres.rs"]
mod postgres;
mod publisher;
mod reader;
mod reading;
mod schema_check;
mod snapshot_diff;
mod source;
mod sql_value;
mod sqlite;
mod stats;
#[cfg(test)]
mod tests;
mod timestamp;
mod unnamed;
mod write_back;
mod writer;
mod zone;

pub use error::{QueryError, WriteError};
pub use options::{
    DatabaseOptions, PostgresOptions, Queries, Server, SqliteOptions, Tls, TlsMode, TlsRoots,
};
pub use postgres::{Table, table_of};
pub use source::{Source, check};
pub use stats::{ChangeDetection, SourceState, SourceStats};
pub use write_back::{WriteBack, WriteOutcome};
