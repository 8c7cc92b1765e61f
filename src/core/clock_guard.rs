//! Jumps of the wall clock, and the deadlines that they move.
//!
//! Deadlines are instants of the wall clock, and the wall clock can be set. The boot clock cannot:
//! where the two advance differently, the wall clock jumped. After a jump forward everything
//! stamped before it looks older than it is. Which clock was right, before or after, cannot be
//! known, so neither is believed: a deadline counts *elapsed* time.
//!
//! The guard keeps the history of the wall clock as intervals, each with a level: the sum of the
//! jumps before it. A file stamped at level `a` and judged at level `b` looks `b - a` older than it
//! is. A timestamp does not tell its interval, because after a jump backward the clock shows the
//! same times again. So an entry counts from **the last moment at which the wall clock showed no
//! more than its timestamp**. That answers every sequence of jumps:
//! - forward: what was stamped before waits as much longer; a timestamp that the jump skipped
//!   counts from the jump;
//! - forward and back: nothing waits; the later jump took back the earlier;
//! - backward: nothing waits longer than the clock itself makes it. Late is safe;
//! - backward and forward again: what may have been stamped in between waits; what is older waits
//!   for nothing.
//!
//! **Invariant:** an entry stamped and judged while the guard watched is never let go before its
//! time to live has really passed, but for the tolerance: [`STEP_MS`] at either end and two parts
//! in [`SLEW_PARTS`] of the time between: one that is believed to be slew, and one that the clock
//! may have been slewed back, unseen, before it jumped forward by as much more.
//! **Invariant:** a later timestamp never gets an earlier deadline than an earlier timestamp with
//! the same time to live.

use std::mem;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hold::Hold;
use super::time::{Now, Timestamp};

/// A difference between the clocks that is no jump, in milliseconds. Two clocks are not read at one
/// instant, and a leap second or a small correction at the start of a time service is no reason to
/// hold anything.
pub const STEP_MS: i64 = 1_000;

/// Besides, the wall clock may gain or lose one part in so many: time services slew it instead of
/// setting it, by at most 500 ppm (`adjtimex(2)`), and a bad crystal adds 100 ppm. (Linux slews
/// both clocks; others do not.)
pub const SLEW_PARTS: i64 = 1_000;

/// Most slew that is believed between two readings, in milliseconds. A daemon that slept for a
/// month would else believe 43 minutes; a clock in good care needs a fraction of this.
pub const SLEW_MAX_MS: i64 = 300_000;

/// Jumps that are remembered one by one. A clock jumps once or twice in the life of a daemon; of
/// one that jumps for ever the smallest jumps are merged, to the safe side: some entries wait
/// longer than they had to.
pub const JUMPS_MAX: usize = 32;

/// Watches the wall clock. See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockGuard {
    /// The last reading.
    last: Now,
    /// Distance of the wall clock from the boot clock when it was last believed: slew moves it
    /// slowly, jumps at once.
    offset_ms: i64,
    /// An instant that the clock stood at before we ran, and does not stand at yet.
    recorded: Option<Timestamp>,
    /// The earlier intervals, oldest first.
    past: Vec<JumpFreeInterval>,
    /// No wall time of the current interval was before this.
    from: Timestamp,
    /// The current interval's level: the sum of all jumps.
    level_ms: i64,
}

/// Continuity of the machine since an earlier process read the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// It has: its clock that cannot be set goes on.
    Same,
    /// It was started again.
    Other,
}

/// A time between two jumps, which is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct JumpFreeInterval {
    /// No wall time shown in it was before this.
    from: Timestamp,
    /// No wall time shown in it was after this.
    to: Timestamp,
    /// The sum of all jumps before it.
    level_ms: i64,
    /// The jump that ended it.
    ended_by: Jump,
}

/// A jump of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// The wall time at which it was noticed, by the clock as it was set.
    pub at: Timestamp,
    /// Distance in milliseconds; negative: backward.
    pub by_ms: i64,
}

