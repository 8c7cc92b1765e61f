//! Declaration of the configuration: one structure for each section of the file.
//!
//! A key is one field. Its documentation is the reference text; its attributes give the default
//! and an example; its type names the parser. `config/lapsed.toml`, `config/lapsed.schema.json`,
//! `config/lapsed.toml.5`, the names of variables, the lists of allowed keys and the examples in
//! messages come from here.
//!
//! - `default`: text that counts if the key is absent
//! - `example`: value for messages and for the annotated file, if the key has no default
//! - `x-required`: the key must be present
//! - `x-secret`: messages and `lapsed config show` never contain the value
//! - `x-process`: only variables of the process apply, not those of files
//! - `x-raw`: variables are not replaced
//! - `x-single`, `x-named`: other forms of a list of tables
//! - `x-kinds`: kinds of sources for which the key has an effect
//!
//! **Invariant:** a key that is not declared here is unknown, and always refused.

#![allow(
    clippy::doc_markdown,
    clippy::doc_link_with_quotes,
    rustdoc::broken_intra_doc_links,
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags,
    reason = "the documentation of a key is also a comment in the annotated file"
)]

mod adapter;
mod alert;
mod breaker;
mod http;
mod keys;
mod ledger;
mod limit;
mod notify;
mod reap;
mod root;
mod rule;
mod schedule;
mod source;
mod store;
mod top;
mod variables;
mod watch;

pub(super) use adapter::{Adapter, Command, CommandLog, Endpoint, OutputWord, Param, TypeWord};
pub(super) use alert::Alert;
pub(super) use breaker::Breaker;
pub(super) use http::{Http, Jwt, Tls};
pub(super) use keys::{Key, Nested, Section, TOP, bare_or_quoted, json_schema};
pub(super) use ledger::Ledger;
pub(super) use limit::Limit;
pub(super) use notify::{Format, Heartbeat, Mail, Notify, Webhook};
pub(super) use reap::Reap;
pub(super) use root::Root;
pub(super) use rule::{Rule, Then};
pub(super) use schedule::Schedule;
pub(super) use source::{Kind, Source};
pub(super) use store::Store;
pub(super) use top::Top;
pub(super) use variables::{NameCase, Variables};
pub(super) use watch::Watch;

/// Variable that names the file.
pub(super) const CONFIG_VARIABLE: &str = "LAPSED_CONFIG";

/// Variables that clients read, and no setting has.
pub(super) const CLIENT_VARIABLES: [&str; 4] = [
    "LAPSED_URL",
    "LAPSED_TOKEN",
    "LAPSED_TOKEN_FILE",
    "LAPSED_CA_FILE",
];
