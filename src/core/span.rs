//! Spans of time as people write and read them: `90s`, `1h30m`, `0.5h`; `3 h`, `7 days`.
//!
//! **Invariant:** a fraction is never worth less than it says: it is rounded up to the nanosecond.
//! Late is safe.

use std::time::Duration;

use humantime::DurationError;

/// Longer fractions say nothing more, and sums stay within 128 bits.
const FRACTION_DIGITS_MAX: usize = 18;

/// Parses a span in the words of `humantime`, of which each number may have a fraction.
///
/// # Errors
/// Those of `humantime`, about the text without its fractions.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let (whole, fractions) = apart(text);
    let mut sum = humantime::parse_duration(&whole)?;
    for Fraction { digits, unit } in fractions {
        // Without a unit the whole would have been refused.
        let one = humantime::parse_duration(&format!("1{unit}"))?;
        sum = sum
            .checked_add(part_of(one, &digits)?)
            .ok_or(DurationError::NumberOverflow)?;
    }
    Ok(sum)
}

/// Digits after a point, and the unit of the fraction.
struct Fraction {
    digits: String,
    unit: String,
}

/// `text` without its fractions, and these. A point that begins no digits, or stands right behind
/// letters, stays: it is refused.
fn apart(text: &str) -> (String, Vec<Fraction>) {
    let (mut whole, mut fractions) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find('.') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        whole.push_str(before);
        let len = after.find(|c: char| !c.is_ascii_digit());
        let (digits, beyond) = after.split_at(len.unwrap_or(after.len()));
        // ".5h" has no whole part.
        let begins = !whole.ends_with(|c: char| c.is_alphanumeric() || c == '.');
        let is_fraction = (begins || before.ends_with(|c: char| c.is_ascii_digit()))
            && !digits.is_empty()
            && !beyond.starts_with('.');
        if is_fraction {
            if begins {
                whole.push('0');
            }
            let unit = beyond.trim_start();
            let end = unit.find(|c: char| !c.is_alphabetic());
            fractions.push(Fraction {
                digits: digits.to_owned(),
                unit: unit[..end.unwrap_or(unit.len())].to_owned(),
            });
        } else {
            whole.push('.');
            whole.push_str(digits);
        }
        rest = beyond;
    }
    whole.push_str(rest);
    (whole, fractions)
}

fn part_of(one: Duration, digits: &str) -> Result<Duration, DurationError> {
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return Ok(Duration::ZERO);
    }
    if digits.len() > FRACTION_DIGITS_MAX {
        return Err(DurationError::NumberOverflow);
    }
    let share: u128 = digits.parse().map_err(|_| DurationError::NumberOverflow)?;
    let of = digits.bytes().fold(1u128, |of, _| of * 10);
    let nanoseconds = (one.as_nanos() * share).div_ceil(of);
    let nanoseconds = u64::try_from(nanoseconds).map_err(|_| DurationError::NumberOverflow)?;
    Ok(Duration::from_nanos(nanoseconds))
}

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const YEAR_MS: u64 = 365 * DAY_MS;

/// Renders a span of `ms` in the unit that leaves one to three digits, rounded to the nearest:
/// `40 ms`, `90 s`, `35 min`, `3 h`, `12 d`, `3 y`.
#[must_use]
pub fn short(ms: u64) -> String {
    let (unit, name) = match ms {
        0..SECOND_MS => (1, "ms"),
        SECOND_MS..120_000 => (SECOND_MS, "s"),
        120_000..7_200_000 => (MINUTE_MS, "min"),
        7_200_000..172_800_000 => (HOUR_MS, "h"),
        172_800_000..63_072_000_000 => (DAY_MS, "d"),
        _ => (YEAR_MS, "y"),
    };
    // Two hours are never 120 minutes, nor two days 48 hours.
    let rounded = (ms.saturating_add(unit / 2) / unit).saturating_mul(unit);
    if rounded > ms && matches!(rounded, 120_000 | 7_200_000 | 172_800_000 | 63_072_000_000) {
        return short(rounded);
    }
    format!("{} {name}", rounded / unit)
}

