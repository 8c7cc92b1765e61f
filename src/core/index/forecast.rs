//! What lapses until then: the own deadlines, summed by root, rule and minute.
//!
//! A question about an instant takes whole days and minutes from here, and looks at entries only for the minute that
//! the instant lies in, in those pages that may have a deadline in it.
//!
//! **Invariant:** exact. Each entry with an own deadline is counted in exactly one minute of one series.
//! **Invariant:** bounded whatever deadlines people make up with `touch`: those before 1970 share one minute, and those
//! after 2225 another, so that there are at most 94 thousand days.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::mem::size_of;

use super::memory::{allocated, tree_bytes};
use super::record::Record;
use super::tally::Tally;
use crate::core::facts::{RootId, RuleId};

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;
/// Minutes of a day.
const DAY_MINUTES: i64 = 24 * 60;
/// The minute that stands for all before 1970.
const FIRST: i64 = -1;
/// The minute that stands for itself and all later ones: in the year 2225.
const LAST: i64 = 1 << 27;

/// What lapses by one rule in one root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Forecast {
    /// Which root.
    pub root: RootId,
    /// By which rule.
    pub rule: RuleId,
    /// Files that lapse by themselves or with their directory.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
    /// Top-level directories that lapse as a whole.
    pub units: u64,
}

/// The minute that a deadline in milliseconds is counted in.
pub(super) fn minute_of(deadline: i64) -> i64 {
    deadline.div_euclid(MINUTE_MS).clamp(FIRST, LAST)
}

/// First and last millisecond of what is counted in `minute`.
pub(super) fn span_of(minute: i64) -> (i64, i64) {
    let first = minute * MINUTE_MS;
    match minute {
        FIRST => (i64::MIN, first + MINUTE_MS - 1),
        LAST => (first, i64::MAX),
        _ => (first, first + MINUTE_MS - 1),
    }
}

/// Root and rule.
pub(super) type Key = (RootId, RuleId);

/// Own deadlines by root, rule and minute.
#[derive(Default)]
pub(super) struct Histogram {
    series: BTreeMap<Key, BTreeMap<i64, Day>>,
}

#[derive(Default)]
struct Day {
    total: Tally,
    /// The minutes of the day in which something lapses, ascending.
    minutes: Vec<u16>,
    /// For each of them, what: none is empty.
    tallies: Vec<Tally>,
}

impl Day {
    /// The tally of `minute`, which is made when there is none.
    fn make(&mut self, minute: u16) -> &mut Tally {
        let place = self.minutes.binary_search(&minute).unwrap_or_else(|place| {
            // By an eighth: with files of all ages there are as many minutes as files, and doubling would waste half.
            let more = self.minutes.len() / 8 + 4;
            if self.minutes.len() == self.minutes.capacity() {
                self.minutes.reserve_exact(more);
                self.tallies.reserve_exact(more);
            }
            self.minutes.insert(place, minute);
            self.tallies.insert(place, Tally::default());
            place
        });
        &mut self.tallies[place]
    }

    fn each(&self) -> impl Iterator<Item = (u16, Tally)> {
        let minutes = self.minutes.iter().copied();
        minutes.zip(self.tallies.iter().copied())
    }
}

impl Histogram {
    /// Counts `record`, an entry of `root`, if it lapses by itself.
    pub(super) fn add(&mut self, root: RootId, record: &Record) {
        let Some((rule, at)) = record.own() else {
            return;
        };
        let (day, minute) = split(minute_of(at.unix_ms()));
        let days = self.series.entry((root, rule)).or_default();
        let day = days.entry(day).or_default();
        day.total.add(record.size);
        day.make(minute).add(record.size);
    }

    /// Takes back what [`Histogram::add`] counted.
    pub(super) fn remove(&mut self, root: RootId, record: &Record) {
        let Some((rule, at)) = record.own() else {
            return;
        };
        let (number, minute) = split(minute_of(at.unix_ms()));
        let counted = "invariant: what is removed was counted";
        let days = self.series.get_mut(&(root, rule)).expect(counted);
        let day = days.get_mut(&number).expect(counted);
        day.total.remove(record.size);
        let place = day.minutes.binary_search(&minute).expect(counted);
        day.tallies[place].remove(record.size);
        if day.tallies[place].is_empty() {
            day.minutes.remove(place);
            day.tallies.remove(place);
        }
        if day.minutes.is_empty() {
            days.remove(&number);
        }
        if days.is_empty() {
            self.series.remove(&(root, rule));
        }
    }

    /// For each series, what lies before `minute`, and what lies in it.
    pub(super) fn until(&self, minute: i64) -> impl Iterator<Item = (Key, Tally, Tally)> {
        let (number, minute) = split(minute);
        self.series.iter().map(move |(&key, days)| {
            let mut before = Tally::default();
            let mut within = Tally::default();
            for day in days.range(..number).map(|(_, day)| day) {
                before += day.total;
            }
            for (at, tally) in days.get(&number).into_iter().flat_map(Day::each) {
                match at.cmp(&minute) {
                    Ordering::Less => before += tally,
                    Ordering::Equal => within = tally,
                    Ordering::Greater => break,
                }
            }
            (key, before, within)
        })
    }

    /// Minutes after `minute` and before `end`, ascending within each series.
    pub(super) fn between(&self, minute: i64, end: i64) -> impl Iterator<Item = (Key, i64, Tally)> {
        let (first, last) = (split(minute).0, split(end).0);
        let days = self.series.iter().flat_map(move |(&key, days)| {
            let days = days.range(first..=last);
            days.map(move |(number, day)| (key, number, day))
        });
        let minutes = days.flat_map(|(key, number, day)| {
            let start = number * DAY_MINUTES;
            day.each()
                .map(move |(at, tally)| (key, start + i64::from(at), tally))
        });
        minutes.filter(move |&(_, at, _)| minute < at && at < end)
    }

    pub(super) fn bytes(&self) -> usize {
        let days = self.series.values().map(|days| {
            let minutes = days.values().map(|day| {
                allocated(day.minutes.capacity() * size_of::<u16>())
                    + allocated(day.tallies.capacity() * size_of::<Tally>())
            });
            tree_bytes::<i64, Day>(days.len()) + minutes.sum::<usize>()
        });
        tree_bytes::<Key, BTreeMap<i64, Day>>(self.series.len()) + days.sum::<usize>()
    }
}

/// Day, and minute of the day.
fn split(minute: i64) -> (i64, u16) {
    let of_day = u16::try_from(minute.rem_euclid(DAY_MINUTES));
    (
        minute.div_euclid(DAY_MINUTES),
        of_day.expect("invariant: a remainder of 1440"),
    )
}
