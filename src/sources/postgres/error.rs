//! Errors of PostgreSQL databases.
//!
//! **Invariant:** every message says what would mend it, and none has a password in it.

use std::error::Error as _;
use std::fmt;

use crate::sources::error::QueryError;
use crate::sources::schema_check;

/// Error of a server, or of the way to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ServerError {
    /// Its origin.
    pub(super) from: From,
    /// For people.
    pub(super) message: String,
}

/// Origin of an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum From {
    /// The server, with the SQLSTATE of appendix A of its manual.
    Server(String),
    /// The handshake of TLS.
    Tls,
    /// Settings that do not go together.
    Settings,
    /// The network, or the end of the connection.
    Wire,
    /// None: there is no answer.
    Silence,
}

impl ServerError {
    /// No answer in time.
    pub(super) fn silence() -> Self {
        Self {
            from: From::Silence,
            message: "the server does not answer".to_owned(),
        }
    }

    /// The server's SQLSTATE, if it was the server.
    pub(super) fn code(&self) -> &str {
        match &self.from {
            From::Server(code) => code,
            From::Tls | From::Settings | From::Wire | From::Silence => "",
        }
    }

    /// Returns whether a value does not have the form that its type asks for.
    pub(super) fn is_about_a_value(&self) -> bool {
        self.code().starts_with("22")
    }

    /// Returns whether the connection is of no more use.
    pub(super) fn ends_the_connection(&self) -> bool {
        match &self.from {
            From::Server(code) => code.starts_with("57P") || code.starts_with("08"),
            From::Tls | From::Settings | From::Wire | From::Silence => true,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::convert::From<&tokio_postgres::Error> for ServerError {
    fn from(error: &tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return Self {
                from: From::Server(said.code().code().to_owned()),
                message: one_line(said.message()),
            };
        }
        let told = error.to_string();
        let from = match told.as_str() {
            "error performing TLS handshake" => From::Tls,
            "invalid configuration" | "authentication error" => From::Settings,
            _ => From::Wire,
        };
        // The innermost reason says the most; what wraps it says where it happened.
        let mut reason = error.source();
        while let Some(inner) = reason.and_then(std::error::Error::source) {
            reason = Some(inner);
        }
        let message = match reason {
            Some(reason) => format!("{told}: {}", one_line(&reason.to_string())),
            None => told,
        };
        Self { from, message }
    }
}

impl std::convert::From<tokio_postgres::Error> for ServerError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::from(&error)
    }
}

/// A server's message may have lines of its own, which would look like ours.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Reason why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No server is there.
    #[error("{0}\n  see that the server runs there and can be reached; it is tried again")]
    Unreachable(String),
    /// It does not let us in.
    #[error("{0}\n  see the user, the password and the server's pg_hba.conf")]
    Refused(String),
    /// It has no such database.
    #[error("{0}\n  see the name at the end of the url")]
    Missing(String),
    /// No encrypted connection can be had.
    #[error("{0}\n  see sslmode and sslrootcert in the url, and the server's ssl")]
    Tls(String),
    /// Something may not be read.
    #[error("{what}\n  {mend}")]
    Permission {
        /// Message of the server.
        what: String,
        /// Command that would allow it.
        mend: String,
    },
    /// A query does not fit.
    #[error("{0}")]
    Query(QueryError),
    /// It took too long.
    #[error("{0}\n  see what locks the tables, or give the source a longer statement_timeout")]
    Slow(String),
    /// Something else.
    #[error("{0}\n  it is tried again")]
    Failed(String),
}

impl Fault {
    /// Returns what it means that the server, or the way to it, said this to `user`.
    pub(super) fn of(said: &ServerError, user: &str) -> Self {
        let message = said.message.clone();
        let code = match &said.from {
            From::Server(code) => code.as_str(),
            From::Tls => return Self::Tls(message),
            From::Settings => return Self::Refused(message),
            From::Wire | From::Silence => return Self::Unreachable(message),
        };
        match code {
            "28P01" | "28000" => Self::Refused(message),
            "3D000" => Self::Missing(message),
            "42501" => Self::Permission {
                mend: grant(&message, "SELECT", user),
                what: message,
            },
            "57014" | "55P03" => Self::Slow(message),
            // Full, starting, or shutting down.
            "53300" | "57P01" | "57P02" | "57P03" => Self::Unreachable(message),
            code if code.starts_with("08") => Self::Unreachable(message),
            _ => Self::Failed(message),
        }
    }

    /// Likewise, of a query: mostly the query's fault.
    pub(super) fn of_query(query: &str, said: &ServerError, user: &str, mend: &str) -> Self {
        let class = said.code().get(..2).unwrap_or_default();
        match Self::of(said, user) {
            Self::Failed(what) if matches!(class, "42" | "22" | "21" | "0A" | "2F" | "P0") => {
                Self::Query(schema_check::wrong(query, what, mend))
            }
            other => other,
        }
    }

    /// The message for people, about the database at `place`.
    pub(super) fn about(&self, place: &str) -> String {
        format!("cannot read jobs from {place}: {self}")
    }
}

/// The statement that gives `user` what a server said is not allowed.
pub(super) fn grant(message: &str, right: &str, user: &str) -> String {
    let user = quoted(user);
    let Some((_, denied)) = message.split_once("permission denied for ") else {
        return format!("give {user} the right to do that");
    };
    let (kind, name) = denied.split_once(' ').unwrap_or(("", denied));
    let name = quoted(name);
    match kind {
        "table" | "view" => format!("GRANT {right} ON {name} TO {user};"),
        "schema" => format!("GRANT USAGE ON SCHEMA {name} TO {user};"),
        "sequence" => format!("GRANT USAGE ON SEQUENCE {name} TO {user};"),
        "function" => format!("GRANT EXECUTE ON FUNCTION {name} TO {user};"),
        "database" => format!("GRANT CONNECT ON DATABASE {name} TO {user};"),
        _ => format!("give {user} the right to do that"),
    }
}

/// A name as SQL reads it: in quotes where it is not a plain word.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
