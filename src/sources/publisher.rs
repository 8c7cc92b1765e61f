//! Publisher of updates to the engine.
//!
//! **Invariant:** updates arrive in the order in which they were published.

use super::known_jobs::{ChangeSink, KnownJobs};
use crate::core::jobs::{JobChange, JobRow, RowDiff, SourceId, SourceUpdate, Status};

/// Sink of updates, with the one that was published last.
pub(super) struct ChangePublisher {
    sink: ChangeSink,
    source: SourceId,
    last: Option<LastPublished>,
    has_reported: bool,
}

/// Update that was published last.
enum LastPublished {
    Row(Box<JobRow>),
    Gone(String),
}

impl ChangePublisher {
    /// Of `source` to `sink`, which may block.
    pub(super) fn new(sink: ChangeSink, source: SourceId) -> Self {
        Self {
            sink,
            source,
            last: None,
            has_reported: false,
        }
    }

    /// Reports of rows.
    pub(super) fn rows(&mut self, rows: Vec<JobRow>) {
        self.last = rows
            .last()
            .map(|row| LastPublished::Row(Box::new(row.clone())));
        self.publish(vec![JobChange::Rows(rows)], true);
    }

    /// Reports what is gone.
    pub(super) fn gone(&mut self, ids: Vec<String>) {
        self.last = ids.last().cloned().map(LastPublished::Gone);
        self.publish(vec![JobChange::Gone(ids)], true);
    }

    /// Reports anything else.
    pub(super) fn send(&mut self, news: JobChange) {
        self.publish(vec![news], false);
    }

    /// Ends the news of a reading.
    pub(super) fn end_reading(&mut self) {
        self.publish(Vec::new(), false);
    }

    fn publish(&mut self, news: Vec<JobChange>, more: bool) {
        self.has_reported |= more;
        let source = self.source;
        (self.sink)(SourceUpdate { source, news, more });
    }

    /// Returns whether rows or ids were ever reported.
    pub(super) fn has_reported(&self) -> bool {
        self.has_reported
    }

    /// Returns whether the table has taken in what was reported last.
    pub(super) fn is_acknowledged(&mut self, view: &KnownJobs) -> bool {
        let is_acknowledged = match &self.last {
            None => true,
            Some(LastPublished::Row(row)) => matches!((view.known)(row), RowDiff::Same(_)),
            Some(LastPublished::Gone(id)) => {
                let row = JobRow::new(id.clone(), Status::Running);
                matches!((view.known)(&row), RowDiff::New)
            }
        };
        if is_acknowledged {
            self.last = None;
        }
        is_acknowledged
    }

    /// Does not wait for what was reported last any more.
    pub(super) fn abandon(&mut self) {
        self.last = None;
    }
}
