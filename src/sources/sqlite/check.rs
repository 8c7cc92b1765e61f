//! Checks that the queries fit the database, for `lapsed check` and for messages.
//!
//! **Invariant:** checking writes nothing and creates nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, Statement};

use super::error::{query_fault, said};
use super::{missing_columns, open};
use crate::sources::decode::Decoder;
use crate::sources::error::{Fault, QueryError};
use crate::sources::options::{Queries, SqliteOptions, bare};
use crate::sources::schema_check::{self, QueryChecks};

/// Longest wait of a check for a writer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Checks that the queries of `options` fit its database. Opens it for reading only.
///
/// # Errors
/// When it cannot be opened, or a query does not fit, with the query and the column.
pub(in crate::sources) fn check(name: &str, options: &SqliteOptions) -> Result<(), QueryError> {
    Decoder::new(name, &options.queries)?;
    let check = || {
        let (connection, _) = open::to_read(options, PATIENCE)?;
        let added = Some(&options.add_columns).filter(|added| !added.is_empty());
        let model = added.map(|added| missing_columns::model(&connection, added));
        let model = model.transpose()?;
        let checks = SqliteChecks {
            connection,
            model,
            queries: &options.queries,
        };
        schema_check::check(&checks, &options.queries)
    };
    check().map_err(|fault| match fault {
        Fault::Query(error) => error,
        fault => {
            let place = format!("\"{}\"", options.path.display());
            QueryError::Database(fault.about(&place))
        }
    })
}

struct SqliteChecks<'a> {
    connection: Connection,
    /// The database as it will be once it has all columns, for what writes.
    model: Option<Connection>,
    queries: &'a Queries,
}

impl SqliteChecks<'_> {
    fn prepare(&self, query: &str, sql: &str) -> Result<Statement<'_>, Fault> {
        let connection = match query {
            "select" | "changed" => &self.connection,
            _ => self.model.as_ref().unwrap_or(&self.connection),
        };
        let statement = connection.prepare(bare(sql)).map_err(|error| match error {
            rusqlite::Error::MultipleStatement => {
                let mend = "give them as a list, each a text of its own";
                Fault::query(query, said(&error), mend)
            }
            error => query_fault(query, error, || what_there_is(connection, sql)),
        })?;
        if statement.column_count() == 0 && bare(sql).is_empty() {
            let mend = "leave it out, or write a statement";
            return Err(Fault::query(query, "it is empty".to_owned(), mend));
        }
        Ok(statement)
    }
}

impl QueryChecks for SqliteChecks<'_> {
    fn parameters(&self, query: &str, sql: &str) -> Result<Vec<String>, Fault> {
        let statement = self.prepare(query, sql)?;
        let names = (1..=statement.parameter_count()).map(|at| {
            let name = statement.parameter_name(at);
            name.filter(|name| !name.starts_with('?')).unwrap_or("?")
        });
        Ok(names.map(str::to_owned).collect())
    }

    fn columns(&self, query: &str, sql: &str) -> Result<BTreeSet<String>, Fault> {
        let statement = self.prepare(query, sql)?;
        if !statement.readonly() || statement.column_count() == 0 {
            let mend = "it must be a SELECT: nothing is written when jobs are read";
            return Err(Fault::query(query, "it is no query".to_owned(), mend));
        }
        let names = statement.column_names();
        let names: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let has = || what_there_is(&self.connection, sql);
        schema_check::columns(query, &names, self.queries).map_err(|fault| fault.with_mend(has))?;
        if query == "select" {
            // Also as a table of its own, as it is used.
            let wrapped = format!("SELECT * FROM {} WHERE id = ?1", self.queries.jobs());
            self.prepare(query, &wrapped)?;
        }
        Ok(names)
    }

    fn check_write(&self, name: &str, sql: &str) -> Result<(), Fault> {
        if self.prepare(name, sql)?.readonly() {
            let mend = "it must be an UPDATE, DELETE or INSERT";
            return Err(Fault::query(name, "it writes nothing".to_owned(), mend));
        }
        Ok(())
    }
}

/// Returns what the database has of what a query names: `table jobs has id, status, …`.
pub(super) fn what_there_is(connection: &Connection, sql: &str) -> String {
    let tables = || -> rusqlite::Result<Vec<(String, Vec<String>)>> {
        let mut statement = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )?;
        let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let tables = statement.query_map([], |row| row.get::<_, String>(0))?;
        let with_columns = tables.map(|table| {
            let table = table?;
            let columns = columns.query_map([&table], |row| row.get(0));
            // Those of a broken view cannot be told.
            let columns = columns.and_then(Iterator::collect).unwrap_or_default();
            Ok((table, columns))
        });
        with_columns.collect()
    };
    schema_check::what_there_is(&tables().unwrap_or_default(), sql)
}
