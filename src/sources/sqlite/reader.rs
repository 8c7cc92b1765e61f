//! Connection of an SQLite source's thread: watches the database and reads it.
//!
//! **Invariant:** the directory is watched before the database is opened, and the database's
//! version taken before it is read.
//! **Invariant:** where pages can be had, no read transaction is longer than one of them, and rows
//! are judged after it: with a rollback journal no writer can commit meanwhile.

mod rows;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::database::{ReadPoint, SqliteDatabase};
use super::error::file_fault;
use super::lock_pace::LockPace;
use super::open::{self, FileStamp, Identity};
use super::parent_watcher::{self, ParentWatcher};
use super::queries;
use super::row::OwnedValue;
use crate::clock;
use crate::core::jobs::JobRow;
use crate::sources::driver::{PageEnd, ReadDriver, Visit};
use crate::sources::error::Fault;
use crate::sources::lookup::Lookup;
use crate::sources::pending::PendingReads;
use crate::sources::snapshot_diff::ScanStrategy;
use crate::sources::stats::ChangeDetection;

/// Longest wait of a reading for a writer, before it comes back later.
const PATIENCE: Duration = Duration::from_millis(200);

/// Events so soon after a failed attempt on a locked database are of our own making.
const ECHO: Duration = Duration::from_millis(20);

/// Interval at which a database without events is asked whether it has changed: a question reads a
/// hundred bytes.
const POLL_EVERY: Duration = Duration::from_secs(5);

/// Connection of a source's thread.
pub(super) struct SqliteReader {
    shared: Arc<SqliteDatabase>,
    around: Option<ParentWatcher>,
    database: Option<Database>,
    /// Reason why the database has to be polled.
    silence: Option<String>,
    pace: LockPace,
    /// `data_version` at the last reading.
    version: Option<i64>,
    /// From where changes are asked; `None`: nothing was read yet.
    since: Option<OwnedValue>,
    /// The reading of everything that is under way.
    scan: Scan,
    failed: Option<Failure>,
}

struct Database {
    connection: Connection,
    identity: Identity,
}

/// State of the database when the reading of everything began, and progress of that reading.
#[derive(Default)]
struct Scan {
    sample: Option<ReadPoint>,
    version: Option<i64>,
    since: Option<OwnedValue>,
    /// The id that the last page ended with.
    last: Option<OwnedValue>,
}

/// The last attempt to read.
struct Failure {
    /// The files as they were then; `None`: locked, which does not show.
    stamp: Option<FileStamp>,
    at: Duration,
}

impl SqliteReader {
    /// Not connected yet.
    pub(super) fn new(shared: Arc<SqliteDatabase>) -> Self {
        Self {
            shared,
            around: None,
            database: None,
            silence: None,
            pace: LockPace::default(),
            version: None,
            since: None,
            scan: Scan::default(),
            failed: None,
        }
    }

    /// Of the database that is open, with changes known until `since`.
    #[cfg(test)]
    pub(super) fn over(
        shared: Arc<SqliteDatabase>,
        (connection, identity): (Connection, Identity),
        since: Option<OwnedValue>,
    ) -> Self {
        let database = Some(Database {
            connection,
            identity,
        });
        Self {
            database,
            since,
            ..Self::new(shared)
        }
    }

    /// Sees to it that the right directories are watched.
    fn watch(&mut self) -> Result<(), Fault> {
        let path = &self.shared.options.path;
        if self
            .around
            .as_ref()
            .is_some_and(|around| around.is_right(path))
        {
            return Ok(());
        }
        self.around = None;
        match ParentWatcher::watch(path, &self.shared.context.signal) {
            Ok(watch) => {
                self.silence = parent_watcher::why_silent(path);
                self.around = Some(watch);
                self.database = None;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(file_fault(&error));
            }
            Err(error) => {
                self.silence = Some(format!(
                    "its directory cannot be watched: {error}\n  see fs.inotify.max_user_instances and fs.inotify.max_user_watches, and that its directory may be read"
                ));
            }
        }
        Ok(())
    }

