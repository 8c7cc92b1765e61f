//! Outbox: records to write to the sources of jobs whose files were removed.
//!
//! **Invariant:** an item must be prepared before any file of its job is removed, and is delivered
//! only after the removal was confirmed.
//! **Invariant:** an item is kept until its source has taken it: it may be delivered again after a
//! crash.
//! **Invariant:** an item whose delivery failed is delivered after all items that were not tried;
//! one that its source refused, never before its retry is due.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, params};

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::jobs::JobRow;
use crate::core::policy::Record;
use crate::core::time::Timestamp;

/// Maximum number of items of one source that are delivered at once.
pub const READY_MAX: usize = 256;

/// Maximum number of refused items of one source that are listed; all of them are counted.
const REFUSED_MAX: usize = 10;

/// Instant of the retry of a refused item, in milliseconds: exponential backoff, 1 s to ~1 h. An
/// item that was tried after now (`?2`) is due as well: the clock was set back.
const RETRY_AT: &str = "(CASE WHEN attempts = 0 OR tried_at > ?2 THEN 0
    ELSE tried_at + min(3600000, 1000 << min(attempts - 1, 12)) END)";

/// The id of an item's job; empty when the item cannot be read.
const JOB_ID: &str =
    "CASE WHEN json_valid(job) THEN coalesce(json_extract(job, '$.id'), '') ELSE '' END";

/// Record to write to a source.
#[derive(Clone, PartialEq, Debug)]
pub struct OutboxItem {
    /// Number of the ledger line of the removal.
    pub id: u64,
    /// The source's name.
    pub source: String,
    /// The job, as it was judged.
    pub job: JobRow,
    /// Fate of its record.
    pub action: Record,
    /// Instant at which its files were removed.
    pub at: Timestamp,
    /// Description of what was removed, for people.
    pub summary: String,
}

/// Items that wait for one source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Number of confirmed items.
    pub waiting: u64,
    /// Error of the last delivery that failed.
    pub last_error: Option<String>,
    /// Number of items that the source refused.
    pub refused: u64,
    /// Instant at which the files of the oldest one were removed.
    pub since: Option<Timestamp>,
}

/// Confirmed item that its source has not taken yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingItem {
    /// The job's id.
    pub job: String,
    /// Fate of its record.
    pub action: Record,
    /// Instant at which its files were removed.
    pub since: Timestamp,
    /// Number of refusals; 0 if it was not tried, or if its source was unavailable.
    pub attempts: u64,
    /// Error of the last one.
    pub error: Option<String>,
}

/// Reason for which a delivery failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureScope {
    /// The source is unavailable.
    Source,
    /// The source refused this item, and may take others.
    Item,
}

impl Registry {
    /// Saves `items` until they are confirmed or cancelled, all or none. Replaces an item that is
    /// prepared already, and leaves one that is confirmed as it is.
    ///
    /// # Errors
    /// When the registry cannot be written. None is saved then.
    pub fn prepare(&self, items: &[OutboxItem]) -> Result<(), RegistryError> {
        if items.is_empty() {
            return Ok(());
        }
        self.write("prepare what is to be written back", |changes| {
            let mut insert = changes.prepare_cached(
                "INSERT INTO outbox (id, source, job, action, at, summary) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (id) DO UPDATE SET source = excluded.source, job = excluded.job,
                     action = excluded.action, at = excluded.at, summary = excluded.summary
                 WHERE confirmed = 0",
            )?;
            for item in items {
                insert.execute(params![
                    stored(item.id),
                    item.source,
                    serde_json::to_string(&item.job)?,
                    item.action.as_str(),
                    item.at.unix_ms(),
                    item.summary
                ])?;
            }
            Ok(())
        })
    }

    /// Confirms the removals of these items, which may be delivered from now on. Ignores unknown
    /// numbers.
    ///
    /// # Errors
    /// When the registry cannot be written. None is confirmed then.
    pub fn confirm(&self, ids: &[u64]) -> Result<(), RegistryError> {
        self.each(
            "confirm what is to be written back",
            ids,
            "UPDATE outbox SET confirmed = 1 WHERE id = ?1",
        )
    }

    /// Cancels these items, except for those that are confirmed: the removals did not happen.
    ///
    /// # Errors
    /// When the registry cannot be written. None is cancelled then.
    pub fn cancel(&self, ids: &[u64]) -> Result<(), RegistryError> {
        self.each(
            "cancel what was to be written back",
            ids,
            "DELETE FROM outbox WHERE id = ?1 AND confirmed = 0",
        )
    }

