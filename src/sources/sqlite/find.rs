//! One job's row, as it is now.

use rusqlite::{Connection, ToSql};

use super::check;
use super::error::Fault;
use super::row::{self, OwnedValue};
use crate::core::jobs::JobRow;
use crate::sources::decode::Decoder;
use crate::sources::error::QueryError;
use crate::sources::lookup::Lookup;
use crate::sources::options::Queries;

/// A job and the values that its row has.
pub(super) struct FoundRow {
    /// The job, complete.
    pub(super) job: JobRow,
    /// Each column of `select`, as it is in the database.
    pub(super) raw: Vec<(String, OwnedValue)>,
}

/// Returns what there is of the job `id`.
///
/// # Errors
/// When the database cannot be asked, or does not say one thing about the job.
pub(super) fn one(
    connection: &Connection,
    decoder: &Decoder,
    queries: &Queries,
    id: &str,
) -> Result<Lookup<FoundRow>, Fault> {
    let found = with(connection, decoder, queries, id, &id)?;
    match id.parse::<i64>() {
        // An id that is computed is compared as what it is: 7 is not '7' there.
        Ok(number) if matches!(found, Lookup::Missing) && number.to_string() == id => {
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
) -> Result<Lookup<FoundRow>, Fault> {
    let wrong = |error| {
        Fault::of_query("select", error, || {
            check::what_there_is(connection, &queries.select)
        })
    };
    let sql = format!("SELECT * FROM {} WHERE id = ?1", queries.jobs());
    let mut statement = connection.prepare_cached(&sql).map_err(wrong)?;
    let mut rows = statement.query([value]).map_err(wrong)?;
    let mut found: Option<FoundRow> = None;
    let mut other = Lookup::Missing;
    while let Some(row) = rows.next().map_err(wrong)? {
        let columns = decoder.columns(&row.as_ref().column_names());
        let cells = row::cells(row).map_err(wrong)?;
        // A column that compares without regard to case gives others, too.
        let spelled = columns.id_in(&cells);
        if spelled.as_deref() != Some(id) {
            other.or(spelled);
            continue;
        }
        let mut job = decoder.decode(&columns, &cells);
        Decoder::complete(&columns, &cells, &mut job);
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
            let names = names.into_iter().map(str::to_owned);
            let raw = names.zip(row::owned(row).map_err(wrong)?).collect();
            found = Some(FoundRow { job, raw });
        }
    }
    Ok(found.map_or(other, Lookup::Found))
}
