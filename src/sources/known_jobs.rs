//! Known jobs of one source, as far as a reading needs them, and the sink for its updates.

use std::sync::Arc;

use crate::core::jobs::{JobRow, Jobs, RowDiff, SourceId, SourceUpdate};

/// Receiver of updates; may block.
pub(super) type ChangeSink = Arc<dyn Fn(SourceUpdate) + Send + Sync>;

/// Up to so many ids, not ticked off, from a number on; and the number to go on from.
type Unticked =
    dyn Fn(u32, usize, &dyn Fn(u32) -> bool) -> (Vec<String>, Option<u32>) + Send + Sync;

/// Queries to the table of jobs about one source.
#[derive(Clone)]
pub(super) struct KnownJobs {
    /// Compares a row with what is known.
    pub(super) known: Arc<dyn Fn(&JobRow) -> RowDiff + Send + Sync>,
    /// Lists the known jobs that a reading has not visited.
    pub(super) unticked: Arc<Unticked>,
    /// Counts the known jobs.
    pub(super) count: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl KnownJobs {
    /// Of `source` in `jobs`.
    pub(super) fn of(jobs: Arc<Jobs>, source: SourceId) -> Self {
        let [known, unticked] = [&jobs, &jobs].map(Arc::clone);
        Self {
            known: Arc::new(move |row| known.known(source, row)),
            unticked: Arc::new(move |from, most, is_ticked| {
                unticked.unticked(source, from, most, is_ticked)
            }),
            count: Arc::new(move || jobs.count(source)),
        }
    }
}
