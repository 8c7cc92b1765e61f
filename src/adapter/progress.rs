//! Progress of a run: what is gone, and what of it was told.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Something that a run removes as a whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RemovedThing {
    /// All that a job owns.
    Job {
        /// Name of its source.
        source: String,
        /// Its id.
        id: String,
        /// Name of the rule.
        rule: String,
    },
    /// A file or a directory.
    Path(PathBuf),
}

/// Part of a log that was told while a run worked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogProgress {
    /// True if the plan was.
    pub is_planned: bool,
    /// Things whose lines were.
    pub things: BTreeSet<RemovedThing>,
}
