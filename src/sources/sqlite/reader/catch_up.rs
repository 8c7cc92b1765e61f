//! Catching up with a database: reads what is owed, and reports it.
//!
//! **Invariant:** a reading compares with what the engine has taken in, so it begins when the news
//! before it are in.

use std::time::Duration;

use rusqlite::Connection;

use super::{LastPublished, PendingReads, Reader};
use crate::clock;
use crate::core::jobs::{JobChange, JobRow, RowDiff, SourceUpdate, Status};
use crate::sources::sqlite::error::Fault;
use crate::sources::sqlite::open;
use crate::sources::sqlite::read::{self, Reading};
use crate::sources::stats::SourceState;

/// The engine takes in news in its own time. A reading compares with what it has taken in, so it
/// waits for the last of the news before, at growing distances; no longer than this, since a row
/// may be one that the engine does not want.
const SETTLE: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

impl Reader {
    /// Reads what is owed, if it is time.
    pub(super) fn read(&mut self, now: Duration) -> Result<(), Fault> {
        if self.state.owes.changes {
            if self.state.rests.changes > now {
                self.announce(self.state.rests.changes.saturating_sub(now));
                return Ok(());
            }
            self.read_changes()?;
        }
        if !self.state.owes.all {
            return self.settle_down();
        }
        let wait = self.state.rests.all.saturating_sub(now);
        let is_only_for_the_gone = self.options.queries.changed.is_some()
            && self.state.since.is_some()
            && self.state.down.is_none();
        if !is_only_for_the_gone {
            let took = self.stats.lock().last_read_took.unwrap_or_default();
            self.announce(wait.max(took));
        }
        if wait.is_zero() {
            self.read_all()?;
        }
        Ok(())
    }

    /// The database was locked and is as it was read: everything was reported.
    fn settle_down(&mut self) -> Result<(), Fault> {
        if self.state.is_held_up() || self.state.is_stale {
            self.look()?;
            if !self.state.owes.all {
                let jobs = self.stats.lock().jobs;
                self.loaded(jobs);
            }
        }
        Ok(())
    }

    fn read_all(&mut self) -> Result<(), Fault> {
        self.settle();
        let sample = self.lookups.sample();
        let began = clock::now().boot;
        let knows_nothing = !self.state.has_reported && (self.view.count)() == 0;
        let before = self.version()?;
        let since = match &self.options.queries.changed {
            Some(sql) => {
                self.state.pace.begin();
                let latest = read::latest_change(self.connection()?, sql)?;
                self.state.pace.end();
                Some(latest)
            }
            None => None,
        };
        let strategy = read::strategy(self.connection()?, &self.options.queries)?;
        let jobs = self.reading(|reading| reading.all(strategy, knows_nothing))?;
        let after = self.version()?;
        self.state.version = Some(after);
        self.state.since = since;
        self.state.owes = PendingReads::default();
        let now = clock::now();
        let took = now.boot.saturating_sub(began);
        // Rests for the sake of writers call for no more of them.
        let busy = took.saturating_sub(self.state.pace.take_rested());
        let is_beside_changes = self.options.queries.changed.is_some();
        self.state
            .rests
            .after_all(now.boot, busy, is_beside_changes);
        {
            let mut stats = self.stats.lock();
            stats.reads += 1;
            stats.last_read_at = Some(now.wall);
            stats.last_read_took = Some(took);
            stats.is_telling = true;
        }
        // Before the report, or a receiver that asks at once would learn that it was not read.
        if let Some(sample) = sample {
            self.lookups.confirm(sample);
        }
        self.loaded(jobs);
        self.stats.lock().read_from = Some(began);
        if after != before {
            self.owe();
        }
        Ok(())
    }

