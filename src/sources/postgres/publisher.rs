//! Publisher of updates to the engine, which may block for long without keeping the other tasks of
//! the source waiting.
//!
//! **Invariant:** updates must arrive in the order in which they were published.

use crate::core::jobs::{JobChange, JobRow, RowDiff, SourceId, SourceUpdate, Status};
use crate::sources::known_jobs::{ChangeSink, KnownJobs};

/// Sink of updates, with the one that was published last.
pub(super) struct ChangePublisher {
    tell: ChangeSink,
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
    /// Of `source` to `tell`.
    pub(super) fn new(tell: ChangeSink, source: SourceId) -> Self {
        Self {
            tell,
            source,
            last: None,
            has_reported: false,
        }
    }

    /// Reports of rows.
    pub(super) async fn rows(&mut self, rows: Vec<JobRow>) {
        self.last = rows
            .last()
            .map(|row| LastPublished::Row(Box::new(row.clone())));
        self.tell(vec![JobChange::Rows(rows)], true).await;
    }

    /// Reports what is gone.
    pub(super) async fn gone(&mut self, ids: Vec<String>) {
        self.last = ids.last().cloned().map(LastPublished::Gone);
        self.tell(vec![JobChange::Gone(ids)], true).await;
    }

    /// Reports anything else.
    pub(super) async fn send(&mut self, news: JobChange) {
        self.tell(vec![news], false).await;
    }

    /// Ends the news of a reading.
    pub(super) async fn end_reading(&mut self) {
        self.tell(Vec::new(), false).await;
    }

    async fn tell(&mut self, news: Vec<JobChange>, more: bool) {
        self.has_reported = true;
        let (tell, source) = (std::sync::Arc::clone(&self.tell), self.source);
        let told = tokio::task::spawn_blocking(move || {
            tell(SourceUpdate { source, news, more });
        });
        if let Err(error) = told.await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }

    /// Returns whether anything was ever reported.
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
