//! Samples that wait for the registry, and how they are made.
//!
//! **Invariant:** the registry has at most [`MINUTES`] minutes and [`DAYS`] days, and as many wait
//! for it as [`WAITING_MAX`] says.

use std::mem;

use parking_lot::Mutex;

use crate::core::index::Totals;
use crate::core::lateness::{EDGES_MS, Lateness};
use crate::core::report::Status;
use crate::core::time::Timestamp;
use crate::types::{LimitSample, Moment, RootSample, Sample, Tally};

/// Minutes that are kept: a week.
pub(super) const MINUTES: u32 = 7 * 24 * 60;

/// Days that are kept: a year.
pub(super) const DAYS: u32 = 366;

/// Samples in one answer.
pub(super) const ANSWER_MAX: usize = 1000;

/// Minutes that wait for the registry: one write for all of them. A crash loses them.
pub(super) const WAITING: usize = 10;

/// Minutes that wait at most while the registry cannot be written; then the oldest is lost.
pub(super) const WAITING_MAX: usize = 60;

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const DAY_MS: i64 = 86_400_000;

/// Takes samples.
#[derive(Default)]
pub(crate) struct Sampler {
    pub(super) state: Mutex<State>,
    /// One sample, or one write, at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
pub(super) struct State {
    /// Minutes that are not in the registry yet, ascending.
    pub(super) minutes: Vec<Sample>,
    /// Days that are not in the registry as they are now; the last one is the day so far. Empty: it
    /// was not read yet.
    pub(super) days: Vec<Sample>,
    /// Figures at the last sample.
    removed: Tally,
    late: Lateness,
    /// Sizes of roots and of the ledger then.
    pub(super) seen: Option<Seen>,
}

/// Everything without which there is nothing to sample.
#[derive(PartialEq)]
pub(super) struct Seen {
    pub roots: Vec<Totals>,
    pub ledger_bytes: u64,
}

/// Sums up neighbours, so that [`ANSWER_MAX`] are left.
pub(super) fn thin(all: Vec<Sample>) -> Vec<Sample> {
    let together = all.len().div_ceil(ANSWER_MAX).max(1);
    let mut thinned: Vec<Sample> = Vec::with_capacity(all.len() / together + 1);
    for (place, sample) in all.into_iter().enumerate() {
        match thinned.last_mut() {
            Some(last) if place % together != 0 => last.add(sample),
            Some(_) | None => thinned.push(sample),
        }
    }
    thinned
}

/// Returns the last multiple of `ms` until `at`.
pub(super) fn floor(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(at.unix_ms().div_euclid(ms) * ms)
}

impl State {
    /// Makes a sample of what has happened since the last one.
    pub fn sample(
        &mut self,
        status: &Status,
        now: Timestamp,
        roots: Vec<RootSample>,
        limits: Vec<LimitSample>,
    ) -> Sample {
        let removed = Tally {
            files: status.removed_files,
            bytes: status.removed_bytes,
        };
        let before = mem::replace(&mut self.removed, removed);
        let late = mem::replace(&mut self.late, status.lateness);
        Sample {
            at: Moment(floor(now, MINUTE_MS)),
            removed: Tally {
                files: removed.files.saturating_sub(before.files),
                bytes: removed.bytes.saturating_sub(before.bytes),
            },
            late_ms: late_ms(&late, &status.lateness),
            held: status.held.iter().map(|held| held.count).sum(),
            roots,
            limits,
        }
    }

    /// Adds a sample of the day that began at `today`.
    pub fn add(&mut self, sample: Sample, today: Timestamp) {
        let of_day = Sample {
            at: Moment(today),
            ..sample.clone()
        };
        for (samples, sample) in [(&mut self.minutes, sample), (&mut self.days, of_day)] {
            match samples.last_mut() {
                Some(last) if last.at == sample.at => last.add(sample),
                Some(_) | None => samples.push(sample),
            }
        }
        let surplus = self.minutes.len().saturating_sub(WAITING_MAX);
        self.minutes.drain(..surplus);
        let surplus = self.days.len().saturating_sub(WAITING_MAX);
        self.days.drain(..surplus);
    }
}

/// The edge that 99 of 100 removals between the two were not later than.
fn late_ms(before: &Lateness, now: &Lateness) -> Option<i64> {
    let count = now
        .count
        .checked_sub(before.count)
        .filter(|&count| count > 0)?;
    let enough = count - count / 100;
    let buckets = now.buckets.iter().zip(before.buckets).zip(EDGES_MS);
    let mut reached = buckets.filter(|((now, before), _)| *now - before >= enough);
    Some(reached.next().map_or(now.max_ms, |(_, edge)| edge))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: i64, files: u64) -> Sample {
        Sample {
            at: Moment(Timestamp::from_unix_ms(minute * MINUTE_MS)),
            removed: Tally { files, bytes: 10 },
            late_ms: (files > 0).then_some(5),
            held: files,
            roots: Vec::new(),
            limits: Vec::new(),
        }
    }

    #[test]
    fn an_answer_sums_up_what_is_too_much_for_it() {
        let few: Vec<_> = (0..1000).map(|minute| sample(minute, 1)).collect();
        assert_eq!(thin(few.clone()), few);
        let thinned = thin((0..2500).map(|minute| sample(minute, 1)).collect());
        assert_eq!(thinned.len(), 834);
        let files: u64 = thinned.iter().map(|sample| sample.removed.files).sum();
        assert_eq!(files, 2500);
        assert_eq!(thinned[1].at, sample(3, 0).at);
        assert_eq!((thinned[1].held, thinned[1].late_ms), (1, Some(5)));
    }

    #[test]
    fn samples_of_a_minute_are_one_and_those_of_a_day_another() {
        let mut state = State::default();
        let day = |at: &Sample| floor(at.at.0, DAY_MS);
        for (minute, files) in [(1438, 1), (1438, 2), (1439, 4), (1440, 8), (1441, 16)] {
            let sample = sample(minute, files);
            let today = day(&sample);
            state.add(sample, today);
        }
        let files = |samples: &[Sample]| -> Vec<u64> {
            samples.iter().map(|sample| sample.removed.files).collect()
        };
        assert_eq!(files(&state.minutes), [3, 4, 8, 16]);
        assert_eq!(files(&state.days), [7, 24]);
    }

    #[test]
    fn minutes_that_cannot_be_written_are_bounded() {
        let mut state = State::default();
        for minute in 0..200 {
            state.add(sample(minute, 1), Timestamp::from_unix_ms(0));
        }
        assert_eq!(state.minutes.len(), WAITING_MAX);
        assert_eq!(state.minutes.last(), Some(&sample(199, 1)));
        assert_eq!(state.days[0].removed.files, 200);
    }

    #[test]
    fn lateness_is_that_of_the_removals_since() {
        let with = |counts: [u64; 3], max_ms| {
            let mut buckets = [counts[2]; EDGES_MS.len()];
            buckets[..2].copy_from_slice(&counts[..2]);
            Lateness {
                count: counts[2],
                max_ms,
                buckets,
                ..Lateness::default()
            }
        };
        let (none, first) = (Lateness::default(), with([98, 99, 100], 10));
        assert_eq!(late_ms(&none, &none), None);
        assert_eq!(late_ms(&none, &first), Some(5));
        assert_eq!(late_ms(&first, &with([98, 99, 101], 10)), Some(10));
        assert_eq!(late_ms(&first, &first), None);
        // Later than any edge.
        let last = Lateness {
            count: 101,
            max_ms: 9_999_999,
            ..first
        };
        assert_eq!(late_ms(&first, &last), Some(9_999_999));
    }
}
