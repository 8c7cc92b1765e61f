//! Pauses.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rusqlite::{Connection, Row, params};

use super::error::{Fault, RegistryError};
use super::handle::Registry;
use crate::core::pauses::{Pause, PausedRoot};
use crate::core::time::Timestamp;

impl Registry {
    /// Returns all pauses, also those that have ended while no process ran.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn pauses(&self) -> Result<Vec<Pause>, RegistryError> {
        self.read("read pauses", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT root, path, who, why, since, until FROM pause ORDER BY root",
            )?;
            let pauses = query.query_map([], pause)?;
            Ok(pauses.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Saves `set`, each in place of the one of the same root, and removes `ended`.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn change_pauses(&self, set: &[Pause], ended: &[Pause]) -> Result<(), RegistryError> {
        self.write("keep pauses", |changes| {
            for pause in ended {
                remove(changes, pause)?;
            }
            for pause in set {
                let (name, path) = match &pause.root {
                    Some(root) => (root.name.as_str(), Some(root.path.as_os_str().as_bytes())),
                    None => ("", None),
                };
                changes
                    .prepare_cached(
                        "INSERT OR REPLACE INTO pause (root, path, who, why, since, until)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![
                        name,
                        path,
                        pause.who,
                        pause.why,
                        pause.since.unix_ms(),
                        pause.until.unix_ms()
                    ])?;
            }
            Ok(())
        })
    }
}

/// Removes `pause`, unless another one has taken its place.
fn remove(connection: &Connection, pause: &Pause) -> Result<(), Fault> {
    let times = (pause.since.unix_ms(), pause.until.unix_ms());
    connection
        .prepare_cached("DELETE FROM pause WHERE root = ?1 AND since = ?2 AND until = ?3")?
        .execute(params![pause.root_name().unwrap_or(""), times.0, times.1])?;
    Ok(())
}

fn pause(row: &Row<'_>) -> rusqlite::Result<Pause> {
    let name: String = row.get(0)?;
    let path: Option<Vec<u8>> = row.get(1)?;
    let path = path.map(|path| PathBuf::from(OsString::from_vec(path)));
    Ok(Pause {
        root: path.map(|path| PausedRoot { name, path }),
        who: row.get(2)?,
        why: row.get(3)?,
        since: Timestamp::from_unix_ms(row.get(4)?),
        until: Timestamp::from_unix_ms(row.get(5)?),
    })
}
