//! Reads all jobs, those that changed, or those that were named, and reports what is not known.
//!
//! **Invariant:** where pages can be had, each is a statement and so a transaction of its own: what
//! other sessions wait for, such as the removal of dead rows, is held up no longer than by one of
//! them.
//! **Invariant:** pages go by the ids' own type and order, as the server compares them.

use futures_util::{StreamExt, pin_mut};
use tokio_postgres::{Row, RowStream};

use super::connection::Connection;
use super::error::Fault;
use super::find::{self, Extent};
use super::plan::{self, PAGE};
use super::publisher::ChangePublisher;
use super::row::{Form, text};
use super::shape::{self, Asked, Shape};
use crate::core::jobs::{JobRow, RowDiff, Status};
use crate::sources::known_jobs::KnownJobs;
use crate::sources::lookup::Lookup;
use crate::sources::snapshot_diff::{
    BATCH_GONE_MAX, ChangedRows, ScanStrategy, SnapshotDiff, batches,
};
use crate::sources::unnamed;

/// Rows that are asked for one by one at a time.
const TOGETHER: usize = 64;

/// Context of a reading.
pub(super) struct Reading<'a> {
    pub(super) link: &'a Connection,
    pub(super) shape: &'a Shape,
    pub(super) asked: Asked<'a>,
    pub(super) view: &'a KnownJobs,
    pub(super) tell: &'a mut ChangePublisher,
}

