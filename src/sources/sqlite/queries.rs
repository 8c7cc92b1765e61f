//! Queries that a reading asks, and how SQLite gives their rows.

use std::cmp::Ordering;

use rusqlite::Connection;

use super::check;
use super::error::query_fault;
use super::row::OwnedValue;
use crate::sources::error::Fault;
use crate::sources::options::{Queries, bare};
use crate::sources::snapshot_diff::ScanStrategy;

/// Returns how everything that `queries` ask can be read.
///
/// # Errors
/// When the query does not fit.
pub(super) fn strategy(connection: &Connection, queries: &Queries) -> Result<ScanStrategy, Fault> {
    let sql = format!("EXPLAIN QUERY PLAN {}", page_after(queries));
    let steps = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            steps.push(row.get::<_, String>(3)?);
        }
        Ok(steps)
    };
    let steps = steps().map_err(|error| {
        query_fault("select", error, || {
            check::what_there_is(connection, &queries.select)
        })
    })?;
    let is_search = |step: &String| {
        ["SEARCH ", "SCALAR SUBQUERY", "CORRELATED SCALAR SUBQUERY"]
            .iter()
            .any(|begin| step.starts_with(begin))
    };
    let is_by_id = |step: &String| step.ends_with(">?)");
    if steps.first().is_some_and(is_by_id) && steps.iter().all(is_search) {
        Ok(ScanStrategy::Paged)
    } else {
        Ok(ScanStrategy::SinglePass)
    }
}

/// The first page of rows with an id; its parameter limits their number.
pub(super) fn page_first(queries: &Queries) -> String {
    let jobs = queries.jobs();
    format!("SELECT * FROM {jobs} WHERE id IS NOT NULL ORDER BY id LIMIT ?1")
}

/// The page after the id that is the first parameter.
pub(super) fn page_after(queries: &Queries) -> String {
    let jobs = queries.jobs();
    format!("SELECT * FROM {jobs} WHERE id > ?1 ORDER BY id LIMIT ?2")
}

/// The greatest `changed_at` that there is: what changes are asked from. Of an empty table 0, which
/// comes before every text as before every instant.
///
/// # Errors
/// When the query does not fit.
pub(super) fn latest_change(connection: &Connection, sql: &str) -> Result<OwnedValue, Fault> {
    let query = format!("SELECT max(changed_at) FROM (\n{}\n)", bare(sql));
    let ask = || -> rusqlite::Result<OwnedValue> {
        let mut statement = connection.prepare_cached(&query)?;
        if let Some(at) = statement.parameter_index(":since")? {
            statement.raw_bind_parameter(at, 0)?;
        }
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => Ok(row.get_ref(0)?.into()),
            None => Ok(OwnedValue::Null),
        }
    };
    match ask() {
        Ok(OwnedValue::Null) => Ok(OwnedValue::Integer(0)),
        Ok(latest) => Ok(latest),
        Err(error) => Err(query_fault("changed", error, || {
            check::what_there_is(connection, sql)
        })),
    }
}

/// The order of values in SQLite: nothing, numbers, texts, bytes.
pub(super) fn order(one: &OwnedValue, other: &OwnedValue) -> Ordering {
    let rank = |value: &OwnedValue| match value {
        OwnedValue::Null => 0,
        OwnedValue::Integer(_) | OwnedValue::Real(_) => 1,
        OwnedValue::Text(_) => 2,
        OwnedValue::Blob(_) => 3,
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a change too early asked for is only read again"
    )]
    let number = |value: &OwnedValue| match value {
        OwnedValue::Integer(number) => *number as f64,
        OwnedValue::Real(number) => *number,
        OwnedValue::Null | OwnedValue::Text(_) | OwnedValue::Blob(_) => 0.0,
    };
    match (one, other) {
        (OwnedValue::Integer(one), OwnedValue::Integer(other)) => one.cmp(other),
        (OwnedValue::Text(one), OwnedValue::Text(other))
        | (OwnedValue::Blob(one), OwnedValue::Blob(other)) => one.cmp(other),
        _ => rank(one)
            .cmp(&rank(other))
            .then_with(|| number(one).total_cmp(&number(other))),
    }
}