    /// Returns the items that are prepared, and neither confirmed nor cancelled. After a crash the
    /// caller has to find out which removals happened.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn prepared(&self) -> Result<Vec<u64>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection
                .prepare_cached("SELECT id FROM outbox WHERE confirmed = 0 ORDER BY id")?;
            let ids = query.query_map([], |row| row.get(0))?;
            Ok(ids
                .map(|id| id.map(number))
                .collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Returns the boot id that [`Registry::set_machine_run`] saved last.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn machine_run(&self) -> Result<Option<String>, RegistryError> {
        self.read("read the last run of the machine", |connection| {
            let mut query = connection.prepare("SELECT name FROM machine_run")?;
            let mut found = query.query_map([], |row| row.get(0))?;
            Ok(found.next().transpose()?)
        })
    }

    /// Saves the boot id of the machine, under which items are prepared from now on.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn set_machine_run(&self, name: &str) -> Result<(), RegistryError> {
        self.write("note the run of the machine", |changes| {
            changes.execute(
                "INSERT INTO machine_run (only, name) VALUES (1, ?1) ON CONFLICT (only) DO UPDATE SET name = excluded.name",
                [name],
            )?;
            Ok(())
        })
    }

    /// Returns the numbers of all items.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn outbox_ids(&self) -> Result<BTreeSet<u64>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare_cached("SELECT id FROM outbox")?;
            let ids = query.query_map([], |row| row.get(0))?;
            Ok(ids
                .map(|id| id.map(number))
                .collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Returns the next deliveries to `source`: up to [`READY_MAX`] confirmed items whose retry is
    /// due. Items that were never tried come first, the oldest before the others; then those that
    /// were tried longest ago. An item that cannot be read
    /// counts as refused.
    ///
    /// # Errors
    /// When the registry cannot be read, or what is unreadable cannot be noted.
    pub fn ready(&self, source: &str, now: Timestamp) -> Result<Vec<OutboxItem>, RegistryError> {
        loop {
            let ready = self.read("read what is to be written back", |connection| {
                ready(connection, source, now)
            })?;
            let mut items = Vec::with_capacity(ready.len());
            let mut is_readable = true;
            for item in ready {
                match item {
                    Ok(item) => items.push(item),
                    Err((id, why)) => {
                        is_readable = false;
                        tracing::error!(source, id, "a record waits: {why}");
                        self.failed(id, FailureScope::Item, &why, now)?;
                    }
                }
            }
            // Those behind them may be ready, too.
            if is_readable || !items.is_empty() {
                return Ok(items);
            }
        }
    }

    /// Returns the instant of the next delivery to `source`; `None` if nothing waits.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn next_ready(
        &self,
        source: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let sql =
                format!("SELECT min({RETRY_AT}) FROM outbox WHERE source = ?1 AND confirmed = 1");
            let mut query = connection.prepare_cached(&sql)?;
            let next: Option<i64> =
                query.query_row(params![source, now.unix_ms()], |row| row.get(0))?;
            Ok(next.map(Timestamp::from_unix_ms))
        })
    }

    /// Returns items that `source` refused, most refusals first, up to a limit.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn refused(&self, source: &str) -> Result<Vec<WaitingItem>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {JOB_ID}, action, at, attempts, error FROM outbox
                     WHERE source = ?1 AND confirmed = 1 AND attempts > 0
                     ORDER BY attempts DESC, id LIMIT ?2"
            ))?;
            let mut rows = query.query(params![source, REFUSED_MAX])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                items.push(refused(row)?);
            }
            Ok(items)
        })
    }

    /// Returns the item of the job `id` that waits for `source`.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn waiting(&self, source: &str, id: &str) -> Result<Option<WaitingItem>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {JOB_ID}, action, at, attempts, error FROM outbox
                     WHERE source = ?1 AND confirmed = 1 AND {JOB_ID} = ?2
                     ORDER BY id DESC LIMIT 1"
            ))?;
            let mut rows = query.query(params![source, id])?;
            rows.next()?.map(refused).transpose()
        })
    }

    /// Returns the jobs with an item in the outbox: the source's name and the job's id.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn unwritten(&self) -> Result<Vec<(String, String)>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare(&format!("SELECT source, {JOB_ID} FROM outbox"))?;
            let found = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Returns the jobs as [`Self::unwritten`] does, without those whose item has failed.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn untried(&self) -> Result<BTreeSet<(String, String)>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT source, {JOB_ID} FROM outbox WHERE error IS NULL"
            ))?;
            let found = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Removes the item: the source has taken it.
    ///
    /// # Errors
    /// When the registry cannot be written. The item is delivered again then.
    pub fn done(&self, id: u64) -> Result<(), RegistryError> {
        self.each(
            "forget what was written back",
            &[id],
            "DELETE FROM outbox WHERE id = ?1",
        )
    }

    /// Saves the failure of a delivery. An item that was refused waits for its retry.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is saved then.
    pub fn failed(
        &self,
        id: u64,
        scope: FailureScope,
        why: &str,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let attempts = match scope {
            FailureScope::Source => 0,
            FailureScope::Item => 1,
        };
        self.write("note what could not be written back", |changes| {
            changes
                .prepare_cached(
                    "UPDATE outbox SET attempts = attempts + ?2, error = ?3, tried_at = ?4 WHERE id = ?1",
                )?
                .execute(params![stored(id), attempts, why, at.unix_ms()])?;
            Ok(())
        })
    }

    /// Returns the waiting items of each source for which any wait, by the source's name.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn counts(&self) -> Result<BTreeMap<String, Backlog>, RegistryError> {
        self.read("count what is to be written back", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT source, count(*), (
                     SELECT error FROM outbox AS tried
                     WHERE tried.source = outbox.source AND confirmed = 1 AND error IS NOT NULL
                     ORDER BY tried_at DESC, id DESC LIMIT 1
                 ), sum(attempts > 0), min(at) FROM outbox WHERE confirmed = 1 GROUP BY source",
            )?;
            let counts = query.query_map([], |row| {
                let backlog = Backlog {
                    waiting: number(row.get(1)?),
                    last_error: row.get(2)?,
                    refused: number(row.get(3)?),
                    since: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_unix_ms),
                };
                Ok((row.get(0)?, backlog))
            })?;
            Ok(counts.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Executes `statement` for each of `ids`, all or none.
    fn each(
        &self,
        action: &'static str,
        ids: &[u64],
        statement: &str,
    ) -> Result<(), RegistryError> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(action, |changes| {
            let mut statement = changes.prepare_cached(statement)?;
            for &id in ids {
                statement.execute([stored(id)])?;
            }
            Ok(())
        })
    }
}

