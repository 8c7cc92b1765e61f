//! Timestamps in all forms.

use std::collections::BTreeMap;

use rusqlite::types::Value;

use crate::core::time::Timestamp;
use crate::sources::sqlite::row::cell;
use crate::sources::timestamp::{self, Unreadable};
use crate::sources::zone::{Zones, shown};

fn zone(name: &str) -> jiff::tz::TimeZone {
    let names = BTreeMap::from([("at".to_owned(), name.to_owned())]);
    Zones::parse(&names).unwrap().of("at")
}

fn parse(value: &Value, zone_name: &str) -> Result<Option<String>, Unreadable> {
    let at = timestamp::parse(cell(value.into()), &zone(zone_name))?;
    Ok(at.map(|at| at.to_string()))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn texts_are_read_in_their_zone() {
    for (written, zone, expected) in [
        ("2026-03-01 12:30:45", "UTC", "2026-03-01T12:30:45.000Z"),
        ("2026-03-01T12:30:45", "utc", "2026-03-01T12:30:45.000Z"),
        (
            "2026-03-01t12:30:45z",
            "Europe/Berlin",
            "2026-03-01T12:30:45.000Z",
        ),
        ("2026-03-01 12:30", "UTC", "2026-03-01T12:30:00.000Z"),
        (" 2026-03-01 ", "UTC", "2026-03-01T00:00:00.000Z"),
        ("2026-03-01", "Europe/Berlin", "2026-02-28T23:00:00.000Z"),
        // Fractions of any length, rounded up.
        ("2026-03-01 12:30:45.1", "UTC", "2026-03-01T12:30:45.100Z"),
        ("2026-03-01 12:30:45,12", "UTC", "2026-03-01T12:30:45.120Z"),
        (
            "2026-03-01 12:30:45.123456",
            "UTC",
            "2026-03-01T12:30:45.124Z",
        ),
        (
            "2026-03-01 12:30:45.123000000000",
            "UTC",
            "2026-03-01T12:30:45.123Z",
        ),
        (
            "2026-03-01 12:30:45.99900000000001",
            "UTC",
            "2026-03-01T12:30:46.000Z",
        ),
        ("2026-12-31 23:59:60", "UTC", "2027-01-01T00:00:00.000Z"),
        // Offsets.
        (
            "2026-03-01T12:30:45.5+02:00",
            "UTC",
            "2026-03-01T10:30:45.500Z",
        ),
        (
            "2026-03-01 12:30:45-0530",
            "UTC",
            "2026-03-01T18:00:45.000Z",
        ),
        ("2026-03-01 12:30:45 +01", "UTC", "2026-03-01T11:30:45.000Z"),
        // Summer time in Berlin: clocks went from 2:00 to 3:00 on 2026-03-29 and go from 3:00 to
        // 2:00 on 2026-10-25.
        (
            "2026-07-01 12:00:00",
            "Europe/Berlin",
            "2026-07-01T10:00:00.000Z",
        ),
        (
            "2026-10-25 01:59:59",
            "Europe/Berlin",
            "2026-10-24T23:59:59.000Z",
        ),
        (
            "2026-10-25 02:30:00",
            "Europe/Berlin",
            "2026-10-25T01:30:00.000Z",
        ),
        (
            "2026-10-25 03:00:00",
            "Europe/Berlin",
            "2026-10-25T02:00:00.000Z",
        ),
        (
            "2026-03-29 02:30:00",
            "Europe/Berlin",
            "2026-03-29T01:30:00.000Z",
        ),
        (
            "2026-03-29 02:30:00",
            "America/New_York",
            "2026-03-29T06:30:00.000Z",
        ),
        // Numbers as text.
        ("1700000000", "Europe/Berlin", "2023-11-14T22:13:20.000Z"),
        ("1700000000.25", "UTC", "2023-11-14T22:13:20.250Z"),
        ("1700000000123", "UTC", "2023-11-14T22:13:20.123Z"),
        ("-5", "UTC", "1969-12-31T23:59:55.000Z"),
        ("0001-01-01 00:00:00", "UTC", "0001-01-01T00:00:00.000Z"),
    ] {
        let found = parse(&text(written), zone);
        assert_eq!(found, Ok(Some(expected.to_owned())), "{written} in {zone}");
    }
}

#[test]
fn numbers_are_epochs_of_the_unit_that_their_size_tells() {
    for (value, expected) in [
        (Value::Integer(0), "1970-01-01T00:00:00.000Z"),
        (Value::Integer(1_700_000_000), "2023-11-14T22:13:20.000Z"),
        (
            Value::Integer(1_700_000_000_123),
            "2023-11-14T22:13:20.123Z",
        ),
        (
            Value::Integer(1_700_000_000_123_000),
            "2023-11-14T22:13:20.123Z",
        ),
        (
            Value::Integer(1_700_000_000_123_001),
            "2023-11-14T22:13:20.124Z",
        ),
        (Value::Real(1_700_000_000.5), "2023-11-14T22:13:20.500Z"),
        (
            Value::Real(1_700_000_000_123.25),
            "2023-11-14T22:13:20.124Z",
        ),
        (Value::Integer(-1), "1969-12-31T23:59:59.000Z"),
    ] {
        assert_eq!(
            parse(&value, "UTC"),
            Ok(Some(expected.to_owned())),
            "{value:?}"
        );
    }
}

#[test]
fn nothing_is_none_and_anything_else_unreadable() {
    for value in [Value::Null, text(""), text("  ")] {
        assert_eq!(parse(&value, "UTC"), Ok(None));
    }
    let unreadable = [
        "yesterday",
        "2026-02-30 00:00:00",
        "2026-13-01",
        "2026-03-01 25:00:00",
        "2026-03-01 12:30:45 CET",
        "2026-03-01 12:30:45+25:00",
        "2026-03-01T",
        "2026-03-01 12:30:45.",
        "26-03-01",
        "01/02/2026",
        "20260301",
        "20260301123045",
        "NaN",
        "inf",
        "1e400",
        "0000-01-01",
        "2026-03-01 12:30:45\u{0}",
        "２０２６-03-01",
    ];
    let values = unreadable.map(text).into_iter().chain([
        Value::Real(f64::INFINITY),
        Value::Real(f64::NEG_INFINITY),
        Value::Integer(i64::MAX),
        Value::Integer(i64::MIN),
        Value::Integer(1_700_000_000_123_000_000),
        // A Julian day, as julianday() gives it.
        Value::Real(2_461_000.5),
        Value::Blob(b"2026-03-01".to_vec()),
    ]);
    for value in values {
        assert_eq!(parse(&value, "UTC"), Err(Unreadable), "{value:?}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    for name in ["UTC", "Europe/Berlin"] {
        let at = Timestamp::from_unix_ms(1_700_000_000_000);
        let written = text(&shown(&zone(name), at));
        assert_eq!(parse(&written, name), Ok(Some(at.to_string())));
    }
}

#[test]
fn an_unknown_zone_is_refused() {
    let names = BTreeMap::from([("created_at".to_owned(), "Europe/Berlim".to_owned())]);
    let error = Zones::parse(&names).unwrap_err().to_string();
    assert!(
        error.starts_with("timezone of created_at: unknown time zone \"Europe/Berlim\"\n  use"),
        "{error}"
    );
}
