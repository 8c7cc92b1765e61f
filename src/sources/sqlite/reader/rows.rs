//! Reading of rows, at a pace that hardly keeps writers waiting.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use rusqlite::{Connection, Row, Rows};

use super::{SqliteReader, connection_of};
use crate::core::jobs::JobRow;
use crate::sources::context::SourceContext;
use crate::sources::decode::Columns;
use crate::sources::driver::{PageEnd, Visit};
use crate::sources::error::Fault;
use crate::sources::lookup::Lookup;
use crate::sources::options::bare;
use crate::sources::schema_check;
use crate::sources::snapshot_diff::BATCH_ROWS_MAX;
use crate::sources::sql_value::SqlValue;
use crate::sources::sqlite::error::query_fault;
use crate::sources::sqlite::lock_pace::LockPace;
use crate::sources::sqlite::row::{self, OwnedValue};
use crate::sources::sqlite::{check, copy, find, queries};
use crate::sources::unnamed;

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

impl SqliteReader {
    /// Begins a reading at the pace that the database's journal asks for.
    pub(super) fn begin_reading(&mut self) -> Result<(), Fault> {
        self.pace.ask(connection_of(self.database.as_ref())?)?;
        self.pace.rest(&self.shared.context.signal);
        Ok(())
    }

    pub(super) fn read_page(&mut self, visit: &mut Visit<'_>) -> Result<PageEnd, Fault> {
        let after = self.scan.last.take();
        let mut page = if let Some(after) = &after {
            self.pace.rest(&self.shared.context.signal);
            self.patiently(|this| this.page_after(Some(after)))?
        } else {
            self.without_id(visit)?;
            self.page_after(None)?
        };
        let Some(columns) = &page.columns else {
            return Ok(PageEnd::Last);
        };
        for row in &page.rows {
            let cells: Vec<SqlValue<'_>> = row.iter().map(OwnedValue::cell).collect();
            visit(columns, &cells);
        }
        match page.rows.pop().filter(|_| !page.is_last) {
            Some(mut last) => {
                self.scan.last = Some(last.swap_remove(columns.id_at()));
                Ok(PageEnd::More)
            }
            None => Ok(PageEnd::Last),
        }
    }

