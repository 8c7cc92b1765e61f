//! Writes back that a job was cleaned, or removes its record.
//!
//! **Invariant:** nothing is written for a row that is not as it was judged, read within the
//! transaction that writes.
//! **Invariant:** all statements or none.

use super::driver::Driver;
use super::error::WriteError;
use super::options::Queries;
use super::schema_check;
use super::write_back::{WriteBack, WriteFailure, WriteOutcome};
use crate::core::jobs::JobRow;
use crate::core::policy::Record;
use crate::core::time::Timestamp;

/// Carries out `order` in the database of `driver`.
///
/// # Errors
/// When the database cannot be written now. It may be tried again: what was written after all is
/// found done.
pub(super) fn write(
    driver: &dyn Driver,
    queries: &Queries,
    order: &WriteBack,
) -> Result<WriteOutcome, WriteError> {
    let (list, statements) = match order.action {
        Record::Keep => return Ok(WriteOutcome::Done),
        Record::Mark => ("mark", &queries.mark),
        Record::Forget => ("forget", &queries.forget),
    };
    let (place, job) = (driver.place(), &order.job.id);
    let told = |why: &str| format!("cannot {list} job \"{job}\" in {place}: {why}");
    let fails = |failure, statement: String| match failure {
        WriteFailure::Database(why) => WriteError::Database(told(&why)),
        WriteFailure::Record(why) => WriteError::Record(told(&why)),
        WriteFailure::Statement(why) => WriteError::Statement {
            statement,
            place: place.clone(),
            job: job.clone(),
            why,
        },
    };
    let fails_at_all = |failure| fails(failure, list.to_owned());
    let mut transaction = driver.begin().map_err(fails_at_all)?;
    let Some(found) = transaction.find(job).map_err(fails_at_all)? else {
        return Ok(WriteOutcome::Gone);
    };
    if order.action == Record::Mark && found.moments.cleaned_at.is_some() {
        return Ok(WriteOutcome::Done);
    }
    if !found.decides_as(&order.job) {
        let how = difference(&order.job, &found);
        return Ok(WriteOutcome::Changed { how });
    }
    for (at, sql) in statements.iter().enumerate() {
        let statement = || schema_check::statement_name(list, at, statements.len());
        transaction
            .run(sql, order)
            .map_err(|failure| fails(failure, statement()))?;
    }
    transaction.commit().map_err(fails_at_all)?;
    Ok(WriteOutcome::Done)
}

/// Describes what of a job is not as it was judged.
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
