//! Sums of files.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Files and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Tally {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tally {
    /// Counts less, at least nothing.
    pub(crate) fn remove(&mut self, files: u64, bytes: u64) {
        self.files = self.files.saturating_sub(files);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Counts more; the bytes stay at the most that can be told.
    pub(crate) fn add(&mut self, files: u64, bytes: u64) {
        self.files += files;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
