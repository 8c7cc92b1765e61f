//! The instants at which a rule with a `schedule` lets go what is due: cron expressions, or every
//! so often.
//!
//! Both are meant in the host's local time. Where clocks are put forward, an instant that they
//! leave out comes right after; where they are put back, one that they show twice comes once,
//! unless it comes so often that it would be missing for that time.
//!
//! **Invariant:** pure: the zone and the instant to count from are given.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use thiserror::Error;

use super::span;
use super::time::Timestamp;

/// More often would be polling: then a rule without a schedule is what is meant.
const EVERY_MIN: Duration = Duration::from_mins(1);
/// As long as any time to live may be.
const EVERY_MAX: Duration = Duration::from_hours(1000 * 8766);
const DAY_MS: i64 = 24 * 3600 * 1000;
/// No zone's clocks were ever set by more at once: an island that moved across the date line left
/// out a day.
const SHIFT_MAX_MS: i64 = 26 * 3600 * 1000;

/// Instants at which a rule is carried out. Equal when written alike.
#[derive(Clone)]
pub struct Recurrence {
    text: String,
    kind: Kind,
    /// Zone of its own.
    zone: Option<TimeZone>,
}

#[derive(Clone)]
enum Kind {
    Cron(Box<Cron>),
    /// At multiples of so many milliseconds since local midnight, which divide a day; or else since
    /// an instant that is given.
    Every(i64),
}

/// The mistake in a text that is no recurrence.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RecurrenceError {
    /// The span after "every".
    #[error("has no duration after \"every\"")]
    Every,
    /// It is too short.
    #[error("comes more often than once a minute")]
    TooOften,
    /// It is too long.
    #[error("comes less often than once in 1000 years")]
    TooSeldom,
    /// Something else than five fields.
    #[error("is an invalid schedule: it must have five fields, not {0}")]
    Fields(usize),
    /// A name with an at sign that there is not.
    #[error("is an unknown schedule name")]
    Name,
    /// A field that is not understood.
    #[error("is an invalid schedule: {0}")]
    Cron(String),
    /// A day that there never is.
    #[error("never comes")]
    Never,
}

impl FromStr for Recurrence {
    type Err = RecurrenceError;

    fn from_str(text: &str) -> Result<Self, RecurrenceError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let kind = match text.strip_prefix("every ") {
            Some(span) => Kind::Every(every(span)?),
            None => Kind::Cron(Box::new(cron(&text)?)),
        };
        let recurrence = Self {
            text,
            kind,
            zone: None,
        };
        // A leap day may be eight years away, and all the days of a week come within forty years of
        // it.
        let epoch = Timestamp::from_unix_ms(0);
        match recurrence.next(epoch, &TimeZone::UTC, epoch) {
            Some(_) => Ok(recurrence),
            None => Err(RecurrenceError::Never),
        }
    }
}

impl Recurrence {
    /// The text that was parsed, with single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same instants in `zone`, whatever the zone of the host.
    #[must_use]
    pub fn in_zone(self, zone: TimeZone) -> Self {
        Self {
            zone: Some(zone),
            ..self
        }
    }

    /// Interval in milliseconds; `None`: it goes by the fields of cron.
    #[must_use]
    pub const fn interval_ms(&self) -> Option<i64> {
        match self.kind {
            Kind::Cron(_) => None,
            Kind::Every(step) => Some(step),
        }
    }

    /// Name of the zone of its own.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_ref()?.iana_name()
    }

    /// The first instant after `after`, in `zone`, unless it has a zone of its own; `None`: it does
    /// not come within the years that a calendar has. What does not go by the calendar is counted
    /// from `start`.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone, start: Timestamp) -> Option<Timestamp> {
        let zone = self.zone.as_ref().unwrap_or(zone);
        match &self.kind {
            Kind::Cron(cron) => next_of_cron(cron, after, zone),
            &Kind::Every(step) if DAY_MS % step == 0 => next_of_day(step, after, zone),
            &Kind::Every(step) => {
                let passed = after.ms_since(start).max(-step).div_euclid(step);
                Some(start.plus_ms((passed + 1).saturating_mul(step)))
            }
        }
    }
}

