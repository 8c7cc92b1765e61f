//! PostgreSQL in a build without it: there is no server, so nothing here is ever called.

use std::sync::Arc;

use super::context::SourceContext;
use super::error::QueryError;
use super::options::PostgresOptions;
use super::sqlite::SqliteDatabase;

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

/// Database that cannot exist.
pub(super) struct PostgresDatabase;

#[expect(clippy::new_ret_no_self, reason = "it returns nothing")]
impl PostgresDatabase {
    pub(super) fn new(options: &PostgresOptions, _: Arc<SourceContext>) -> SqliteDatabase {
        match *options.server.0 {}
    }
}

impl PostgresOptions {
    /// The database as messages name it.
    #[must_use]
    pub fn place(&self) -> String {
        match *self.server.0 {}
    }
}

pub(super) fn check(_: &str, options: &PostgresOptions) -> Result<(), QueryError> {
    match *options.server.0 {}
}

/// The table that the ids of `options` come from.
///
/// # Errors
/// Never: it cannot be called.
pub fn table_of(_: &str, options: &PostgresOptions) -> Result<Table, QueryError> {
    match *options.server.0 {}
}
