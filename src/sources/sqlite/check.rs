//! Checks that the queries fit the database, for `lapsed check` and for messages.
//!
//! **Invariant:** checking writes nothing and creates nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::{Connection, Statement};

use super::error::{Fault, said};
use super::missing_columns;
use super::open;
use super::options::SqliteOptions;
use crate::sources::decode::Decoder;
use crate::sources::error::QueryError;
use crate::sources::options::{Queries, bare};
use crate::sources::schema_check::{self, DECIDING, PARAMETERS, listed, statement_name};

/// Longest wait of a check for a writer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns whether the queries of `options` fit its database. Opens it for reading only.
///
/// # Errors
/// When it cannot be opened, or a query does not fit, with the query and the column.
pub fn check_sqlite(options: &SqliteOptions) -> Result<(), QueryError> {
    Decoder::new(&options.name, &options.queries)?;
    let unread = |fault: Fault| match fault {
        Fault::Query(error) => error,
        fault => QueryError::Database(fault.about(&options.path)),
    };
    let (connection, _) = open::to_read(options, PATIENCE).map_err(unread)?;
    queries(&connection, &options.queries)
        .and_then(|known| statements(&connection, options, &known))
        .map_err(unread)
}

/// Returns whether what asks fits the database behind `connection`; says what columns `select` has.
pub(super) fn queries(
    connection: &Connection,
    queries: &Queries,
) -> Result<BTreeSet<String>, Fault> {
    let select = prepare(connection, "select", &queries.select)?;
    reads(&select, "select", connection, queries)?;
    if let Some(name) = parameters(&select)?.into_iter().next() {
        return Err(wrong(
            "select",
            format!("unknown parameter {name}"),
            "it may name none",
        ));
    }
    let known: BTreeSet<String> = names(&select);
    // Also as a table of its own, as it is used.
    let wrapped = format!("SELECT * FROM {} WHERE id = ?1", queries.jobs());
    prepare(connection, "select", &wrapped)?;
    if let Some(sql) = &queries.changed {
        changed(connection, queries, sql, &known)?;
    }
    Ok(known)
}

/// Returns whether what writes fits the database behind `connection`, as it will be once it has all
/// columns.
fn statements(
    connection: &Connection,
    options: &SqliteOptions,
    known: &BTreeSet<String>,
) -> Result<(), Fault> {
    let model;
    let connection = if options.add_columns.is_empty() {
        connection
    } else {
        model = missing_columns::model(connection, &options.add_columns).map_err(Fault::from)?;
        &model
    };
    let queries = &options.queries;
    for (name, list) in [("mark", &queries.mark), ("forget", &queries.forget)] {
        for (at, sql) in list.iter().enumerate() {
            writes(
                connection,
                &statement_name(name, at, list.len()),
                sql,
                known,
            )?;
        }
    }
    Ok(())
}

fn changed(
    connection: &Connection,
    queries: &Queries,
    sql: &str,
    known: &BTreeSet<String>,
) -> Result<(), Fault> {
    let statement = prepare(connection, "changed", sql)?;
    reads(&statement, "changed", connection, queries)?;
    let has = names(&statement);
    let missing = DECIDING
        .into_iter()
        .filter(|name| known.contains(*name))
        .chain(["changed_at"])
        .find(|name| !has.contains(*name));
    if let Some(name) = missing {
        return Err(wrong(
            "changed",
            format!("no column \"{name}\""),
            "it needs the columns of select, and changed_at",
        ));
    }
    match parameters(&statement)?.as_slice() {
        [name] if name == ":since" => Ok(()),
        [] => Err(wrong(
            "changed",
            "it does not name :since".to_owned(),
            "without it, all jobs would be read each time: ask for those that changed at :since or later",
        )),
        names => {
            let other = names.iter().find(|name| *name != ":since");
            let other = other.map_or("?", String::as_str);
            Err(wrong(
                "changed",
                format!("unknown parameter {other}"),
                "it may name :since",
            ))
        }
    }
}