    /// Reads the first page, or the one `after` an id.
    fn page_after(&mut self, after: Option<&OwnedValue>) -> Result<Page, Fault> {
        let size = self.pace.page();
        let mut page = Page::default();
        let mut is_cut = false;
        {
            let of = &self.shared.context.queries;
            let connection = connection_of(self.database.as_ref())?;
            let context = &*self.shared.context;
            let wrong = |error| wrong(connection, context, "select", error);
            let sql = match after {
                None => queries::page_first(of),
                Some(_) => queries::page_after(of),
            };
            let mut statement = connection.prepare_cached(&sql).map_err(wrong)?;
            let mut rows = match after {
                None => statement.query([size]),
                Some(after) => statement.query((after, size)),
            }
            .map_err(wrong)?;
            let lock = &mut self.pace;
            lock.begin();
            page.columns = walk(connection, context, "select", &mut rows, |_, row| {
                // Until there was a row, it may have waited for a writer.
                if page.rows.is_empty() {
                    lock.begin();
                }
                page.rows.push(row::owned(row)?);
                is_cut = lock.is_over(page.rows.len());
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
                Err(Fault::Busy) if !self.shared.context.signal.is_stopped() => {
                    self.pace.rest_for_writer(&self.shared.context.signal);
                }
                done => return done,
            }
        }
        read(self)
    }

    /// Reads the rows that no page has.
    fn without_id(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let jobs = self.shared.context.queries.jobs();
        let sql = format!(
            "SELECT * FROM {jobs} WHERE id IS NULL LIMIT {}",
            unnamed::ROWS_MAX + 1
        );
        let connection = connection_of(self.database.as_ref())?;
        read_rows(
            connection,
            &self.shared.context,
            &mut self.pace,
            &sql,
            visit,
        )?;
        self.pace.end();
        Ok(())
    }

    /// Reads all rows with one statement: of a copy, where the statement would lock writers out for
    /// long, and a copy can be had.
    pub(super) fn read_pass(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let connection = connection_of(self.database.as_ref())?;
        let copy = if self.pace.is_pass_brief() {
            None
        } else {
            let (added, signal) = (
                &self.shared.options.add_columns,
                &self.shared.context.signal,
            );
            copy::of(connection, added, &mut self.pace, signal)?
        };
        let sql = format!("SELECT * FROM {}", self.shared.context.queries.jobs());
        let of = copy.as_ref().unwrap_or(connection);
        read_rows(of, &self.shared.context, &mut self.pace, &sql, visit)?;
        self.pace.end_pass(copy.is_none());
        Ok(())
    }

    /// Reads what changed at `since` or later, which moves on.
    pub(super) fn read_changes(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let connection = connection_of(self.database.as_ref())?;
        let context = &*self.shared.context;
        let Some((sql, since)) = context.queries.changed.as_ref().zip(self.since.as_ref()) else {
            return Ok(());
        };
        let mut latest = since.clone();
        {
            let wrong = |error| wrong(connection, context, "changed", error);
            let mut statement = connection.prepare_cached(bare(sql)).map_err(wrong)?;
            if let Some(at) = statement.parameter_index(":since").map_err(wrong)? {
                statement.raw_bind_parameter(at, since).map_err(wrong)?;
            }
            let mut rows = statement.raw_query();
            self.pace.begin();
            walk(connection, context, "changed", &mut rows, |columns, row| {
                let at = match columns.changed_at() {
                    Some(at) => row.get_ref(at)?.into(),
                    None => OwnedValue::Null,
                };
                if queries::order(&at, &latest) == Ordering::Greater {
                    latest = at;
                }
                visit(columns, &row::cells(row)?);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        self.pace.end();
        self.since = Some(latest);
        Ok(())
    }

    /// Looks for the row of `id`.
    pub(super) fn find(&mut self, id: &str) -> Result<Lookup<JobRow>, Fault> {
        let signal = &self.shared.context.signal;
        self.pace.rest(signal);
        if signal.is_stopped() {
            return Err(Fault::Stopped);
        }
        self.patiently(|this| {
            this.pace.begin();
            let found = find::one(this.connection()?, &this.shared.context, id);
            this.pace.end();
            Ok(found?.map(|found| found.job))
        })
    }
}

/// Reads all rows of a statement without parameters.
fn read_rows(
    connection: &Connection,
    context: &SourceContext,
    pace: &mut LockPace,
    sql: &str,
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    let wrong = |error| wrong(connection, context, "select", error);
    let mut statement = connection.prepare_cached(sql).map_err(wrong)?;
    let mut rows = statement.query([]).map_err(wrong)?;
    pace.begin();
    walk(connection, context, "select", &mut rows, |columns, row| {
        visit(columns, &row::cells(row)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(())
}

/// Goes through rows; their columns are known only once there is one, since a change of the schema
/// shows then. Returns them.
fn walk(
    connection: &Connection,
    context: &SourceContext,
    query: &str,
    rows: &mut Rows<'_>,
    mut each: impl FnMut(&Columns, &Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
) -> Result<Option<Columns>, Fault> {
    let wrong = |error| wrong(connection, context, query, error);
    let mut columns = None;
    let mut count = 0_usize;
    while let Some(row) = rows.next().map_err(wrong)? {
        if count.is_multiple_of(BATCH_ROWS_MAX) && context.signal.is_stopped() {
            return Err(Fault::Stopped);
        }
        count += 1;
        let columns = match &mut columns {
            Some(columns) => columns,
            none => {
                let names = row.as_ref().column_names();
                let has = names.iter().map(|name| name.to_lowercase()).collect();
                schema_check::columns(query, &has, &context.queries)?;
                none.insert(context.decoder.columns(&names))
            }
        };
        if each(columns, row).map_err(wrong)?.is_break() {
            break;
        }
    }
    Ok(columns)
}

fn wrong(
    connection: &Connection,
    context: &SourceContext,
    query: &str,
    error: rusqlite::Error,
) -> Fault {
    let queries = &context.queries;
    let sql = match query {
        "changed" => queries.changed.as_deref().unwrap_or_default(),
        _ => &queries.select,
    };
    query_fault(query, error, || check::what_there_is(connection, sql))
}
