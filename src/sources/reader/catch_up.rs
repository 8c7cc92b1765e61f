//! Catching up with a database: reads what is owed, and reports it.
//!
//! **Invariant:** a reading compares with what the engine has taken in, so it begins when the news
//! before it are in.

use std::time::Duration;

use super::{PendingReads, Reader};
use crate::clock;
use crate::core::jobs::JobChange;
use crate::sources::error::Fault;
use crate::sources::reading::Reading;
use crate::sources::stats::{ChangeDetection, SourceState};

/// The engine takes in news in its own time. A reading compares with what it has taken in, so it
/// waits for the last of the news before, at growing distances; no longer than this, since a row
/// may be one that the engine does not want.
const SETTLE: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

impl Reader {
    /// Reads what is owed, if it is time.
    pub(super) fn read(&mut self, now: Duration) -> Result<(), Fault> {
        if self.owes.is_empty() {
            self.settle_down()?;
        } else {
            self.driver.set_caught_up(false);
            self.read_owed(now)?;
        }
        self.driver.set_caught_up(self.owes.is_empty());
        Ok(())
    }

    fn read_owed(&mut self, now: Duration) -> Result<(), Fault> {
        if self.is_read && self.owes.has_some() {
            let wait = self.rests.changes.saturating_sub(now);
            self.announce(wait);
            if wait.is_zero() {
                self.read_changes()?;
            }
        }
        if self.owes.all || self.owes.gone {
            let wait = self.rests.all.saturating_sub(clock::now().boot);
            if self.owes.all {
                let took = self.context.stats.lock().last_read_took;
                self.announce(wait.max(took.unwrap_or_default()));
            }
            if wait.is_zero() {
                self.read_all()?;
            }
        }
        Ok(())
    }

    /// The database was locked and is as it was read: everything was reported.
    fn settle_down(&mut self) -> Result<(), Fault> {
        if self.is_held_up() || self.is_stale {
            if self.driver.has_changed()? {
                self.owe_changes();
            } else {
                let jobs = self.context.stats.lock().jobs;
                self.report_loaded(jobs);
            }
        }
        Ok(())
    }

    fn read_all(&mut self) -> Result<(), Fault> {
        self.settle();
        let began = clock::now().boot;
        let knows_nothing = !self.publisher.has_reported() && (self.view.count)() == 0;
        let strategy = self.driver.begin_all()?;
        let jobs = self.reading().all(strategy, knows_nothing)?;
        let now = clock::now();
        let took = now.boot.saturating_sub(began);
        {
            let mut stats = self.context.stats.lock();
            stats.reads += 1;
            stats.last_read_at = Some(now.wall);
            stats.last_read_took = Some(took);
            stats.is_telling = true;
        }
        // Before the report, or a receiver that asks at once would learn that it was not read.
        let has_changed = self.driver.end_all()?;
        self.is_read = true;
        self.owes = PendingReads::default();
        // Rests for the sake of writers call for no more of them.
        let busy = took.saturating_sub(self.driver.take_rested());
        let is_beside_changes = self.driver.can_read_changes();
        self.rests.after_all(now.boot, busy, is_beside_changes);
        self.report_loaded(jobs);
        self.context.stats.lock().read_from = Some(began);
        if has_changed {
            self.owe_changes();
        }
        Ok(())
    }

    /// Reads what changed, and the jobs that were named.
    fn read_changes(&mut self) -> Result<(), Fault> {
        self.settle();
        let began = clock::now().boot;
        // All that was notified before it began, also while it waited for the engine.
        self.driver.take_notified(&mut self.owes);
        let mut new = 0;
        if self.owes.changes && self.driver.can_read_changes() {
            new += self.reading().changes()?;
        }
        let ids = std::mem::take(&mut self.owes.ids);
        if !ids.is_empty() {
            let ids: Vec<String> = ids.into_iter().collect();
            let found = self.reading().some(&ids)?;
            new += found.new;
            self.owes.gone |= found.misses;
        }
        self.owes.changes = false;
        let now = clock::now();
        if self.driver.are_events_rumours() {
            // Whatever was committed after the reading began is found by a look.
            self.looks.restart(now.boot);
        }
        let took = now.boot.saturating_sub(began);
        let busy = took.saturating_sub(self.driver.take_rested());
        self.rests.after_changes(now.boot, busy);
        let jobs = {
            let mut stats = self.context.stats.lock();
            stats.reads_of_changes += 1;
            stats.last_read_at = Some(now.wall);
            stats.jobs += new;
            stats.jobs
        };
        let owes_more = self.owes.all || (self.owes.gone && !self.driver.are_changes_complete());
        if (self.is_stale || self.is_held_up()) && !owes_more {
            self.report_loaded(jobs);
        } else {
            self.publisher.end_reading();
        }
        // What has no notification is found only by reading everything.
        if self.owes.is_empty() && self.detection == Some(ChangeDetection::Notifications) {
            self.context.stats.lock().read_from = Some(began);
        }
        Ok(())
    }

    fn reading(&mut self) -> Reading<'_> {
        Reading {
            driver: &mut *self.driver,
            context: &self.context,
            view: &self.view,
            publisher: &mut self.publisher,
        }
    }

    /// Reports that everything was.
    fn report_loaded(&mut self, jobs: u64) {
        self.down = None;
        self.retries.succeed();
        self.is_stale = false;
        self.is_locked = false;
        {
            let mut stats = self.context.stats.lock();
            stats.jobs = jobs;
            stats.state = SourceState::Ready;
            stats.is_telling = true;
        }
        self.publisher.send(JobChange::Loaded { jobs });
        self.context.stats.lock().is_telling = false;
    }

    /// Waits until the engine has taken in what was reported last.
    fn settle(&mut self) {
        for ms in SETTLE {
            if self.publisher.is_acknowledged(&self.view) || self.context.signal.is_stopped() {
                return;
            }
            self.context.signal.pause(Duration::from_millis(ms));
        }
        self.publisher.abandon();
    }
}
