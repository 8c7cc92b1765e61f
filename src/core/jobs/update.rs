//! Reports of a source.
//!
//! **Invariant:** news of one source arrive in the order in which they became true.

use super::row::{JobRow, SourceId};

/// Change of the jobs of a source, or of what is known of it.
#[derive(Clone, PartialEq, Debug)]
pub enum JobChange {
    /// Jobs that are new, or not as they were.
    Rows(Vec<JobRow>),
    /// Jobs that are no more.
    Gone(Vec<String>),
    /// Everything that the source has up to now was told.
    Loaded {
        /// Number of its jobs.
        jobs: u64,
    },
    /// Something has changed at the source, and was not read yet.
    Stale,
    /// It cannot be read.
    Down {
        /// The reason and the remedy.
        why: String,
    },
}

/// Changes of one source.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceUpdate {
    /// The source.
    pub source: SourceId,
    /// The reports, in order.
    pub news: Vec<JobChange>,
    /// More of the same reading follows: until then its jobs are not judged.
    pub more: bool,
}
