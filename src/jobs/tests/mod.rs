//! What the tests of all kinds of databases share.

pub(in crate::jobs) mod told;
