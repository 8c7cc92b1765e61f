//! Totals of removals, kept for ever, and the position in the ledger up to which they are counted.
//!
//! **Invariant:** the totals and their position in the ledger always change in one transaction: no
//! line is counted twice, and none is left out.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::totals::{CleanedKey, Cursor, Sum, TotalKey, Totals};

impl Registry {
    /// Returns the totals, and their position in the ledger; `None` if nothing was counted yet.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn totals(&self) -> Result<(Totals, Option<Cursor>), RegistryError> {
        self.read("read the totals", |connection| {
            let (mut totals, counted) = sums(
                connection,
                "SELECT day, root, rule, units, files, bytes, displaced FROM total",
            )?;
            let mut query = connection
                .prepare_cached("SELECT day, root, rule, source, ended, jobs FROM cleaned")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let key = CleanedKey {
                    removal: key(row)?,
                    source: row.get(3)?,
                    ended: row.get(4)?,
                };
                totals.add_cleaned(key, row.get(5)?);
            }
            Ok((totals, counted))
        })
    }

    /// Returns the sums of all days together, with an empty day, and their position in the ledger.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn totals_of_all_days(&self) -> Result<(Totals, Option<Cursor>), RegistryError> {
        self.read("read the totals", |connection| {
            sums(
                connection,
                "SELECT '', root, rule, sum(units), sum(files), sum(bytes), sum(displaced) FROM total GROUP BY root, rule",
            )
        })
    }

    /// Returns the position in the ledger up to which its lines are counted.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn counted(&self) -> Result<Option<Cursor>, RegistryError> {
        self.read("read the totals", counted)
    }

    /// Adds `totals`, those of the ledger's lines from the last position up to `until`.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is counted then.
    pub fn add_totals(&self, totals: &Totals, until: Cursor) -> Result<(), RegistryError> {
        self.write("keep the totals", |changes| {
            let mut add = changes.prepare_cached(
                "INSERT INTO total (day, root, rule, units, files, bytes, displaced) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (day, root, rule) DO UPDATE SET units = units + excluded.units, files = files + excluded.files,
                     bytes = bytes + excluded.bytes, displaced = displaced + excluded.displaced",
            )?;
            for (key, sum) in &totals.sums {
                let Sum { units, files, bytes, displaced } = sum;
                add.execute(params![key.day, key.root, key.rule, units, files, bytes, displaced])?;
            }
            let mut add = changes.prepare_cached(
                "INSERT INTO cleaned (day, root, rule, source, ended, jobs) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (day, root, rule, source, ended) DO UPDATE SET jobs = jobs + excluded.jobs",
            )?;
            for (key, jobs) in &totals.cleaned {
                let TotalKey { day, root, rule } = &key.removal;
                add.execute(params![day, root, rule, key.source, key.ended, jobs])?;
            }
            changes
                .prepare_cached("INSERT OR REPLACE INTO counted (only, segment, offset) VALUES (1, ?1, ?2)")?
                .execute([stored(until.segment), stored(until.offset)])?;
            Ok(())
        })
    }
}

/// Sums that `query` selects, and their position in the ledger.
fn sums(connection: &Connection, query: &str) -> Result<(Totals, Option<Cursor>), Fault> {
    let mut query = connection.prepare_cached(query)?;
    let mut rows = query.query([])?;
    let mut totals = Totals::default();
    while let Some(row) = rows.next()? {
        let key = key(row)?;
        let sum = Sum {
            units: row.get(3)?,
            files: row.get(4)?,
            bytes: row.get(5)?,
            displaced: row.get(6)?,
        };
        totals.add(key, sum);
    }
    Ok((totals, counted(connection)?))
}

/// The key in the first columns of `row`.
fn key(row: &Row<'_>) -> Result<TotalKey, rusqlite::Error> {
    Ok(TotalKey {
        day: row.get(0)?,
        root: row.get(1)?,
        rule: row.get(2)?,
    })
}

fn counted(connection: &Connection) -> Result<Option<Cursor>, Fault> {
    let found = connection
        .prepare_cached("SELECT segment, offset FROM counted")?
        .query_row([], |row| {
            Ok(Cursor {
                segment: number(row.get(0)?),
                offset: number(row.get(1)?),
            })
        })
        .optional()?;
    Ok(found)
}
