//! Columns that the configuration wants in a table, and that are not there (yet).
//!
//! Until a record is written such a column reads as NULL: a temporary view of the connection's own
//! stands before its table. The transaction that writes the first record adds the columns, so a
//! database of which nothing was removed is as it was.
//!
//! **Invariant:** a connection that only reads changes nothing in the database.
//! **Invariant:** a column is added together with a record, or not at all.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::error::Fault;

/// A column that a table is to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddedColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Its type, as in `CREATE TABLE`.
    pub kind: String,
}

/// Lets the tables of `connection` look as if they had the columns; says which tables only look so.
pub(super) fn shadow_with_views<'a>(
    connection: &Connection,
    columns: &'a [AddedColumn],
) -> Result<BTreeSet<&'a str>, Fault> {
    let mut views = BTreeSet::new();
    let tables: BTreeSet<&str> = columns.iter().map(|column| &*column.table).collect();
    for table in tables {
        let mut imagined = String::new();
        for column in columns.iter().filter(|column| column.table == table) {
            if lacks(connection, column)? {
                imagined.push_str(", NULL AS ");
                imagined.push_str(&quoted(&column.column));
            }
        }
        if !imagined.is_empty() {
            let name = quoted(table);
            let view = format!("CREATE TEMP VIEW {name} AS SELECT *{imagined} FROM main.{name}");
            connection.execute_batch(&view).map_err(Fault::from)?;
            views.insert(table);
        }
    }
    Ok(views)
}

/// Lets those tables look as they are: views cannot be written to.
pub(super) fn drop_shadow_views(
    connection: &Connection,
    views: &BTreeSet<&str>,
) -> Result<(), Fault> {
    for table in views {
        let drop = format!("DROP VIEW temp.{}", quoted(table));
        connection.execute_batch(&drop).map_err(Fault::from)?;
    }
    Ok(())
}

/// Adds the columns, within the transaction of `connection`.
pub(super) fn add(connection: &Connection, columns: &[AddedColumn]) -> Result<(), Fault> {
    for column in columns {
        if lacks(connection, column)? {
            let add = added(column);
            connection.execute_batch(&add).map_err(Fault::from)?;
            let AddedColumn { table, column, .. } = column;
            tracing::info!(table, column, "added, since the configuration asks for it");
        }
    }
    Ok(())
}

/// A database without rows that looks like that of `connection`, and has the columns: to check
/// statements by.
pub(super) fn model(
    connection: &Connection,
    columns: &[AddedColumn],
) -> Result<Connection, rusqlite::Error> {
    let model = Connection::open_in_memory()?;
    let mut statement = connection.prepare(
        "SELECT sql FROM main.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         ORDER BY type <> 'table'",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // What this build of SQLite cannot make (a virtual table of another module) no statement of
        // ours is about.
        let _ = model.execute_batch(&row.get::<_, String>(0)?);
    }
    for column in columns {
        if has_table(&model, &column.table)? && !has_column(&model, column)? {
            model.execute_batch(&added(column))?;
        }
    }
    Ok(model)
}

fn added(column: &AddedColumn) -> String {
    let AddedColumn {
        table,
        column,
        kind,
    } = column;
    format!(
        "ALTER TABLE main.{} ADD COLUMN {} {kind}",
        quoted(table),
        quoted(column)
    )
}

/// Returns whether the table is there, and the column is not.
fn lacks(connection: &Connection, column: &AddedColumn) -> Result<bool, Fault> {
    let asked = has_table(connection, &column.table)
        .and_then(|has| Ok(has && !has_column(connection, column)?));
    asked.map_err(Fault::from)
}

fn has_table(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    connection
        .prepare(
            "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        )?
        .exists([table])
}

fn has_column(connection: &Connection, column: &AddedColumn) -> rusqlite::Result<bool> {
    connection
        .prepare("SELECT 1 FROM pragma_table_xinfo(?1, 'main') WHERE name = ?2 COLLATE NOCASE")?
        .exists([&column.table, &column.column])
}

/// An identifier in double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
