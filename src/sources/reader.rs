//! The thread of a source: what it does next.
//!
//! **Invariant:** a database that cannot be read keeps its jobs: it is reported as down, and asked
//! again.
//! **Invariant:** no timer exists without a reason: a change is awaited or asked for, a reading
//! rests, the database is down, or its driver has a check to make.

mod catch_up;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use super::change_signal::WakeReason;
use super::context::SourceContext;
use super::driver::{Driver, ReadDriver};
use super::error::Fault;
use super::known_jobs::{ChangeSink, KnownJobs};
use super::pacing::{ChangeChecks, ReadThrottle, RetryBackoff};
use super::pending::PendingReads;
use super::publisher::ChangePublisher;
use super::stats::{ChangeDetection, SourceState};
use crate::clock;
use crate::core::jobs::JobChange;

/// A reading that comes later than this, or takes longer, is announced: until then what is known is
/// not believed.
const ANNOUNCED: Duration = Duration::from_millis(20);

/// Pause after an event: a writer may raise ten thousand events a second.
const SPACING: Duration = Duration::from_millis(1);
/// Likewise while a reading is to come anyway: then an event can only mean that the database is
/// gone.
const SPACING_OWED: Duration = Duration::from_millis(10);

/// Thread of a source.
pub(super) struct Reader {
    context: Arc<SourceContext>,
    place: String,
    driver: Box<dyn ReadDriver>,
    view: KnownJobs,
    publisher: ChangePublisher,
    looks: ChangeChecks,
    retries: RetryBackoff,
    rests: ReadThrottle,
    owes: PendingReads,
    /// True if everything was read of the database that is open.
    is_read: bool,
    /// Reason why the database is down.
    down: Option<String>,
    /// Another process has it locked, for a short time so far.
    is_locked: bool,
    is_stale: bool,
    detection: Option<ChangeDetection>,
    /// The next time that a database is asked for changes that nothing tells of.
    poll_at: Duration,
}

impl Reader {
    /// Of the source that `driver` reads, comparing with `view` and reporting to `sink`.
    pub(super) fn new(
        context: Arc<SourceContext>,
        driver: Arc<dyn Driver>,
        view: KnownJobs,
        sink: ChangeSink,
    ) -> Self {
        let place = driver.place();
        Self::over(context, place, driver.reader(), view, sink)
    }

    fn over(
        context: Arc<SourceContext>,
        place: String,
        driver: Box<dyn ReadDriver>,
        view: KnownJobs,
        sink: ChangeSink,
    ) -> Self {
        Self {
            place,
            driver,
            publisher: ChangePublisher::new(sink, context.id),
            context,
            view,
            looks: ChangeChecks::default(),
            retries: RetryBackoff::default(),
            rests: ReadThrottle::default(),
            owes: PendingReads::all(),
            is_read: false,
            down: None,
            is_locked: false,
            is_stale: false,
            detection: None,
            poll_at: Duration::ZERO,
        }
    }

    /// Runs until it is stopped.
    pub(super) fn run(mut self) {
        let mut woken = WakeReason::Elapsed;
        while woken != WakeReason::Stopped {
            self.context.stats.lock().turns += 1;
            self.turn(woken);
            if woken == WakeReason::Raised {
                self.context.signal.pause(self.spacing());
            }
            let now = clock::now().boot;
            let limit = self.next(now).map(|next| next.saturating_sub(now));
            woken = self.context.signal.wait(limit);
        }
    }

    /// Returns how long events are ignored after one.
    fn spacing(&self) -> Duration {
        if !self.will_see_changes() {
            return SPACING;
        }
        let now = clock::now().boot;
        let next = self.next(now).unwrap_or(now);
        next.saturating_sub(now).clamp(SPACING, SPACING_OWED)
    }

    /// Returns when there is something to do without an event.
    fn next(&self, now: Duration) -> Option<Duration> {
        let poll = self.is_polled().then_some(self.poll_at);
        let held_up = self.is_held_up();
        // While a reading is to come anyway, there is no need to look whether one should.
        let looks = self
            .looks
            .next()
            .filter(|_| held_up || !self.will_see_changes());
        let readings = [
            (self.owes.has_some() && self.is_read, self.rests.changes),
            (self.owes.all || self.owes.gone, self.rests.all),
        ];
        let readings = readings
            .into_iter()
            .filter(|(is_owed, _)| *is_owed && !held_up)
            .map(|(_, at)| at.max(now));
        let others = if held_up {
            self.retries.next()
        } else {
            self.driver.next_check()
        };
        [poll, looks, others]
            .into_iter()
            .flatten()
            .chain(readings)
            .min()
    }

