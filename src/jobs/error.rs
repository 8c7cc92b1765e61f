//! Why a database cannot be asked, or does not do as it was told.

/// Queries that do not fit their database.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database cannot be asked at all.
    #[error("{0}")]
    Database(String),
    /// A query is no such query, or names what is not there.
    #[error("{query}: {what}\n  {mend}")]
    Query {
        /// Which one: `select`, `changed`, `mark`, `forget`, `forget 2`.
        query: String,
        /// What is wrong with it.
        what: String,
        /// What there is, or what would mend it.
        mend: String,
    },
    /// No such time zone.
    #[error(
        "timezone of {column}: unknown time zone \"{zone}\"\n  use an IANA name such as \"Europe/Berlin\", \"UTC\" or \"local\""
    )]
    Zone {
        /// The column.
        column: String,
        /// What was found.
        zone: String,
    },
}

/// Why a job's record was not written. Nothing of it was, and it may be tried again.
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
        /// Which one: `mark`, `forget`, `forget 2`.
        statement: String,
        /// The database, as messages name it.
        place: String,
        /// The job.
        job: String,
        /// What the database said.
        why: String,
    },
}
