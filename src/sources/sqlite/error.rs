//! Errors of SQLite databases.

use std::io;
use std::path::Path;

use rusqlite::ffi::ErrorCode;

use crate::sources::error::QueryError;

/// Reason why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Another process has it locked.
    #[error("it is locked by another process\n  it is read as soon as that process lets go")]
    Busy,
    /// It is not there.
    #[error("it does not exist\n  it is read as soon as it is there")]
    Missing,
    /// The operating system refuses.
    #[error("{0}\n  see that the service's user may read it and its directory")]
    Refused(io::Error),
    /// The operating system refuses to watch for changes.
    #[error(
        "its directory cannot be watched: {0}\n  see fs.inotify.max_user_instances and fs.inotify.max_user_watches"
    )]
    Unwatched(String),
    /// It is something else.
    #[error("it is not an SQLite database, or damaged: {0}\n  see that the path is right")]
    NoDatabase(String),
    /// A query does not fit.
    #[error("{0}")]
    Query(QueryError),
    /// SQLite fails.
    #[error(
        "{0}\n  see that the service's user may read it, and write in its directory if it keeps a write-ahead log"
    )]
    Failed(String),
    /// The source is to end.
    #[error("the source was stopped")]
    Stopped,
}

impl Fault {
    /// Returns what an error of SQLite means that came of a query: mostly the query's fault.
    pub(super) fn of_query(
        query: &str,
        error: rusqlite::Error,
        mend: impl FnOnce() -> String,
    ) -> Self {
        let is_the_query = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ApiMisuse) | None
        );
        if is_the_query {
            Self::Query(QueryError::Query {
                query: query.to_owned(),
                what: said(&error),
                mend: mend(),
            })
        } else {
            Self::from(error)
        }
    }

    /// The message for people, about the database at `path`.
    pub(super) fn about(&self, path: &Path) -> String {
        format!("cannot read jobs from \"{}\": {self}", path.display())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::OperationInterrupted) => Self::Stopped,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::NoDatabase(said(&error))
            }
            _ => Self::Failed(said(&error)),
        }
    }
}

/// Returns what SQLite said, without the query that it repeats.
pub(super) fn said(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        rusqlite::Error::MultipleStatement => "several statements in one text".to_owned(),
        other => other.to_string(),
    }
}
