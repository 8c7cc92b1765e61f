//! Positions of what was told: of the ledger, of deadlines and of schedules, by names of the
//! caller. They are saved with the deliveries that they stand for.

use rusqlite::OptionalExtension;

use super::error::RegistryError;
use super::handle::Registry;

impl Registry {
    /// Returns the position that was saved under `key`.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn notify_position(&self, key: &str) -> Result<Option<String>, RegistryError> {
        self.read("read notifications", |connection| {
            Ok(connection
                .prepare_cached("SELECT value FROM notify_position WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()?)
        })
    }

    /// Returns the keys of positions that begin with `prefix`, with their values.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn notify_positions(&self, prefix: &str) -> Result<Vec<(String, String)>, RegistryError> {
        self.read("read notifications", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT key, value FROM notify_position WHERE substr(key, 1, length(?1)) = ?1",
            )?;
            let rows = query.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Forgets the positions whose keys begin with `prefix`, except for those of `kept`.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn forget_notify_positions(
        &self,
        prefix: &str,
        kept: &[String],
    ) -> Result<(), RegistryError> {
        let known = self.notify_positions(prefix)?;
        if known.iter().all(|(key, _)| kept.contains(key)) {
            return Ok(());
        }
        self.write("keep notifications", |changes| {
            changes
                .prepare_cached(
                    "DELETE FROM notify_position WHERE substr(key, 1, length(?1)) = ?1
                     AND key NOT IN (SELECT value FROM json_each(?2))",
                )?
                .execute([prefix, &serde_json::to_string(kept)?])?;
            Ok(())
        })
    }
}
