//! Writes back that a job was cleaned, or removes its record.
//!
//! **Invariant:** nothing is written for a row that is not as it was judged, read within the transaction that writes.
//! **Invariant:** all statements or none.

use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior};
use std::time::Duration;

use super::check;
use super::decode::Decoder;
use super::error::{Fault, WriteError, said};
use super::find::{self, Found};
use super::open;
use super::options::{SqliteOptions, bare};
use super::zone;
use crate::core::jobs::JobRow;
use crate::core::policy::Record;
use crate::core::time::Timestamp;

/// How long a writer waits for others. Who orders it tries again later.
const PATIENCE: Duration = Duration::from_secs(1);

/// The order to write back.
#[derive(Clone, PartialEq, Debug)]
pub struct WriteBack {
    /// The job as it was judged.
    pub job: JobRow,
    /// What becomes of its record.
    pub action: Record,
    /// When it was cleaned.
    pub now: Timestamp,
    /// What went, for people.
    pub summary: String,
}

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// It is as ordered, by this order or by an earlier one.
    Done,
    /// There is no such row any more.
    Gone,
    /// The row is not as it was judged, and was not touched.
    Changed {
        /// What differs.
        how: String,
    },
}

/// Carries out `order`.
///
/// # Errors
/// When the database cannot be written now; nothing was.
pub(super) fn write(
    options: &SqliteOptions,
    decoder: &Decoder,
    order: &WriteBack,
) -> Result<Written, WriteError> {
    let (list, statements) = match order.action {
        Record::Keep => return Ok(Written::Done),
        Record::Mark => ("mark", &options.queries.mark),
        Record::Forget => ("forget", &options.queries.forget),
    };
    let fails = |fault: Fault| {
        let path = options.path.display();
        let id = &order.job.id;
        WriteError::Database(format!("cannot {list} job \"{id}\" in \"{path}\": {fault}"))
    };
    let sqlite_fails = |error| fails(Fault::from(error));
    let mut connection = open::to_write(&options.path, PATIENCE).map_err(fails)?;
    // Writing at once, so that nobody changes the row between looking and writing.
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(sqlite_fails)?;
    let found = find::one(&transaction, decoder, &options.queries, &order.job.id).map_err(fails)?;
    let Some(found) = found else {
        return Ok(Written::Gone);
    };
    if order.action == Record::Mark && found.job.moments.cleaned_at.is_some() {
        return Ok(Written::Done);
    }
    if !found.job.decides_as(&order.job) {
        return Ok(Written::Changed {
            how: difference(&order.job, &found.job),
        });
    }
    let now = zone::shown(&decoder.zone("cleaned_at"), order.now);
    for (at, sql) in statements.iter().enumerate() {
        run(&transaction, sql, order, &now, &found).map_err(|why| WriteError::Statement {
            statement: check::statement_name(list, at, statements.len()),
            path: options.path.clone(),
            job: order.job.id.clone(),
            why,
        })?;
    }
    transaction.commit().map_err(sqlite_fails)?;
    Ok(Written::Done)
}

/// Runs one statement with the parameters that it names.
fn run(
    connection: &Connection,
    sql: &str,
    order: &WriteBack,
    now: &str,
    found: &Found,
) -> Result<(), String> {
    let text = |text: &str| Value::Text(text.to_owned());
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

/// What of a job is not as it was judged.
fn difference(judged: &JobRow, now: &JobRow) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let time = |at: Option<Timestamp>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    let status = |job: &JobRow| match &job.unknown_status {
        Some(word) => format!("\"{word}\""),
        None => job.status.to_string(),
    };
    let (was, is) = (&judged.moments, &now.moments);
    let pairs = [
        ("status", status(judged), status(now)),
        ("kind", text(&judged.kind), text(&now.kind)),
        ("created_at", time(was.created_at), time(is.created_at)),
        (
            "completed_at",
            time(was.completed_at),
            time(is.completed_at),
        ),
        (
            "last_activity",
            time(was.last_activity),
            time(is.last_activity),
        ),
        ("expires_at", time(was.expires_at), time(is.expires_at)),
        ("cleaned_at", time(was.cleaned_at), time(is.cleaned_at)),
        ("files", judged.files.join(", "), now.files.join(", ")),
        (
            "unreadable",
            text(&judged.unreadable),
            text(&now.unreadable),
        ),
    ];
    let told: Vec<String> = pairs
        .into_iter()
        .filter(|(_, was, is)| was != is)
        .map(|(name, was, is)| format!("{name}: {was} → {is}"))
        .collect();
    told.join(", ")
}
