//! Tables that need a trigger.

use super::check;
use super::connection::Connection;
use super::database::PostgresDatabase;
use super::error::query_fault;
use super::row::text;
use crate::sources::error::{Fault, QueryError};
use crate::sources::options::{PostgresOptions, bare};

/// Remedy where no table shows.
const NAME_IT: &str = "name the table whose rows are jobs: --table schema.table --id column";

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

/// The table that the ids of `options` come from.
///
/// # Errors
/// When the server cannot be asked, or ids come from no table's column.
pub fn table_of(name: &str, options: &PostgresOptions) -> Result<Table, QueryError> {
    check::ask(name, options, find)
}

fn find(database: &PostgresDatabase, link: &Connection) -> Result<Table, Fault> {
    let options = &database.options;
    let statement = link
        .prepare(bare(&options.queries.select))
        .map_err(|said| query_fault("select", &said, options.user(), "see lapsed check"))?;
    let mut columns = statement.columns().iter();
    let id = columns.find(|column| column.name().eq_ignore_ascii_case("id"));
    let place = id.and_then(|column| Some((column.table_oid()?, column.column_id()?)));
    let Some((table, column)) = place else {
        let what = "its ids come from no column of a table".to_owned();
        return Err(Fault::query("select", what, NAME_IT));
    };
    let sql = "SELECT n.nspname::text, c.relname::text, a.attname::text, c.relkind::text FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
               WHERE c.oid = $1::text::oid AND a.attnum = $2::text::int2";
    let given = [table.to_string(), column.to_string()];
    let rows = link
        .rows(sql, &[Some(&given[0]), Some(&given[1])])
        .map_err(|said| database.fault(&said))?;
    let names = rows.first().map(|row| [0, 1, 2, 3].map(|at| text(row, at)));
    if let Some([Some(schema), Some(name), Some(id), Some("r" | "p")]) = names {
        return Ok(Table {
            schema: schema.to_owned(),
            name: name.to_owned(),
            id: id.to_owned(),
        });
    }
    let what = "its ids come from a view".to_owned();
    Err(Fault::query("select", what, NAME_IT))
}
