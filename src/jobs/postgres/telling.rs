//! Tells news, which may take as long as the engine likes, without keeping anything else of the source waiting.
//!
//! **Invariant:** what is told later arrives later.

use crate::core::jobs::{JobRow, Known, News, SourceId, SourceNews, Status};
use crate::jobs::view::{Tell, View};

/// Where news go, and what was told last.
pub(super) struct Telling {
    tell: Tell,
    source: SourceId,
    last: Option<Last>,
    has_told: bool,
}

/// What was told last.
enum Last {
    Row(Box<JobRow>),
    Gone(String),
}

impl Telling {
    /// Of `source` to `tell`.
    pub(super) fn new(tell: Tell, source: SourceId) -> Self {
        Self {
            tell,
            source,
            last: None,
            has_told: false,
        }
    }

    /// Tells of rows.
    pub(super) async fn rows(&mut self, rows: Vec<JobRow>) {
        self.last = rows.last().map(|row| Last::Row(Box::new(row.clone())));
        self.tell(vec![News::Rows(rows)], true).await;
    }

    /// Tells what is gone.
    pub(super) async fn gone(&mut self, ids: Vec<String>) {
        self.last = ids.last().cloned().map(Last::Gone);
        self.tell(vec![News::Gone(ids)], true).await;
    }

    /// Tells anything else.
    pub(super) async fn send(&mut self, news: News) {
        self.tell(vec![news], false).await;
    }

    /// What was read of late was told.
    pub(super) async fn end_reading(&mut self) {
        self.tell(Vec::new(), false).await;
    }

    async fn tell(&mut self, news: Vec<News>, more: bool) {
        self.has_told = true;
        let (tell, source) = (std::sync::Arc::clone(&self.tell), self.source);
        let told = tokio::task::spawn_blocking(move || {
            tell(SourceNews { source, news, more });
        });
        if let Err(error) = told.await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }

    /// Whether anything was ever told.
    pub(super) fn has_told(&self) -> bool {
        self.has_told
    }

    /// Whether the table has taken in what was told last.
    pub(super) fn is_in(&mut self, view: &View) -> bool {
        let is_in = match &self.last {
            None => true,
            Some(Last::Row(row)) => matches!((view.known)(row), Known::Same(_)),
            Some(Last::Gone(id)) => {
                let row = JobRow::new(id.clone(), Status::Running);
                matches!((view.known)(&row), Known::No)
            }
        };
        if is_in {
            self.last = None;
        }
        is_in
    }

    /// Does not wait for what was told last any more.
    pub(super) fn let_be(&mut self) {
        self.last = None;
    }
}
