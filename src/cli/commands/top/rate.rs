//! Rate of removals, from totals.

use std::collections::VecDeque;

use crate::core::time::Timestamp;
use crate::types::Tally;

/// Time that a rate is about, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// Totals that are kept: more than are asked for within a minute.
const SAMPLES_MAX: usize = 120;

/// Totals of the last minute.
#[derive(Debug, Default)]
pub(super) struct Rate {
    samples: VecDeque<(Timestamp, Tally)>,
}

impl Rate {
    /// Takes the total at `now`. A smaller one is that of another daemon.
    pub(super) fn add(&mut self, now: Timestamp, total: Tally) {
        if self
            .samples
            .back()
            .is_some_and(|(_, last)| last.files > total.files)
        {
            self.samples.clear();
        }
        self.samples.push_back((now, total));
        let is_old = |at: Timestamp| now.ms_since(at) > WINDOW_MS;
        // The newest that is old enough is where the window begins.
        while self.samples.len() > SAMPLES_MAX
            || self.samples.get(1).is_some_and(|(at, _)| is_old(*at))
        {
            self.samples.pop_front();
        }
    }

    /// Removals since the begin of the window, and its length in milliseconds; `None` while nothing
    /// is known.
    pub(super) fn last(&self) -> Option<(Tally, u64)> {
        let (begin, first) = self.samples.front()?;
        let (end, last) = self.samples.back()?;
        let ms = u64::try_from(end.ms_since(*begin))
            .ok()
            .filter(|ms| *ms > 0)?;
        let removed = Tally {
            files: last.files - first.files,
            bytes: last.bytes.saturating_sub(first.bytes),
        };
        Some((removed, ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_about_the_last_minute_of_one_daemon() {
        let mut rate = Rate::default();
        let at = |s: i64| Timestamp::from_unix_ms(1_700_000_000_000 + s * 1000);
        let total = |files| Tally {
            files,
            bytes: files * 10,
        };
        assert_eq!(rate.last(), None);
        rate.add(at(0), total(5));
        assert_eq!(rate.last(), None);
        for s in 1..=200 {
            rate.add(at(s), total(5 + u64::try_from(s).unwrap()));
        }
        let (removed, ms) = rate.last().unwrap();
        assert_eq!((removed.files, removed.bytes, ms), (61, 610, 61_000));
        // A restart.
        rate.add(at(201), total(0));
        rate.add(at(202), total(4));
        assert_eq!(rate.last(), Some((total(4), 1000)));
        // A clock that is set back.
        rate.add(at(100), total(5));
        assert_eq!(rate.last(), None);
    }
}
