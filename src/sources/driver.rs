//! Drivers: what differs between kinds of databases.
//!
//! The course of a source ([`super::reader`], [`super::reading`], [`super::writer`]) is the
//! same for all of them. A driver knows how its kind is connected to, tells of changes, gives rows
//! in pages, and keeps a row still while it is written.
//!
//! **Invariant:** every method returns within a bounded time, and soon after
//! [`Driver::interrupt`].

use std::sync::Arc;
use std::time::Duration;

use super::decode::Columns;
use super::error::Fault;
use super::lookup::Lookup;
use super::pending::PendingReads;
use super::snapshot_diff::ScanStrategy;
use super::sql_value::SqlValue;
use super::stats::ChangeDetection;
use super::write_back::{WriteBack, WriteFailure};
use crate::core::jobs::{JobLookup, JobRow};

/// Receiver of rows.
pub(super) type Visit<'a> = dyn FnMut(&Columns, &[SqlValue<'_>]) + 'a;

/// One database, asked by any thread.
pub(super) trait Driver: Send + Sync {
    /// The database as messages name it.
    fn place(&self) -> String;

    /// Returns what the database says of the job `id` at this moment. "Gone" is said only of a row
    /// that the database answers it does not have; what it cannot be asked is unknown.
    fn fresh(&self, id: &str) -> JobLookup;

    /// Returns whether every transaction that had committed when this was called was read. When it
    /// is not so, a reading is on its way.
    fn is_current(&self) -> bool;

    /// Has the job `id` read again, as if its change had been noticed.
    fn look_at(&self, id: &str);

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// When the database cannot be written now.
    fn begin(&self) -> Result<Box<dyn Transaction + '_>, WriteFailure>;

    /// Returns the driver of the source's thread.
    fn reader(self: Arc<Self>) -> Box<dyn ReadDriver>;

    /// Ends what is being asked.
    fn interrupt(&self);
}

/// Transaction of one record. Dropping it takes back what it wrote.
pub(super) trait Transaction {
    /// Returns the row of the job `id`, which no other session changes until the end.
    ///
    /// # Errors
    /// When the row cannot be read.
    fn find(&mut self, id: &str) -> Result<Option<JobRow>, WriteFailure>;

    /// Runs one statement of `order` with the parameters that it names, after
    /// [`Transaction::find`].
    ///
    /// # Errors
    /// When the statement fails.
    fn run(&mut self, sql: &str, order: &WriteBack) -> Result<(), WriteFailure>;

    /// Ends it.
    ///
    /// # Errors
    /// When nothing was written, or, where the connection was lost at the very end, perhaps all.
    fn commit(self: Box<Self>) -> Result<(), WriteFailure>;
}

/// End of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PageEnd {
    /// There may be another one.
    More,
    /// It was the last one.
    Last,
    /// It ends with an id that cannot be asked from.
    Unpageable,
}

/// Connection of a source's thread.
///
/// **Invariant:** changes are watched for before the database is read: what happens in between is
/// seen twice rather than never.
pub(super) trait ReadDriver: Send {
    /// Sees to it that changes are watched for and the right database is open. Adds to `owed` what
    /// is to be read for another reason than a change. Says whether nothing was read yet of what is
    /// open now.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&mut self, now: Duration, owed: &mut PendingReads) -> Result<bool, Fault>;

    /// Notes a failure. Unless the database is only locked, what was read does not count any more.
    fn close(&mut self, is_locked: bool);

    /// Returns whether a database that is down, or locked, has changed in a way that makes another
    /// attempt worthwhile now.
    fn is_worth_a_try(&self, _now: Duration) -> bool {
        false
    }

    /// Returns how changes are noticed; `None`: in the only way that there is.
    fn detection(&self) -> Option<ChangeDetection>;

    /// Interval at which changes are asked for when nothing tells of them.
    fn poll_interval(&self) -> Duration;

    /// Returns when [`ReadDriver::open`] has something to do without an event.
    fn next_check(&self) -> Option<Duration> {
        None
    }

    /// Returns whether an event only says that there may be a change, perhaps before it can be
    /// seen. Otherwise [`ReadDriver::take_notified`] has all that events tell.
    fn are_events_rumours(&self) -> bool;

    /// Returns whether the database has changed since this was asked or everything was read.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn has_changed(&mut self) -> Result<bool, Fault>;

    /// Moves what was notified to `owed`.
    fn take_notified(&mut self, _owed: &mut PendingReads) {}

    /// Notes whether all that was taken was read and reported.
    fn set_caught_up(&mut self, _is_caught_up: bool) {}

    /// Returns whether there is a query for changes, and it is known since when to ask.
    fn can_read_changes(&self) -> bool;

    /// Returns whether the query for changes finds all of them but deleted rows.
    fn are_changes_complete(&self) -> bool;

    /// Takes note of how the database stands before everything is read; says how it can be read.
    ///
    /// # Errors
    /// When the database fails, or `select` does not fit.
    fn begin_all(&mut self) -> Result<ScanStrategy, Fault>;

    /// Takes note that everything was read as it stood at [`ReadDriver::begin_all`]; says whether
    /// it has changed since.
    ///
    /// # Errors
    /// When the database fails.
    fn end_all(&mut self) -> Result<bool, Fault>;

    /// Reads the next page by id, with the first one all rows without an id.
    ///
    /// # Errors
    /// When the database fails.
    fn page(&mut self, visit: &mut Visit<'_>) -> Result<PageEnd, Fault>;

    /// Reads all rows at once.
    ///
    /// # Errors
    /// When the database fails.
    fn pass(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault>;

    /// Reads what has changed since the last time.
    ///
    /// # Errors
    /// When the database fails.
    fn changes(&mut self, visit: &mut Visit<'_>) -> Result<(), Fault>;

    /// Looks for the rows of `ids`, one after the other.
    ///
    /// # Errors
    /// When the database fails.
    fn find_all(&mut self, ids: &[String]) -> Result<Vec<Lookup<JobRow>>, Fault>;

    /// Returns how long it has rested for the sake of writers since this was asked last.
    fn take_rested(&mut self) -> Duration {
        Duration::ZERO
    }
}
