//! Helpers that the tests of all kinds of databases share.

pub(in crate::sources) mod reports;