/// An item, or the number of one that cannot be read, with the reason.
type Readable = Result<OutboxItem, (u64, String)>;

fn ready(connection: &Connection, source: &str, now: Timestamp) -> Result<Vec<Readable>, Fault> {
    let sql = format!(
        "SELECT id, job, action, at, summary FROM outbox
         WHERE source = ?1 AND confirmed = 1 AND {RETRY_AT} <= ?2
         ORDER BY coalesce(tried_at, 0), id LIMIT ?3"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query(params![source, now.unix_ms(), READY_MAX])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let id = number(row.get(0)?);
        items.push(item(row, source, id).map_err(|why| (id, unreadable(&why))));
    }
    Ok(items)
}

fn item(row: &Row<'_>, source: &str, id: u64) -> Result<OutboxItem, Fault> {
    let (job, action): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(OutboxItem {
        id,
        source: source.to_owned(),
        job: serde_json::from_str(&job)?,
        action: record(&action).ok_or(Fault::Word(action))?,
        at: Timestamp::from_unix_ms(row.get(3)?),
        summary: row.get(4)?,
    })
}

fn unreadable(why: &Fault) -> String {
    format!(
        "what is to be written cannot be read: {why}\n  it was written by another version of lapsed, or the registry is damaged"
    )
}

fn refused(row: &Row<'_>) -> Result<WaitingItem, Fault> {
    let action: String = row.get(1)?;
    Ok(WaitingItem {
        job: row.get(0)?,
        action: record(&action).unwrap_or(Record::Keep),
        since: Timestamp::from_unix_ms(row.get(2)?),
        attempts: number(row.get(3)?),
        error: row.get(4)?,
    })
}

/// Parses the word of [`Record::as_str`].
fn record(word: &str) -> Option<Record> {
    [Record::Keep, Record::Mark, Record::Forget]
        .into_iter()
        .find(|record| record.as_str() == word)
}
