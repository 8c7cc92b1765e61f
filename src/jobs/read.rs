//! Reads all jobs, or those that changed, and tells what is not known.
//!
//! **Invariant:** a row that was told in this very reading is never told as gone by it, whether or not the table has it yet.
//! **Invariant:** where pages can be had, no read transaction is longer than one of them: with a rollback journal nobody can commit
//! meanwhile.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Rows};

use super::bell::Bell;
use super::check;
use super::decode::{Columns, Decoder};
use super::error::Fault;
use super::find;
use super::options::{Queries, bare};
use super::ticks::Ticks;
use super::view::View;
use crate::core::jobs::{JobRow, Known, News};

/// Rows of one page: some ten milliseconds.
pub(super) const PAGE: usize = 5000;
/// Rows of one piece of news.
const NEWS_MAX: usize = 1000;
/// Rows that a single pass keeps for its end, so that nobody waits for the engine within a transaction: some 10 MB.
const KEPT_MAX: usize = 20_000;
/// Ids of one piece of news on what is gone.
const GONE_MAX: usize = 500;

/// How everything is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// In pages by id, each a search in an index.
    Pages,
    /// In one pass: there is no index, so that each page would cost as much as all.
    Pass,
}

/// What a reading needs.
pub(super) struct Reading<'a> {
    pub(super) connection: &'a Connection,
    pub(super) decoder: &'a Decoder,
    pub(super) queries: &'a Queries,
    pub(super) view: &'a View,
    pub(super) tell: &'a mut dyn FnMut(News),
    pub(super) bell: &'a Bell,
}

/// What a reading has met.
struct Met {
    ticks: Ticks,
    /// What was told as new, by hashes: two alike would keep a job that is gone until the next reading, no more.
    told: HashSet<u64>,
    rows: Vec<JobRow>,
    jobs: u64,
    last: Option<String>,
}

/// How everything that `queries` ask can be read.
///
/// # Errors
/// When the query does not fit.
pub(super) fn way(connection: &Connection, queries: &Queries) -> Result<Way, Fault> {
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
        Ok(Way::Pages)
    } else {
        Ok(Way::Pass)
    }
}

fn page_first(queries: &Queries) -> String {
    let jobs = queries.jobs();
    format!("SELECT * FROM {jobs} WHERE id IS NOT NULL ORDER BY id LIMIT {PAGE}")
}

fn page_after(queries: &Queries) -> String {
    let jobs = queries.jobs();
    format!("SELECT * FROM {jobs} WHERE id > ?1 ORDER BY id LIMIT {PAGE}")
}

