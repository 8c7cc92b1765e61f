//! The pace at which rows are read where that keeps the application's writers waiting.
//!
//! With a rollback journal no writer can commit while a read transaction is open, and a writer
//! without a busy timeout fails at once. So there pages last [`LOCK_MAX`], and writers get 99 times
//! as long as a transaction lasted. With a write-ahead log readers keep no writer waiting.
//!
//! **Invariant:** a rest is bounded by [`REST_MAX`] and a page has at least [`PAGE_MIN`] rows
//! unless no more are left: a reading ends, however slow the machine is.

use std::time::Duration;

use rusqlite::Connection;

use crate::clock;
use crate::sources::change_signal::ChangeSignal;
use crate::sources::error::Fault;

/// Most rows of a page: some ten milliseconds, of which writers to a write-ahead log notice
/// nothing.
pub(super) const PAGE: usize = 5000;

/// Fewest rows of a page that locks writers out, however long they take.
const PAGE_MIN: usize = 64;

/// Rows of the first such page, before any was measured.
const PAGE_FIRST: usize = 256;

/// Longest page that locks writers out, where it has more than [`PAGE_MIN`] rows.
const LOCK_MAX: Duration = Duration::from_millis(2);

/// The rest owed for a transaction, in times that it lasted: writers are locked out for 1 % of the
/// time.
const REST_TIMES: u32 = 99;

/// Most rest owed at once: that for [`LOCK_MAX`]. A transaction that took longer was preempted, or
/// cannot be divided.
const REST_MAX: Duration = Duration::from_millis(200);

/// Rest is taken when so much is owed. Less stays owed: a small table is read at once.
const REST_MIN: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct LockPace {
    locks_writers: bool,
    page: usize,
    /// Duration of the last reading in one statement.
    pass: Duration,
    began: Duration,
    /// Time from which no more rest is owed.
    rested_at: Duration,
    /// Rests since they were asked for last.
    rested: Duration,
}

impl Default for LockPace {
    fn default() -> Self {
        Self {
            locks_writers: true,
            page: PAGE_FIRST,
            pass: Duration::MAX,
            began: Duration::ZERO,
            rested_at: Duration::ZERO,
            rested: Duration::ZERO,
        }
    }
}

