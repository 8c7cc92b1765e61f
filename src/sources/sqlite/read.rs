//! Reads all jobs, or those that changed, and reports what is not known.
//!
//! **Invariant:** a row that was reported in this very reading is never reported as gone by it,
//! whether or not the table has it yet.
//! **Invariant:** where pages can be had, no read transaction is longer than one of them, and rows
//! are judged after it: with a rollback journal no writer can commit meanwhile.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use rusqlite::{Connection, Row, Rows};

use super::check;
use super::copy;
use super::error::Fault;
use super::find;
use super::lock_pace::LockPace;
use super::missing_columns::AddedColumn;
use super::row::{self, OwnedValue};
use crate::core::jobs::{JobChange, JobRow};
use crate::sources::change_signal::ChangeSignal;
use crate::sources::decode::{Columns, Decoder};
use crate::sources::known_jobs::KnownJobs;
use crate::sources::options::{Queries, bare};
use crate::sources::schema_check;
use crate::sources::snapshot_diff::{
    BATCH_GONE_MAX, BATCH_ROWS_MAX, ChangedRows, ScanStrategy, SnapshotDiff, batches,
};
use crate::sources::sql_value::SqlValue;
use crate::sources::unnamed;

/// Context of a reading.
pub(super) struct Reading<'a> {
    pub(super) connection: &'a Connection,
    pub(super) decoder: &'a Decoder,
    pub(super) queries: &'a Queries,
    /// Columns that read as NULL while the database lacks them.
    pub(super) added: &'a [AddedColumn],
    pub(super) view: &'a KnownJobs,
    pub(super) tell: &'a mut dyn FnMut(JobChange),
    pub(super) signal: &'a ChangeSignal,
    pub(super) pace: &'a mut LockPace,
}

/// Times that a part of a reading is tried while a writer locks it out: with the rests between
/// them, half a minute at most.
const TRIES_MAX: u32 = 64;

/// Rows in the order of their ids.
#[derive(Default)]
struct Page {
    /// `None`: there are no rows.
    columns: Option<Columns>,
    rows: Vec<Vec<OwnedValue>>,
    is_last: bool,
}

/// Returns how everything that `queries` ask can be read.
///
/// # Errors
/// When the query does not fit.
pub(super) fn strategy(connection: &Connection, queries: &Queries) -> Result<ScanStrategy, Fault> {
    let sql = format!("EXPLAIN QUERY PLAN {}", page_after(queries));
    let steps = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next()? {
            steps.push(row.get::<_, String>(3)?);
        }
        Ok(steps)
    };
    let steps = steps().map_err(|error| {
        Fault::of_query("select", error, || {
            check::what_there_is(connection, &queries.select)
        })
    })?;
    let is_search = |step: &String| {
        ["SEARCH ", "SCALAR SUBQUERY", "CORRELATED SCALAR SUBQUERY"]
            .iter()
            .any(|begin| step.starts_with(begin))
    };
    let is_by_id = |step: &String| step.ends_with(">?)");
    if steps.first().is_some_and(is_by_id) && steps.iter().all(is_search) {
        Ok(ScanStrategy::Paged)
    } else {
        Ok(ScanStrategy::SinglePass)
    }
}

fn page_first(queries: &Queries) -> String {
    let jobs = queries.jobs();
    format!("SELECT * FROM {jobs} WHERE id IS NOT NULL ORDER BY id LIMIT ?1")
}

