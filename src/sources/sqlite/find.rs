//! One job's row, as it is now.

use rusqlite::{Connection, ToSql};

use super::check;
use super::error::query_fault;
use super::row::{self, OwnedValue};
use crate::sources::context::SourceContext;
use crate::sources::error::Fault;
use crate::sources::lookup::{Candidates, FoundRow, Lookup};

/// Returns what there is of the job `id`.
///
/// # Errors
/// When the database cannot be asked, or does not say one thing about the job.
pub(super) fn one(
    connection: &Connection,
    context: &SourceContext,
    id: &str,
) -> Result<Lookup<FoundRow<OwnedValue>>, Fault> {
    let found = with(connection, context, id, &id)?;
    match id.parse::<i64>() {
        // An id that is computed is compared as what it is: 7 is not '7' there.
        Ok(number) if matches!(found, Lookup::Missing) && number.to_string() == id => {
            with(connection, context, id, &number)
        }
        Ok(_) | Err(_) => Ok(found),
    }
}

fn with(
    connection: &Connection,
    context: &SourceContext,
    id: &str,
    value: &dyn ToSql,
) -> Result<Lookup<FoundRow<OwnedValue>>, Fault> {
    let queries = &context.queries;
    let wrong = |error| {
        query_fault("select", error, || {
            check::what_there_is(connection, &queries.select)
        })
    };
    let sql = format!("SELECT * FROM {} WHERE id = ?1", queries.jobs());
    let mut statement = connection.prepare_cached(&sql).map_err(wrong)?;
    let mut rows = statement.query([value]).map_err(wrong)?;
    let mut candidates = Candidates::new(&context.decoder, id);
    while let Some(row) = rows.next().map_err(wrong)? {
        let names = row.as_ref().column_names();
        let columns = context.decoder.columns(&names);
        let values = row::owned(row).map_err(wrong)?;
        candidates.add(&columns, &row::cells(row).map_err(wrong)?, || {
            names.into_iter().map(str::to_owned).zip(values).collect()
        })?;
    }
    Ok(candidates.into_lookup())
}
