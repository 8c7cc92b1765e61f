//! Record of a daemon in shadow mode, in a file of its own: `shadow.db` in the state directory.
//!
//! Each row is one thing in one life: when the daemon would have removed it, and when others did.
//!
//! **Invariant:** a thing has one row for each life, however often it is reported.
//! **Invariant:** at most [`THINGS_MAX`] rows are kept, the newest ones. The others are counted.

mod rows;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

pub use rows::{ShadowExtent, ShadowFilter, ShadowReports, ShadowRow, ShadowSum};

use super::open::{PATIENCE, place_to_read};
use crate::core::shadow::{ShadowKind, ShadowList};
use crate::core::time::Timestamp;

/// Rows that are kept, ~150 MB with paths of 100 bytes.
pub const THINGS_MAX: i64 = if cfg!(test) { 32 } else { 500_000 };

/// Rows that are dropped together when there are too many.
const DROPPED_AT_ONCE: i64 = THINGS_MAX / 16;

/// Name of the file in the state directory.
const FILE: &str = "shadow.db";

/// Format of the file.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE thing (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL, root TEXT NOT NULL, path BLOB NOT NULL, basis INTEGER NOT NULL,
        bytes INTEGER NOT NULL, job TEXT, rule TEXT, record TEXT, why TEXT NOT NULL,
        deadline INTEGER, foretold INTEGER, due_at INTEGER, gone_at INTEGER, rewritten INTEGER NOT NULL DEFAULT 0,
        UNIQUE (kind, root, path, basis)
    );
    CREATE TABLE account (only INTEGER PRIMARY KEY CHECK (only = 1), since INTEGER NOT NULL, dropped INTEGER NOT NULL, lost INTEGER NOT NULL);
";

const COLUMNS: &str = "id, kind, root, path, basis, bytes, job, rule, record, why, deadline, foretold, due_at, gone_at, rewritten, list";

/// Instant at which the daemon removes a thing: seen, or foretold when others were first.
const WOULD: &str = "coalesce(due_at, iif(foretold <= :now, foretold, NULL))";

/// The record cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the record of shadow mode \"{}\" cannot be used: {why}\n  move it away with its -wal and -shm files to begin anew", path.display())]
pub struct ShadowError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub why: String,
}

/// The record. Shared between threads; each call waits for the disk.
#[derive(Debug)]
pub struct ShadowRecord {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl ShadowRecord {
    /// Opens the record in `state_dir`; begins it at `now` if there is none.
    ///
    /// # Errors
    /// When it cannot be read and written, or is of another version.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, ShadowError> {
        let path = state_dir.join(FILE);
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| ShadowError {
                path,
                why: error.to_string(),
            })?;
        let opened = Self::connect(state_dir, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        opened.change(|changes| {
            if version(changes)? == 0 {
                changes.execute_batch(SCHEMA)?;
                changes.execute(
                    "INSERT INTO account (only, since, dropped, lost) VALUES (1, ?1, 0, 0)",
                    [now.unix_ms()],
                )?;
                changes.pragma_update(None, "user_version", VERSION)?;
            }
            Ok(())
        })?;
        opened.check_version()
    }

