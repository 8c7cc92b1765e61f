//! Instants in orders: RFC 3339, or a number of seconds since 1970.
//!
//! **Invariant:** an instant is rounded up to whole milliseconds: late is safe.

use std::fmt;

use jiff::tz::TimeZone;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::core::time::Timestamp;

/// From here on a number is one of milliseconds: as seconds it would lie past the year 5000, as
/// milliseconds in 1973.
const MILLISECONDS_FROM: f64 = 1e11;

/// The last instant that can be named, in milliseconds: the end of the year 9999, less a day for
/// every zone.
const LAST_MS: f64 = 253_402_207_200_000.0;

/// Accepted forms, for messages.
const EXPECTED: &str =
    "an instant such as 2024-05-06T07:08:09Z, or the seconds since 1970 as a number";

/// An instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Moment(pub Timestamp);

impl Moment {
    /// Reads an instant as people write it.
    ///
    /// # Errors
    /// Description of the accepted forms.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(at) = Self::parse_rfc3339(text) {
            return Ok(at);
        }
        let number: f64 = text.parse().map_err(|_| wrong(text))?;
        Self::of_number(number).ok_or_else(|| wrong(text))
    }

    /// Parses an instant in RFC 3339, rounded up to the millisecond.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at: jiff::Timestamp = text.parse().ok()?;
        let nanos = at.as_nanosecond();
        let ms = nanos.div_euclid(1_000_000) + i128::from(nanos.rem_euclid(1_000_000) > 0);
        let ms = i64::try_from(ms).ok()?;
        Some(Self(Timestamp::from_unix_ms(ms)))
    }

    /// Parses a date, or a date and a time of day, in the zone of this host: `2024-05-06` is its
    /// midnight, `2024-05-06 07:08` an instant.
    #[must_use]
    pub fn parse_local(text: &str) -> Option<Self> {
        let shown: jiff::civil::DateTime = text.parse().ok()?;
        let at = shown.to_zoned(TimeZone::system()).ok()?.timestamp();
        Some(Self(Timestamp::from_unix_ms(at.as_millisecond())))
    }

    /// Parses an argument of the command line: what [`Self::parse`] and [`Self::parse_local`] do.
    ///
    /// # Errors
    /// Description of the accepted forms.
    pub fn parse_argument(text: &str) -> Result<Self, String> {
        let local = || Self::parse_local(text).filter(|_| text.contains('-'));
        Self::parse(text)
            .or_else(|wrong| local().ok_or(format!("{wrong}, or a date such as 2024-05-06")))
    }

    fn of_number(number: f64) -> Option<Self> {
        let ms = if number.abs() < MILLISECONDS_FROM {
            // Parts of a millisecond that binary fractions bring along are none.
            (number * 1e6).round() / 1e3
        } else {
            number
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the bounds are checked, and the fraction is gone"
        )]
        (ms.abs() <= LAST_MS).then(|| Self(Timestamp::from_unix_ms(ms.ceil() as i64)))
    }
}

fn wrong(text: &str) -> String {
    format!("\"{text}\" is no instant: give {EXPECTED}")
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        Moment::parse(text).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Moment, E> {
        Moment::of_number(number).ok_or_else(|| E::custom(wrong(&number.to_string())))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what does not fit lies out of bounds by far"
    )]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Moment, E> {
        self.visit_f64(number as f64)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "what does not fit lies out of bounds by far"
    )]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Moment, E> {
        self.visit_f64(number as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<i64> {
        let moment: Moment = serde_json::from_str(json).ok()?;
        Some(moment.0.unix_ms())
    }

    #[test]
    fn instants_are_texts_or_numbers() {
        for (json, ms) in [
            (r#""2023-11-14T22:13:20Z""#, 1_700_000_000_000),
            (r#""2023-11-14T23:13:20.0001+01:00""#, 1_700_000_000_001),
            ("1700000000", 1_700_000_000_000),
            ("1700000000.25", 1_700_000_000_250),
            ("1700000000.123", 1_700_000_000_123),
            ("1700000000123", 1_700_000_000_123),
            (r#""1700000000""#, 1_700_000_000_000),
            ("-1", -1000),
            ("0", 0),
        ] {
            assert_eq!(read(json), Some(ms), "{json}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for json in [
            r#""yesterday""#,
            r#""2023-11-14T22:13:20""#,
            r#""2023-11-14""#,
            r#""NaN""#,
            "1e300",
            "-1e17",
            "true",
            "[]",
            r#""""#,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn arguments_may_be_dates_and_times_of_day_here() {
        let here = |text: &str| {
            let shown: jiff::civil::DateTime = text.parse().unwrap();
            let at = shown.to_zoned(TimeZone::system()).unwrap().timestamp();
            Ok(Moment(Timestamp::from_unix_ms(at.as_millisecond())))
        };
        assert_eq!(
            Moment::parse_argument("2024-05-06"),
            here("2024-05-06T00:00")
        );
        assert_eq!(
            Moment::parse_argument("2024-05-06 07:08"),
            here("2024-05-06T07:08")
        );
        let seconds = Moment(Timestamp::from_unix_ms(20_240_506_000));
        assert_eq!(Moment::parse_argument("20240506"), Ok(seconds));
        assert!(
            Moment::parse_argument("soon")
                .unwrap_err()
                .ends_with("a date such as 2024-05-06")
        );
    }
}
