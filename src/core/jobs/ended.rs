//! Jobs that have ended.

use super::packed::{self, unpack};
use super::row::{SourceId, Status};
use super::source_jobs::SourceJobs;
use super::table::Jobs;
use crate::core::time::Timestamp;

/// Slots that are looked at under one lock, ~1 ms.
const SLOTS_MAX: u32 = 2048;

impl Jobs {
    /// Returns status and end of the jobs of `source` that have ended, of some numbers from `from`
    /// on, and the number to go on from; `None`: there are no more.
    #[must_use]
    pub fn ended(
        &self,
        source: SourceId,
        from: u32,
    ) -> (Vec<(Status, Option<Timestamp>)>, Option<u32>) {
        let ended = |table: &SourceJobs| {
            let end = table.slots().min(from.saturating_add(SLOTS_MAX));
            let rows = (from..end).filter_map(|no| table.row(no));
            let ended = rows.filter(|row| packed::status(row).is_over()).map(|row| {
                let row = unpack(row);
                (row.status, row.moments().completed_at)
            });
            (ended.collect(), (end < table.slots()).then_some(end))
        };
        self.of_source(source, ended).unwrap_or_default()
    }
}