    /// Opens the record in `state_dir` for reading; `None` if there is none. A daemon may write it.
    ///
    /// # Errors
    /// When it cannot be read, or is of another version.
    pub fn open_to_read(state_dir: &Path) -> Result<Option<Self>, ShadowError> {
        if !state_dir.join(FILE).exists() {
            return Ok(None);
        }
        let opened = Self::connect(state_dir, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        opened.check_version().map(Some)
    }

    fn connect(state_dir: &Path, access: OpenFlags) -> Result<Self, ShadowError> {
        let path = state_dir.join(FILE);
        let is_written = access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE);
        let place = if is_written {
            path.clone()
        } else {
            place_to_read(&path)
        };
        let access = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(place, access).and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            if is_written {
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "FULL")?;
            }
            Ok(connection)
        });
        let connection = connection.map_err(|error| ShadowError {
            path: path.clone(),
            why: error.to_string(),
        })?;
        Ok(Self {
            path,
            connection: Mutex::new(connection),
        })
    }

    fn check_version(self) -> Result<Self, ShadowError> {
        match self.read(version)? {
            VERSION => Ok(self),
            found => Err(ShadowError {
                path: self.path,
                why: format!("it is of format {found}, and this version knows {VERSION}"),
            }),
        }
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ShadowError> {
        read(&self.connection.lock()).map_err(|error| self.error(&error))
    }

    fn change<T>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ShadowError> {
        let mut connection = self.connection.lock();
        let written = (|| {
            let changes = connection.transaction()?;
            let value = write(&changes)?;
            changes.commit()?;
            Ok(value)
        })();
        written.map_err(|error| self.error(&error))
    }

    fn error(&self, error: &rusqlite::Error) -> ShadowError {
        ShadowError {
            path: self.path.clone(),
            why: error.to_string(),
        }
    }

    /// Adds `reports`, and drops the oldest rows if there are too many. Returns the number of rows
    /// that were dropped.
    ///
    /// # Errors
    /// When it cannot be written. Nothing is changed then.
    pub fn add(&self, reports: &ShadowReports) -> Result<u64, ShadowError> {
        self.change(|changes| {
            for row in &reports.due {
                add_due(changes, row)?;
            }
            for row in &reports.gone {
                add_gone(changes, row)?;
            }
            for row in &reports.moved {
                changes
                    .prepare_cached("DELETE FROM thing WHERE kind = ?1 AND root = ?2 AND path = ?3 AND gone_at IS NULL")?
                    .execute(params![row.kind.as_str(), row.root, row.path])?;
            }
            let (first, last): (i64, i64) = changes.query_row(
                "SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM thing",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let mut dropped = 0;
            if last - first >= THINGS_MAX {
                let until = last - THINGS_MAX + DROPPED_AT_ONCE;
                dropped = changes.execute("DELETE FROM thing WHERE id <= ?1", [until])? as u64;
            }
            if dropped > 0 || reports.lost > 0 {
                changes.execute(
                    "UPDATE account SET dropped = dropped + ?1, lost = lost + ?2",
                    params![dropped.cast_signed(), reports.lost.cast_signed()],
                )?;
            }
            Ok(dropped)
        })
    }

    /// Records that others removed, by `at`, those things of `root` that would have been removed
    /// and whose path `is_there` does not know.
    ///
    /// # Errors
    /// When it cannot be written. Nothing is changed then.
    pub fn close_absent(
        &self,
        root: &str,
        at: Timestamp,
        is_there: impl Fn(&[u8]) -> bool,
    ) -> Result<(), ShadowError> {
        self.change(|changes| {
            let mut open = changes.prepare_cached("SELECT id, path FROM thing WHERE root = ?1 AND kind <> 'record' AND gone_at IS NULL")?;
            let rows = open.query_map([root], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            let absent: rusqlite::Result<Vec<i64>> = rows
                .filter_map(|row| row.map(|(id, path)| (!is_there(&path)).then_some(id)).transpose())
                .collect();
            let mut close = changes.prepare_cached("UPDATE thing SET gone_at = ?1 WHERE id = ?2")?;
            for id in absent? {
                close.execute(params![at.unix_ms(), id])?;
            }
            Ok(())
        })
    }

    /// Returns the rows that `filter` asks for, newest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn rows(&self, filter: &ShadowFilter) -> Result<Vec<ShadowRow>, ShadowError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM ({}) WHERE (:list IS NULL OR list = :list) AND (:before IS NULL OR id < :before)
                 ORDER BY id DESC LIMIT :limit", listed()
            ))?;
            let rows = query.query_map(
                rusqlite::named_params! {
                    ":now": filter.now.unix_ms(),
                    ":since": filter.since.map(Timestamp::unix_ms),
                    ":list": filter.list.map(ShadowList::as_str),
                    ":before": filter.before,
                    ":limit": i64::try_from(filter.limit).unwrap_or(i64::MAX),
                },
                row_of,
            )?;
            rows.collect()
        })
    }

    /// Returns the sums of all lists.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sums(
        &self,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<ShadowSum>, ShadowError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT list, kind, coalesce(rule, ''), count(*), sum(bytes) FROM ({}) GROUP BY 1, 2, 3", listed()
            ))?;
            let rows = query.query_map(
                rusqlite::named_params! { ":now": now.unix_ms(), ":since": since.map(Timestamp::unix_ms) },
                |row| {
                    Ok(ShadowSum {
                        list: word(row, 0)?,
                        kind: word(row, 1)?,
                        rule: row.get(2)?,
                        things: row.get::<_, i64>(3)?.unsigned_abs(),
                        bytes: row.get::<_, i64>(4)?.unsigned_abs(),
                    })
                },
            )?;
            rows.collect()
        })
    }

    /// Returns the extent of the record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn extent(&self) -> Result<ShadowExtent, ShadowError> {
        self.read(|connection| {
            connection.query_row("SELECT since, dropped, lost FROM account", [], |row| {
                Ok(ShadowExtent {
                    since: Timestamp::from_unix_ms(row.get(0)?),
                    dropped: row.get::<_, i64>(1)?.unsigned_abs(),
                    lost: row.get::<_, i64>(2)?.unsigned_abs(),
                })
            })
        })
    }
}

