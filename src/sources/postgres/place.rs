//! Place of a PostgreSQL server, for people.
//!
//! **Invariant:** the password is shown nowhere.

use std::fmt::Write as _;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::sources::options::PostgresOptions;

/// The port of a server that says none.
const PORT: u16 = 5432;

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
fn place(server: &Config) -> String {
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
