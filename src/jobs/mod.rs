//! Sources of jobs that are asked: databases of the users' applications.
//!
//! - `sqlite`, `postgres`: how each kind is watched, read, asked for one job, and written back to
//! - `options`: what is asked. `fit`: what the queries need; `error`: that they do not fit
//! - `cell`: a value of a row. `moment`, `zone`: timestamps as people write them → instants. `decode`: a row of the database → a row of ours
//! - `one`: what there is under an id; `unnamed`: rows without one. `met`: what a reading has met; `view`: against what is known, by `ticks`
//! - `pace`: when is read. `order`: what is written back. `bell` wakes a thread; `stats`
//!
//! **Invariant:** nothing is written to a database but a `mark` or `forget` of a row that is as it was judged.
//! **Invariant:** what cannot be read is told as such, and never as jobs that are gone.
//!
#![doc = include_str!("DESIGN.md")]

mod bell;
mod cell;
mod decode;
mod error;
mod fit;
mod met;
mod moment;
mod one;
mod options;
mod order;
mod pace;
mod postgres;
mod sqlite;
mod stats;
#[cfg(test)]
mod tests;
mod ticks;
mod unnamed;
mod view;
mod zone;

pub use error::{QueryError, WriteError};
pub use options::Queries;
pub use order::{WriteBack, Written};
pub use postgres::{
    Postgres, PostgresOptions, Table, Tls, TlsMode, TlsRoots, check_postgres, place, table_of,
};
pub use sqlite::{AddedColumn, Sqlite, SqliteOptions, check_sqlite};
pub use stats::{Heard, SourceState, SourceStats};
