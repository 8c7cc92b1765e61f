//! One job's row, as it is now.

use tokio_postgres::Row;

use super::connection::Connection;
use super::error::{ServerError, query_fault};
use super::row::text;
use super::shape::{self, Asked, Shape};
use crate::core::jobs::JobRow;
use crate::sources::error::Fault;
use crate::sources::lookup::{Candidates, FoundRow, Lookup};

/// Rows that are asked for one by one at a time.
const TOGETHER: usize = 64;

/// Text of a column, as the server writes it.
pub(super) type Text = Option<String>;

/// Lock of a row that is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RowLock {
    /// None, where the server cannot lock rows.
    None,
    /// Until the transaction ends.
    ForUpdate,
}

/// Returns what there is of the job `id`.
///
/// # Errors
/// When the database cannot be asked, or does not say one thing about the job.
pub(super) fn one(
    link: &Connection,
    shape: &Shape,
    asked: &Asked<'_>,
    id: &str,
) -> Result<Lookup<FoundRow<Text>>, Fault> {
    let rows = link.rows(&query(shape, &shape.list()), &[Some(id)]);
    found(link, shape, asked, id, rows)
}

/// Likewise, of each of `ids`.
///
/// # Errors
/// Likewise.
pub(super) fn each(
    link: &Connection,
    shape: &Shape,
    asked: &Asked<'_>,
    ids: &[String],
) -> Result<Vec<Lookup<JobRow>>, Fault> {
    let sql = query(shape, &shape.list());
    let mut all = Vec::new();
    for ids in ids.chunks(TOGETHER) {
        let answers = link
            .rows_of_each(&sql, ids)
            .map_err(|said| shape::wrong(link, asked, &said))?;
        for (id, rows) in ids.iter().zip(answers) {
            let found = found(link, shape, asked, id, rows)?;
            all.push(found.map(|found| found.job));
        }
    }
    Ok(all)
}

/// Returns what there is of the job `id` in the transaction of `link`, with its columns as text.
///
/// # Errors
/// Likewise. The transaction is of no more use then, unless there is a savepoint.
pub(super) fn to_write(
    link: &Connection,
    shape: &Shape,
    asked: &Asked<'_>,
    id: &str,
    lock: RowLock,
) -> Result<Lookup<FoundRow<Text>>, Fault> {
    let mut sql = query(shape, &format!("{}, {}", shape.list(), shape.texts()));
    if lock == RowLock::ForUpdate {
        sql.push_str(" FOR UPDATE");
    }
    let rows = link.rows(&sql, &[Some(id)]);
    let rows = rows.map_err(|said| query_fault(asked.query, &said, asked.user, ""))?;
    of_rows(shape, asked, id, &rows, |row| {
        let names = shape.names().iter().enumerate();
        let text = |at| shape.text_behind(row, at).map(str::to_owned);
        names.map(|(at, name)| (name.clone(), text(at))).collect()
    })
}

fn query(shape: &Shape, list: &str) -> String {
    format!(
        "SELECT {list} FROM {} WHERE {} = $1",
        shape.table(),
        shape.id()
    )
}

fn found(
    link: &Connection,
    shape: &Shape,
    asked: &Asked<'_>,
    id: &str,
    rows: Result<Vec<Row>, ServerError>,
) -> Result<Lookup<FoundRow<Text>>, Fault> {
    match rows {
        Ok(rows) => of_rows(shape, asked, id, &rows, |_| Vec::new()),
        Err(said) if said.is_about_a_value() && is_no_value(link, shape, id) => Ok(Lookup::Missing),
        Err(said) if said.ends_the_connection() => {
            Err(query_fault(asked.query, &said, asked.user, ""))
        }
        Err(said) => Err(shape::wrong(link, asked, &said)),
    }
}

fn of_rows(
    shape: &Shape,
    asked: &Asked<'_>,
    id: &str,
    rows: &[Row],
    texts: impl Fn(&Row) -> Vec<(String, Text)>,
) -> Result<Lookup<FoundRow<Text>>, Fault> {
    let mut candidates = Candidates::new(&asked.context.decoder, id);
    for row in rows {
        candidates.add(shape.columns(), &shape.cells(row)?, || texts(row))?;
    }
    Ok(candidates.into_lookup())
}

/// Returns whether `id` is no value of the ids' type at all, such as no number: then no row can
/// have it. That the query failed proves nothing, since it may stumble over the rows themselves.
fn is_no_value(link: &Connection, shape: &Shape, id: &str) -> bool {
    let (table, column) = (shape.table(), shape.id());
    let kind = format!(
        "SELECT format_type(pg_typeof({column})::oid, NULL) FROM (VALUES (1)) AS one (one) LEFT JOIN (SELECT * FROM {table} LIMIT 0) AS jobs ON true"
    );
    let Ok(rows) = link.rows(&kind, &[]) else {
        return false;
    };
    let Some(kind) = rows.first().and_then(|row| text(row, 0)) else {
        return false;
    };
    let sql = format!("SELECT $1::{kind} IS NULL");
    link.rows(&sql, &[Some(id)])
        .is_err_and(|said| said.is_about_a_value())
}
