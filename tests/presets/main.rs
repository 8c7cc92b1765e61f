//! The presets, each against the tree and the database of the system that it is for, on the real binary. The test is the application:
//! it writes the files, and the rows with a connection of its own.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::similar_names,
    clippy::unnecessary_debug_formatting,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/postgres.rs"]
mod postgres;

mod audio;
mod audio_field;
mod audio_settings;
mod database;
mod documents;
mod eemt;
mod eemt_outages;
mod eemt_settings;
mod math2visual;
mod omr;
mod site;
mod storage;
mod storage_field;
mod storage_settings;
mod tree;
