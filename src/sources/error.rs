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
