//! What a reading of all jobs has met, and which of it is news.
//!
//! **Invariant:** a row that was told in this very reading is never told as gone by it, whether or not the table has it yet.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::cell::Cell;
use super::decode::{Columns, Decoder};
use super::ticks::Ticks;
use super::unnamed::Unnamed;
use super::view::View;
use crate::core::jobs::{JobRow, Known};

/// Rows of one piece of news.
pub(super) const NEWS_MAX: usize = 1000;
/// Rows that a single pass keeps for its end, so that nobody waits for the engine within a transaction: some 10 MB.
const KEPT_MAX: usize = 20_000;
/// Ids of one piece of news on what is gone.
pub(super) const GONE_MAX: usize = 500;

/// How everything is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// In pages by id, each a search in an index.
    Pages,
    /// In one pass: there is no index, so that each page would cost as much as all.
    Pass,
}

/// What a reading has met.
pub(super) struct Met {
    way: Way,
    ticks: Ticks,
    /// What was told as new, by hashes: two alike would keep a job that is gone until the next reading, no more.
    told: HashSet<u64>,
    rows: Vec<JobRow>,
    unnamed: Unnamed,
    jobs: u64,
    last: Option<String>,
}

impl Met {
    /// Nothing yet.
    pub(super) fn new(way: Way) -> Self {
        Self {
            way,
            ticks: Ticks::default(),
            told: HashSet::new(),
            rows: Vec::new(),
            unnamed: Unnamed::default(),
            jobs: 0,
            last: None,
        }
    }

    /// Takes note of a row, and keeps it if it is news.
    pub(super) fn meet(
        &mut self,
        decoder: &Decoder,
        view: &View,
        columns: &Columns,
        row: &[Cell<'_>],
    ) {
        let mut job = decoder.decode(columns, row);
        if job.id == JobRow::UNNAMED {
            self.unnamed.add(job);
            return;
        }
        let known = (view.known)(&job);
        let is_first = match (known, self.way) {
            _ if self.last.as_deref() == Some(&job.id) => false,
            (Known::Same(number) | Known::Changed(number), _) => self.ticks.tick(number),
            // In pages, rows of one id come one after the other.
            (Known::No, Way::Pages) => true,
            (Known::No, Way::Pass) => self.told.insert(hash(&job.id)),
        };
        if !is_first {
            decoder.say_double(&job.id);
            return;
        }
        self.jobs += 1;
        if self.way == Way::Pages {
            self.last = Some(job.id.clone());
        }
        match known {
            Known::Same(_) => {}
            Known::Changed(_) | Known::No => {
                Decoder::complete(columns, row, &mut job);
                self.rows.push(job);
            }
        }
    }

    /// Takes note that all rows were met: the job that stands for those without an id is known now.
    pub(super) fn end(&mut self, view: &View) {
        let Some(job) = std::mem::take(&mut self.unnamed).into_row() else {
            return;
        };
        match (view.known)(&job) {
            Known::Same(number) => drop(self.ticks.tick(number)),
            Known::Changed(number) => {
                self.ticks.tick(number);
                self.rows.push(job);
            }
            Known::No => {
                self.told.insert(hash(&job.id));
                self.rows.push(job);
            }
        }
    }

    /// How everything is read.
    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// How many jobs it has met.
    pub(super) fn jobs(&self) -> u64 {
        self.jobs
    }

    /// Whether it has met the known job of this number.
    pub(super) fn has(&self, number: u32) -> bool {
        self.ticks.has(number)
    }

    /// Whether the job may have been told as new.
    pub(super) fn has_told(&self, id: &str) -> bool {
        self.told.contains(&hash(id))
    }

    /// Whether what it keeps has to be told now.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= KEPT_MAX
    }

    /// The news that were not told yet.
    pub(super) fn take_rows(&mut self) -> Vec<JobRow> {
        std::mem::take(&mut self.rows)
    }
}

/// Rows in pieces of news.
pub(super) fn batches(rows: Vec<JobRow>) -> impl Iterator<Item = Vec<JobRow>> {
    let mut rows = rows.into_iter().peekable();
    std::iter::from_fn(move || {
        rows.peek()?;
        Some(rows.by_ref().take(NEWS_MAX).collect())
    })
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
