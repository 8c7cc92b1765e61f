//! Options of a PostgreSQL source.
//!
//! **Invariant:** the password is shown nowhere.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "postgres")]
pub use tokio_postgres::Config as Server;

use super::options::Queries;
use crate::core::jobs::SourceId;

/// Server of a build without PostgreSQL: there is none, since addresses are refused.
#[cfg(not(feature = "postgres"))]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server(pub(super) Box<std::convert::Infallible>);

/// A PostgreSQL database as a source of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresOptions {
    /// The source's id.
    pub id: SourceId,
    /// Its name, for people.
    pub name: String,
    /// Hosts, user, password (which it does not show), database.
    pub server: Server,
    /// Encryption of connections.
    pub tls: Tls,
    /// The channel that triggers notify. At most 63 bytes.
    pub channel: String,
    /// Interval at which changes without a notification are asked for. At least a second.
    pub poll: Duration,
    /// Time limit of a statement.
    pub statement_timeout: Duration,
    /// Its queries.
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
