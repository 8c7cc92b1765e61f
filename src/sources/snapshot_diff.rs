//! Difference between a reading of all jobs and the known jobs.
//!
//! **Invariant:** a row that this very reading has reported is never reported as gone by it,
//! whether or not the table has it yet.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::bit_set::BitSet;
use super::decode::{Columns, Decoder};
use super::known_jobs::KnownJobs;
use super::sql_value::SqlValue;
use super::unnamed::Unnamed;
use crate::core::jobs::{JobRow, RowDiff};

/// Rows of one piece of news.
pub(super) const BATCH_ROWS_MAX: usize = 1000;
/// Rows that a single pass keeps for its end, so that no writer waits for the engine within a
/// transaction: some 10 MB.
const PENDING_ROWS_MAX: usize = 20_000;
/// Ids of one piece of news on what is gone.
pub(super) const BATCH_GONE_MAX: usize = 500;

/// Strategy of a reading of everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ScanStrategy {
    /// In pages by id, each a search in an index.
    Paged,
    /// In one pass: there is no index, so that each page would cost as much as all.
    SinglePass,
}

/// Rows that a reading has visited, and those of them that are new or changed.
pub(super) struct SnapshotDiff {
    strategy: ScanStrategy,
    seen: BitSet,
    /// Hashes of ids reported as new. A collision only delays the report of a job that is gone
    /// until the next reading.
    told: HashSet<u64>,
    rows: Vec<JobRow>,
    unnamed: Unnamed,
    jobs: u64,
    last: Option<String>,
}

impl SnapshotDiff {
    /// Nothing yet.
    pub(super) fn new(strategy: ScanStrategy) -> Self {
        Self {
            strategy,
            seen: BitSet::default(),
            told: HashSet::new(),
            rows: Vec::new(),
            unnamed: Unnamed::default(),
            jobs: 0,
            last: None,
        }
    }

    /// Visits a row, and keeps it if it is new or changed.
    pub(super) fn visit_row(
        &mut self,
        decoder: &Decoder,
        view: &KnownJobs,
        columns: &Columns,
        row: &[SqlValue<'_>],
    ) {
        let mut job = decoder.decode(columns, row);
        if job.id == JobRow::UNNAMED {
            self.unnamed.add(job);
            return;
        }
        let known = (view.known)(&job);
        let is_first = match (known, self.strategy) {
            _ if self.last.as_deref() == Some(&job.id) => false,
            (RowDiff::Same(number) | RowDiff::Changed(number), _) => self.seen.tick(number),
            // In pages, rows of one id come one after the other.
            (RowDiff::New, ScanStrategy::Paged) => true,
            (RowDiff::New, ScanStrategy::SinglePass) => self.told.insert(hash(&job.id)),
        };
        if !is_first {
            decoder.warn_duplicate_id(&job.id);
            return;
        }
        self.jobs += 1;
        if self.strategy == ScanStrategy::Paged {
            self.last = Some(job.id.clone());
        }
        match known {
            RowDiff::Same(_) => {}
            RowDiff::Changed(_) | RowDiff::New => {
                Decoder::complete(columns, row, &mut job);
                self.rows.push(job);
            }
        }
    }

    /// Takes note that all rows were met: the job that stands for those without an id is known now.
    pub(super) fn end(&mut self, view: &KnownJobs) {
        let Some(job) = std::mem::take(&mut self.unnamed).into_row() else {
            return;
        };
        match (view.known)(&job) {
            RowDiff::Same(number) => drop(self.seen.tick(number)),
            RowDiff::Changed(number) => {
                self.seen.tick(number);
                self.rows.push(job);
            }
            RowDiff::New => {
                self.told.insert(hash(&job.id));
                self.rows.push(job);
            }
        }
    }

    /// Returns how everything is read.
    pub(super) fn strategy(&self) -> ScanStrategy {
        self.strategy
    }

    /// Returns how many jobs it has met.
    pub(super) fn jobs(&self) -> u64 {
        self.jobs
    }

    /// Returns whether it has met the known job of this number.
    pub(super) fn has(&self, number: u32) -> bool {
        self.seen.has(number)
    }

    /// Returns whether the job may have been reported as new.
    pub(super) fn has_reported(&self, id: &str) -> bool {
        self.told.contains(&hash(id))
    }

    /// Returns whether what it keeps has to be reported now.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= PENDING_ROWS_MAX
    }

    /// The news that were not reported yet.
    pub(super) fn take_rows(&mut self) -> Vec<JobRow> {
        std::mem::take(&mut self.rows)
    }
}

/// Rows that a query for changes has given, and those of them that are new or changed.
#[derive(Default)]
pub(super) struct ChangedRows {
    rows: Vec<JobRow>,
    unnamed: Unnamed,
    new: u64,
}

impl ChangedRows {
    /// Visits a row, and keeps it if it is new or changed.
    pub(super) fn visit_row(
        &mut self,
        decoder: &Decoder,
        view: &KnownJobs,
        columns: &Columns,
        row: &[SqlValue<'_>],
    ) {
        let mut job = decoder.decode(columns, row);
        if job.id == JobRow::UNNAMED {
            self.unnamed.add(job);
            return;
        }
        match (view.known)(&job) {
            RowDiff::Same(_) => return,
            RowDiff::Changed(_) => {}
            RowDiff::New => self.new += 1,
        }
        Decoder::complete(columns, row, &mut job);
        self.rows.push(job);
    }

    /// Ends the reading: the job that stands for those without an id is known now.
    pub(super) fn end(&mut self) {
        self.rows
            .extend(std::mem::take(&mut self.unnamed).into_changed());
    }

    /// Returns whether the rows it keeps must be reported now.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= PENDING_ROWS_MAX
    }

    /// Takes the rows that were not reported yet.
    pub(super) fn take_rows(&mut self) -> Vec<JobRow> {
        std::mem::take(&mut self.rows)
    }

    /// Number of jobs that were not known before.
    pub(super) fn new_jobs(&self) -> u64 {
        self.new
    }
}

/// Rows in pieces of news.
pub(super) fn batches(rows: Vec<JobRow>) -> impl Iterator<Item = Vec<JobRow>> {
    let mut rows = rows.into_iter().peekable();
    std::iter::from_fn(move || {
        rows.peek()?;
        Some(rows.by_ref().take(BATCH_ROWS_MAX).collect())
    })
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
