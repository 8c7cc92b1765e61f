//! Last known state of sources, by which a restart can tell a source that was emptied from one that
//! never had many jobs.

use rusqlite::{OptionalExtension, params};

use super::error::RegistryError;
use super::handle::{Registry, number, stored};
use crate::core::time::Timestamp;

/// Last known state of a source.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceSeen {
    /// Number of its jobs.
    pub jobs: u64,
    /// Reason for which its breaker has tripped, until a person releases it; `None` if it has not.
    pub trip: Option<String>,
    /// Instant at which it was last known in full.
    pub read_at: Option<Timestamp>,
}

impl Registry {
    /// Returns the last known state of the source `name`; `None` if it was never read.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn source_seen(&self, name: &str) -> Result<Option<SourceSeen>, RegistryError> {
        self.read("read what is known of a source", |connection| {
            let seen = connection
                .prepare_cached(
                    "SELECT jobs, trip, (SELECT at FROM source_read WHERE name = ?1)
                     FROM source WHERE name = ?1",
                )?
                .query_row([name], |row| {
                    Ok(SourceSeen {
                        jobs: number(row.get(0)?),
                        trip: row.get(1)?,
                        read_at: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_unix_ms),
                    })
                })
                .optional()?;
            Ok(seen)
        })
    }

    /// Saves the state of the source `name`.
    ///
    /// # Errors
    /// When the registry cannot be written. The earlier state is kept then.
    pub fn set_source_seen(&self, name: &str, seen: &SourceSeen) -> Result<(), RegistryError> {
        self.write("keep what is known of a source", |changes| {
            changes
                .prepare_cached(
                    "INSERT INTO source (name, jobs, trip) VALUES (?1, ?2, ?3)
                     ON CONFLICT (name) DO UPDATE SET jobs = excluded.jobs, trip = excluded.trip",
                )?
                .execute(params![name, stored(seen.jobs), seen.trip])?;
            if let Some(at) = seen.read_at {
                changes
                    .prepare_cached(
                        "INSERT OR REPLACE INTO source_read (name, at) VALUES (?1, ?2)",
                    )?
                    .execute(params![name, at.unix_ms()])?;
            }
            Ok(())
        })
    }
}
