//! PostgreSQL in a build without it: there is no server, so nothing here is ever called.

use std::io;
use std::sync::Arc;

use super::error::{QueryError, WriteError};
use super::known_jobs::ChangeSink;
use super::postgres_options::{PostgresOptions, Server};
use super::stats::SourceStats;
use super::write_back::{WriteBack, WriteOutcome};
use crate::core::jobs::{JobLookup, Jobs};

/// A source that cannot exist.
#[derive(Debug)]
pub enum Postgres {}

/// A table, and the column that has the jobs' ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The column.
    pub id: String,
}

#[expect(
    clippy::missing_errors_doc,
    clippy::needless_pass_by_value,
    reason = "none of this can be called"
)]
#[expect(missing_docs, reason = "see `postgres::Postgres`")]
impl Postgres {
    pub fn start(options: PostgresOptions, _: Arc<Jobs>, _: ChangeSink) -> io::Result<Self> {
        match *options.server.0 {}
    }

    #[must_use]
    pub fn fresh(&self, _: &str) -> JobLookup {
        match *self {}
    }

    #[must_use]
    pub fn is_current(&self) -> bool {
        match *self {}
    }

    pub fn look_at(&self, _: &str) {
        match *self {}
    }

    pub fn write(&self, _: &WriteBack) -> Result<WriteOutcome, WriteError> {
        match *self {}
    }

    #[must_use]
    pub fn stats(&self) -> SourceStats {
        match *self {}
    }

    pub fn stop(&self) {
        match *self {}
    }
}

impl PostgresOptions {
    /// The database as messages name it.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.server)
    }
}

/// Returns where `server` is.
#[must_use]
pub fn place(server: &Server) -> String {
    match *server.0 {}
}

/// Holds the queries of `options` against their database.
///
/// # Errors
/// Never: it cannot be called.
pub fn check_postgres(options: &PostgresOptions) -> Result<(), QueryError> {
    match *options.server.0 {}
}

/// The table that the ids of `options` come from.
///
/// # Errors
/// Never: it cannot be called.
pub fn table_of(options: &PostgresOptions) -> Result<Table, QueryError> {
    match *options.server.0 {}
}
