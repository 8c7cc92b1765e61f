//! Tables that need a trigger.

use tokio::runtime::Builder;

use super::connection::{Connection, ConnectionRole};
use super::error::Fault;
use super::row::text;
use crate::sources::error::QueryError;
use crate::sources::options::bare;
use crate::sources::postgres_options::PostgresOptions;
use crate::sources::schema_check;

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
pub fn table_of(options: &PostgresOptions) -> Result<Table, QueryError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| QueryError::Database(error.to_string()))?;
    let found = runtime.block_on(find(options));
    found.map_err(|fault| match fault {
        Fault::Query(error) => error,
        fault @ (Fault::Unreachable(_)
        | Fault::Refused(_)
        | Fault::Missing(_)
        | Fault::Tls(_)
        | Fault::Permission { .. }
        | Fault::Slow(_)
        | Fault::Failed(_)) => QueryError::Database(fault.about(&options.place())),
    })
}

async fn find(options: &PostgresOptions) -> Result<Table, Fault> {
    let link = Connection::connect(options, ConnectionRole::Reads)
        .await
        .map_err(|said| Fault::of(&said, options.user()))?;
    let statement = link
        .prepare(bare(&options.queries.select))
        .await
        .map_err(|said| Fault::of_query("select", &said, options.user(), "see lapsed check"))?;
    let mut columns = statement.columns().iter();
    let id = columns.find(|column| column.name().eq_ignore_ascii_case("id"));
    let place = id.and_then(|column| Some((column.table_oid()?, column.column_id()?)));
    let Some((table, column)) = place else {
        return Err(Fault::Query(schema_check::wrong(
            "select",
            "its ids come from no column of a table".to_owned(),
            "name the table whose rows are jobs: --table schema.table --id column",
        )));
    };
    let sql = "SELECT n.nspname::text, c.relname::text, a.attname::text, c.relkind::text FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid \
               WHERE c.oid = $1::text::oid AND a.attnum = $2::text::int2";
    let given = [table.to_string(), column.to_string()];
    let rows = link
        .rows(sql, &[Some(&given[0]), Some(&given[1])])
        .await
        .map_err(|said| Fault::of(&said, options.user()))?;
    let names = rows.first().map(|row| [0, 1, 2, 3].map(|at| text(row, at)));
    match names {
        Some([Some(schema), Some(name), Some(id), Some("r" | "p")]) => Ok(Table {
            schema: schema.to_owned(),
            name: name.to_owned(),
            id: id.to_owned(),
        }),
        Some(_) | None => Err(Fault::Query(schema_check::wrong(
            "select",
            "its ids come from a view".to_owned(),
            "name the table whose rows are jobs: --table schema.table --id column",
        ))),
    }
}
