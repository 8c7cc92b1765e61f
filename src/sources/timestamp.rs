//! Timestamps, in every form in which applications put them into a database.
//!
//! **Invariant:** what can be read in two ways is read as the later instant, or not at all: late is
//! safe, early loses data.

use super::sql_value::{SqlValue, ms_of_us};
use super::zone;
use crate::core::time::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

/// The years 1 to 9999, in milliseconds since the epoch.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_207_199_999;

/// Numbers past this are milliseconds: as seconds they would be of the year 5138.
const SECONDS_MAX: f64 = 1e11;
/// Numbers past this are microseconds.
const MILLISECONDS_MAX: f64 = 1e14;

/// The days that SQLite's `julianday()` gives for the years 1 to 9999. Taken for seconds they would
/// be of early 1970.
const JULIAN_DAYS: std::ops::RangeInclusive<f64> = 1_721_425.5..=5_373_484.5;

/// A value that is no timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unreadable;

/// The instant of `value`, naive ones in `zone`; `None`: it has none.
pub(super) fn parse(value: SqlValue<'_>, zone: &TimeZone) -> Result<Option<Timestamp>, Unreadable> {
    match value {
        SqlValue::Null => Ok(None),
        SqlValue::Integer(number) => of_integer(number).map(Some),
        SqlValue::Real(number) => of_real(number).map(Some),
        SqlValue::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|_| Unreadable)?.trim();
            if text.is_empty() {
                return Ok(None);
            }
            of_text(text, zone).map(Some)
        }
        SqlValue::Instant(us) => in_range(ms_of_us(us)).map(Some),
        SqlValue::Shown(us) => of_shown(us, zone).map(Some),
        SqlValue::Bool(_) | SqlValue::Bytes(_) | SqlValue::Json(_) | SqlValue::Infinite { .. } => {
            Err(Unreadable)
        }
    }
}

/// Returns what clocks in `zone` show, as if they were in UTC.
fn of_shown(us: i64, zone: &TimeZone) -> Result<Timestamp, Unreadable> {
    let shown = jiff::Timestamp::from_millisecond(ms_of_us(us)).map_err(|_| Unreadable)?;
    let shown = shown.to_zoned(TimeZone::UTC).datetime();
    in_range(zone::instant(zone, shown).ok_or(Unreadable)?)
}

fn of_text(text: &str, zone: &TimeZone) -> Result<Timestamp, Unreadable> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    if let Some(ms) = of_iso(text, zone) {
        return in_range(ms);
    }
    // Not what else Rust takes for a number: "inf", "nan".
    if !text.chars().all(is_number) || is_compact_date(text) {
        return Err(Unreadable);
    }
    match text.parse::<i64>() {
        Ok(number) => of_integer(number),
        Err(_) => of_real(text.parse().map_err(|_| Unreadable)?),
    }
}

/// Returns whether digits are rather a date without separators than a number: `20240131`,
/// `20240131235959`. As seconds the first would be of 1970.
fn is_compact_date(text: &str) -> bool {
    let is_month = || matches!(text[4..6].parse(), Ok(1..=12));
    text.bytes().all(|byte| byte.is_ascii_digit())
        && matches!(text.len(), 8 | 12 | 14)
        && matches!(&text[..2], "19" | "20")
        && is_month()
}

fn of_integer(number: i64) -> Result<Timestamp, Unreadable> {
    #[expect(clippy::cast_precision_loss, reason = "only its magnitude is asked")]
    let size = number.unsigned_abs() as f64;
    in_range(if size > MILLISECONDS_MAX {
        number.div_euclid(1000) + i64::from(number.rem_euclid(1000) != 0)
    } else if size > SECONDS_MAX {
        number
    } else {
        number * 1000
    })
}

fn of_real(number: f64) -> Result<Timestamp, Unreadable> {
    if !number.is_finite() || JULIAN_DAYS.contains(&number) {
        return Err(Unreadable);
    }
    let size = number.abs();
    let ms = if size > MILLISECONDS_MAX {
        number / 1000.0
    } else if size > SECONDS_MAX {
        number
    } else {
        number * 1000.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it saturates, and is then out of range"
    )]
    let ms = ms.ceil() as i64;
    in_range(ms)
}

fn in_range(ms: i64) -> Result<Timestamp, Unreadable> {
    if (FIRST_MS..=LAST_MS).contains(&ms) {
        Ok(Timestamp::from_unix_ms(ms))
    } else {
        Err(Unreadable)
    }
}

/// ISO 8601 as databases and languages write it: a date, then `T` or a space and a time, then
/// perhaps `Z` or an offset.
fn of_iso(text: &str, zone: &TimeZone) -> Option<i64> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let date = Date::new(i16::try_from(year).ok()?, narrow(month)?, narrow(day)?).ok()?;
    if rest.is_empty() {
        return zone::instant(zone, date.to_datetime(Time::midnight()));
    }
    let (hour, rest) = digits(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = match rest.strip_prefix(':') {
        Some(rest) => digits(rest, 2)?,
        None => (0, rest),
    };
    let (fraction_ms, rest) = match rest.strip_prefix(['.', ',']) {
        Some(rest) => fraction(rest)?,
        None => (0, rest),
    };
    // A leap second is the one after :59.
    let (second, more_ms) = match second {
        60 => (59, 1000 + fraction_ms),
        _ => (second, fraction_ms),
    };
    let time = Time::new(narrow(hour)?, narrow(minute)?, narrow(second)?, 0).ok()?;
    let shown = date.to_datetime(time);
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let ms = match rest {
        "" => zone::instant(zone, shown)?,
        "Z" | "z" => zone::instant(&TimeZone::UTC, shown)?,
        offset => zone::instant(&TimeZone::UTC, shown)?.checked_sub(offset_ms(offset)?)?,
    };
    ms.checked_add(more_ms)
}

/// `±hh:mm`, `±hhmm` or `±hh`.
fn offset_ms(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, rest) = digits(rest, 2)?;
    let minutes = match rest {
        "" => 0,
        rest => match digits(rest.strip_prefix(':').unwrap_or(rest), 2)? {
            (minutes, "") => minutes,
            _ => return None,
        },
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes) * 60_000)
}

/// A fraction of a second, in milliseconds, rounded up, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (found, rest) = text.split_at(end);
    let (first, beyond) = found.split_at(found.len().min(3));
    let ms = first.parse::<i64>().ok()? * [1, 100, 10, 1][first.len()];
    let is_more = beyond.bytes().any(|digit| digit != b'0');
    Some((ms + i64::from(is_more), rest))
}

/// A number of exactly `count` digits, and what follows it.
fn digits(text: &str, count: usize) -> Option<(u32, &str)> {
    let found = text.get(..count)?;
    if !found.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((found.parse().ok()?, &text[count..]))
}

fn narrow(number: u32) -> Option<i8> {
    i8::try_from(number).ok()
}
