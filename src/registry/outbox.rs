//! The outbox: what is to be written back to the sources of jobs whose files went.
//!
//! **Invariant:** an item is prepared before anything of its job goes, and handed out only once it is confirmed that it went.
//! **Invariant:** an item that was handed out stays until its source has taken it: it may be handed out again after a crash.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::jobs::JobRow;
use crate::core::policy::Record;
use crate::core::time::Timestamp;

/// Items of one source that are handed out at once.
pub const READY_MAX: usize = 256;

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

    /// What was prepared and neither confirmed nor cancelled: after a crash somebody has to look which of it happened.
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

    /// What `source` is to be told next: up to [`READY_MAX`] confirmed items, oldest first.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn ready(&self, source: &str) -> Result<Vec<OutboxItem>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            ready(connection, source)
        })
    }

    /// The jobs whose records are still to be written: the source's name and the job's id.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn unwritten(&self) -> Result<Vec<(String, String)>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query = connection.prepare(
                "SELECT source, json_extract(job, '$.id') FROM outbox WHERE confirmed = 1",
            )?;
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

    /// The source has not taken the item, for the reason `why`: it stays, and status tells.
    ///
    /// # Errors
    /// When the registry cannot be written: then only the reason is lost.
    pub fn failed(&self, id: u64, why: &str, at: Timestamp) -> Result<(), RegistryError> {
        self.write("note what could not be written back", |changes| {
            changes
                .prepare_cached(
                    "UPDATE outbox SET attempts = attempts + 1, error = ?2, tried_at = ?3 WHERE id = ?1",
                )?
                .execute(params![stored(id), why, at.unix_ms()])?;
            Ok(())
        })
    }

    /// How often the item was tried; `None`: there is no such item.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn attempts(&self, id: u64) -> Result<Option<u64>, RegistryError> {
        self.read("read what is to be written back", |connection| {
            let mut query =
                connection.prepare_cached("SELECT attempts FROM outbox WHERE id = ?1")?;
            let mut found = query.query_map([stored(id)], |row| row.get(0))?;
            Ok(found.next().transpose()?.map(number))
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
                 ) FROM outbox WHERE confirmed = 1 GROUP BY source",
            )?;
            let counts = query.query_map([], |row| {
                let backlog = Backlog {
                    waiting: number(row.get(1)?),
                    last_error: row.get(2)?,
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

fn ready(connection: &Connection, source: &str) -> Result<Vec<OutboxItem>, Fault> {
    let mut query = connection.prepare_cached(
        "SELECT id, job, action, at, summary FROM outbox
         WHERE source = ?1 AND confirmed = 1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = query.query(params![source, READY_MAX])?;
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

/// What [`Record::as_str`] wrote.
fn record(word: &str) -> Option<Record> {
    [Record::Keep, Record::Mark, Record::Forget]
        .into_iter()
        .find(|record| record.as_str() == word)
}
