//! Configuration: a TOML file, the environment and the command line become validated [`Settings`].
//!
//! ```text
//! command line > LAPSED_… variables > file > defaults
//! ```
//!
//! [`load()`] serves the daemon: it reads everything and reports every mistake of one pass, from
//! the top. [`endpoints()`] serves clients: it reads only what is needed to find the socket. A
//! mistake in a rule thus cannot keep a user from querying the daemon that still runs with an
//! earlier configuration.
//!
//! Sources of jobs are read first, then roots, which may name the source whose jobs own them, then
//! rules, which may filter by the status of those jobs.
//!
//! **Invariant:** settings that leave this part are always valid. Names are unique, roots are
//! absolute and resolved, globs compile, durations are within bounds, and a rule that could never
//! match is refused. Other parts never validate text from the user again.
//! **Invariant:** a mistake changes nothing. A load that fails never assigns a root id, and never
//! returns half-read settings.
//! **Invariant:** nothing is ignored silently: input that is not understood is refused, with its
//! file, line and key.
//! **Invariant:** nothing is written. Of the file system, only configured paths are examined;
//! databases are never opened.
//!
#![doc = include_str!("DESIGN.md")]

mod adapter;
mod addresses;
mod databases;
mod discovery;
mod document;
mod endpoints;
mod environment;
mod error;
mod globs;
mod guard;
mod http;
mod interpolate;
mod jwt;
mod keep_last;
mod limits;
mod load;
mod notify;
mod path_map;
mod queries;
mod reader;
mod reference;
mod resolve;
mod roots;
mod rule_jobs;
mod rules;
mod schedules;
mod schema;
mod setting;
mod settings;
mod show;
mod sources;
mod tree;
mod value;
mod variable_files;
mod variables;

pub use discovery::place_for_new;
pub use endpoints::endpoints;
pub use environment::{Environment, Home};
pub use error::ConfigError;
pub use load::{load, load_for_records, load_text};
pub use reference::{annotated_file, manual_page, schema_file};
pub use resolve::reason;
pub use settings::{
    ANNOTATED_DEFAULT, AccessSettings, Backend, CacheSettings, HttpSettings, JwtSettings, Keep,
    LedgerSettings, LogFormat, LogLevel, Overrides, RootIds, RootPath, Settings, SourceIds,
    SourceKind, SourceSettings, TlsFiles, Watch,
};
pub use show::{ShownSection, ShownSetting, effective, path_of_file};
pub use variables::VariablesFile;

#[cfg(test)]
mod tests;