/// Query for all rows since `:since`, each with its list.
fn listed() -> String {
    format!(
        "SELECT *, CASE WHEN gone_at IS NULL OR rewritten THEN 'only-lapsed' WHEN {WOULD} IS NULL THEN 'only-others' ELSE 'both' END AS list
         FROM thing WHERE :since IS NULL OR max(coalesce(due_at, gone_at), coalesce(gone_at, due_at)) >= :since"
    )
}

/// Adds a thing that would be removed. What is there in the same life was reported before; what
/// was gone is there again.
fn add_due(changes: &Transaction<'_>, row: &ShadowRow) -> rusqlite::Result<()> {
    insert(
        changes,
        row,
        "ON CONFLICT DO UPDATE SET due_at = excluded.due_at, foretold = NULL, gone_at = NULL, rewritten = 0,
             rule = excluded.rule, job = excluded.job, record = excluded.record, deadline = excluded.deadline, why = excluded.why
         WHERE gone_at IS NOT NULL",
    )
}

/// Adds a thing that others removed: to the row of its life, or as a new one. Earlier lives ended
/// when it was written again. What has one life and only a name is none that others removed alone.
fn add_gone(changes: &Transaction<'_>, row: &ShadowRow) -> rusqlite::Result<()> {
    let gone_at = row.gone_at.map(Timestamp::unix_ms);
    changes
        .prepare_cached(
            "UPDATE thing SET gone_at = ?1, rewritten = basis <> ?5 WHERE kind = ?2 AND root = ?3 AND path = ?4 AND gone_at IS NULL",
        )?
        .execute(params![gone_at, row.kind.as_str(), row.root, row.path, row.basis.unix_ms()])?;
    if row.kind != ShadowKind::File {
        return Ok(());
    }
    insert(
        changes,
        row,
        "ON CONFLICT DO UPDATE SET gone_at = excluded.gone_at",
    )
}

fn insert(changes: &Transaction<'_>, row: &ShadowRow, on_conflict: &str) -> rusqlite::Result<()> {
    let ms = |at: Option<Timestamp>| at.map(Timestamp::unix_ms);
    changes
        .prepare_cached(&format!(
            "INSERT INTO thing (kind, root, path, basis, bytes, job, rule, record, why, deadline, foretold, due_at, gone_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) {on_conflict}"
        ))?
        .execute(params![
            row.kind.as_str(), row.root, row.path, row.basis.unix_ms(), row.bytes.cast_signed(), row.job, row.rule, row.record, row.why,
            ms(row.deadline), ms(row.foretold), ms(row.due_at), ms(row.gone_at),
        ])?;
    Ok(())
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<ShadowRow> {
    let at = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
        Ok(row
            .get::<_, Option<i64>>(column)?
            .map(Timestamp::from_unix_ms))
    };
    Ok(ShadowRow {
        id: row.get(0)?,
        kind: word(row, 1)?,
        root: row.get(2)?,
        path: row.get(3)?,
        basis: Timestamp::from_unix_ms(row.get(4)?),
        bytes: row.get::<_, i64>(5)?.unsigned_abs(),
        job: row.get(6)?,
        rule: row.get(7)?,
        record: row.get(8)?,
        why: row.get(9)?,
        deadline: at(10)?,
        foretold: at(11)?,
        due_at: at(12)?,
        gone_at: at(13)?,
        rewritten: row.get(14)?,
        list: word(row, 15)?,
    })
}

/// The word in a column, as one of an enum.
fn word<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    word.parse()
        .map_err(|_| rusqlite::Error::InvalidColumnType(column, word, rusqlite::types::Type::Text))
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests;
