//! What a source tells.
//!
//! **Invariant:** news of one source arrive in the order in which they became true.

use super::row::{JobRow, SourceId};

/// One piece of news.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// Jobs that are new, or not as they were.
    Rows(Vec<JobRow>),
    /// Jobs that are no more.
    Gone(Vec<String>),
    /// Everything that the source has up to now was told.
    Loaded {
        /// How many jobs it has.
        jobs: u64,
    },
    /// Something has changed at the source, and was not read yet.
    Stale,
    /// It cannot be read.
    Down {
        /// Why, and what would mend it.
        why: String,
    },
}

/// News of one source.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceNews {
    /// Which one.
    pub source: SourceId,
    /// What, in order.
    pub news: Vec<News>,
    /// More of the same reading follows: until then its jobs are not judged.
    pub more: bool,
}
