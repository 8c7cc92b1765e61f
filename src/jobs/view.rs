//! What is known of a source's jobs, as far as a reading needs it, and where its news go.

use std::sync::Arc;

use crate::core::jobs::{JobRow, Jobs, Known, SourceId, SourceNews};

/// Where news go.
pub(super) type Tell = Arc<dyn Fn(SourceNews) + Send + Sync>;

/// Up to so many ids, not ticked off, from a number on; and the number to go on from.
type Unticked =
    dyn Fn(u32, usize, &dyn Fn(u32) -> bool) -> (Vec<String>, Option<u32>) + Send + Sync;

/// Questions to the table of jobs, about one source.
#[derive(Clone)]
pub(super) struct View {
    /// Whether a row says what is known.
    pub(super) known: Arc<dyn Fn(&JobRow) -> Known + Send + Sync>,
    /// Which of the known jobs a reading has not met.
    pub(super) unticked: Arc<Unticked>,
    /// How many jobs are known.
    pub(super) count: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl View {
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