    fn is_polled(&self) -> bool {
        matches!(self.detection, Some(ChangeDetection::Polling { .. }))
    }

    /// Returns whether it waits for a writer or a database that is away before it can read.
    fn is_held_up(&self) -> bool {
        self.is_locked || self.down.is_some()
    }

    /// Returns whether a reading is owed that will see every change.
    fn will_see_changes(&self) -> bool {
        self.owes.changes || (self.owes.all && !self.driver.can_read_changes())
    }

    fn turn(&mut self, woken: WakeReason) {
        let now = clock::now().boot;
        let is_stirred = self.down.is_none() || self.driver.is_worth_a_try(now);
        let is_raised = woken == WakeReason::Raised && is_stirred;
        if is_raised && self.driver.are_events_rumours() {
            self.looks.restart(now);
        }
        if woken == WakeReason::Requested {
            self.owes.all = true;
        }
        let is_due = self.is_polled() && self.poll_at <= now;
        if is_due {
            self.poll_at = now + self.driver.poll_interval();
        }
        if let Err(fault) = self.proceed(is_raised, is_due && is_stirred, now) {
            self.fail(&fault);
        }
    }

    fn proceed(&mut self, is_raised: bool, is_polled: bool, now: Duration) -> Result<(), Fault> {
        let is_rumour = is_raised && self.driver.are_events_rumours();
        let looks = self.looks.take_due(now) || is_rumour || is_polled;
        let retries = self.down.is_some() && self.retries.is_due(now);
        if self.is_held_up() && !looks && !retries {
            return Ok(());
        }
        self.open(now)?;
        if looks && !self.will_see_changes() && self.driver.has_changed()? {
            self.owe_changes();
        }
        self.driver.take_notified(&mut self.owes);
        self.read(now)
    }

    /// Sees to it that changes are noticed and the right database is open.
    fn open(&mut self, now: Duration) -> Result<(), Fault> {
        if self.driver.open(now, &mut self.owes)? {
            // Nothing of what was read before counts.
            self.owes = PendingReads::all();
            self.is_read = false;
            self.rests = ReadThrottle {
                all: now,
                changes: now,
            };
        }
        let detection = self.driver.detection();
        if detection == self.detection {
            return Ok(());
        }
        let source = &self.context.name;
        match &detection {
            Some(ChangeDetection::Polling { why }) => {
                let every = self.driver.poll_interval();
                tracing::warn!(source, ?every, "changes are asked for: {why}");
                self.poll_at = now + every;
            }
            Some(ChangeDetection::Notifications) => {
                tracing::info!(source, "changes are heard of by notifications");
                // What happened until now may have been missed.
                self.owes.all = true;
            }
            None => {}
        }
        self.context.stats.lock().detection.clone_from(&detection);
        self.detection = detection;
        Ok(())
    }

    /// The database has changed.
    fn owe_changes(&mut self) {
        if self.driver.can_read_changes() {
            self.owes.changes = true;
            self.owes.gone = true;
        } else {
            self.owes.all = true;
        }
    }

    /// Says that what is known is not the newest, if that lasts.
    fn announce(&mut self, lasts: Duration) {
        if lasts > ANNOUNCED && !self.is_stale && self.down.is_none() {
            self.is_stale = true;
            self.publisher.send(JobChange::Stale);
        }
    }

    fn fail(&mut self, fault: &Fault) {
        let now = clock::now().boot;
        let is_locked = match fault {
            Fault::Stopped => return,
            Fault::Busy => true,
            Fault::Query(_) | Fault::Denied { .. } | Fault::Away { .. } | Fault::Failed { .. } => {
                false
            }
        };
        if is_locked && self.down.is_none() {
            self.announce(ANNOUNCED * 2);
            if !self.is_locked {
                self.is_locked = true;
                self.looks.restart(now);
            }
            if self.looks.next().is_some() {
                return;
            }
        }
        if !is_locked {
            self.owes.all = true;
        }
        self.driver.close(is_locked);
        // An attempt for an event's sake does not put off the next one.
        if self.retries.is_due(now) {
            self.retries.fail(now);
        }
        self.is_stale = false;
        let why = fault.about(&self.place);
        if self.down.as_ref() == Some(&why) {
            return;
        }
        tracing::warn!(source = self.context.name, "{why}");
        self.down = Some(why.clone());
        self.context.stats.lock().state = SourceState::Down { why: why.clone() };
        self.publisher.send(JobChange::Down { why });
    }
}
