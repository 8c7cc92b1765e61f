//! Errors of PostgreSQL databases.
//!
//! **Invariant:** every message says what would mend it, and none has a password in it.

use std::error::Error as _;
use std::fmt;

use crate::sources::error::Fault;

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
    /// Ourselves: the source is to end.
    Stopped,
}

impl ServerError {
    /// No answer in time.
    pub(super) fn silence() -> Self {
        Self {
            from: From::Silence,
            message: "the server does not answer".to_owned(),
        }
    }

    /// The source is to end.
    pub(super) fn stopped() -> Self {
        Self {
            from: From::Stopped,
            message: "the source was stopped".to_owned(),
        }
    }

    /// The server's SQLSTATE, if it was the server.
    pub(super) fn code(&self) -> &str {
        match &self.from {
            From::Server(code) => code,
            From::Tls | From::Settings | From::Wire | From::Silence | From::Stopped => "",
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
            From::Tls | From::Settings | From::Wire | From::Silence | From::Stopped => true,
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

/// Returns what it means that the server, or the way to it, said this to `user`.
pub(super) fn fault(said: &ServerError, user: &str) -> Fault {
    /// Remedy where no server can be reached.
    const UNREACHABLE: &str =
        "see that the server runs there and can be reached; it is tried again";
    const REFUSED: &str = "see the user, the password and the server's pg_hba.conf";
    let what = said.message.clone();
    let away = |mend| Fault::Away {
        what: said.message.clone(),
        mend,
    };
    let code = match &said.from {
        From::Server(code) => code.as_str(),
        From::Tls => return away("see sslmode and sslrootcert in the url, and the server's ssl"),
        From::Settings => return away(REFUSED),
        From::Wire | From::Silence => return away(UNREACHABLE),
        From::Stopped => return Fault::Stopped,
    };
    match code {
        "28P01" | "28000" => away(REFUSED),
        "3D000" => away("see the name at the end of the url"),
        "42501" => Fault::Denied {
            mend: grant(&what, "SELECT", user),
            what,
        },
        "57014" | "55P03" => Fault::Failed {
            what,
            mend: "see what locks the tables, or give the source a longer statement_timeout",
        },
        // Full, starting, or shutting down.
        "53300" | "57P01" | "57P02" | "57P03" => away(UNREACHABLE),
        code if code.starts_with("08") => away(UNREACHABLE),
        _ => Fault::Failed {
            what,
            mend: "it is tried again",
        },
    }
}

/// Likewise, of a query: mostly the query's fault.
pub(super) fn query_fault(query: &str, said: &ServerError, user: &str, mend: &str) -> Fault {
    let class = said.code().get(..2).unwrap_or_default();
    match fault(said, user) {
        Fault::Failed { what, .. } if matches!(class, "42" | "22" | "21" | "0A" | "2F" | "P0") => {
            Fault::query(query, what, mend)
        }
        other => other,
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
