//! Options of an SQLite source.

use std::path::PathBuf;

use super::missing_columns::AddedColumn;
use crate::core::jobs::SourceId;
use crate::sources::options::Queries;

/// A database as a source of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// The source's id.
    pub id: SourceId,
    /// Its name, for people.
    pub name: String,
    /// The database's file. Absolute. Never created.
    pub path: PathBuf,
    /// Its queries.
    pub queries: Queries,
    /// Columns that tables are given with the first record that is written.
    pub add_columns: Vec<AddedColumn>,
}
