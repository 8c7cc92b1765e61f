//! Errors of SQLite databases.

use std::io;

use rusqlite::ffi::ErrorCode;

use crate::sources::error::Fault;

/// Returns what an error of a file means.
pub(super) fn file_fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::Away {
            what: "it does not exist".to_owned(),
            mend: "it is read as soon as it is there",
        },
        _ => Fault::Away {
            what: error.to_string(),
            mend: "see that the service's user may read it and its directory",
        },
    }
}

/// Returns what an error of SQLite means that came of a query: mostly the query's fault.
pub(super) fn query_fault(
    query: &str,
    error: rusqlite::Error,
    mend: impl FnOnce() -> String,
) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ApiMisuse) | None => {
            Fault::query(query, said(&error), &mend())
        }
        Some(_) => Fault::from(error),
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let what = said(&error);
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::OperationInterrupted) => Self::Stopped,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Away {
                what: format!("it is not an SQLite database, or damaged: {what}"),
                mend: "see that the path is right",
            },
            _ => Self::Away {
                what,
                mend: "see that the service's user may read it, and write in its directory if it keeps a write-ahead log",
            },
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
