//! Addresses of PostgreSQL servers.

use std::path::PathBuf;

use tokio_postgres::Config;

use super::{Address, Parts};
use crate::config::environment::Environment;
use crate::config::error::Refusal;
use crate::sources::{Tls, TlsMode, TlsRoots};

/// Default directories of a server's socket: those of Debian and of PostgreSQL itself.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Parameters that libpq knows and that have no effect here.
const IGNORED: [&str; 4] = ["gssencmode", "krbsrvname", "sslcompression", "sslsni"];

/// Parses what stands behind the scheme.
pub(super) fn parse(
    rest: &str,
    parts: &Parts<'_>,
    environment: &Environment,
) -> Result<Address, Refusal> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut tls = Asked::default();
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        match key {
            "sslmode" | "ssl" => tls.mode = Some(mode(&value)?),
            "sslrootcert" => tls.root = Some(value),
            "sslcert" => tls.certificate = Some(value),
            "sslkey" => tls.key = Some(value),
            "target_session_attrs" => kept.push(format!("{key}={}", session(&value))),
            key if IGNORED.contains(&key) => {}
            _ => kept.push(pair.to_owned()),
        }
    }
    let variable = |name: &str| environment.set(name).and_then(|value| value.to_str());
    let text = format!("postgresql://{place}?{}", kept.join("&"));
    let mut server: Config = text.parse().map_err(|error| unsound(&error))?;
    complete(&mut server, &of_variables(parts, &variable));
    if tls.mode.is_none()
        && let Some(value) = variable("PGSSLMODE")
    {
        tls.mode = Some(mode(value)?);
    }
    tls.root = tls.root.or(variable("PGSSLROOTCERT").map(str::to_owned));
    Ok(Address::Postgres(Box::new((server, tls.settled()?))))
}

/// Adds libpq's variables to `parts`.
fn of_variables<'a>(parts: &Parts<'a>, variable: &impl Fn(&str) -> Option<&'a str>) -> Parts<'a> {
    let port = || variable("PGPORT").and_then(|port| port.parse().ok());
    Parts {
        host: parts.host.or_else(|| variable("PGHOST")),
        port: parts.port.or_else(port),
        user: parts.user.or_else(|| variable("PGUSER")),
        password: parts.password.or_else(|| variable("PGPASSWORD")),
        dbname: parts.dbname.or_else(|| variable("PGDATABASE")),
    }
}

/// Adds `parts` to what `server` has.
fn complete(server: &mut Config, parts: &Parts<'_>) {
    if server.get_hosts().is_empty() && server.get_hostaddrs().is_empty() {
        match parts.host {
            Some(host) => drop(server.host(host)),
            None => {
                for dir in SOCKET_DIRS {
                    server.host_path(dir);
                }
            }
        }
    }
    if let Some(port) = parts.port.filter(|_| server.get_ports().is_empty()) {
        server.port(port);
    }
    if let Some(user) = parts.user.filter(|_| server.get_user().is_none()) {
        server.user(user);
    }
    if let Some(password) = parts.password.filter(|_| server.get_password().is_none()) {
        server.password(password);
    }
    if let Some(name) = parts.dbname.filter(|_| server.get_dbname().is_none()) {
        server.dbname(name);
    }
}

/// TLS parameters of an address.
#[derive(Default)]
struct Asked {
    mode: Option<TlsMode>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Asked {
    fn settled(self) -> Result<Tls, Refusal> {
        let roots = match self.root.as_deref() {
            None | Some("") => TlsRoots::Unsaid,
            Some("system") => TlsRoots::System,
            Some(path) => TlsRoots::File(PathBuf::from(path)),
        };
        // With public authorities, any host can obtain a certificate: the name must be checked.
        let usual = match &roots {
            TlsRoots::System => TlsMode::VerifyFull,
            TlsRoots::Unsaid | TlsRoots::File(_) => TlsMode::default(),
        };
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (Some(_), None) | (None, Some(_)) => {
                return Err(Refusal::new(
                    "has one of sslcert and sslkey without the other",
                ));
            }
        };
        Ok(Tls {
            mode: self.mode.unwrap_or(usual),
            roots,
            identity,
        })
    }
}

