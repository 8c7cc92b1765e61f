//! The outbox: what is to be written back to the sources of jobs whose files went.
//!
//! **Invariant:** an item is prepared before anything of its job goes, and handed out only once it is confirmed that it went.
//! **Invariant:** an item that was handed out stays until its source has taken it: it may be handed out again after a crash.
//! **Invariant:** an item that was tried in vain is handed out after all that were not tried; one that its source refused, never before
//! its retry is due.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row, params};

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::jobs::JobRow;
use crate::core::policy::Record;
use crate::core::time::Timestamp;

/// Items of one source that are handed out at once.
pub const READY_MAX: usize = 256;

/// Refused items of one source that are listed for people; all of them are counted.
const REFUSED_MAX: usize = 10;

/// When a refused item is due again, in milliseconds: exponential backoff, from 1 s to about an hour. One that was tried later than
/// now (`?2`) is due, too: the clock was set back.
const RETRY_AT: &str = "(CASE WHEN attempts = 0 OR tried_at > ?2 THEN 0
    ELSE tried_at + min(3600000, 1000 << min(attempts - 1, 12)) END)";

/// Something to be written back.
#[derive(Clone, PartialEq, Debug)]
pub struct OutboxItem {
    /// The number of the ledger line that tells of the removal.
    pub id: u64,
    /// The source's name.
    pub source: String,
    /// The job, as it was judged.
    pub job: JobRow,
    /// What is to become of its record.
    pub action: Record,
    /// When its files went.
    pub at: Timestamp,
    /// What went, for people.
    pub summary: String,
}

/// What waits for one source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Confirmed items.
    pub waiting: u64,
    /// Why the last one that was tried failed.
    pub last_error: Option<String>,
    /// How many of them the source refused.
    pub refused: u64,
}

/// A confirmed item that its source has not taken yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitingItem {
    /// The job's id.
    pub job: String,
    /// What is to become of its record.
    pub action: Record,
    /// When its files went.
    pub since: Timestamp,
    /// How often it was refused; 0: it was not tried, or its source could not be asked.
    pub attempts: u64,
    /// Why, the last time.
    pub error: Option<String>,
}

/// Why an item was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureScope {
    /// The source takes nothing now.
    Source,
    /// The source refused this item; it may take others.
    Item,
}

impl Registry {
    /// Keeps `items` until they are confirmed or cancelled: all or none. One that is prepared already is replaced, one that is
    /// confirmed stays as it is.
    ///
    /// # Errors
    /// When the registry cannot be written: then none is kept.
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

    /// What these tell of has happened: they may be handed out. Unknown numbers are passed over.
    ///
    /// # Errors
    /// When the registry cannot be written: then none is confirmed.
    pub fn confirm(&self, ids: &[u64]) -> Result<(), RegistryError> {
        self.each(
            "confirm what is to be written back",
            ids,
            "UPDATE outbox SET confirmed = 1 WHERE id = ?1",
        )
    }

    /// What these tell of did not happen: they are forgotten, confirmed ones excepted.
    ///
    /// # Errors
    /// When the registry cannot be written: then none is forgotten.
    pub fn cancel(&self, ids: &[u64]) -> Result<(), RegistryError> {
        self.each(
            "cancel what was to be written back",
            ids,
            "DELETE FROM outbox WHERE id = ?1 AND confirmed = 0",
        )
    }

    /// What was prepared and neither confirmed nor cancelled: after a crash its caller has to find out which of it happened.
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

    /// The run of the machine that [`Registry::set_machine_run`] was told last.
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

    /// Keeps the name of the run of the machine in which everything is prepared from now on.
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

    /// The numbers of all items.
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

