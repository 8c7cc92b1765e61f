//! Pins.
//!
//! **Invariant:** the number of a pin is never given again, not even after the pin was removed.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::pins::{Pin, PinTarget};
use crate::core::time::Timestamp;

const COLUMNS: &str = "id, path, source, job, who, why, set_at, until";

impl Registry {
    /// Returns all pins, also those that have ended, ordered by number.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn pins(&self) -> Result<Vec<Pin>, RegistryError> {
        self.read("read pins", all)
    }

    /// Sets a pin, with a number that no pin ever had.
    ///
    /// # Errors
    /// When the registry cannot be written. The pin is not set then.
    pub fn add_pin(
        &self,
        target: PinTarget,
        who: &str,
        why: &str,
        set_at: Timestamp,
        until: Timestamp,
    ) -> Result<Pin, RegistryError> {
        let mut pin = Pin {
            id: 0,
            target,
            who: who.to_owned(),
            why: why.to_owned(),
            set_at,
            until,
        };
        self.write("keep a pin", |changes| {
            insert(changes, &pin, None)?;
            pin.id = number(changes.last_insert_rowid());
            Ok(())
        })?;
        Ok(pin)
    }

    /// Sets a pin for each of `targets`: all of them, or none.
    ///
    /// # Errors
    /// When the registry cannot be written. No pin is set then.
    pub fn add_pins(
        &self,
        targets: &[PinTarget],
        who: &str,
        why: &str,
        set_at: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Pin>, RegistryError> {
        self.write("keep pins", |changes| {
            let set = targets.iter().map(|target| {
                let mut pin = Pin {
                    id: 0,
                    target: target.clone(),
                    who: who.to_owned(),
                    why: why.to_owned(),
                    set_at,
                    until,
                };
                insert(changes, &pin, None)?;
                pin.id = number(changes.last_insert_rowid());
                Ok(pin)
            });
            set.collect()
        })
    }

    /// Saves `pin` with its own number, to roll back a change that could not be completed.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn put_pin(&self, pin: &Pin) -> Result<(), RegistryError> {
        self.write("keep a pin", |changes| {
            insert(changes, pin, Some(stored(pin.id)))
        })
    }

    /// Sets the end of the pin `id`; `None` if there is no such pin.
    ///
    /// # Errors
    /// When the registry cannot be written. The pin is unchanged then.
    pub fn extend_pin(&self, id: u64, until: Timestamp) -> Result<Option<Pin>, RegistryError> {
        self.write("extend a pin", |changes| {
            changes
                .prepare_cached("UPDATE pin SET until = ?2 WHERE id = ?1")?
                .execute([stored(id), until.unix_ms()])?;
            find(changes, id)
        })
    }

    /// Removes the pin `id`; `None` if there is no such pin.
    ///
    /// # Errors
    /// When the registry cannot be written. The pin is unchanged then.
    pub fn remove_pin(&self, id: u64) -> Result<Option<Pin>, RegistryError> {
        self.write("remove a pin", |changes| {
            let pin = find(changes, id)?;
            changes
                .prepare_cached("DELETE FROM pin WHERE id = ?1")?
                .execute([stored(id)])?;
            Ok(pin)
        })
    }

    /// Removes the pins that ended before `before`, and returns their numbers.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn forget_ended_pins(&self, before: Timestamp) -> Result<Vec<u64>, RegistryError> {
        self.write("forget pins", |changes| {
            let mut forget =
                changes.prepare_cached("DELETE FROM pin WHERE until < ?1 RETURNING id")?;
            let ids = forget.query_map([before.unix_ms()], |row| row.get(0))?;
            Ok(ids
                .map(|id| id.map(number))
                .collect::<Result<_, rusqlite::Error>>()?)
        })
    }
}

fn insert(connection: &Connection, pin: &Pin, id: Option<i64>) -> Result<(), Fault> {
    let (path, source, job) = match &pin.target {
        PinTarget::Path(path) => (Some(path.as_os_str().as_bytes()), None, None),
        PinTarget::Job { source, id } => (None, Some(source), Some(id)),
    };
    connection
        .prepare_cached(&format!(
            "INSERT OR REPLACE INTO pin ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        ))?
        .execute(params![
            id,
            path,
            source,
            job,
            pin.who,
            pin.why,
            pin.set_at.unix_ms(),
            pin.until.unix_ms()
        ])?;
    Ok(())
}

fn find(connection: &Connection, id: u64) -> Result<Option<Pin>, Fault> {
    let pin = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM pin WHERE id = ?1"))?
        .query_row([stored(id)], pin)
        .optional()?;
    Ok(pin)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Pin>, Fault> {
    let mut query = connection.prepare(&format!("SELECT {COLUMNS} FROM pin ORDER BY id"))?;
    let pins = query.query_map([], pin)?;
    Ok(pins.collect::<Result<_, rusqlite::Error>>()?)
}

fn pin(row: &Row<'_>) -> rusqlite::Result<Pin> {
    let path: Option<Vec<u8>> = row.get(1)?;
    let target = match path {
        Some(path) => PinTarget::Path(PathBuf::from(OsString::from_vec(path))),
        None => PinTarget::Job {
            source: row.get(2)?,
            id: row.get(3)?,
        },
    };
    Ok(Pin {
        id: number(row.get(0)?),
        target,
        who: row.get(4)?,
        why: row.get(5)?,
        set_at: Timestamp::from_unix_ms(row.get(6)?),
        until: Timestamp::from_unix_ms(row.get(7)?),
    })
}