/// Outcome of a reading of some jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ReadSummary {
    /// So many were not known before.
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
    pub(super) async fn all(&mut self, knows_nothing: bool) -> Result<u64, Fault> {
        let plan = match plan::plan(self.link, self.shape).await {
            Ok(plan) => plan,
            Err(said) => return Err(shape::wrong(self.link, &self.asked, &said).await),
        };
        let mut diff = SnapshotDiff::new(plan.strategy);
        let is_through = match plan.strategy {
            ScanStrategy::Paged => self.pages(&mut diff).await?,
            ScanStrategy::SinglePass => false,
        };
        if !is_through {
            diff = SnapshotDiff::new(ScanStrategy::SinglePass);
            self.pass(&mut diff).await?;
        }
        diff.end(self.view);
        self.tell_rows(diff.take_rows()).await;
        if !knows_nothing {
            self.tell_gone(&diff).await?;
        }
        Ok(diff.jobs())
    }

    /// Reads page by page. `false`: a page ends with an id that cannot be asked from.
    async fn pages(&mut self, diff: &mut SnapshotDiff) -> Result<bool, Fault> {
        let (list, table, id) = (self.shape.list(), self.shape.table(), self.shape.id());
        let first = format!(
            "SELECT {list}, {id}::text FROM {table} WHERE {id} IS NOT NULL ORDER BY {id} LIMIT {PAGE}"
        );
        let after = format!(
            "SELECT {list}, {id}::text FROM {table} WHERE {id} > $1 ORDER BY {id} LIMIT {PAGE}"
        );
        // Pages are of what has an id.
        let most = unnamed::ROWS_MAX + 1;
        let without = format!("SELECT {list} FROM {table} WHERE {id} IS NULL LIMIT {most}");
        for row in &self.ask(&without, &[]).await? {
            let cells = self.shape.cells(row)?;
            diff.visit_row(self.asked.decoder, self.view, self.shape.columns(), &cells);
        }
        let mut cursor: Option<String> = None;
        loop {
            let rows = match &cursor {
                None => self.ask(&first, &[]).await?,
                Some(cursor) => self.ask(&after, &[Some(cursor)]).await?,
            };
            for row in &rows {
                let cells = self.shape.cells(row)?;
                diff.visit_row(self.asked.decoder, self.view, self.shape.columns(), &cells);
            }
            self.tell_rows(diff.take_rows()).await;
            let Some(end) = rows.last().filter(|_| rows.len() == PAGE) else {
                return Ok(true);
            };
            match self.shape.text_behind(end, 0) {
                Some(id) => cursor = Some(id.to_owned()),
                // A database without an encoding has texts that no query can name.
                None => return Ok(false),
            }
        }
    }

    async fn pass(&mut self, diff: &mut SnapshotDiff) -> Result<(), Fault> {
        let sql = format!("SELECT {} FROM {}", self.shape.list(), self.shape.table());
        let rows = self.stream(&sql, &[]).await?;
        pin_mut!(rows);
        while let Some(row) = self.next(rows.next()).await? {
            let cells = self.shape.cells(&row)?;
            diff.visit_row(self.asked.decoder, self.view, self.shape.columns(), &cells);
            if diff.is_full() {
                self.tell_rows(diff.take_rows()).await;
            }
        }
        Ok(())
    }

    /// Reads what changed since `since`, and reports what is not known; says how many jobs are new.
    /// `since` moves on.
    ///
    /// # Errors
    /// When the database fails. What was reported until then is true.
    pub(super) async fn changes(&mut self, since: &mut String) -> Result<u64, Fault> {
        let Some((column, form)) = self.shape.changed_at() else {
            return Ok(0);
        };
        let next = next_since(&format!("max({column}) OVER ()"), form);
        let sql = format!(
            "SELECT {}, {next} FROM {}",
            self.shape.list(),
            self.shape.table()
        );
        let given = vec![Some(since.as_str()); self.asked.parameters];
        let rows = self.stream(&sql, &given).await?;
        pin_mut!(rows);
        let mut changed = ChangedRows::default();
        let mut latest = None;
        while let Some(row) = self.next(rows.next()).await? {
            let cells = self.shape.cells(&row)?;
            changed.visit_row(self.asked.decoder, self.view, self.shape.columns(), &cells);
            if latest.is_none() {
                latest = self.shape.text_behind(&row, 0).map(str::to_owned);
            }
            if changed.is_full() {
                self.tell_rows(changed.take_rows()).await;
            }
        }
        changed.end();
        self.tell_rows(changed.take_rows()).await;
        if let Some(latest) = latest {
            *since = latest;
        }
        Ok(changed.new_jobs())
    }

    /// From when on changes are to be asked for, before everything is read.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn latest_change(&mut self) -> Result<String, Fault> {
        let Some((column, form)) = self.shape.changed_at() else {
            return Ok(String::new());
        };
        let first = first_since(form);
        let next = next_since(&format!("max({column})"), form);
        let sql = format!("SELECT {next} FROM {}", self.shape.table());
        let given = vec![Some(first); self.asked.parameters];
        let rows = self.ask(&sql, &given).await?;
        let latest = rows.first().and_then(|row| text(row, 0));
        Ok(latest.unwrap_or(first).to_owned())
    }

    /// Reads the jobs with these ids, and reports what is not known.
    ///
    /// # Errors
    /// When the database fails. What was reported until then is true.
    pub(super) async fn some(&mut self, ids: Vec<String>) -> Result<ReadSummary, Fault> {
        let mut found = ReadSummary::default();
        let mut news = Vec::new();
        for ids in ids.chunks(TOGETHER) {
            let rows = ids
                .iter()
                .map(|id| find::one(self.link, self.shape, &self.asked, id, Extent::Job));
            let rows = futures_util::future::join_all(rows).await;
            for (id, row) in ids.iter().zip(rows) {
                match row? {
                    // Only a reading of everything shows whose row it is.
                    Lookup::Unnamed => found.misses = true,
                    Lookup::OtherSpelling(_) | Lookup::Missing => {
                        let row = JobRow::new(id.clone(), Status::Running);
                        match (self.view.known)(&row) {
                            RowDiff::New => {}
                            RowDiff::Same(_) | RowDiff::Changed(_) => found.misses = true,
                        }
                    }
                    Lookup::Found(row) => match (self.view.known)(&row.job) {
                        RowDiff::Same(_) => {}
                        RowDiff::Changed(_) => news.push(row.job),
                        RowDiff::New => {
                            found.new += 1;
                            news.push(row.job);
                        }
                    },
                }
            }
        }
        self.tell_rows(news).await;
        Ok(found)
    }

    /// Reports what the table has and the reading has not met. Pages are of different moments, so
    /// there each is looked for once more.
    async fn tell_gone(&mut self, diff: &SnapshotDiff) -> Result<(), Fault> {
        let mut from = 0;
        loop {
            let (mut ids, next) =
                (self.view.unticked)(from, BATCH_GONE_MAX, &|number| diff.has(number));
            ids.retain(|id| !diff.has_reported(id));
            match diff.strategy() {
                ScanStrategy::SinglePass => {}
                ScanStrategy::Paged => ids = self.still_gone(ids).await?,
            }
            if !ids.is_empty() {
                self.tell.gone(ids).await;
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    async fn still_gone(&mut self, ids: Vec<String>) -> Result<Vec<String>, Fault> {
        let mut gone = Vec::new();
        for ids in ids.chunks(TOGETHER) {
            let rows = ids
                .iter()
                .map(|id| find::one(self.link, self.shape, &self.asked, id, Extent::Job));
            let rows = futures_util::future::join_all(rows).await;
            for (id, row) in ids.iter().zip(rows) {
                if row?.found().is_none() {
                    gone.push(id.clone());
                }
            }
        }
        Ok(gone)
    }

    async fn stream(&self, sql: &str, given: &[Option<&str>]) -> Result<RowStream, Fault> {
        match self.link.stream(sql, given).await {
            Ok(rows) => Ok(rows),
            Err(said) => Err(shape::wrong(self.link, &self.asked, &said).await),
        }
    }

    async fn next(
        &self,
        row: impl Future<Output = Option<Result<Row, tokio_postgres::Error>>>,
    ) -> Result<Option<Row>, Fault> {
        match self.link.within(row).await {
            Ok(row) => Ok(row),
            Err(said) => Err(shape::wrong(self.link, &self.asked, &said).await),
        }
    }

    async fn ask(&self, sql: &str, given: &[Option<&str>]) -> Result<Vec<Row>, Fault> {
        match self.link.rows(sql, given).await {
            Ok(rows) => Ok(rows),
            Err(said) => Err(shape::wrong(self.link, &self.asked, &said).await),
        }
    }

    async fn tell_rows(&mut self, rows: Vec<JobRow>) {
        for batch in batches(rows) {
            self.tell.rows(batch).await;
        }
    }
}

/// The value of a column's type that all changes come after.
fn first_since(form: Form) -> &'static str {
    match form {
        Form::Instant | Form::Shown | Form::Date => "-infinity",
        Form::Integer | Form::Real | Form::Number => "0",
        Form::Bool | Form::Text | Form::Bytes | Form::Json => "",
    }
}

/// From when on changes are asked for the next time, when the latest was at `latest`. A transaction
/// may commit after one that began later, with an earlier instant: a minute is asked for again.
/// What took longer is found when everything is read.
fn next_since(latest: &str, form: Form) -> String {
    match form {
        Form::Instant | Form::Shown => format!("({latest} - interval '1 minute')::text"),
        Form::Date => format!("({latest} - 1)::text"),
        Form::Integer
        | Form::Real
        | Form::Number
        | Form::Bool
        | Form::Text
        | Form::Bytes
        | Form::Json => format!("({latest})::text"),
    }
}
