//! Runs: each clean that could remove something, the newest [`RUNS_MAX`] of them.
//!
//! **Invariant:** what a run removed is in the ledger alone; a row has its number, the part of the
//! ledger that it is in, and sums.

use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::run::RunStatus;
use crate::core::time::Timestamp;
use crate::core::totals::Cursor;

/// Runs that are kept, ~10 MB: an hourly schedule for a year. Older ones are forgotten; the ledger
/// keeps what they removed.
pub const RUNS_MAX: u64 = 10_000;

const COLUMNS: &str =
    "id, status, started, finished, from_segment, from_offset, to_segment, to_offset, details";

/// A run, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunRow {
    /// Its number.
    pub id: u64,
    /// State or outcome. `Running` with a process that does not run it any more: interrupted.
    pub status: RunStatus,
    /// Start.
    pub started: Timestamp,
    /// End; `None`: it has not ended, or its process ended first.
    pub finished: Option<Timestamp>,
    /// Position in the ledger before everything that it removed.
    pub from: Cursor,
    /// Position behind everything that it removed; `None`: it has not ended.
    pub to: Option<Cursor>,
    /// Order, requester and sums, as JSON.
    pub details: String,
}

impl Registry {
    /// Returns the largest number of a run; 0 if there was none.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn last_run(&self) -> Result<u64, RegistryError> {
        self.read("read runs", |connection| {
            let last: Option<i64> = connection
                .prepare_cached("SELECT max(id) FROM run")?
                .query_row([], |row| row.get(0))?;
            Ok(last.map_or(0, number))
        })
    }

    /// Saves `run` under its number, and forgets the runs that are older than the newest
    /// [`RUNS_MAX`].
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn put_run(&self, run: &RunRow) -> Result<(), RegistryError> {
        self.write("keep a run", |changes| {
            changes
                .prepare_cached(&format!(
                    "INSERT OR REPLACE INTO run ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                ))?
                .execute(params![
                    stored(run.id),
                    run.status.as_str(),
                    run.started.unix_ms(),
                    run.finished.map(Timestamp::unix_ms),
                    stored(run.from.segment),
                    stored(run.from.offset),
                    run.to.map(|to| stored(to.segment)),
                    run.to.map(|to| stored(to.offset)),
                    run.details,
                ])?;
            changes
                .prepare_cached("DELETE FROM run WHERE id <= ?1")?
                .execute([stored(run.id) - stored(RUNS_MAX)])?;
            Ok(())
        })
    }

    /// Returns the run `id`; `None` if there is none, or if it is forgotten.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn run(&self, id: u64) -> Result<Option<RunRow>, RegistryError> {
        self.read("read runs", |connection| {
            Ok(connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM run WHERE id = ?1"))?
                .query_row([stored(id)], run)
                .optional()?)
        })
    }

    /// Returns at most `limit` runs with smaller numbers than `before`, newest first.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn runs(&self, before: Option<u64>, limit: usize) -> Result<Vec<RunRow>, RegistryError> {
        let before = before.map_or(i64::MAX, stored);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read("read runs", |connection| {
            let query =
                format!("SELECT {COLUMNS} FROM run WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
            all(connection, &query, [before, limit])
        })
    }

    /// Returns the runs that have not ended, as far as the registry knows.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn unfinished_runs(&self) -> Result<Vec<RunRow>, RegistryError> {
        self.read("read runs", |connection| {
            let query = format!("SELECT {COLUMNS} FROM run WHERE status = 'running' ORDER BY id");
            all(connection, &query, [])
        })
    }
}

fn all(
    connection: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<RunRow>, Fault> {
    let mut query = connection.prepare_cached(query)?;
    let runs = query.query_map(parameters, run)?;
    Ok(runs.collect::<Result<_, rusqlite::Error>>()?)
}

fn run(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let status: String = row.get(1)?;
    let cursor = |segment: usize| -> rusqlite::Result<Option<Cursor>> {
        let (at, offset): (Option<i64>, Option<i64>) = (row.get(segment)?, row.get(segment + 1)?);
        Ok(at.zip(offset).map(|(at, offset)| Cursor {
            segment: number(at),
            offset: number(offset),
        }))
    };
    let finished: Option<i64> = row.get(3)?;
    Ok(RunRow {
        id: number(row.get(0)?),
        // A word of a later version that this one does not know.
        status: RunStatus::from_str(&status).unwrap_or(RunStatus::Interrupted),
        started: Timestamp::from_unix_ms(row.get(2)?),
        finished: finished.map(Timestamp::from_unix_ms),
        from: cursor(4)?.unwrap_or_default(),
        to: cursor(6)?,
        details: row.get(8)?,
    })
}