fn page_after(queries: &Queries) -> String {
    let jobs = queries.jobs();
    format!("SELECT * FROM {jobs} WHERE id > ?1 ORDER BY id LIMIT ?2")
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
        match strategy {
            ScanStrategy::Paged => self.pages(&mut diff)?,
            ScanStrategy::SinglePass => self.pass(&mut diff)?,
        }
        diff.end(self.view);
        self.tell_rows(&mut diff);
        if !knows_nothing {
            self.tell_gone(&diff)?;
        }
        Ok(diff.jobs())
    }

    fn pages(&mut self, diff: &mut SnapshotDiff) -> Result<(), Fault> {
        self.without_id(diff)?;
        let mut page = self.page(None)?;
        loop {
            if let Some(columns) = &page.columns {
                for row in &page.rows {
                    let cells: Vec<SqlValue<'_>> = row.iter().map(OwnedValue::cell).collect();
                    diff.visit_row(self.decoder, self.view, columns, &cells);
                }
            }
            self.tell_rows(diff);
            let last = page.columns.as_ref().zip(page.rows.pop());
            let Some((columns, last)) = last.filter(|_| !page.is_last) else {
                return Ok(());
            };
            self.pace.rest(self.signal);
            let after = &last[columns.id_at()];
            page = self.patiently(|this| this.page(Some(after)))?;
        }
    }

    /// Reads the first page, or the one `after` an id.
    fn page(&mut self, after: Option<&OwnedValue>) -> Result<Page, Fault> {
        let size = self.pace.page();
        let mut page = Page::default();
        let mut is_cut = false;
        {
            let sql = match after {
                None => page_first(self.queries),
                Some(_) => page_after(self.queries),
            };
            let mut statement = self
                .connection
                .prepare_cached(&sql)
                .map_err(|error| self.wrong("select", error))?;
            let mut rows = match after {
                None => statement.query([size]),
                Some(after) => statement.query((after, size)),
            }
            .map_err(|error| self.wrong("select", error))?;
            self.pace.begin();
            page.columns = self.walk("select", &mut rows, |this, _, row| {
                // Until there was a row, it may have waited for a writer.
                if page.rows.is_empty() {
                    this.pace.begin();
                }
                page.rows.push(row::owned(row)?);
                is_cut = this.pace.is_over(page.rows.len());
                Ok(if is_cut {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
        }
        self.pace.end_page(page.rows.len());
        page.is_last = page.rows.len() < size && !is_cut;
        Ok(page)
    }

    /// Reads a part of a reading that has got somewhere: a writer that locks it out delays it, and
    /// does not have it begin again.
    fn patiently<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        for _ in 1..TRIES_MAX {
            match read(self) {
                Err(Fault::Busy) if !self.signal.is_stopped() => {
                    self.pace.rest_for_writer(self.signal);
                }
                done => return done,
            }
        }
        read(self)
    }

    /// Reads the rows that no page has.
    fn without_id(&mut self, diff: &mut SnapshotDiff) -> Result<(), Fault> {
        let jobs = self.queries.jobs();
        let sql = format!("SELECT * FROM {jobs} WHERE id IS NULL LIMIT ?1");
        let mut statement = self
            .connection
            .prepare_cached(&sql)
            .map_err(|error| self.wrong("select", error))?;
        let mut rows = statement
            .query([unnamed::ROWS_MAX + 1])
            .map_err(|error| self.wrong("select", error))?;
        self.pace.begin();
        self.walk("select", &mut rows, |this, columns, row| {
            diff.visit_row(this.decoder, this.view, columns, &row::cells(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        self.pace.end();
        Ok(())
    }

    /// Reads all rows with one statement: of a copy, where the statement would lock writers out for
    /// long, and a copy can be had.
    fn pass(&mut self, diff: &mut SnapshotDiff) -> Result<(), Fault> {
        let copy = if self.pace.is_pass_brief() {
            None
        } else {
            copy::of(self.connection, self.added, self.pace, self.signal)?
        };
        let sql = format!("SELECT * FROM {}", self.queries.jobs());
        let mut statement = copy
            .as_ref()
            .unwrap_or(self.connection)
            .prepare(&sql)
            .map_err(|error| self.wrong("select", error))?;
        let mut rows = statement
            .query([])
            .map_err(|error| self.wrong("select", error))?;
        self.pace.begin();
        self.walk("select", &mut rows, |this, columns, row| {
            diff.visit_row(this.decoder, this.view, columns, &row::cells(row)?);
            if diff.is_full() {
                this.tell_rows(diff);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.pace.end_pass(copy.is_none());
        Ok(())
    }

    /// Reads what changed at `since` or later, and reports what is not known; says how many jobs
    /// are new. `since` moves on.
    ///
    /// # Errors
    /// When the database fails. What was reported until then is true.
    pub(super) fn changes(&mut self, sql: &str, since: &mut OwnedValue) -> Result<u64, Fault> {
        let mut latest = since.clone();
        let mut changed = ChangedRows::default();
        {
            let wrong = |error| {
                Fault::of_query("changed", error, || {
                    check::what_there_is(self.connection, sql)
                })
            };
            let mut statement = self.connection.prepare_cached(bare(sql)).map_err(wrong)?;
            if let Some(at) = statement.parameter_index(":since").map_err(wrong)? {
                statement.raw_bind_parameter(at, &*since).map_err(wrong)?;
            }
            let mut rows = statement.raw_query();
            self.pace.begin();
            self.walk("changed", &mut rows, |this, columns, row| {
                let at = match columns.changed_at() {
                    Some(at) => row.get_ref(at)?.into(),
                    None => OwnedValue::Null,
                };
                if order(&at, &latest) == Ordering::Greater {
                    latest = at;
                }
                changed.visit_row(this.decoder, this.view, columns, &row::cells(row)?);
                if changed.is_full() {
                    this.tell_in_batches(changed.take_rows());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        self.pace.end();
        changed.end();
        self.tell_in_batches(changed.take_rows());
        *since = latest;
        Ok(changed.new_jobs())
    }

    /// Goes through rows; their columns are known only once there is one, since a change of the
    /// schema shows then. Returns them.
    fn walk(
        &mut self,
        query: &str,
        rows: &mut Rows<'_>,
        mut each: impl FnMut(&mut Self, &Columns, &Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<Option<Columns>, Fault> {
        let mut columns = None;
        let mut count = 0_usize;
        while let Some(row) = rows.next().map_err(|error| self.wrong(query, error))? {
            if count.is_multiple_of(BATCH_ROWS_MAX) && self.signal.is_stopped() {
                return Err(Fault::Stopped);
            }
            count += 1;
            let columns = match &mut columns {
                Some(columns) => columns,
                none => {
                    let names = row.as_ref().column_names();
                    let has = names.iter().map(|name| name.to_lowercase()).collect();
                    schema_check::columns(query, &has, self.queries).map_err(Fault::Query)?;
                    none.insert(self.decoder.columns(&names))
                }
            };
            let next = each(self, columns, row).map_err(|error| self.wrong(query, error))?;
            if next.is_break() {
                break;
            }
        }
        Ok(columns)
    }

    /// Reports what the table has and the reading has not met. Pages are of different moments, so
    /// there each is looked for once more.
    fn tell_gone(&mut self, diff: &SnapshotDiff) -> Result<(), Fault> {
        let mut from = 0;
        loop {
            let (mut ids, next) =
                (self.view.unticked)(from, BATCH_GONE_MAX, &|number| diff.has(number));
            ids.retain(|id| !diff.has_reported(id));
            match diff.strategy() {
                ScanStrategy::SinglePass => {}
                ScanStrategy::Paged => {
                    let mut gone = Vec::new();
                    for id in ids {
                        self.pace.rest(self.signal);
                        if self.signal.is_stopped() {
                            return Err(Fault::Stopped);
                        }
                        let found = self.patiently(|this| {
                            this.pace.begin();
                            let found = find::one(this.connection, this.decoder, this.queries, &id);
                            this.pace.end();
                            found
                        })?;
                        if found.found().is_none() {
                            gone.push(id);
                        }
                    }
                    ids = gone;
                }
            }
            if !ids.is_empty() {
                (self.tell)(JobChange::Gone(ids));
            }
            if self.signal.is_stopped() {
                return Err(Fault::Stopped);
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn tell_rows(&mut self, diff: &mut SnapshotDiff) {
        self.tell_in_batches(diff.take_rows());
    }

    fn tell_in_batches(&mut self, rows: Vec<JobRow>) {
        for batch in batches(rows) {
            (self.tell)(JobChange::Rows(batch));
        }
    }

    fn wrong(&self, query: &str, error: rusqlite::Error) -> Fault {
        let sql = match query {
            "changed" => self.queries.changed.as_deref().unwrap_or_default(),
            _ => &self.queries.select,
        };
        Fault::of_query(query, error, || check::what_there_is(self.connection, sql))
    }
}

/// The greatest `changed_at` that there is: what changes are asked from. Of an empty table 0, which
/// comes before every text as before every instant.
///
/// # Errors
/// When the query does not fit.
pub(super) fn latest_change(connection: &Connection, sql: &str) -> Result<OwnedValue, Fault> {
    let query = format!("SELECT max(changed_at) FROM (\n{}\n)", bare(sql));
    let ask = || -> rusqlite::Result<OwnedValue> {
        let mut statement = connection.prepare_cached(&query)?;
        if let Some(at) = statement.parameter_index(":since")? {
            statement.raw_bind_parameter(at, 0)?;
        }
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => Ok(row.get_ref(0)?.into()),
            None => Ok(OwnedValue::Null),
        }
    };
    match ask() {
        Ok(OwnedValue::Null) => Ok(OwnedValue::Integer(0)),
        Ok(latest) => Ok(latest),
        Err(error) => Err(Fault::of_query("changed", error, || {
            check::what_there_is(connection, sql)
        })),
    }
}

/// The order of values in SQLite: nothing, numbers, texts, bytes.
fn order(one: &OwnedValue, other: &OwnedValue) -> Ordering {
    let rank = |value: &OwnedValue| match value {
        OwnedValue::Null => 0,
        OwnedValue::Integer(_) | OwnedValue::Real(_) => 1,
        OwnedValue::Text(_) => 2,
        OwnedValue::Blob(_) => 3,
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a change too early asked for is only read again"
    )]
    let number = |value: &OwnedValue| match value {
        OwnedValue::Integer(number) => *number as f64,
        OwnedValue::Real(number) => *number,
        OwnedValue::Null | OwnedValue::Text(_) | OwnedValue::Blob(_) => 0.0,
    };
    match (one, other) {
        (OwnedValue::Integer(one), OwnedValue::Integer(other)) => one.cmp(other),
        (OwnedValue::Text(one), OwnedValue::Text(other))
        | (OwnedValue::Blob(one), OwnedValue::Blob(other)) => one.cmp(other),
        _ => rank(one)
            .cmp(&rank(other))
            .then_with(|| number(one).total_cmp(&number(other))),
    }
}