fn reads(
    statement: &Statement<'_>,
    query: &str,
    connection: &Connection,
    queries: &Queries,
) -> Result<(), Fault> {
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(wrong(
            query,
            "it is no query".to_owned(),
            "it must be a SELECT: nothing is written when jobs are read",
        ));
    }
    let sql = queries.changed.as_deref().filter(|_| query == "changed");
    schema_check::columns(query, &names(statement), queries).map_err(|error| match error {
        QueryError::Query { query, what, mend } => Fault::Query(QueryError::Query {
            query,
            what,
            mend: format!(
                "{mend}; {}",
                what_there_is(connection, sql.unwrap_or(&queries.select))
            ),
        }),
        error => Fault::Query(error),
    })
}

fn writes(
    connection: &Connection,
    name: &str,
    sql: &str,
    known: &BTreeSet<String>,
) -> Result<(), Fault> {
    let statement = prepare(connection, name, sql)?;
    if statement.readonly() {
        return Err(wrong(
            name,
            "it writes nothing".to_owned(),
            "it must be an UPDATE, DELETE or INSERT",
        ));
    }
    for parameter in parameters(&statement)? {
        let bare = parameter[1..].to_lowercase();
        if !PARAMETERS.contains(&bare.as_str()) && !known.contains(&bare) {
            let mut may: Vec<String> = PARAMETERS.map(|name| format!(":{name}")).into();
            may.extend(known.iter().map(|name| format!(":{name}")));
            return Err(wrong(
                name,
                format!("unknown parameter {parameter}"),
                &format!("it may name {}", may.join(", ")),
            ));
        }
    }
    Ok(())
}

fn prepare<'a>(connection: &'a Connection, query: &str, sql: &str) -> Result<Statement<'a>, Fault> {
    let statement = connection.prepare(bare(sql)).map_err(|error| match error {
        rusqlite::Error::MultipleStatement => wrong(
            query,
            said(&error),
            "give them as a list, each a text of its own",
        ),
        error => Fault::of_query(query, error, || what_there_is(connection, sql)),
    })?;
    if statement.column_count() == 0 && bare(sql).is_empty() {
        return Err(wrong(
            query,
            "it is empty".to_owned(),
            "leave it out, or write a statement",
        ));
    }
    Ok(statement)
}

/// The parameters that a statement names.
fn parameters(statement: &Statement<'_>) -> Result<Vec<String>, Fault> {
    (1..=statement.parameter_count())
        .map(|at| match statement.parameter_name(at) {
            Some(name) if !name.starts_with('?') => Ok(name.to_owned()),
            Some(_) | None => Ok("?".to_owned()),
        })
        .collect()
}

fn names(statement: &Statement<'_>) -> BTreeSet<String> {
    let names = statement.column_names();
    names.iter().map(|name| name.to_lowercase()).collect()
}

fn wrong(query: &str, what: String, mend: &str) -> Fault {
    Fault::Query(schema_check::wrong(query, what, mend))
}

/// Returns what the database has of what a query names: `table jobs has id, status, …`.
pub(super) fn what_there_is(connection: &Connection, sql: &str) -> String {
    let list = |sql: &str, of: &[&str]| -> Vec<String> {
        let ask = || -> rusqlite::Result<Vec<String>> {
            let mut statement = connection.prepare(sql)?;
            let names = statement.query_map(rusqlite::params_from_iter(of), |row| row.get(0))?;
            names.collect()
        };
        ask().unwrap_or_default()
    };
    let tables = list(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        &[],
    );
    let words: BTreeSet<String> = sql
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_lowercase)
        .collect();
    let named: Vec<String> = tables
        .iter()
        .filter(|table| words.contains(&table.to_lowercase()))
        .map(|table| {
            let columns = list("SELECT name FROM pragma_table_info(?1)", &[table]);
            format!("table {table} has {}", listed(&columns))
        })
        .collect();
    if tables.is_empty() {
        "the database has no tables yet".to_owned()
    } else if named.is_empty() {
        format!("the database has the tables {}", listed(&tables))
    } else {
        named.join("; ")
    }
}
