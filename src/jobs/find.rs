//! One job's row, as it is now.

use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};

use super::check;
use super::decode::{Decoder, id_of};
use super::error::{Fault, QueryError};
use super::options::Queries;
use crate::core::jobs::JobRow;

/// A job and the values that its row has.
pub(super) struct Found {
    /// The job, complete.
    pub(super) job: JobRow,
    /// Each column of `select`, as it is in the database.
    pub(super) raw: Vec<(String, Value)>,
}

/// The row of the job `id`; `None`: there is none.
///
/// # Errors
/// When the database cannot be asked, or does not say one thing about the job.
pub(super) fn one(
    connection: &Connection,
    decoder: &Decoder,
    queries: &Queries,
    id: &str,
) -> Result<Option<Found>, Fault> {
    let found = with(connection, decoder, queries, id, &id)?;
    match id.parse::<i64>() {
        // An id that is computed is compared as what it is: 7 is not '7' there.
        Ok(number) if found.is_none() && number.to_string() == id => {
            with(connection, decoder, queries, id, &number)
        }
        Ok(_) | Err(_) => Ok(found),
    }
}

fn with(
    connection: &Connection,
    decoder: &Decoder,
    queries: &Queries,
    id: &str,
    value: &dyn ToSql,
) -> Result<Option<Found>, Fault> {
    let wrong = |error| {
        Fault::of_query("select", error, || {
            check::what_there_is(connection, &queries.select)
        })
    };
    let sql = format!("SELECT * FROM {} WHERE id = ?1", queries.jobs());
    let mut statement = connection.prepare_cached(&sql).map_err(wrong)?;
    let mut rows = statement.query([value]).map_err(wrong)?;
    let mut found: Option<Found> = None;
    while let Some(row) = rows.next().map_err(wrong)? {
        let columns = decoder.columns(row.as_ref());
        let at = columns.id().unwrap_or_default();
        // A column that compares without regard to case gives others, too.
        if id_of(row.get_ref(at).map_err(wrong)?).as_deref() != Some(id) {
            continue;
        }
        let Some(mut job) = decoder.decode(&columns, row).map_err(wrong)? else {
            continue;
        };
        Decoder::complete(&columns, row, &mut job).map_err(wrong)?;
        if found
            .as_ref()
            .is_some_and(|other| !other.job.decides_as(&job))
        {
            return Err(Fault::Query(QueryError::Query {
                query: "select".to_owned(),
                what: format!("several rows have the id \"{id}\", and do not say the same"),
                mend: "see that it gives one row for each job".to_owned(),
            }));
        }
        if found.is_none() {
            let names = row.as_ref().column_names();
            let raw = (0..)
                .zip(names)
                .map(|(at, name)| Ok((name.to_owned(), Value::from(row.get_ref(at)?))))
                .collect::<rusqlite::Result<_>>()
                .map_err(wrong)?;
            found = Some(Found { job, raw });
        }
    }
    Ok(found)
}
