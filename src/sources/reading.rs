//! A reading of all jobs, of those that changed, or of those that were named: reports what is not
//! known.
//!
//! **Invariant:** a row that was reported in this very reading is never reported as gone by it,
//! whether or not the table has it yet.
//! **Invariant:** pages are of different moments, so a job that none of them has is looked for once
//! more before it is reported as gone.

use super::context::SourceContext;
use super::driver::{PageEnd, ReadDriver};
use super::error::Fault;
use super::known_jobs::KnownJobs;
use super::lookup::Lookup;
use super::publisher::ChangePublisher;
use super::snapshot_diff::{BATCH_GONE_MAX, ChangedRows, ScanStrategy, SnapshotDiff, batches};
use crate::core::jobs::{JobRow, RowDiff, Status};

/// Context of a reading.
pub(super) struct Reading<'a> {
    pub(super) driver: &'a mut dyn ReadDriver,
    pub(super) context: &'a SourceContext,
    pub(super) view: &'a KnownJobs,
    pub(super) publisher: &'a mut ChangePublisher,
}

/// Outcome of a reading of some jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ReadSummary {
    /// Number of jobs that were not known before.
    pub(super) new: u64,
    /// True if one that was known was not found.
    pub(super) misses: bool,
}

impl Reading<'_> {
    /// Reads everything, and reports what is not known, and what is gone unless nothing can have
    /// been known; says how many jobs there are.
    ///
    /// # Errors
    /// When the database fails. What was reported until then is true.
    pub(super) fn all(
        &mut self,
        strategy: ScanStrategy,
        knows_nothing: bool,
    ) -> Result<u64, Fault> {
        let mut diff = SnapshotDiff::new(strategy);
        let is_through = match strategy {
            ScanStrategy::Paged => self.pages(&mut diff)?,
            ScanStrategy::SinglePass => false,
        };
        if !is_through {
            diff = SnapshotDiff::new(ScanStrategy::SinglePass);
            self.pass(&mut diff)?;
        }
        diff.end(self.view);
        self.publish_rows(diff.take_rows());
        if !knows_nothing {
            self.publish_gone(&diff)?;
        }
        Ok(diff.jobs())
    }

    /// Reads page by page. `false`: a page ends with an id that cannot be asked from.
    fn pages(&mut self, diff: &mut SnapshotDiff) -> Result<bool, Fault> {
        loop {
            self.check_stopped()?;
            let (decoder, view) = (&self.context.decoder, self.view);
            let end = self
                .driver
                .page(&mut |columns, row| diff.visit_row(decoder, view, columns, row))?;
            self.publish_rows(diff.take_rows());
            match end {
                PageEnd::More => {}
                PageEnd::Last => return Ok(true),
                PageEnd::Unpageable => return Ok(false),
            }
        }
    }

    fn pass(&mut self, diff: &mut SnapshotDiff) -> Result<(), Fault> {
        let (decoder, view, publisher) = (&self.context.decoder, self.view, &mut *self.publisher);
        self.driver.pass(&mut |columns, row| {
            diff.visit_row(decoder, view, columns, row);
            if diff.is_full() {
                publish_rows(publisher, diff.take_rows());
            }
        })
    }

    /// Reads what changed, and reports what is not known; says how many jobs are new.
    ///
    /// # Errors
    /// When the database fails. What was reported until then is true.
    pub(super) fn changes(&mut self) -> Result<u64, Fault> {
        let mut changed = ChangedRows::default();
        let (decoder, view, publisher) = (&self.context.decoder, self.view, &mut *self.publisher);
        self.driver.changes(&mut |columns, row| {
            changed.visit_row(decoder, view, columns, row);
            if changed.is_full() {
                publish_rows(publisher, changed.take_rows());
            }
        })?;
        changed.end();
        self.publish_rows(changed.take_rows());
        Ok(changed.new_jobs())
    }

    /// Reads the jobs with these ids, and reports what is not known.
    ///
    /// # Errors
    /// When the database fails. What was reported until then is true.
    pub(super) fn some(&mut self, ids: &[String]) -> Result<ReadSummary, Fault> {
        let mut summary = ReadSummary::default();
        let mut news = Vec::new();
        for (id, found) in ids.iter().zip(self.driver.find_all(ids)?) {
            match found {
                // Only a reading of everything shows whose row it is.
                Lookup::Unnamed => summary.misses = true,
                Lookup::OtherSpelling(_) | Lookup::Missing => {
                    let row = JobRow::new(id.clone(), Status::Running);
                    summary.misses |= !matches!((self.view.known)(&row), RowDiff::New);
                }
                Lookup::Found(job) => match (self.view.known)(&job) {
                    RowDiff::Same(_) => {}
                    RowDiff::Changed(_) => news.push(job),
                    RowDiff::New => {
                        summary.new += 1;
                        news.push(job);
                    }
                },
            }
        }
        self.publish_rows(news);
        Ok(summary)
    }

    /// Reports what the table has and the reading has not met.
    fn publish_gone(&mut self, diff: &SnapshotDiff) -> Result<(), Fault> {
        let mut from = 0;
        loop {
            self.check_stopped()?;
            let (mut ids, next) =
                (self.view.unticked)(from, BATCH_GONE_MAX, &|number| diff.has(number));
            ids.retain(|id| !diff.has_reported(id));
            if diff.strategy() == ScanStrategy::Paged {
                let found = self.driver.find_all(&ids)?;
                let pairs = ids.into_iter().zip(found);
                ids = pairs
                    .filter_map(|(id, found)| found.found().is_none().then_some(id))
                    .collect();
            }
            if !ids.is_empty() {
                self.publisher.gone(ids);
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn check_stopped(&self) -> Result<(), Fault> {
        if self.context.signal.is_stopped() {
            return Err(Fault::Stopped);
        }
        Ok(())
    }

    fn publish_rows(&mut self, rows: Vec<JobRow>) {
        publish_rows(self.publisher, rows);
    }
}

fn publish_rows(publisher: &mut ChangePublisher, rows: Vec<JobRow>) {
    batches(rows).for_each(|batch| publisher.rows(batch));
}
