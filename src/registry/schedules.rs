//! Schedules: until when their instants have come.

use std::collections::BTreeMap;

use rusqlite::params;

use super::error::RegistryError;
use super::handle::Registry;
use crate::core::agenda::Position;
use crate::core::time::Timestamp;

impl Registry {
    /// Returns the positions of schedules, by name.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn schedules(&self) -> Result<BTreeMap<String, Position>, RegistryError> {
        self.read("read schedules", |connection| {
            let mut query =
                connection.prepare_cached("SELECT name, written, until FROM schedule")?;
            let rows = query.query_map([], |row| {
                let position = Position {
                    written: row.get(1)?,
                    until: Timestamp::from_unix_ms(row.get(2)?),
                };
                Ok((row.get(0)?, position))
            })?;
            Ok(rows.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Saves the positions of schedules in place of those before.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn put_schedules<'p>(
        &self,
        positions: impl Iterator<Item = (&'p str, &'p Position)>,
    ) -> Result<(), RegistryError> {
        self.write("keep schedules", |changes| {
            changes
                .prepare_cached("DELETE FROM schedule")?
                .execute([])?;
            let mut add = changes.prepare_cached(
                "INSERT INTO schedule (name, written, until) VALUES (?1, ?2, ?3)",
            )?;
            for (name, position) in positions {
                add.execute(params![name, position.written, position.until.unix_ms()])?;
            }
            Ok(())
        })
    }
}