/// Event that a reading of the clocks shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockEvent {
    /// The wall clock jumped forward: what was stamped before waits as much longer.
    Jumped {
        /// Distance.
        by: Duration,
    },
    /// The wall clock was set back. Earlier jumps forward are taken back by as much, so that
    /// [`ClockGuard::effective`] deadlines may be earlier now: what was armed for a later instant
    /// must be armed again.
    SetBack {
        /// Distance.
        by: Duration,
    },
    /// The wall clock has reached the instant that was recorded before the start: the hold that
    /// this meant is over.
    CaughtUp {
        /// The instant.
        recorded: Timestamp,
    },
}

impl ClockGuard {
    /// Begins to watch. `recorded` is the latest instant that the clock is known to have shown
    /// before, such as the last removal's: while the clock stands before it, everything is held.
    #[must_use]
    pub fn new(now: Now, recorded: Option<Timestamp>) -> Self {
        Self {
            last: now,
            offset_ms: offset_ms(now),
            recorded: recorded.filter(|&recorded| now.wall < recorded),
            past: Vec::new(),
            from: Timestamp::MIN,
            level_ms: 0,
        }
    }

    /// Goes on from what an earlier process saw of the clocks. Within the same run of the machine a
    /// jump between its last reading and this one is one; how long a machine was off cannot be
    /// known, so from one run to the next the wall clock is believed unless it stands before what
    /// was recorded.
    #[must_use]
    pub fn resume(self, run: Run, now: Now, recorded: Option<Timestamp>) -> Self {
        let shown = recorded.max(self.recorded).max(Some(self.last.wall));
        let mut guard = self;
        match run {
            Run::Same => drop(guard.observe(now)),
            Run::Other => (guard.last, guard.offset_ms) = (now, offset_ms(now)),
        }
        guard.recorded = shown.filter(|&shown| now.wall < shown);
        guard
    }

    /// The last reading.
    #[must_use]
    pub fn last(&self) -> Now {
        self.last
    }

    /// Takes a reading of the clocks. Wants to be called at every wake-up, before anything is
    /// judged, and at once when the system tells that the clock was set: between two readings only
    /// the sum of all jumps can be seen.
    pub fn observe(&mut self, now: Now) -> Option<ClockEvent> {
        let (boot_ms, before_ms) = (ms(now.boot), ms(self.last.boot));
        // A difference of quotients: what one pair of readings rounds away, the next pair has.
        let slew_ms = (boot_ms / SLEW_PARTS - before_ms / SLEW_PARTS).clamp(0, SLEW_MAX_MS);
        let gained_ms = offset_ms(now).saturating_sub(self.offset_ms);
        let before = mem::replace(&mut self.last, now);
        let caught_up = self.recorded.take_if(|recorded| *recorded <= now.wall);
        if gained_ms.unsigned_abs() <= (STEP_MS + slew_ms).unsigned_abs() {
            // Many small steps add up to a jump, unless they are slow enough for a slew.
            let slewed_ms = gained_ms.clamp(-slew_ms, slew_ms);
            self.offset_ms = self.offset_ms.saturating_add(slewed_ms);
            // What counts as slew may have been one step back, right after the reading before.
            let lowest = before.wall.plus_ms(gained_ms.min(0));
            self.from = self.from.min(lowest);
            return caught_up.map(|recorded| ClockEvent::CaughtUp { recorded });
        }
        self.offset_ms = offset_ms(now);
        self.jump(before, gained_ms);
        let by = Duration::from_millis(gained_ms.unsigned_abs());
        Some(if gained_ms > 0 {
            ClockEvent::Jumped { by }
        } else {
            ClockEvent::SetBack { by }
        })
    }

    /// Returns the time beyond its deadline that an entry waits whose deciding timestamp is
    /// `basis`, in milliseconds.
    #[must_use]
    pub fn shift_ms(&self, basis: Timestamp) -> i64 {
        self.past
            .iter()
            .filter(|interval| interval.from <= basis)
            .map(|interval| {
                let skipped_ms = basis.ms_since(interval.to).max(0);
                self.level_ms
                    .saturating_sub(interval.level_ms)
                    .saturating_sub(skipped_ms)
            })
            .fold(0, i64::max)
    }

