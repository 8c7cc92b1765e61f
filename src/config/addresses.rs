//! Addresses of databases: `postgresql://…` and `sqlite:///…`, as libpq, SQLAlchemy and asyncpg
//! write them.
//!
//! **Invariant:** a message never contains an address, because it may include a password.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::Refusal;
use crate::sources::{Server, Tls, TlsRoots};

#[cfg(feature = "postgres")]
mod server;

/// Address of a database.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "never made in such a build")
)]
pub(super) enum Address {
    /// A server and the encryption of its connections; paths as they are written.
    Postgres(Box<(Server, Tls)>),
    /// Path of a file, as it is written.
    Sqlite(String),
}

/// Parts of the address of a server; `None`: not given.
#[derive(Clone, Default)]
pub(super) struct Parts<'a> {
    /// Host, or directory of the socket.
    pub host: Option<&'a str>,
    pub port: Option<u16>,
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
    pub dbname: Option<&'a str>,
}

/// Address of a server without any of its parts.
pub(super) const SERVER: &str = "postgresql://";

/// Parses an address. What it omits about a server is taken from `parts`, then from libpq's
/// variables.
#[cfg_attr(
    not(feature = "postgres"),
    expect(unused_variables, reason = "for servers")
)]
pub(super) fn parse(
    url: &str,
    parts: &Parts<'_>,
    environment: &Environment,
) -> Result<Address, Refusal> {
    const ALLOWED: &str =
        "such as postgresql://user:password@host:5432/database, or sqlite:///jobs.db";
    let Some((scheme, rest)) = url.trim().split_once("://") else {
        return Err(Refusal::new("is an invalid database address").hint(ALLOWED));
    };
    // SQLAlchemy also names the driver.
    let kind = scheme.split('+').next().unwrap_or_default();
    match kind.to_ascii_lowercase().as_str() {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => server::parse(rest, parts, environment),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(Refusal::new(
            "is the address of a PostgreSQL database, and this build has none",
        )
        .hint("install a lapsed that was built with its feature \"postgres\"")),
        "sqlite" => sqlite(rest),
        _ => Err(Refusal::new("is the address of an unsupported kind of database").hint(ALLOWED)),
    }
}

fn sqlite(rest: &str) -> Result<Address, Refusal> {
    let path = rest.split('?').next().unwrap_or_default();
    match path.strip_prefix('/') {
        Some(path) if !path.is_empty() && !path.starts_with(':') => {
            Ok(Address::Sqlite(path.to_owned()))
        }
        Some(_) | None => Err(Refusal::new("names no file").hint(
            "sqlite:///jobs.db is relative to base_dir, sqlite:////srv/app/jobs.db is absolute",
        )),
    }
}

impl Tls {
    /// Returns the settings with paths below `base` made absolute.
    pub(super) fn below(self, base: &Path) -> Self {
        let below = |path: PathBuf| base.join(path);
        Self {
            mode: self.mode,
            roots: match self.roots {
                TlsRoots::File(path) => TlsRoots::File(below(path)),
                roots @ (TlsRoots::Unsaid | TlsRoots::System) => roots,
            },
            identity: self
                .identity
                .map(|(certificate, key)| (below(certificate), below(key))),
        }
    }
}
