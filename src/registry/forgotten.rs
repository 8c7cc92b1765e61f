//! The facts of jobs whose rows were deleted at their sources: kept for ever.
//!
//! **Invariant:** a job's facts are kept in the transaction that takes its item out of the outbox.

use rusqlite::params;
use serde::Deserialize;

use super::error::RegistryError;
use super::handle::{Registry, stored};
use crate::core::jobs::JobRow;
use crate::core::time::Timestamp;

/// A job whose row was deleted after its files went.
#[derive(Clone, PartialEq, Debug)]
pub struct ForgottenJob {
    /// The name of the source that had it.
    pub source: String,
    /// Its row, as it was judged.
    pub row: JobRow,
    /// When its row was deleted.
    pub forgotten_at: Timestamp,
    /// What went before that.
    pub removal: Removal,
}

/// What was removed of a job, as its outbox item summed it up.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Removal {
    /// The number of its line in the ledger.
    pub ledger_id: u64,
    /// When, as RFC 3339.
    pub at: String,
    /// The rule's name.
    pub rule: String,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Registry {
    /// The source has deleted the row of the item's job: the item leaves the outbox, and the job's facts stay.
    ///
    /// # Errors
    /// When the registry cannot be written: then the item is handed out again.
    pub fn done_forgetting(&self, id: u64, at: Timestamp) -> Result<(), RegistryError> {
        self.write("keep the facts of a forgotten job", |changes| {
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

    /// What is kept of the job `id`, of `source` or of any, the latest first: an application may use an id again.
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
