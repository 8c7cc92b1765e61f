//! The real binary on a real file system, one module a topic.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::doc_markdown,
    clippy::cast_precision_loss,
    clippy::format_push_string,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::unnecessary_debug_formatting,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/postgres.rs"]
mod postgres;

mod adapter;
mod any_backend;
mod api_document;
mod arrivals;
mod backends;
mod backup;
mod bad_input;
mod breaker;
mod cache;
mod check;
mod cli;
mod clients;
mod costs;
mod daemon;
mod dashboard;
mod ending;
mod idle;
mod init;
mod install;
mod jobs_api;
mod jobs_postgres;
mod jobs_sqlite;
mod keep_last;
mod ledger;
mod limits;
mod metrics;
mod notify;
mod offline;
mod one_owner;
mod pauses;
mod pins;
mod presets;
mod questions;
mod remote;
mod runs;
mod samples;
mod schedules;
mod shadow;
mod shortage;
mod takeover;
mod tcp;
mod terminal;
mod top;
mod trash;
mod undo;
mod unfinished;
mod uninstall;
mod unit_file;
mod upgrade;
