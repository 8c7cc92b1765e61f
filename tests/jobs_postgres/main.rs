//! Jobs of PostgreSQL databases, on the real binary with real servers: they go down, fail over, take away rights and columns, and
//! keep what they hear to themselves.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::similar_names,
    clippy::unnecessary_debug_formatting,
    clippy::doc_markdown,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/postgres.rs"]
mod postgres;

mod cleans;
mod hanging;
mod lives;
mod outages;
mod refused;
mod trigger;
mod world;
