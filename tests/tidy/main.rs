//! The shape of the code: which way its parts and files depend on one another, and what none of
//! them may have.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::similar_names,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

mod circles;
mod dependencies;
mod layout;
mod sources;
mod words;
