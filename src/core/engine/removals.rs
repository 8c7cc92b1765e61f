//! Figures of the removals since the start.

use crate::core::claim::Removal;
use crate::core::lateness::Histogram;
use crate::core::report::Lateness;
use crate::core::time::Timestamp;

/// Sums of the removals since the start.
#[derive(Default)]
pub(super) struct RemovalFigures {
    lateness: Histogram,
    files: u64,
    bytes: u64,
}

impl RemovalFigures {
    /// Counts a removal that was due at `due`.
    pub(super) fn count(&mut self, removal: &Removal, due: Timestamp) {
        self.lateness.record(removal.at.ms_since(due));
        self.files += removal.files;
        self.bytes = self.bytes.saturating_add(removal.bytes);
    }

    pub(super) fn lateness(&self) -> Lateness {
        self.lateness.figures()
    }

    /// Returns the number of files, and their bytes.
    pub(super) fn files(&self) -> (u64, u64) {
        (self.files, self.bytes)
    }
}
