//! Options of a PostgreSQL source.
//!
//! **Invariant:** the password is shown nowhere.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::core::jobs::SourceId;
use crate::sources::options::Queries;

/// The port of a server that says none.
const PORT: u16 = 5432;

/// A PostgreSQL database as a source of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresOptions {
    /// The source's id.
    pub id: SourceId,
    /// Its name, for people.
    pub name: String,
    /// Hosts, user, password (which it does not show), database.
    pub server: Config,
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

impl PostgresOptions {
    /// The database as messages name it: `postgres at HOST:PORT/DB as USER`.
    #[must_use]
    pub fn place(&self) -> String {
        place(&self.server)
    }

    /// Returns the user.
    pub(super) fn user(&self) -> &str {
        self.server.get_user().unwrap_or("the service's user")
    }
}

/// Returns where `server` is, without its password.
#[must_use]
pub fn place(server: &Config) -> String {
    let ports = server.get_ports();
    let hosts = server.get_hosts().iter().enumerate().map(|(at, host)| {
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
        match host {
            Host::Tcp(host) if host.contains(':') => format!("[{host}]:{port}"),
            Host::Tcp(host) => format!("{host}:{port}"),
            Host::Unix(dir) => format!("{}:{port}", dir.display()),
        }
    });
    let hosts: Vec<String> = hosts.collect();
    let mut text = format!("postgres at {}", hosts.join(","));
    if let Some(name) = server.get_dbname().or(server.get_user()) {
        let _ = write!(text, "/{name}");
    }
    if let Some(user) = server.get_user() {
        let _ = write!(text, " as {user}");
    }
    text
}