impl PartialEq for Recurrence {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Recurrence {}

impl fmt::Debug for Recurrence {
    /// As it is written: it tells one configuration from another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn every(text: &str) -> Result<i64, RecurrenceError> {
    let span = span::parse(text).map_err(|_| RecurrenceError::Every)?;
    if span < EVERY_MIN {
        return Err(RecurrenceError::TooOften);
    }
    if span > EVERY_MAX {
        return Err(RecurrenceError::TooSeldom);
    }
    i64::try_from(span.as_millis()).map_err(|_| RecurrenceError::TooSeldom)
}

fn cron(text: &str) -> Result<Cron, RecurrenceError> {
    let named = text.starts_with('@');
    let text = match &*text.to_ascii_lowercase() {
        "@midnight" => "@daily",
        _ => text,
    };
    let fields = text.split(' ').filter(|field| !field.is_empty()).count();
    if !named && fields != 5 {
        return Err(RecurrenceError::Fields(fields));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).map_err(|error| {
        if named {
            return RecurrenceError::Name;
        }
        let said = error.to_string();
        let said = said.split_once(": ").map_or(&*said, |(_, what)| what);
        let mut letters = said.trim_end_matches('.').chars();
        let first = letters.next().map(|c| c.to_ascii_lowercase());
        RecurrenceError::Cron(first.into_iter().chain(letters).collect())
    })
}

fn next_of_cron(cron: &Cron, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    // It counts in whole seconds: what is left of one must not make it early.
    let seconds = after.unix_ms().div_euclid(1000);
    let after = jiff::Timestamp::from_second(seconds).ok()?;
    let next = cron
        .find_next_occurrence(&after.to_zoned(zone.clone()), false)
        .ok()?;
    Some(Timestamp::from_unix_ms(next.timestamp().as_millisecond()))
}

/// Goes through what clocks show, from a day before to a day after, and takes the first instant of
/// it.
fn next_of_day(step: i64, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let at = jiff::Timestamp::from_millisecond(after.unix_ms()).ok()?;
    let shown = after.unix_ms() + i64::from(zone.to_offset(at).seconds()) * 1000;
    let first = (shown - SHIFT_MAX_MS).div_euclid(step);
    let last = (shown + SHIFT_MAX_MS + step).div_euclid(step);
    (first..=last)
        .flat_map(|count| instants(count * step, step, zone))
        .filter(|&instant| instant > after)
        .min()
}

/// Returns the instants at which clocks show `shown`, in milliseconds since the epoch as if there
/// were no zones.
fn instants(shown: i64, step: i64, zone: &TimeZone) -> Vec<Timestamp> {
    let Some(civil) = civil_of(shown) else {
        return Vec::new();
    };
    let with = |offset: Offset| Timestamp::from_unix_ms(shown - i64::from(offset.seconds()) * 1000);
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => vec![with(offset)],
        AmbiguousOffset::Fold { before, after } => {
            let shift = i64::from(before.seconds() - after.seconds()) * 1000;
            if step < shift {
                vec![with(before), with(after)]
            } else {
                vec![with(before)]
            }
        }
        AmbiguousOffset::Gap { after, .. } => {
            let before_it = jiff::Timestamp::from_millisecond(with(after).unix_ms()).ok();
            let end = before_it.and_then(|at| Some(zone.following(at).next()?.timestamp()));
            let end = end.map(|end| Timestamp::from_unix_ms(end.as_millisecond()));
            end.into_iter().collect()
        }
    }
}

fn civil_of(shown: i64) -> Option<DateTime> {
    let at = jiff::Timestamp::from_millisecond(shown).ok()?;
    Some(Offset::UTC.to_datetime(at))
}

#[cfg(test)]
mod tests;
