//! Jobs that were reported through the API, each row as JSON.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Fault, RegistryError};
use super::handle::Registry;
use crate::core::jobs::JobRow;

/// Change of a job.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The job before; `None` if it was unknown.
    pub before: Option<JobRow>,
    /// The job now; `None` if it was removed.
    pub after: Option<JobRow>,
}

impl Registry {
    /// Returns the jobs of `source`, ordered by id.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn jobs(&self, source: &str) -> Result<Vec<JobRow>, RegistryError> {
        self.read("read jobs", |connection| {
            let mut query =
                connection.prepare_cached("SELECT row FROM job WHERE source = ?1 ORDER BY id")?;
            let mut rows = query.query([source])?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next()? {
                let text: String = row.get(0)?;
                jobs.push(serde_json::from_str(&text)?);
            }
            Ok(jobs)
        })
    }

    /// Returns the job `id` of `source`.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn job(&self, source: &str, id: &str) -> Result<Option<JobRow>, RegistryError> {
        self.read("read a job", |connection| find(connection, source, id))
    }

    /// Saves `row` as the job of its id.
    ///
    /// # Errors
    /// When the registry cannot be written. The job is unchanged then.
    pub fn put_job(&self, source: &str, row: &JobRow) -> Result<(), RegistryError> {
        self.change_job(source, &row.id, |_| Some(row.clone()))
            .map(drop)
    }

    /// Removes the job `id`. Returns true if there was one.
    ///
    /// # Errors
    /// When the registry cannot be written. The job is unchanged then.
    pub fn remove_job(&self, source: &str, id: &str) -> Result<bool, RegistryError> {
        self.change_job(source, id, |_| None)
            .map(|change| change.before.is_some())
    }

    /// Replaces the job `id` by the result of `change` (`None` removes it), atomically. `change`
    /// must not use the registry.
    ///
    /// # Errors
    /// When the registry cannot be written. The job is unchanged then.
    pub fn change_job(
        &self,
        source: &str,
        id: &str,
        change: impl FnOnce(Option<JobRow>) -> Option<JobRow>,
    ) -> Result<Change, RegistryError> {
        self.write("keep a job", |changes| {
            let before = find(changes, source, id)?;
            let after = change(before.clone());
            if before != after {
                match &after {
                    Some(row) => changes
                        .prepare_cached(
                            "INSERT INTO job (source, id, row) VALUES (?1, ?2, ?3)
                             ON CONFLICT (source, id) DO UPDATE SET row = excluded.row",
                        )?
                        .execute(params![source, id, serde_json::to_string(row)?])?,
                    None => changes
                        .prepare_cached("DELETE FROM job WHERE source = ?1 AND id = ?2")?
                        .execute([source, id])?,
                };
            }
            Ok(Change { before, after })
        })
    }
}

fn find(connection: &Connection, source: &str, id: &str) -> Result<Option<JobRow>, Fault> {
    let found: Option<String> = connection
        .prepare_cached("SELECT row FROM job WHERE source = ?1 AND id = ?2")?
        .query_row([source, id], |row| row.get(0))
        .optional()?;
    Ok(found.map(|row| serde_json::from_str(&row)).transpose()?)
}