    fn connection(&self) -> Result<&Connection, Fault> {
        connection_of(self.database.as_ref())
    }

    fn version(&self) -> Result<i64, Fault> {
        open::data_version(self.connection()?)
    }
}

fn connection_of(database: Option<&Database>) -> Result<&Connection, Fault> {
    match database {
        Some(database) => Ok(&database.connection),
        None => Err(file_fault(&std::io::ErrorKind::NotFound.into())),
    }
}

impl ReadDriver for SqliteReader {
    fn open(&mut self, _now: Duration, _owed: &mut PendingReads) -> Result<bool, Fault> {
        self.watch()?;
        let identity = Identity::of(&self.shared.options.path)?;
        let is_right = |database: &Database| database.identity == identity;
        if self.database.as_ref().is_some_and(is_right) {
            return Ok(false);
        }
        self.database = None;
        let (connection, identity) = open::to_read(&self.shared.options, PATIENCE)?;
        *self.shared.interrupt.lock() = Some(connection.get_interrupt_handle());
        self.database = Some(Database {
            connection,
            identity,
        });
        self.since = None;
        self.version = None;
        Ok(true)
    }

    fn close(&mut self, is_locked: bool) {
        let path = &self.shared.options.path;
        self.failed = Some(Failure {
            stamp: (!is_locked).then(|| FileStamp::at(path)),
            at: clock::now().boot,
        });
        if !is_locked {
            self.database = None;
            self.shared.forget();
        }
    }

    fn is_worth_a_try(&self, now: Duration) -> bool {
        self.failed
            .as_ref()
            .is_none_or(|failed| match &failed.stamp {
                Some(stamp) => *stamp != FileStamp::at(&self.shared.options.path),
                None => now > failed.at + ECHO,
            })
    }

    fn detection(&self) -> Option<ChangeDetection> {
        let why = self.silence.clone()?;
        Some(ChangeDetection::Polling { why })
    }

    fn poll_interval(&self) -> Duration {
        POLL_EVERY
    }

    fn are_events_rumours(&self) -> bool {
        true
    }

    fn has_changed(&mut self) -> Result<bool, Fault> {
        let version = self.version()?;
        Ok(self.version.replace(version) != Some(version))
    }

    fn can_read_changes(&self) -> bool {
        self.since.is_some()
    }

    fn are_changes_complete(&self) -> bool {
        true
    }

    fn begin_all(&mut self) -> Result<ScanStrategy, Fault> {
        self.scan = Scan {
            sample: self.shared.sample(),
            version: Some(self.version()?),
            ..Scan::default()
        };
        if let Some(sql) = &self.shared.context.queries.changed {
            self.pace.begin();
            let latest = queries::latest_change(self.connection()?, sql)?;
            self.pace.end();
            self.scan.since = Some(latest);
        }
        let strategy = queries::strategy(self.connection()?, &self.shared.context.queries)?;
        self.begin_reading()?;
        Ok(strategy)
    }

    fn end_all(&mut self) -> Result<bool, Fault> {
        let version = self.version()?;
        self.version = Some(version);
        self.since = self.scan.since.take();
        if let Some(sample) = self.scan.sample {
            self.shared.confirm(sample);
        }
        Ok(self.scan.version != Some(version))
    }

    fn page(&mut self, visit: &mut Visit<'_>) -> Result<PageEnd, Fault> {
        self.read_page(visit)
    }

    fn pass(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        self.read_pass(visit)
    }

    fn changes(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault> {
        let version = self.version()?;
        self.begin_reading()?;
        self.read_changes(visit)?;
        self.version = Some(version);
        Ok(())
    }

    fn find_all(&mut self, ids: &[String]) -> Result<Vec<Lookup<JobRow>>, Fault> {
        ids.iter().map(|id| self.find(id)).collect()
    }

    fn take_rested(&mut self) -> Duration {
        self.pace.take_rested()
    }
}
