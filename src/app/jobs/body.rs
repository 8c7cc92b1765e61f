//! From the body of `PUT /v1/jobs/{id}` to the job's row.

use crate::app::error::AppError;
use crate::core::jobs::{JobRow, JobTimestamps, Status};
use crate::core::time::Timestamp;
use crate::types::{JobOrder, Moment};

/// Files that a job may claim: their places are kept in memory.
const FILES_MAX: usize = 10_000;

/// The longest of them, in bytes: as long as a path can be.
const FILE_MAX: usize = 4096;

/// The longest kind, in bytes: it is kept in memory.
const KIND_MAX: usize = 512;

/// The row of the job `id`, as far as `order` says it.
pub(crate) fn read(id: String, order: JobOrder) -> Result<JobRow, AppError> {
    let words = || Status::ALL.map(Status::as_str);
    let word = order
        .status
        .ok_or_else(|| AppError::invalid("the job's \"status\" is missing").allowed(words()))?;
    let status = Status::of_word(&word).ok_or_else(|| {
        AppError::invalid(format!("the job's \"status\" cannot be \"{word}\"")).allowed(words())
    })?;
    if order.files.len() > FILES_MAX {
        return Err(AppError::invalid(format!(
            "a job claims at most {FILES_MAX} files, this one claims {}",
            order.files.len()
        ))
        .hint("claim a directory instead"));
    }
    if let Some(long) = order.files.iter().find(|file| file.len() > FILE_MAX) {
        return Err(AppError::invalid(format!(
            "the name of a file is at most {FILE_MAX} bytes long, one is {}",
            long.len()
        )));
    }
    if let Some(kind) = order.kind.as_ref().filter(|kind| kind.len() > KIND_MAX) {
        return Err(AppError::invalid(format!(
            "the job's \"kind\" is at most {KIND_MAX} bytes long, this one is {}",
            kind.len()
        )));
    }
    let at = |moment: Option<Moment>| moment.map(|Moment(at)| at);
    Ok(JobRow {
        kind: order.kind,
        moments: JobTimestamps {
            created_at: at(order.created_at),
            completed_at: at(order.completed_at),
            last_activity: at(order.last_activity),
            expires_at: at(order.expires_at),
            cleaned_at: at(order.cleaned_at),
        },
        error: order.error,
        files: order.files,
        attributes: order.attributes,
        ..JobRow::new(id, status)
    })
}

/// `draft` with the instants that nobody said, for a job that was `before` and is told of at `now`.
pub(crate) fn complete(draft: JobRow, before: Option<&JobRow>, now: Timestamp) -> JobRow {
    let mut row = draft;
    let known = before.and_then(|before| before.moments.created_at);
    row.moments.created_at = row.moments.created_at.or(known).or(Some(now));
    if row.status.is_over() {
        let ended = before
            .filter(|before| before.status.is_over())
            .and_then(|before| before.moments.completed_at);
        row.moments.completed_at = row.moments.completed_at.or(ended).or(Some(now));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(5000);

    fn order(status: &str) -> JobOrder {
        JobOrder {
            status: Some(status.to_owned()),
            ..JobOrder::default()
        }
    }

    fn put(order: JobOrder, before: Option<&JobRow>, now: Timestamp) -> JobRow {
        complete(read("one".to_owned(), order).unwrap(), before, now)
    }

    #[test]
    fn omitted_instants_are_as_known_or_now() {
        let later = NOW.plus_ms(10);
        let running = put(order("running"), None, NOW);
        assert_eq!(running.moments.created_at, Some(NOW));
        assert_eq!(running.moments.completed_at, None);
        let failed = put(order("failed"), Some(&running), later);
        assert_eq!(failed.moments.created_at, Some(NOW));
        assert_eq!(failed.moments.completed_at, Some(later));
        // It had ended before: the end stays.
        let cancelled = put(order("cancelled"), Some(&failed), later.plus_ms(5));
        assert_eq!(cancelled.moments.completed_at, Some(later));
        // It runs again, and ends again.
        let again = put(order("running"), Some(&failed), later);
        assert_eq!(again.moments.completed_at, None);
        let ended = put(order("completed"), Some(&again), later.plus_ms(7));
        assert_eq!(ended.moments.completed_at, Some(later.plus_ms(7)));
        let told = JobOrder {
            completed_at: Some(Moment(Timestamp::from_unix_ms(1))),
            ..order("completed")
        };
        let told = put(told, Some(&failed), later);
        assert_eq!(told.moments.completed_at, Some(Timestamp::from_unix_ms(1)));
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let files = |count, length| JobOrder {
            files: vec!["x".repeat(length); count],
            ..order("running")
        };
        assert!(read("one".into(), files(FILES_MAX, 1)).is_ok());
        assert!(read("one".into(), files(1, FILE_MAX)).is_ok());
        for bad in [files(FILES_MAX + 1, 1), files(1, FILE_MAX + 1)] {
            assert_eq!(
                read("one".into(), bad).unwrap_err().kind,
                crate::app::ErrorKind::Invalid
            );
        }
    }
}