impl Reading<'_> {
    /// Reads everything, and tells what is not known, and what is gone unless nothing can have been known; says how many jobs
    /// there are.
    ///
    /// # Errors
    /// When the database fails. What was told until then is true.
    pub(super) fn all(&mut self, way: Way, knows_nothing: bool) -> Result<u64, Fault> {
        let mut met = Met {
            ticks: Ticks::default(),
            told: HashSet::new(),
            rows: Vec::new(),
            jobs: 0,
            last: None,
        };
        match way {
            Way::Pages => self.pages(&mut met)?,
            Way::Pass => self.pass(&mut met)?,
        }
        self.tell_rows(&mut met);
        if !knows_nothing {
            self.tell_gone(way, &met)?;
        }
        Ok(met.jobs)
    }

    fn pages(&mut self, met: &mut Met) -> Result<(), Fault> {
        let (first, after) = (page_first(self.queries), page_after(self.queries));
        let mut cursor: Option<Value> = None;
        // Pages are of what has an id.
        let without = format!("SELECT 1 FROM {} WHERE id IS NULL", self.queries.jobs());
        let has_without = self
            .connection
            .prepare_cached(&without)
            .and_then(|mut statement| statement.exists([]));
        if has_without.map_err(|error| self.wrong("select", error))? {
            self.decoder.say_no_id();
        }
        loop {
            let mut count = 0;
            {
                let sql = if cursor.is_none() { &first } else { &after };
                let mut statement = self
                    .connection
                    .prepare_cached(sql)
                    .map_err(|error| self.wrong("select", error))?;
                let mut rows = match cursor.take() {
                    None => statement.query([]),
                    Some(cursor) => statement.query([cursor]),
                }
                .map_err(|error| self.wrong("select", error))?;
                self.walk("select", &mut rows, |this, columns, row| {
                    count += 1;
                    cursor = Some(row.get_ref(columns.id().unwrap_or_default())?.into());
                    this.meet(Way::Pages, met, columns, row)
                })?;
            }
            self.tell_rows(met);
            if count < PAGE {
                return Ok(());
            }
        }
    }

    fn pass(&mut self, met: &mut Met) -> Result<(), Fault> {
        let sql = format!("SELECT * FROM {}", self.queries.jobs());
        let mut statement = self
            .connection
            .prepare_cached(&sql)
            .map_err(|error| self.wrong("select", error))?;
        let mut rows = statement
            .query([])
            .map_err(|error| self.wrong("select", error))?;
        self.walk("select", &mut rows, |this, columns, row| {
            this.meet(Way::Pass, met, columns, row)?;
            if met.rows.len() >= KEPT_MAX {
                this.tell_rows(met);
            }
            Ok(())
        })
    }

    /// Reads what changed at `since` or later, and tells what is not known; says how many jobs are new. `since` moves on.
    ///
    /// # Errors
    /// When the database fails. What was told until then is true.
    pub(super) fn changes(&mut self, sql: &str, since: &mut Value) -> Result<u64, Fault> {
        let mut latest = since.clone();
        let mut told = Vec::new();
        let mut new = 0;
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
            self.walk("changed", &mut rows, |this, columns, row| {
                let at = columns.changed_at(row)?;
                if order(&at, &latest) == Ordering::Greater {
                    latest = at;
                }
                let Some(mut job) = this.decoder.decode(columns, row)? else {
                    return Ok(());
                };
                match (this.view.known)(&job) {
                    Known::Same(_) => return Ok(()),
                    Known::Changed(_) => {}
                    Known::No => new += 1,
                }
                Decoder::complete(columns, row, &mut job)?;
                told.push(job);
                Ok(())
            })?;
        }
        self.tell_in_batches(told);
        *since = latest;
        Ok(new)
    }

    /// Goes through rows; their columns are known only once there is one, since a change of the schema shows then.
    fn walk(
        &mut self,
        query: &str,
        rows: &mut Rows<'_>,
        mut each: impl FnMut(&mut Self, &Columns, &Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Fault> {
        let mut columns = None;
        let mut count = 0_usize;
        while let Some(row) = rows.next().map_err(|error| self.wrong(query, error))? {
            if count.is_multiple_of(NEWS_MAX) && self.bell.is_stopped() {
                return Err(Fault::Stopped);
            }
            count += 1;
            let columns = match &mut columns {
                Some(columns) => columns,
                none => {
                    check::columns(query, row.as_ref(), self.queries).map_err(Fault::Query)?;
                    none.insert(self.decoder.columns(row.as_ref()))
                }
            };
            each(self, columns, row).map_err(|error| self.wrong(query, error))?;
        }
        Ok(())
    }

    fn meet(
        &self,
        way: Way,
        met: &mut Met,
        columns: &Columns,
        row: &Row<'_>,
    ) -> rusqlite::Result<()> {
        let Some(mut job) = self.decoder.decode(columns, row)? else {
            return Ok(());
        };
        let known = (self.view.known)(&job);
        let is_first = match (known, way) {
            _ if met.last.as_deref() == Some(&job.id) => false,
            (Known::Same(number) | Known::Changed(number), _) => met.ticks.tick(number),
            // In pages, rows of one id come one after the other.
            (Known::No, Way::Pages) => true,
            (Known::No, Way::Pass) => met.told.insert(hash(&job.id)),
        };
        if !is_first {
            self.decoder.say_double(&job.id);
            return Ok(());
        }
        met.jobs += 1;
        if way == Way::Pages {
            met.last = Some(job.id.clone());
        }
        match known {
            Known::Same(_) => {}
            Known::Changed(_) | Known::No => {
                Decoder::complete(columns, row, &mut job)?;
                met.rows.push(job);
            }
        }
        Ok(())
    }

    /// Tells what the table has and the reading has not met. Pages are of different moments, so there each is looked for once more.
    fn tell_gone(&mut self, way: Way, met: &Met) -> Result<(), Fault> {
        let mut from = 0;
        loop {
            let (mut ids, next) =
                (self.view.unticked)(from, GONE_MAX, &|number| met.ticks.has(number));
            match way {
                Way::Pass => ids.retain(|id| !met.told.contains(&hash(id))),
                Way::Pages => {
                    let mut gone = Vec::new();
                    for id in ids {
                        let found = find::one(self.connection, self.decoder, self.queries, &id)?;
                        if found.is_none() {
                            gone.push(id);
                        }
                    }
                    ids = gone;
                }
            }
            if !ids.is_empty() {
                (self.tell)(News::Gone(ids));
            }
            if self.bell.is_stopped() {
                return Err(Fault::Stopped);
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn tell_rows(&mut self, met: &mut Met) {
        self.tell_in_batches(std::mem::take(&mut met.rows));
    }

    fn tell_in_batches(&mut self, rows: Vec<JobRow>) {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            (self.tell)(News::Rows(rows.by_ref().take(NEWS_MAX).collect()));
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

/// The greatest `changed_at` that there is: what changes are asked from. Of an empty table 0, which comes before every text as
/// before every instant.
///
/// # Errors
/// When the query does not fit.
pub(super) fn latest_change(connection: &Connection, sql: &str) -> Result<Value, Fault> {
    let query = format!("SELECT max(changed_at) FROM (\n{}\n)", bare(sql));
    let ask = || -> rusqlite::Result<Value> {
        let mut statement = connection.prepare_cached(&query)?;
        if let Some(at) = statement.parameter_index(":since")? {
            statement.raw_bind_parameter(at, 0)?;
        }
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => Ok(row.get_ref(0)?.into()),
            None => Ok(Value::Null),
        }
    };
    match ask() {
        Ok(Value::Null) => Ok(Value::Integer(0)),
        Ok(latest) => Ok(latest),
        Err(error) => Err(Fault::of_query("changed", error, || {
            check::what_there_is(connection, sql)
        })),
    }
}

/// The order of values in SQLite: nothing, numbers, texts, bytes.
fn order(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(_) => 2,
        Value::Blob(_) => 3,
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "a change too early asked for is only read again"
    )]
    let number = |value: &Value| match value {
        Value::Integer(number) => *number as f64,
        Value::Real(number) => *number,
        Value::Null | Value::Text(_) | Value::Blob(_) => 0.0,
    };
    match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one.cmp(other),
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        (Value::Blob(one), Value::Blob(other)) => one.cmp(other),
        _ => rank(one)
            .cmp(&rank(other))
            .then_with(|| number(one).total_cmp(&number(other))),
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