/// Renders a span of `ms` in full: `7 days`, `1 hour 30 minutes`, `0 seconds`.
#[must_use]
pub fn long(ms: u64) -> String {
    let units = [
        (DAY_MS, "day"),
        (HOUR_MS, "hour"),
        (MINUTE_MS, "minute"),
        (SECOND_MS, "second"),
        (1, "millisecond"),
    ];
    let mut left = ms;
    let mut parts = Vec::new();
    for (unit, name) in units {
        let number = left / unit;
        left %= unit;
        if number > 0 {
            let plural = if number == 1 { "" } else { "s" };
            parts.push(format!("{number} {name}{plural}"));
        }
    }
    if parts.is_empty() {
        return "0 seconds".to_owned();
    }
    parts.join(" ")
}

/// Renders an instant that is `ms` from now: `in 3 h`, `90 s ago`.
#[must_use]
pub fn relative(ms: i64) -> String {
    let span = short(ms.unsigned_abs());
    if ms >= 0 {
        format!("in {span}")
    } else {
        format!("{span} ago")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_rounded_to_the_nearest() {
        let days = |days: u64| days * DAY_MS;
        for (ms, text) in [
            (999, "999 ms"),
            (1499, "1 s"),
            (1500, "2 s"),
            (119_400, "119 s"),
            (119_600, "2 min"),
            (2 * HOUR_MS - 1, "2 h"),
            (2 * HOUR_MS - MINUTE_MS, "119 min"),
            (days(2) - 1, "2 d"),
            (days(7) - 2000, "7 d"),
            (days(29) + 23 * HOUR_MS, "30 d"),
            (days(730) - 1, "2 y"),
        ] {
            assert_eq!(short(ms), text, "{ms}");
        }
    }

    #[test]
    fn spans_are_said_in_full() {
        let texts = [0, 1, 90_000, HOUR_MS, 7 * DAY_MS, DAY_MS + 12 * HOUR_MS].map(long);
        let expected = [
            "0 seconds",
            "1 millisecond",
            "1 minute 30 seconds",
            "1 hour",
            "7 days",
            "1 day 12 hours",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn fractions_are_exact() {
        for (text, ms) in [
            ("0.5h", 1_800_000),
            (".5h", 1_800_000),
            ("1h .5m", 3_630_000),
            ("1.5d", 129_600_000),
            ("0.25m", 15_000),
            ("0.01h", 36_000),
            ("1.0h", 3_600_000),
            ("1.50 h", 5_400_000),
            ("2.5 hours 1.5 min", 9_090_000),
            ("0.5w", 302_400_000),
            ("0.001s", 1),
            ("1h", 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        // A third of an hour cannot be written; what is written is rounded up.
        assert_eq!(parse("0.0000000000001h"), Ok(Duration::from_nanos(1)));
        assert_eq!(parse("0.3ns"), Ok(Duration::from_nanos(1)));
        let most = parse("0.999999999999999999y").unwrap();
        assert!(most <= parse("1y").unwrap() && most > parse("364d").unwrap());
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            ".",
            ".h",
            ".5",
            "..5h",
            "1h.5m",
            "1.5.5h",
            "1.h",
            "1.2.3h",
            "1.5",
            "1.5x",
            "1.5.h",
            "a.5h",
            "1.0000000000000000001h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn without_a_point_it_is_what_humantime_says(text in "[0-9]{0,3}[smhdw]{0,2}[ ]?[0-9]{0,3}[smhdw]?") {
            prop_assert_eq!(parse(&text), humantime::parse_duration(&text));
        }

        #[test]
        fn hundredths_are_hundredths(whole in 0u64..1000, hundredths in 0u64..100) {
            let text = format!("{whole}.{hundredths:02}h");
            let seconds = whole * 3600 + hundredths * 36;
            prop_assert_eq!(parse(&text), Ok(Duration::from_secs(seconds)));
        }

        #[test]
        fn no_text_makes_it_fall_over(text in "[0-9.smhdyé ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