    fn read_changes(&mut self) -> Result<(), Fault> {
        let Some((sql, mut since)) = self
            .options
            .queries
            .changed
            .clone()
            .zip(self.state.since.clone())
        else {
            return Ok(());
        };
        self.settle();
        let began = clock::now().boot;
        let before = self.version()?;
        let new = self.reading(|reading| reading.changes(&sql, &mut since))?;
        self.state.version = Some(before);
        self.state.since = Some(since);
        self.state.owes.changes = false;
        // Whatever was committed after the reading began is found by a look.
        self.state.looks.restart(clock::now().boot);
        let now = clock::now();
        let took = now.boot.saturating_sub(began);
        let busy = took.saturating_sub(self.state.pace.take_rested());
        self.state.rests.after_changes(now.boot, busy);
        let jobs = {
            let mut stats = self.stats.lock();
            stats.reads_of_changes += 1;
            stats.last_read_at = Some(now.wall);
            stats.jobs + new
        };
        if self.state.is_stale || self.state.is_held_up() {
            self.loaded(jobs);
        } else {
            self.end_reading();
        }
        self.stats.lock().jobs = jobs;
        Ok(())
    }

    /// Everything was reported.
    fn loaded(&mut self, jobs: u64) {
        self.state.down = None;
        self.state.retries.succeed();
        self.state.is_stale = false;
        self.state.is_locked = false;
        {
            let mut stats = self.stats.lock();
            stats.jobs = jobs;
            stats.state = SourceState::Ready;
            stats.is_telling = true;
        }
        self.tell(JobChange::Loaded { jobs });
        self.stats.lock().is_telling = false;
    }

    /// Ends the news of a reading.
    fn end_reading(&self) {
        (self.tell)(SourceUpdate {
            source: self.options.id,
            news: Vec::new(),
            more: false,
        });
    }

    /// Waits until the engine has taken in what was reported last.
    fn settle(&mut self) {
        let Some(last) = self.state.last_told.take() else {
            return;
        };
        for ms in SETTLE {
            let is_in = match &last {
                LastPublished::Row(row) => matches!((self.view.known)(row), RowDiff::Same(_)),
                LastPublished::Gone(id) => {
                    let row = JobRow::new(id.clone(), Status::Running);
                    matches!((self.view.known)(&row), RowDiff::New)
                }
            };
            if is_in || self.signal.is_stopped() {
                return;
            }
            self.signal.pause(Duration::from_millis(ms));
        }
    }

    fn version(&self) -> Result<i64, Fault> {
        open::data_version(self.connection()?)
    }

    fn connection(&self) -> Result<&Connection, Fault> {
        let database = self.state.database.as_ref().ok_or(Fault::Missing)?;
        Ok(&database.connection)
    }

    fn reading<T>(
        &mut self,
        read: impl FnOnce(&mut Reading<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let database = self.state.database.as_ref().ok_or(Fault::Missing)?;
        let (tell, source) = (&self.tell, self.options.id);
        let (last_told, has_reported) = (&mut self.state.last_told, &mut self.state.has_reported);
        let mut tell = |news: JobChange| {
            *has_reported = true;
            if let Some(last) = last_of(&news) {
                *last_told = Some(last);
            }
            tell(SourceUpdate {
                source,
                news: vec![news],
                more: true,
            });
        };
        let pace = &mut self.state.pace;
        pace.ask(&database.connection)?;
        pace.rest(&self.signal);
        read(&mut Reading {
            connection: &database.connection,
            decoder: &self.decoder,
            queries: &self.options.queries,
            added: &self.options.add_columns,
            view: &self.view,
            tell: &mut tell,
            signal: &self.signal,
            pace,
        })
    }
}

fn last_of(news: &JobChange) -> Option<LastPublished> {
    match news {
        JobChange::Rows(rows) => rows
            .last()
            .map(|row| LastPublished::Row(Box::new(row.clone()))),
        JobChange::Gone(ids) => ids.last().cloned().map(LastPublished::Gone),
        JobChange::Loaded { .. } | JobChange::Stale | JobChange::Down { .. } => None,
    }
}