fn mode(word: &str) -> Result<TlsMode, Refusal> {
    match word {
        "disable" | "false" => Ok(TlsMode::Disable),
        "allow" | "prefer" => Ok(TlsMode::Prefer),
        "require" | "true" => Ok(TlsMode::Require),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "verify-full" => Ok(TlsMode::VerifyFull),
        _ => Err(Refusal::new("has an unknown sslmode")
            .hint("allowed: disable, prefer, require, verify-ca, verify-full")),
    }
}

/// Maps libpq's newer session attributes to the older ones that `tokio_postgres` knows.
fn session(word: &str) -> &str {
    match word {
        "primary" => "read-write",
        "standby" => "read-only",
        "prefer-standby" => "any",
        other => other,
    }
}

/// Reason why an address cannot be parsed, without its values.
fn unsound(error: &tokio_postgres::Error) -> Refusal {
    let reason = std::error::Error::source(error).map(ToString::to_string);
    let named = reason.as_deref().and_then(|reason| {
        let (before, rest) = reason.split_once('`')?;
        let key = rest.split('`').next()?;
        Some(format!(
            "has an {}{key}",
            before.replace("invalid value for", "unreadable")
        ))
    });
    Refusal::new(named.unwrap_or_else(|| "is an invalid PostgreSQL address".to_owned()))
        .hint("such as postgresql://user:password@host:5432/database; special characters of a password as %40")
}