    /// What `source` is to be told next: up to [`READY_MAX`] confirmed items whose retry is due. Those that were never tried come
    /// first, the oldest before the others; then the one that was tried longest ago.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn ready(&self, source: &str, now: Timestamp) -> Result<Vec<OutboxItem>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            ready(connection, source, now)
        })
    }

    /// When the next confirmed item of `source` is due; `None`: nothing waits.
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

    /// Items that `source` refused, those that it refused most often first; up to a limit.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn refused(&self, source: &str) -> Result<Vec<WaitingItem>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT json_extract(job, '$.id'), action, at, attempts, error FROM outbox
                 WHERE source = ?1 AND confirmed = 1 AND attempts > 0
                 ORDER BY attempts DESC, id LIMIT ?2",
            )?;
            let mut rows = query.query(params![source, REFUSED_MAX])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                items.push(refused(row)?);
            }
            Ok(items)
        })
    }

    /// What waits for `source` about the job `id`; `None`: nothing does.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn waiting(&self, source: &str, id: &str) -> Result<Option<WaitingItem>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT json_extract(job, '$.id'), action, at, attempts, error FROM outbox
                 WHERE source = ?1 AND confirmed = 1 AND json_extract(job, '$.id') = ?2
                 ORDER BY id DESC LIMIT 1",
            )?;
            let mut rows = query.query(params![source, id])?;
            rows.next()?.map(refused).transpose()
        })
    }

    /// The jobs whose records are prepared or still to be written: the source's name and the job's id.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn unwritten(&self) -> Result<Vec<(String, String)>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query =
                connection.prepare("SELECT source, json_extract(job, '$.id') FROM outbox")?;
            let found = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(found.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// The source has taken the item: it is forgotten.
    ///
    /// # Errors
    /// When the registry cannot be written: then it is handed out again.
    pub fn done(&self, id: u64) -> Result<(), RegistryError> {
        self.each(
            "forget what was written back",
            &[id],
            "DELETE FROM outbox WHERE id = ?1",
        )
    }

    /// Notes that the item was not taken, and why. It stays; one that was refused itself waits for its retry.
    ///
    /// # Errors
    /// When the registry cannot be written: then nothing is noted.
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

    /// What waits, by the source's name; sources for which nothing waits are left out.
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
                 ), sum(attempts > 0) FROM outbox WHERE confirmed = 1 GROUP BY source",
            )?;
            let counts = query.query_map([], |row| {
                let backlog = Backlog {
                    waiting: number(row.get(1)?),
                    last_error: row.get(2)?,
                    refused: number(row.get(3)?),
                };
                Ok((row.get(0)?, backlog))
            })?;
            Ok(counts.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Carries `statement` out for each of `ids`: all or none.
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

fn ready(connection: &Connection, source: &str, now: Timestamp) -> Result<Vec<OutboxItem>, Fault> {
    let sql = format!(
        "SELECT id, job, action, at, summary FROM outbox
         WHERE source = ?1 AND confirmed = 1 AND {RETRY_AT} <= ?2
         ORDER BY coalesce(tried_at, 0), id LIMIT ?3"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let mut rows = query.query(params![source, now.unix_ms(), READY_MAX])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let (job, action): (String, String) = (row.get(1)?, row.get(2)?);
        items.push(OutboxItem {
            id: number(row.get(0)?),
            source: source.to_owned(),
            job: serde_json::from_str(&job)?,
            action: record(&action).ok_or(Fault::Word(action))?,
            at: Timestamp::from_unix_ms(row.get(3)?),
            summary: row.get(4)?,
        });
    }
    Ok(items)
}

fn refused(row: &Row<'_>) -> Result<WaitingItem, Fault> {
    let action: String = row.get(1)?;
    Ok(WaitingItem {
        job: row.get(0)?,
        action: record(&action).ok_or(Fault::Word(action))?,
        since: Timestamp::from_unix_ms(row.get(2)?),
        attempts: number(row.get(3)?),
        error: row.get(4)?,
    })
}

/// What [`Record::as_str`] wrote.
fn record(word: &str) -> Option<Record> {
    [Record::Keep, Record::Mark, Record::Forget]
        .into_iter()
        .find(|record| record.as_str() == word)
}
