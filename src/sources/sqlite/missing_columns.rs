//! Columns that the configuration wants in a table, and that are not there (yet).
//!
//! Until a record is written such a column reads as NULL: a temporary view of the connection's own
//! stands before its table. The transaction that writes the first record adds the columns, so a
//! database of which nothing was removed is as it was.
//!
//! **Invariant:** a connection that only reads changes nothing in the database.
//! **Invariant:** a column is added together with a record, or not at all.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::sources::error::Fault;

/// Types of the columns that tables are to have, by table and column.
pub(super) type AddedColumns = BTreeMap<(String, String), String>;

/// Lets the tables of `connection` look as if they had the columns; says which tables only look so.
pub(super) fn shadow_with_views<'a>(
    connection: &Connection,
    columns: &'a AddedColumns,
) -> Result<BTreeSet<&'a str>, Fault> {
    let mut views = BTreeSet::new();
    let tables: BTreeSet<&str> = columns.keys().map(|(table, _)| &**table).collect();
    for table in tables {
        let mut imagined = String::new();
        for (_, column) in columns.keys().filter(|(of, _)| of == table) {
            if lacks(connection, table, column)? {
                imagined.push_str(", NULL AS ");
                imagined.push_str(&quoted(column));
            }
        }
        if !imagined.is_empty() {
            let name = quoted(table);
            let view = format!("CREATE TEMP VIEW {name} AS SELECT *{imagined} FROM main.{name}");
            connection.execute_batch(&view)?;
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
        connection.execute_batch(&format!("DROP VIEW temp.{}", quoted(table)))?;
    }
    Ok(())
}

/// Adds the columns, within the transaction of `connection`.
pub(super) fn add(connection: &Connection, columns: &AddedColumns) -> Result<(), Fault> {
    for ((table, column), kind) in columns {
        if lacks(connection, table, column)? {
            connection.execute_batch(&addition(table, column, kind))?;
            tracing::info!(table, column, "added, since the configuration asks for it");
        }
    }
    Ok(())
}

/// A database without rows that looks like that of `connection`, and has the columns: to check
/// statements by.
pub(super) fn model(
    connection: &Connection,
    columns: &AddedColumns,
) -> rusqlite::Result<Connection> {
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
    for ((table, column), kind) in columns {
        if lacks(&model, table, column)? {
            model.execute_batch(&addition(table, column, kind))?;
        }
    }
    Ok(model)
}

fn addition(table: &str, column: &str, kind: &str) -> String {
    let (table, column) = (quoted(table), quoted(column));
    format!("ALTER TABLE main.{table} ADD COLUMN {column} {kind}")
}

/// Returns whether the table is there, and the column is not.
fn lacks(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let has_table =
        "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let has_column = "SELECT 1 FROM pragma_table_xinfo(?1, 'main') WHERE name = ?2 COLLATE NOCASE";
    Ok(connection.prepare(has_table)?.exists([table])?
        && !connection.prepare(has_column)?.exists([table, column])?)
}

/// An identifier in double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