/// Percent-decodes `text`: `%41` stands for `A`.
fn decoded(text: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(text);
    bytes.decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;
    use tokio_postgres::config::Host;

    fn socket_dirs(server: &Config) -> Vec<&Path> {
        let dirs = server.get_hosts().iter().filter_map(|host| match host {
            Host::Unix(dir) => Some(dir.as_path()),
            Host::Tcp(_) => None,
        });
        dirs.collect()
    }

    fn server(url: &str, variables: &[(&str, &str)]) -> (Config, Tls) {
        let mut environment = Environment::new();
        for (name, value) in variables {
            environment.vars.insert((*name).into(), (*value).into());
        }
        match parse(url, &Parts::default(), &environment).unwrap() {
            Address::Postgres(found) => *found,
            Address::Sqlite(path) => panic!("{path}"),
        }
    }

    #[test]
    fn addresses_of_every_tool_are_read() {
        for url in [
            "postgresql://u:p%40%2F%25@h:5433/d",
            "postgres://u:p%40%2F%25@h:5433/d?sslmode=prefer",
            "postgresql+asyncpg://u:p%40%2F%25@h:5433/d?ssl=prefer",
            "postgresql+psycopg2://u:p%40%2F%25@h:5433/d?gssencmode=disable",
        ] {
            let (server, tls) = server(url, &[("PGHOST", "other"), ("PGPASSWORD", "other")]);
            assert_eq!(server.get_hosts(), [Host::Tcp("h".into())]);
            assert_eq!(server.get_ports(), [5433]);
            assert_eq!(server.get_user(), Some("u"));
            assert_eq!(server.get_password(), Some(&b"p@/%"[..]));
            assert_eq!(server.get_dbname(), Some("d"));
            assert_eq!(tls, Tls::default());
            assert!(!format!("{server:?}").contains("p@"));
        }
    }

    #[test]
    fn what_an_address_does_not_say_is_in_the_environment_or_usual() {
        let (bare, _) = server("postgresql:///d", &[]);
        assert_eq!(socket_dirs(&bare), SOCKET_DIRS.map(Path::new));
        let variables = [
            ("PGHOST", "/srv/sockets"),
            ("PGPORT", "6000"),
            ("PGUSER", "me"),
            ("PGPASSWORD", "secret"),
            ("PGDATABASE", "base"),
            ("PGSSLMODE", "require"),
        ];
        let (full, tls) = server("postgresql://", &variables);
        assert_eq!(socket_dirs(&full), [Path::new("/srv/sockets")]);
        assert_eq!(full.get_ports(), [6000]);
        assert_eq!(
            (full.get_user(), full.get_dbname()),
            (Some("me"), Some("base"))
        );
        assert_eq!(tls.mode, TlsMode::Require);
        for url in ["postgresql://%2Fsrv%2Fpg/d", "postgresql:///d?host=/srv/pg"] {
            assert_eq!(socket_dirs(&server(url, &[]).0), [Path::new("/srv/pg")]);
        }
    }

    #[test]
    fn parts_fill_what_an_address_does_not_say_and_are_taken_literally() {
        let mut environment = Environment::new();
        environment.vars.insert("PGHOST".into(), "other".into());
        environment.vars.insert("PGDATABASE".into(), "base".into());
        let parts = Parts {
            host: Some("h"),
            port: Some(5433),
            user: Some("u"),
            password: Some("p@/%:?#' \\"),
            dbname: None,
        };
        let parsed = |url: &str| match parse(url, &parts, &environment).unwrap() {
            Address::Postgres(found) => found.0,
            Address::Sqlite(path) => panic!("{path}"),
        };
        let bare = parsed(crate::config::addresses::SERVER);
        assert_eq!(bare.get_hosts(), [Host::Tcp("h".into())]);
        assert_eq!(
            (bare.get_ports(), bare.get_user()),
            (&[5433][..], Some("u"))
        );
        assert_eq!(bare.get_password(), Some(&b"p@/%:?#' \\"[..]));
        assert_eq!(bare.get_dbname(), Some("base"));
        let full = parsed("postgresql://me:mine@there:1/d");
        assert_eq!(full.get_hosts(), [Host::Tcp("there".into())]);
        assert_eq!((full.get_ports(), full.get_user()), (&[1][..], Some("me")));
        assert_eq!(full.get_password(), Some(&b"mine"[..]));
    }

    #[test]
    fn several_hosts_and_sessions() {
        let (two, _) = server("postgresql://a:1,b:2/d?target_session_attrs=primary", &[]);
        assert_eq!(two.get_ports(), [1, 2]);
        assert_eq!(
            two.get_target_session_attrs(),
            tokio_postgres::config::TargetSessionAttrs::ReadWrite
        );
    }

    #[test]
    fn encryption() {
        let tls = |query: &str| server(&format!("postgresql://h/d?{query}"), &[]).1;
        assert_eq!(
            tls("sslmode=verify-ca&sslrootcert=%2Fca.pem").roots,
            TlsRoots::File("/ca.pem".into())
        );
        assert_eq!(tls("sslrootcert=system").mode, TlsMode::VerifyFull);
        let own = tls("sslcert=c.pem&sslkey=k.pem").below(Path::new("/base"));
        assert_eq!(
            own.identity,
            Some(("/base/c.pem".into(), "/base/k.pem".into()))
        );
    }

    #[test]
    fn files() {
        for (url, path) in [
            ("sqlite:///jobs.db", "jobs.db"),
            ("sqlite+aiosqlite:////srv/jobs.db?timeout=5", "/srv/jobs.db"),
        ] {
            let found = parse(url, &Parts::default(), &Environment::new());
            assert_eq!(found, Ok(Address::Sqlite(path.to_owned())));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_shown() {
        for url in [
            "hunter2",
            "mysql://u:hunter2@h/d",
            "sqlite://hunter2",
            "sqlite:///:memory:",
            "postgresql://u:hunter2@h:port/d",
            "postgresql://u:hunter2@h/d?sslmode=hunter2",
            "postgresql://u:hunter2@h/d?color=hunter2",
            "postgresql://u:hunter2@h/d?sslcert=x",
            "postgresql://u:hunter2%zz@h/d?connect_timeout=x",
        ] {
            if let Err(refusal) = parse(url, &Parts::default(), &Environment::new()) {
                let shown = format!("{refusal:?}");
                assert!(!shown.contains("hunter2"), "{shown}");
            } else {
                panic!("{url} was taken");
            }
        }
    }
}
