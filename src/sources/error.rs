//! Errors of databases.

/// Queries that do not fit their database.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database cannot be asked at all.
    #[error("{0}")]
    Database(String),
    /// A query is no such query, or names what is not there.
    #[error("{query}: {what}\n  {mend}")]
    Query {
        /// Its key: `select`, `changed`, `mark`, `forget`, `forget 2`.
        query: String,
        /// The mistake in it.
        what: String,
        /// The names that there are, or what would mend it.
        mend: String,
    },
    /// No such time zone.
    #[error(
        "timezone of {column}: unknown time zone \"{zone}\"\n  use an IANA name such as \"Europe/Berlin\", \"UTC\" or \"local\""
    )]
    Zone {
        /// The column.
        column: String,
        /// The name that was found.
        zone: String,
    },
}

/// Reason why a job's record was not written. Nothing of it was, and it may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database cannot be asked, or takes no record now.
    #[error("{0}")]
    Database(String),
    /// The database does not take this record now; it may take others.
    #[error("{0}")]
    Record(String),
    /// A statement fails for this record; it may do for others.
    #[error(
        "{statement} fails in {place} for job \"{job}\": {why}\n  nothing of it was written; see that the statement fits the database"
    )]
    Statement {
        /// Its key: `mark`, `forget`, `forget 2`.
        statement: String,
        /// The database, as messages name it.
        place: String,
        /// The job.
        job: String,
        /// Message of the database.
        why: String,
    },
}

/// Reason why a database could not be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Another process has it locked.
    #[error("it is locked by another process\n  it is read as soon as that process lets go")]
    Busy,
    /// The source is to end.
    #[error("the source was stopped")]
    Stopped,
    /// A query does not fit.
    #[error("{0}")]
    Query(QueryError),
    /// The user lacks a right.
    #[error("{what}\n  {mend}")]
    Denied {
        /// Message of the server.
        what: String,
        /// Command that would give the right.
        mend: String,
    },
    /// The database cannot be asked anything.
    #[error("{what}\n  {mend}")]
    Away {
        /// The reason.
        what: String,
        /// Remedy.
        mend: &'static str,
    },
    /// A statement fails; others may not.
    #[error("{what}\n  {mend}")]
    Failed {
        /// Message of the server.
        what: String,
        /// Remedy.
        mend: &'static str,
    },
}

impl Fault {
    /// A query that does not fit, with what would mend it.
    pub(super) fn query(query: &str, what: String, mend: &str) -> Self {
        Self::Query(QueryError::Query {
            query: query.to_owned(),
            what,
            mend: mend.to_owned(),
        })
    }

    /// Adds to what would mend a query.
    pub(super) fn with_mend(self, more: impl FnOnce() -> String) -> Self {
        match self {
            Self::Query(QueryError::Query { query, what, mend }) => {
                let mut parts = vec![mend, more()];
                parts.retain(|part| !part.is_empty());
                Self::query(&query, what, &parts.join("; "))
            }
            other => other,
        }
    }

    /// The message for people, about the database at `place`.
    pub(super) fn about(&self, place: &str) -> String {
        format!("cannot read jobs from {place}: {self}")
    }
}