impl LockPace {
    /// Asks `connection`, which has read before, whether its transactions lock writers out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn ask(&mut self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached("PRAGMA journal_mode")?;
        let mode: String = statement.query_row([], |row| row.get(0))?;
        self.locks_writers = mode != "wal";
        Ok(())
    }

    /// Returns the rows of the next page.
    pub(super) fn page(&self) -> usize {
        if self.locks_writers { self.page } else { PAGE }
    }

    /// Returns whether a reading in one statement keeps no writer waiting for long, as far as is
    /// known.
    pub(super) fn is_pass_brief(&self) -> bool {
        !self.locks_writers || self.pass < LOCK_MAX
    }

    /// Takes note that a reading in one statement has ended. `locks`: it was one of the database
    /// itself.
    pub(super) fn end_pass(&mut self, locks: bool) {
        let now = clock::now().boot;
        self.pass = now.saturating_sub(self.began);
        if locks {
            self.owe(self.pass, now);
        }
    }

    /// Takes note that a read transaction begins.
    pub(super) fn begin(&mut self) {
        self.began = clock::now().boot;
    }

    /// Returns whether the page should end after `rows`.
    pub(super) fn is_over(&self, rows: usize) -> bool {
        let lasted = || clock::now().boot.saturating_sub(self.began);
        self.locks_writers && rows >= PAGE_MIN && lasted() >= LOCK_MAX
    }

    /// Takes note that the read transaction has ended.
    pub(super) fn end(&mut self) {
        let now = clock::now().boot;
        self.owe(now.saturating_sub(self.began), now);
    }

    /// Likewise, of a page of `rows`; the next one is longer or shorter.
    pub(super) fn end_page(&mut self, rows: usize) {
        let now = clock::now().boot;
        let lasted = now.saturating_sub(self.began);
        self.owe(lasted, now);
        self.adapt(rows, lasted);
    }

    /// Rests if enough is owed, or until the thread is to end.
    pub(super) fn rest(&mut self, signal: &ChangeSignal) {
        let now = clock::now().boot;
        let owed = self.rested_at.saturating_sub(now);
        if self.locks_writers && owed >= REST_MIN {
            signal.pause(owed);
            self.rested += clock::now().boot.saturating_sub(now);
        }
    }

    /// Rests for as long as after the longest page, since a writer is at work.
    pub(super) fn rest_for_writer(&mut self, signal: &ChangeSignal) {
        let now = clock::now().boot;
        signal.pause(REST_MAX);
        self.rested += clock::now().boot.saturating_sub(now);
    }

    /// Returns how long it has rested since this was asked last.
    pub(super) fn take_rested(&mut self) -> Duration {
        std::mem::take(&mut self.rested)
    }

    fn owe(&mut self, lasted: Duration, now: Duration) {
        if self.locks_writers {
            let rested_at = self.rested_at.max(now) + lasted.min(REST_MAX) * REST_TIMES;
            self.rested_at = rested_at.min(now + REST_MAX);
        }
    }

    fn adapt(&mut self, rows: usize, lasted: Duration) {
        if !self.locks_writers {
            return;
        }
        if lasted >= LOCK_MAX {
            self.page = (self.page / 2).max(PAGE_MIN);
        } else if rows >= self.page && lasted < LOCK_MAX / 2 {
            self.page = (self.page * 2).min(PAGE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of 20 pages whose rows take `row` each.
    fn pages(pace: &mut LockPace, row: Duration) -> Vec<usize> {
        let mut sizes = Vec::new();
        for _ in 0..20 {
            let rows = pace.page();
            sizes.push(rows);
            pace.adapt(rows, row * u32::try_from(rows).unwrap());
        }
        sizes
    }

    #[test]
    fn pages_come_to_last_two_milliseconds() {
        for us in [1, 3, 7, 20, 30] {
            let row = Duration::from_micros(us);
            let sizes = pages(&mut LockPace::default(), row);
            let last = row * u32::try_from(sizes[19]).unwrap();
            assert!(last < LOCK_MAX, "{us} µs: {sizes:?}");
            assert!(last >= LOCK_MAX / 4, "{us} µs: {sizes:?}");
            assert_eq!(sizes[10..], [sizes[19]; 10], "{us} µs");
        }
    }

    #[test]
    fn pages_have_a_lowest_and_a_highest_size_and_recover() {
        let mut pace = LockPace::default();
        assert_eq!(pages(&mut pace, Duration::from_secs(1))[19], PAGE_MIN);
        assert_eq!(pages(&mut pace, Duration::ZERO)[19], PAGE);
    }

    #[test]
    fn the_rest_is_99_times_the_lock_and_bounded() {
        let (ms, now) = (Duration::from_millis(1), Duration::from_secs(7));
        let mut pace = LockPace::default();
        pace.owe(ms, now);
        assert_eq!(pace.rested_at, now + ms * 99);
        pace.owe(ms, now);
        assert_eq!(pace.rested_at, now + ms * 198);
        pace.owe(Duration::MAX, now);
        assert_eq!(pace.rested_at, now + REST_MAX);
    }

    #[test]
    fn a_write_ahead_log_is_read_in_full_pages_without_a_rest() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("jobs.db")).unwrap();
        let mut pace = LockPace::default();
        for (mode, page) in [("wal", PAGE), ("delete", PAGE_FIRST)] {
            connection
                .execute_batch(&format!(
                    "PRAGMA journal_mode = {mode}; CREATE TABLE IF NOT EXISTS t (a)"
                ))
                .unwrap();
            pace.ask(&connection).unwrap();
            assert_eq!(pace.page(), page, "{mode}");
            pace.owe(LOCK_MAX, Duration::ZERO);
            assert_eq!(pace.rested_at.is_zero(), mode == "wal");
        }
    }
}
