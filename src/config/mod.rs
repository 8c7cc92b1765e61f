//! Configuration: a TOML file, the environment and the command line become validated [`Settings`].
//!
//! ```text
//! command line > LAPSED_… variables > file > defaults
//! ```
//!
//! [`load()`] is for who watches and removes: it reads everything and reports every mistake of one pass, the first at the
//! top. [`endpoints()`] is for clients: it reads only what is needed to find the socket, so that a wrong rule does not keep
//! a person from asking the daemon that still runs with the right one.
//!
//! Sources of jobs are read first, then roots, which may say whose jobs own them, then rules, which may ask how those jobs stand.
//!
//! **Invariant:** what leaves here is valid. Names are unique, roots are absolute and resolved, globs compile, durations are
//! within bounds, and a rule that could never match is refused; nobody downstream looks at text from the user again.
//! **Invariant:** a mistake changes nothing. A load that fails hands out no root id and no half-read settings.
//! **Invariant:** nothing is ignored silently: what is not understood is refused, with its file, line and key.
//! **Invariant:** nothing is written, and of the file system only configured paths are looked at; databases are not.

mod addresses;
mod databases;
mod discovery;
mod document;
mod endpoints;
mod environment;
mod error;
mod globs;
mod guard;
mod interpolate;
mod load;
mod path_map;
mod queries;
mod reader;
mod resolve;
mod roots;
mod rule_jobs;
mod rules;
mod schema;
mod settings;
mod sources;
mod value;
mod words;

pub use discovery::place_for_new;
pub use endpoints::endpoints;
pub use environment::{Environment, Home};
pub use error::ConfigError;
pub use load::{load, load_text};
pub use resolve::reason;
pub use settings::{
    ANNOTATED_DEFAULT, Backend, CacheSettings, Keep, LedgerSettings, LogLevel, Overrides,
    PostgresSettings, Queries, RootIds, Settings, SourceIds, SourceKind, SourceSettings,
    SqliteSettings, TlsMode, TlsRoots, TlsSettings, Watch,
};

#[cfg(test)]
mod tests;
