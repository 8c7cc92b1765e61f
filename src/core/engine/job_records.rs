//! Records of jobs that are written at their sources, or are about to be.
//!
//! **Invariant:** the record of a job is ordered once, until its row changes.

use std::collections::BTreeSet;

use crate::core::jobs::{JobKey, SourceId};

/// Jobs whose records were ordered.
#[derive(Debug)]
pub(super) struct JobRecords {
    /// Those of this process, by their numbers.
    ordered: BTreeSet<(SourceId, u32)>,
    /// Those that an earlier process left to be written.
    inherited: BTreeSet<JobKey>,
}

impl JobRecords {
    pub(super) fn new(inherited: BTreeSet<JobKey>) -> Self {
        Self {
            ordered: BTreeSet::new(),
            inherited,
        }
    }

    /// Returns true if the record of a job was ordered, and its row has not changed since. `no` is
    /// its number, if it has one.
    pub(super) fn is_ordered(&self, key: &JobKey, no: Option<u32>) -> bool {
        no.is_some_and(|no| self.ordered.contains(&(key.source, no)))
            || self.inherited.contains(key)
    }

    pub(super) fn on_ordered(&mut self, source: SourceId, no: u32) {
        self.ordered.insert((source, no));
    }

    /// Forgets an order of this process: the job's row has changed.
    pub(super) fn on_row_changed(&mut self, source: SourceId, no: u32) {
        self.ordered.remove(&(source, no));
    }

    /// Forgets an order of an earlier process: the job's row has changed since the source was read.
    pub(super) fn on_inherited_changed(&mut self, key: &JobKey) {
        self.inherited.remove(key);
    }

    /// Forgets the orders of this process: numbers are given anew.
    pub(super) fn on_reload(&mut self) {
        self.ordered.clear();
    }
}
