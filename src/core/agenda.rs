//! Agenda: the instants that have come, and the next ones, of everything with a schedule.
//!
//! **Invariant:** pure: clock, zone and the seed of delays are given.
//! **Invariant:** an instant comes at most once. Instants that passed together (while the machine
//! slept, or no daemon ran) come together, as one.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::recurrence::Recurrence;
use super::time::Timestamp;

/// A clock that is set back by less is being corrected: what came does not come again.
const CORRECTION_MAX_MS: i64 = 60_000;

/// Name of something with a schedule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AgendaKey {
    /// A rule.
    Rule(String),
    /// A schedule of its own.
    Schedule(String),
    /// Digests of a receiver of notifications.
    Digest(String),
}

/// Something with a schedule.
#[derive(Clone, Debug)]
pub struct AgendaItem<'p> {
    /// Its name.
    pub key: AgendaKey,
    /// Its instants.
    pub times: &'p Recurrence,
    /// Maximum delay of each instant, in milliseconds.
    pub jitter_ms: i64,
}

/// Position in the instants of one item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// Its instants, as they are written.
    pub written: String,
    /// Until here all instants have come.
    pub until: Timestamp,
}

/// Positions of all items.
#[derive(Clone, Debug)]
pub struct Agenda {
    positions: BTreeMap<AgendaKey, Position>,
    zone: TimeZone,
    /// Start of intervals, which do not follow the calendar.
    started: Timestamp,
    /// Seed of delays.
    seed: u64,
}

impl Agenda {
    /// Agenda of a process that started at `started`, with the positions of an earlier one.
    #[must_use]
    pub fn new(
        positions: BTreeMap<AgendaKey, Position>,
        zone: TimeZone,
        started: Timestamp,
        seed: u64,
    ) -> Self {
        Self {
            positions,
            zone,
            started,
            seed,
        }
    }

    /// Returns the keys of `items` with instants between their position and `now`.
    #[must_use]
    pub fn missed(&self, items: &[AgendaItem<'_>], now: Timestamp) -> Vec<AgendaKey> {
        let is_missed = |item: &&AgendaItem<'_>| {
            let position = self.position(item);
            position.is_some_and(|at| self.next_of(item, at).is_some_and(|at| at <= now))
        };
        let missed = items.iter().filter(is_missed);
        missed.map(|item| item.key.clone()).collect()
    }

    /// Keeps the positions of `items`, and begins at `now` with new ones and with those whose
    /// instants are written differently.
    pub fn set_items(&mut self, items: &[AgendaItem<'_>], now: Timestamp) {
        let position = |item: &AgendaItem<'_>| Position {
            written: item.times.as_str().to_owned(),
            until: self.position(item).unwrap_or(now),
        };
        self.positions = items
            .iter()
            .map(|item| (item.key.clone(), position(item)))
            .collect();
    }

    /// Everything until `now` has come, for the keys that `is_meant` is true for.
    pub fn skip_to(&mut self, now: Timestamp, is_meant: impl Fn(&AgendaKey) -> bool) {
        for (key, position) in &mut self.positions {
            if is_meant(key) {
                position.until = now;
            }
        }
    }

    /// Returns the keys of `items` whose instants have come, which do not come again.
    ///
    /// # Errors
    /// The next instant, when none has come.
    pub fn come(
        &mut self,
        items: &[AgendaItem<'_>],
        now: Timestamp,
    ) -> Result<Vec<AgendaKey>, Option<Timestamp>> {
        let mut next = None;
        let mut due = Vec::new();
        for item in items {
            let Some(until) = self.position(item) else {
                continue;
            };
            // The clock was set back: instants come again as it shows them again.
            let until = if until.ms_since(now) > CORRECTION_MAX_MS {
                now
            } else {
                until
            };
            let at = self.next_of(item, until);
            let at = at.map(|at| at.plus_ms(self.delay(item, at)));
            let is_due = at.is_some_and(|at| at <= now);
            if is_due {
                due.push(item.key.clone());
            } else {
                next = next.into_iter().chain(at).min();
            }
            if let Some(position) = self.positions.get_mut(&item.key) {
                position.until = if is_due { until.max(now) } else { until };
            }
        }
        if due.is_empty() { Err(next) } else { Ok(due) }
    }

    /// Positions by name.
    pub fn positions(&self) -> impl Iterator<Item = (&AgendaKey, &Position)> {
        self.positions.iter()
    }

    fn position(&self, item: &AgendaItem<'_>) -> Option<Timestamp> {
        let position = self.positions.get(&item.key)?;
        (position.written == item.times.as_str()).then_some(position.until)
    }

    fn next_of(&self, item: &AgendaItem<'_>, after: Timestamp) -> Option<Timestamp> {
        let start = match item.key {
            AgendaKey::Rule(_) => self.started,
            // An interval goes on over a restart.
            AgendaKey::Schedule(_) | AgendaKey::Digest(_) => after.min(self.started),
        };
        item.times.next(after, &self.zone, start)
    }

    /// Delay of the instant `at`, always the same.
    fn delay(&self, item: &AgendaItem<'_>, at: Timestamp) -> i64 {
        let (AgendaKey::Rule(name) | AgendaKey::Schedule(name) | AgendaKey::Digest(name)) =
            &item.key;
        let bytes = name.bytes().chain(at.unix_ms().to_le_bytes());
        // FNV-1a.
        let hash = bytes.fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let range = item.jitter_ms.max(0).unsigned_abs() + 1;
        i64::try_from((hash >> 16) % range).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
