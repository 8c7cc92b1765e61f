//! Options of databases.
//!
//! **Invariant:** a password is shown nowhere.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "postgres")]
pub use tokio_postgres::Config as Server;

use crate::core::jobs::Status;

/// Queries, and how the answers are read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Queries {
    /// All jobs. Columns with these names mean something: `id` (required), `status`, `kind`,
    /// `created_at`, `completed_at`, `last_activity`, `expires_at`, `cleaned_at`, `files`, `error`;
    /// others are attributes.
    pub select: String,
    /// The jobs that changed at `:since` or later, with the columns of `select` and `changed_at`,
    /// whose greatest value is the next `:since`.
    pub changed: Option<String>,
    /// Statements that note that a job was cleaned: one transaction. They may name `:job`, `:now`,
    /// `:summary`, and every column of `select`, as it is just then.
    pub mark: Vec<String>,
    /// Statements that remove a job's record, likewise.
    pub forget: Vec<String>,
    /// The status of every job, where `select` has no such column.
    pub constant_status: Option<Status>,
    /// Meaning of the words of its status column. The five words themselves mean what they say,
    /// unless they are here.
    pub statuses: BTreeMap<String, Status>,
    /// The time zone of naive timestamps, by column: an IANA name, `UTC`, or `local`. Others: UTC.
    pub timezones: BTreeMap<String, String>,
}

impl Queries {
    /// `select` as a table to select from. On lines of its own, since it may end in a comment.
    pub(super) fn jobs(&self) -> String {
        format!("(\n{}\n)", bare(&self.select))
    }
}

/// A statement without the semicolon at its end.
pub(super) fn bare(sql: &str) -> &str {
    sql.trim_end_matches(|c: char| c.is_whitespace() || c == ';')
}

/// A database of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseOptions {
    /// An SQLite database.
    Sqlite(SqliteOptions),
    /// A PostgreSQL database.
    Postgres(Box<PostgresOptions>),
}

impl DatabaseOptions {
    /// Returns true if `other` reads the same database.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(other)) => one.path == other.path,
            (Self::Postgres(one), Self::Postgres(other)) => one.server == other.server,
            (Self::Sqlite(_) | Self::Postgres(_), _) => false,
        }
    }

    /// The queries of the database.
    #[must_use]
    pub fn queries(&self) -> &Queries {
        match self {
            Self::Sqlite(sqlite) => &sqlite.queries,
            Self::Postgres(postgres) => &postgres.queries,
        }
    }
}

/// An SQLite database of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// Path of its file. Absolute; the file is never created.
    pub path: PathBuf,
    /// Queries of the database.
    pub queries: Queries,
    /// Types of columns, by table and column. Missing ones are added when a record is marked.
    pub add_columns: BTreeMap<(String, String), String>,
}

/// Server of a build without PostgreSQL: there is none, since addresses are refused.
#[cfg(not(feature = "postgres"))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server(pub(super) Box<std::convert::Infallible>);

/// A PostgreSQL database of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresOptions {
    /// Hosts, user, password and database; the `Debug` output hides the password.
    pub server: Server,
    /// Encryption of connections. Paths are absolute.
    pub tls: Tls,
    /// Channel on which triggers notify; 1 to 63 bytes.
    pub channel: String,
    /// Interval of queries for changes that no trigger notifies; at least 1 s.
    pub poll: Duration,
    /// Time limit of a statement; at least 1 s.
    pub statement_timeout: Duration,
    /// Queries of the database.
    pub queries: Queries,
}

/// Encryption of connections, as libpq's `sslmode` and its companions say it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tls {
    /// Tells whether to encrypt, and which certificates to accept.
    pub mode: TlsMode,
    /// Certificates to trust.
    pub roots: TlsRoots,
    /// Our own certificate and its key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server can, with any certificate.
    #[default]
    Prefer,
    /// Always, with any certificate unless roots are given.
    Require,
    /// Always, with a certificate that a root vouches for.
    VerifyCa,
    /// Always, with a certificate for this host that a root vouches for.
    VerifyFull,
}

/// Certificates that are trusted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum TlsRoots {
    /// Not configured: those of the system where one is needed.
    #[default]
    Unsaid,
    /// Those of the system.
    System,
    /// Those in this file, in PEM.
    File(PathBuf),
}
