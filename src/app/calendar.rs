//! Instants of schedules, for plans, lists, explanations and the status.
//!
//! **Invariant:** what is asked here agrees with the thread that carries schedules out: the same
//! zone, and the same instant from which spans are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::clock;
use crate::core::facts::RuleId;
use crate::core::policy::{Policy, Schedule};
use crate::core::recurrence::Recurrence;
use crate::core::time::Timestamp;
use crate::types::Trigger;

/// The search for the last instant of a schedule begins so close to the end, and goes back twice as
/// far each time.
const BACK_FIRST: Duration = Duration::from_mins(1);

/// Instants that one such search goes through at most: those of a week of minutes.
const INSTANTS_MAX: usize = 10_080;

/// The calendar that schedules go by.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    /// Spans that do not divide a day are counted from here.
    started: Timestamp,
}

impl Calendar {
    /// The calendar of a daemon that started at `started`, in the zone of this machine.
    #[must_use]
    pub fn new(started: Timestamp) -> Self {
        Self {
            zone: clock::zone(),
            started,
        }
    }

    /// The first instant of `times` at `from` or after it.
    #[must_use]
    pub fn first_from(&self, times: &Recurrence, from: Timestamp) -> Option<Timestamp> {
        times.next(from.plus_ms(-1), &self.zone, self.started)
    }

    /// The first instant at `from` or after it at which a rule's due files are removed other than
    /// at their deadlines.
    #[must_use]
    pub fn first_of(&self, policy: &Policy, rule: RuleId, from: Timestamp) -> Option<Timestamp> {
        let times = policy.recurrences(rule).into_iter();
        times.filter_map(|times| self.first_from(times, from)).min()
    }

    /// The last instant of `times` after `after` and until `until`.
    pub(crate) fn last_until(
        &self,
        times: &Recurrence,
        after: Timestamp,
        until: Timestamp,
    ) -> Option<Timestamp> {
        let next = |after| {
            let next = times.next(after, &self.zone, self.started);
            next.filter(|&at| at <= until)
        };
        let mut back = BACK_FIRST;
        let mut last = loop {
            let from = until.before(back).max(after);
            match next(from) {
                Some(found) => break found,
                None if from == after => return None,
                None => back = back.saturating_mul(2),
            }
        };
        for _ in 0..INSTANTS_MAX {
            match next(last) {
                Some(later) => last = later,
                None => break,
            }
        }
        Some(last)
    }
}

/// Instants at which many entries are removed. Remembers the last instant of each schedule, which
/// neighbours mostly share.
pub(crate) struct Departures<'a> {
    calendar: &'a Calendar,
    policy: &'a Policy,
    now: Timestamp,
    /// Between these two, the first excluded, the second is the first instant.
    known: BTreeMap<RuleId, (Timestamp, Timestamp)>,
}

impl<'a> Departures<'a> {
    pub(crate) fn new(calendar: &'a Calendar, policy: &'a Policy, now: Timestamp) -> Self {
        Self {
            calendar,
            policy,
            now,
            known: BTreeMap::new(),
        }
    }

    /// Returns instant and trigger of the removal of something under `rule`; `None`: the instant is
    /// unknown.
    pub(crate) fn of(&mut self, rule: RuleId, deadline: Timestamp) -> (Option<Timestamp>, Trigger) {
        let schedule = self.policy.rules.get(usize::from(rule.0));
        let has_times = || !self.policy.recurrences(rule).is_empty();
        match schedule.map_or(&Schedule::AtDeadline, |rule| &rule.schedule) {
            Schedule::AtDeadline => (Some(deadline), Trigger::Deadline),
            Schedule::Manual if !has_times() => (None, Trigger::Asked),
            Schedule::Named if !has_times() => (None, Trigger::Named),
            Schedule::Manual | Schedule::Named | Schedule::At(_) => {
                let from = deadline.max(self.now);
                let known = self.known.get(&rule);
                if let Some(&(_, at)) = known.filter(|&&(after, at)| after < from && from <= at) {
                    return (Some(at), Trigger::Schedule);
                }
                let at = self.calendar.first_of(self.policy, rule, from);
                if let Some(at) = at {
                    self.known.insert(rule, (from.plus_ms(-1), at));
                }
                (at, Trigger::Schedule)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let instant: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_unix_ms(instant.as_millisecond())
    }

    fn calendar() -> Calendar {
        Calendar {
            zone: TimeZone::UTC,
            started: at("2026-01-01T00:00:00Z"),
        }
    }

    #[test]
    fn the_last_instant_of_a_span_is_found_from_its_end() {
        let (calendar, from) = (calendar(), at("2026-03-01T12:00:00Z"));
        for (times, until, last) in [
            ("0 3 * * *", "2026-03-01T20:00:00Z", None),
            (
                "0 3 * * *",
                "2026-03-02T03:00:00Z",
                Some("2026-03-02T03:00:00Z"),
            ),
            (
                "0 3 * * *",
                "2026-03-31T02:59:59Z",
                Some("2026-03-30T03:00:00Z"),
            ),
            (
                "0 3 1 1 *",
                "3026-03-01T12:00:00Z",
                Some("3026-01-01T03:00:00Z"),
            ),
            ("every 10m", "2026-03-01T12:09:59Z", None),
            (
                "every 10m",
                "2026-03-01T13:15:00Z",
                Some("2026-03-01T13:10:00Z"),
            ),
            (
                "*/5 3-4 * * *",
                "2026-03-02T18:00:00Z",
                Some("2026-03-02T04:55:00Z"),
            ),
            (
                "every 11h",
                "2026-03-02T12:00:00Z",
                Some("2026-03-02T12:00:00Z"),
            ),
        ] {
            let times: Recurrence = times.parse().unwrap();
            let found = calendar.last_until(&times, from, at(until));
            assert_eq!(found, last.map(at), "{times:?} until {until}");
        }
    }

    #[test]
    fn what_is_due_goes_at_the_first_instant_that_has_not_passed() {
        let rule = |schedule| crate::core::policy::Rule {
            schedule,
            ..crate::http::router::tests::rule("r", crate::core::claim::Unit::File, None, 0)
        };
        let policy = Policy {
            rules: vec![
                rule(Schedule::At("0 3 * * *".parse().unwrap())),
                rule(Schedule::Manual),
                rule(Schedule::AtDeadline),
            ],
            ..Policy::default()
        };
        let (calendar, now) = (calendar(), at("2026-03-01T12:00:00Z"));
        let mut departures = Departures::new(&calendar, &policy, now);
        let mut departure = |rule, due| departures.of(RuleId(rule), at(due));
        for (due, goes) in [
            ("2026-02-01T00:00:00Z", "2026-03-02T03:00:00Z"),
            ("2026-03-05T03:00:00Z", "2026-03-05T03:00:00Z"),
            ("2026-03-05T03:00:01Z", "2026-03-06T03:00:00Z"),
            ("2026-03-01T13:00:00Z", "2026-03-02T03:00:00Z"),
        ] {
            assert_eq!(
                departure(0, due),
                (Some(at(goes)), Trigger::Schedule),
                "{due}"
            );
        }
        let due = "2026-02-01T00:00:00Z";
        assert_eq!(departure(1, due), (None, Trigger::Asked));
        assert_eq!(departure(2, due), (Some(at(due)), Trigger::Deadline));
    }
}
