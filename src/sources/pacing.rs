//! Schedule of the thread of a source. Instants are monotonic.
//!
//! **Invariant:** without an event, a change, or a database that is down, there is no next instant.

use std::time::Duration;

/// After an event the database is asked again this much after the last time: what is committed to a
/// write-ahead log becomes visible through shared memory, after the last write to a file.
const LOOKS: [Duration; 6] = [
    Duration::from_millis(2),
    Duration::from_millis(8),
    Duration::from_millis(32),
    Duration::from_millis(128),
    Duration::from_millis(512),
    Duration::from_millis(2048),
];

/// A database that is down is tried again after this long, twice as long the next time, and so on.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// … up to this.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// After a reading that took so long, rest for 19 times as long: 5 % of a thread.
const REST: u32 = 19;
/// Likewise if changes can be read by themselves, so that reading everything is only for what is
/// gone: 1 %.
const REST_BESIDE_CHANGES: u32 = 99;

/// Checks for a change after an event, at growing intervals.
#[derive(Default)]
pub(super) struct ChangeChecks {
    done: usize,
    next: Option<Duration>,
}

impl ChangeChecks {
    /// Restarts the sequence.
    pub(super) fn restart(&mut self, now: Duration) {
        self.done = 0;
        self.next = Some(now + LOOKS[0]);
    }

    /// Returns when the next one is.
    pub(super) fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Returns whether one is due; then the next one is set.
    pub(super) fn take_due(&mut self, now: Duration) -> bool {
        if self.next.is_none_or(|next| next > now) {
            return false;
        }
        self.done += 1;
        self.next = LOOKS.get(self.done).map(|&wait| now + wait);
        true
    }
}

/// Exponential backoff of a database that is down.
#[derive(Default)]
pub(super) struct RetryBackoff {
    wait: Option<Duration>,
    next: Option<Duration>,
}

impl RetryBackoff {
    /// Notes a failure.
    pub(super) fn fail(&mut self, now: Duration) {
        let wait = self
            .wait
            .map_or(RETRY_FIRST, |wait| (wait * 2).min(RETRY_MAX));
        self.wait = Some(wait);
        self.next = Some(now + wait);
    }

    /// Notes a success.
    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Returns when the next one is.
    pub(super) fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Returns whether it is time.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.next.is_none_or(|next| next <= now)
    }
}

/// Throttle of readings, by the time that the last ones took.
#[derive(Default)]
pub(super) struct ReadThrottle {
    /// Everything.
    pub(super) all: Duration,
    /// For what changed.
    pub(super) changes: Duration,
}

impl ReadThrottle {
    /// Everything was read, in `took`.
    pub(super) fn after_all(&mut self, now: Duration, took: Duration, beside_changes: bool) {
        let rest = if beside_changes {
            REST_BESIDE_CHANGES
        } else {
            REST
        };
        self.all = now + took * rest;
        self.changes = now + took.min(Duration::from_secs(1));
    }

    /// Takes note that what changed was read, in `took`.
    pub(super) fn after_changes(&mut self, now: Duration, took: Duration) {
        self.changes = now + took * REST;
    }
}
