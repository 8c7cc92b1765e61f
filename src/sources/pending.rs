//! Readings that are owed.

use std::collections::BTreeSet;

/// Ids that are remembered one by one: some megabytes, and as long to read as a table of as many
/// rows.
const IDS_MAX: usize = 10_000;

/// Readings that are owed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct PendingReads {
    /// Everything.
    pub(super) all: bool,
    /// Everything, but only for what is gone.
    pub(super) gone: bool,
    /// The query for changes.
    pub(super) changes: bool,
    /// The jobs with these ids.
    pub(super) ids: BTreeSet<String>,
}

impl PendingReads {
    /// Everything.
    pub(super) fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Returns whether nothing is owed.
    pub(super) fn is_empty(&self) -> bool {
        !(self.all || self.gone || self.has_some())
    }

    /// Returns whether less than everything is owed.
    pub(super) fn has_some(&self) -> bool {
        self.changes || !self.ids.is_empty()
    }

    /// Adds the job `id`; an empty one stands for everything.
    pub(super) fn add_id(&mut self, id: &str) {
        if id.is_empty() || self.ids.len() >= IDS_MAX {
            self.all = true;
            self.ids.clear();
        } else if !self.all {
            self.ids.insert(id.to_owned());
        }
    }

    /// Adds `other`.
    pub(super) fn add(&mut self, other: Self) {
        self.all |= other.all;
        self.gone |= other.gone;
        self.changes |= other.changes;
        for id in other.ids {
            self.add_id(&id);
        }
    }
}
