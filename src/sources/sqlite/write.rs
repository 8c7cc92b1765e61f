//! Writes back that a job was cleaned, or removes its record.
//!
//! **Invariant:** nothing is written for a row that is not as it was judged, read within the
//! transaction that writes.
//! **Invariant:** all statements or none.

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::time::Duration;

use super::error::{Fault, said};
use super::find::{self, FoundRow};
use super::missing_columns;
use super::open;
use super::options::SqliteOptions;
use super::row::OwnedValue;
use crate::core::policy::Record;
use crate::sources::decode::Decoder;
use crate::sources::error::WriteError;
use crate::sources::options::bare;
use crate::sources::schema_check;
use crate::sources::write_back::{WriteBack, WriteOutcome, difference};
use crate::sources::zone;

/// Longest wait of a writer for others. The caller tries again later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Carries out `order`.
///
/// # Errors
/// When the database cannot be written now; nothing was.
pub(super) fn write(
    options: &SqliteOptions,
    decoder: &Decoder,
    order: &WriteBack,
) -> Result<WriteOutcome, WriteError> {
    let (list, statements) = match order.action {
        Record::Keep => return Ok(WriteOutcome::Done),
        Record::Mark => ("mark", &options.queries.mark),
        Record::Forget => ("forget", &options.queries.forget),
    };
    let told = |fault: &Fault| {
        let path = options.path.display();
        let id = &order.job.id;
        format!("cannot {list} job \"{id}\" in \"{path}\": {fault}")
    };
    let fails = |fault: Fault| match &fault {
        // The query stumbles over this row.
        Fault::Query(_) => WriteError::Record(told(&fault)),
        _ => WriteError::Database(told(&fault)),
    };
    let sqlite_fails = |error| fails(Fault::from(error));
    let mut connection = open::to_write(&options.path, PATIENCE).map_err(fails)?;
    // Writing at once, so that no writer changes the row between looking and writing.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite_fails)?;
    let views =
        missing_columns::shadow_with_views(&transaction, &options.add_columns).map_err(fails)?;
    let found = find::one(&transaction, decoder, &options.queries, &order.job.id)
        .map_err(fails)?
        .found();
    let Some(found) = found else {
        return Ok(WriteOutcome::Gone);
    };
    if order.action == Record::Mark && found.job.moments.cleaned_at.is_some() {
        return Ok(WriteOutcome::Done);
    }
    if !found.job.decides_as(&order.job) {
        return Ok(WriteOutcome::Changed {
            how: difference(&order.job, &found.job),
        });
    }
    missing_columns::drop_shadow_views(&transaction, &views).map_err(fails)?;
    if order.action == Record::Mark {
        missing_columns::add(&transaction, &options.add_columns).map_err(fails)?;
    }
    let now = zone::shown(&decoder.zone("cleaned_at"), order.now);
    for (at, sql) in statements.iter().enumerate() {
        run(&transaction, sql, order, &now, &found).map_err(|why| WriteError::Statement {
            statement: schema_check::statement_name(list, at, statements.len()),
            place: format!("\"{}\"", options.path.display()),
            job: order.job.id.clone(),
            why,
        })?;
    }
    transaction.commit().map_err(|error| {
        // A deferred constraint speaks up here, about what was just written.
        let is_constraint = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
        let fault = Fault::from(error);
        if is_constraint {
            WriteError::Record(told(&fault))
        } else {
            fails(fault)
        }
    })?;
    Ok(WriteOutcome::Done)
}

/// Runs one statement with the parameters that it names.
fn run(
    connection: &Connection,
    sql: &str,
    order: &WriteBack,
    now: &str,
    found: &FoundRow,
) -> Result<(), String> {
    let text = |text: &str| OwnedValue::Text(text.as_bytes().to_vec());
    let column = |wanted: &str| {
        found
            .raw
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.clone())
    };
    let mut statement = connection
        .prepare(bare(sql))
        .map_err(|error| said(&error))?;
    for at in 1..=statement.parameter_count() {
        let name = statement.parameter_name(at).unwrap_or("?").to_owned();
        let value = match &name[1..] {
            // As it stands in the row: a number is compared as a number.
            "job" => column("id"),
            "now" => Some(text(now)),
            "summary" => Some(text(&order.summary)),
            other => column(other),
        };
        let value = value.ok_or_else(|| format!("unknown parameter {name}"))?;
        statement
            .raw_bind_parameter(at, value)
            .map_err(|error| said(&error))?;
    }
    // A statement may return rows (RETURNING): then it is through only after the last one.
    let mut rows = statement.raw_query();
    while rows.next().map_err(|error| said(&error))?.is_some() {}
    Ok(())
}
