//! Facts of jobs whose rows were deleted at their sources. They are kept for ever.
//!
//! **Invariant:** the facts of a job are always saved in the transaction that removes its item from
//! the outbox.

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Deserialize;

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::jobs::{JobRow, Status};
use crate::core::time::Timestamp;
use crate::core::totals::EndedKey;

/// Job whose row was deleted after its files were removed.
#[derive(Clone, PartialEq, Debug)]
pub struct ForgottenJob {
    /// Name of the source that had it.
    pub source: String,
    /// Its row, as it was judged.
    pub row: JobRow,
    /// Instant at which its row was deleted.
    pub forgotten_at: Timestamp,
    /// The removal of its files before that.
    pub removal: Removal,
}

/// Removal of a job's files, as its outbox item describes it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Removal {
    /// Number of its line in the ledger.
    pub ledger_id: u64,
    /// Instant of the removal, as RFC 3339.
    pub at: String,
    /// The rule's name.
    pub rule: String,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Registry {
    /// Removes the item from the outbox and saves the facts of its job: the source has deleted the
    /// row.
    ///
    /// # Errors
    /// When the registry cannot be written: then the item is handed out again.
    pub fn done_forgetting(&self, id: u64, at: Timestamp) -> Result<(), RegistryError> {
        self.write("keep the facts of a forgotten job", |changes| {
            changes
                .prepare_cached(
                    "INSERT INTO forgotten_total (day, source, status, jobs)
                     SELECT coalesce(substr(json_extract(job, '$.completed_at'), 1, 10), ''), source, json_extract(job, '$.status'), 1
                     FROM outbox WHERE id = ?1
                     ON CONFLICT (day, source, status) DO UPDATE SET jobs = jobs + 1",
                )?
                .execute([stored(id)])?;
            changes
                .prepare_cached(
                    "INSERT OR REPLACE INTO forgotten (source, job, ledger_id, row, summary, forgotten_at)
                     SELECT source, json_extract(job, '$.id'), id, job, summary, ?2 FROM outbox WHERE id = ?1",
                )?
                .execute(params![stored(id), at.unix_ms()])?;
            changes
                .prepare_cached("DELETE FROM outbox WHERE id = ?1")?
                .execute([stored(id)])?;
            Ok(())
        })
    }

    /// Returns the numbers of forgotten jobs.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn forgotten_totals(&self) -> Result<BTreeMap<EndedKey, u64>, RegistryError> {
        self.read("count forgotten jobs", |connection| {
            let mut query = connection
                .prepare_cached("SELECT day, source, status, jobs FROM forgotten_total")?;
            let mut rows = query.query([])?;
            let mut totals = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let status: String = row.get(2)?;
                let key = EndedKey {
                    day: row.get(0)?,
                    source: row.get(1)?,
                    status: Status::of_word(&status).ok_or(Fault::Word(status))?,
                };
                totals.insert(key, number(row.get(3)?));
            }
            Ok(totals)
        })
    }

    /// Returns the facts of the jobs with the id `id`, of `source` or of any source, the latest
    /// first. There are several if the application has used an id again.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn forgotten(
        &self,
        source: Option<&str>,
        id: &str,
    ) -> Result<Vec<ForgottenJob>, RegistryError> {
        self.read("read the facts of a forgotten job", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT source, row, summary, forgotten_at FROM forgotten
                 WHERE job = ?1 AND (?2 IS NULL OR source = ?2) ORDER BY forgotten_at DESC, ledger_id DESC",
            )?;
            let mut rows = query.query(params![id, source])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                let (job, summary): (String, String) = (row.get(1)?, row.get(2)?);
                jobs.push(ForgottenJob {
                    source: row.get(0)?,
                    row: serde_json::from_str(&job)?,
                    forgotten_at: Timestamp::from_unix_ms(row.get(3)?),
                    removal: serde_json::from_str(&summary)?,
                });
            }
            Ok(jobs)
        })
    }
}