    /// The wall time at which an entry may go, as things stand, whose deciding timestamp is `basis`
    /// and whose rule says `deadline`. Never before `deadline`; after another [`ClockEvent`] or a
    /// release it may be another one.
    #[must_use]
    pub fn effective(&self, basis: Timestamp, deadline: Timestamp) -> Timestamp {
        let shifted = deadline.plus_ms(self.shift_ms(basis));
        self.recorded
            .map_or(shifted, |recorded| shifted.max(recorded))
    }

    /// Returns the hold on an entry whose `deadline` has passed; `None` when it has not passed, and
    /// when the entry may go. `now` is the reading that was last given to [`ClockGuard::observe`].
    #[must_use]
    pub fn hold(&self, basis: Timestamp, deadline: Timestamp, now: Now) -> Option<Hold> {
        if now.wall < deadline || self.effective(basis, deadline) <= now.wall {
            return None;
        }
        Some(match self.recorded {
            Some(recorded) if now.wall < recorded => Hold::ClockBehind { recorded },
            Some(_) | None => Hold::ClockJumped {
                by: Duration::from_millis(self.shift_ms(basis).unsigned_abs()),
            },
        })
    }

    /// Returns true if no jump and no earlier record moves any deadline.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.past.is_empty() && self.recorded.is_none()
    }

    /// Believes the clock as it stands: a user has said that it is right. What was armed for a
    /// later instant must be armed again.
    pub fn release(&mut self) {
        self.recorded = None;
        self.past.clear();
        self.from = Timestamp::MIN;
        self.level_ms = 0;
        self.offset_ms = offset_ms(self.last);
    }

    /// The jumps since the start or the last release, oldest first; of more than [`JUMPS_MAX`] not
    /// all.
    #[must_use]
    pub fn jumps(&self) -> impl ExactSizeIterator<Item = Jump> {
        self.past.iter().map(|interval| interval.ended_by)
    }

    /// The instant that was recorded before the start, while the clock has not reached it.
    #[must_use]
    pub fn recorded(&self) -> Option<Timestamp> {
        self.recorded
    }

    /// Ends the current interval: the clock jumped somewhere between the reading `before` and the
    /// last one.
    fn jump(&mut self, before: Now, by_ms: i64) {
        // Bounds that hold wherever in between it was, and a step wider, because so much may have
        // gone unnoticed.
        let elapsed_ms = ms(self.last.boot).saturating_sub(ms(before.boot)).max(0);
        let margin_ms = elapsed_ms.saturating_add(STEP_MS);
        let at = self.last.wall;
        self.past.push(JumpFreeInterval {
            from: self.from,
            to: before.wall.plus_ms(margin_ms),
            level_ms: self.level_ms,
            ended_by: Jump { at, by_ms },
        });
        self.from = at.plus_ms(margin_ms.saturating_neg());
        self.level_ms = self.level_ms.saturating_add(by_ms);
        if self.past.len() > JUMPS_MAX {
            self.merge();
        }
    }

    /// Makes one interval of those two neighbours that differ least, the oldest of such, so that it
    /// holds what either held.
    fn merge(&mut self) {
        let distance = |first: usize| {
            let (a, b) = (&self.past[first], &self.past[first + 1]);
            a.level_ms.abs_diff(b.level_ms)
        };
        let Some(first) = (0..self.past.len().saturating_sub(1)).min_by_key(|&at| distance(at))
        else {
            return;
        };
        let second = self.past.remove(first + 1);
        let merged = &mut self.past[first];
        *merged = JumpFreeInterval {
            from: merged.from.min(second.from),
            to: merged.to.max(second.to),
            level_ms: merged.level_ms.min(second.level_ms),
            ended_by: second.ended_by,
        };
    }
}

/// Distance of the wall clock from the boot clock.
fn offset_ms(now: Now) -> i64 {
    now.wall.unix_ms().saturating_sub(ms(now.boot))
}

fn ms(boot: Duration) -> i64 {
    i64::try_from(boot.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
