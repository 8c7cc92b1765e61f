//! Sources of jobs that are asked: databases of the users' applications.
//!
//! - `sqlite`, `postgres`: how each kind is watched, read, asked for one job, and written back to;
//!   `without_postgres`: the same interface in a build without it
//! - `options`: the queries. `schema_check`: whether they fit a database; `error`: why not
//! - `sql_value`: a value of a row. `timestamp`, `zone`: timestamps as applications write them →
//!   instants. `decode`: rows → jobs
//! - `lookup`: the row of one id; `unnamed`: rows without a usable id. `snapshot_diff`: what a
//!   reading of everything changes in `known_jobs`, by means of a `bit_set`
//! - `pacing`: when the next reading begins. `write_back`: records of cleaned jobs. `change_signal`
//!   wakes a thread; `stats`: for `status`
//!
//! **Invariant:** nothing is written to a database but a `mark` or `forget` of a row that is as it
//! was judged.
//! **Invariant:** what cannot be read is reported as such, and never as jobs that are gone.
//!
#![doc = include_str!("DESIGN.md")]

mod bit_set;
mod change_signal;
mod decode;
mod error;
mod known_jobs;
mod lookup;
mod options;
mod pacing;
#[cfg(feature = "postgres")]
mod postgres;
mod postgres_options;
mod schema_check;
mod snapshot_diff;
mod sql_value;
mod sqlite;
mod stats;
#[cfg(test)]
mod tests;
mod timestamp;
mod unnamed;
#[cfg(not(feature = "postgres"))]
mod without_postgres;
mod write_back;
mod zone;

pub use error::{QueryError, WriteError};
pub use options::Queries;
#[cfg(feature = "postgres")]
pub use postgres::{Postgres, Table, check_postgres, place, table_of};
pub use postgres_options::{PostgresOptions, Server, Tls, TlsMode, TlsRoots};
pub use sqlite::{AddedColumn, Sqlite, SqliteOptions, check_sqlite};
pub use stats::{ChangeDetection, SourceState, SourceStats};
#[cfg(not(feature = "postgres"))]
pub use without_postgres::{Postgres, Table, check_postgres, place, table_of};
pub use write_back::{WriteBack, WriteOutcome};
