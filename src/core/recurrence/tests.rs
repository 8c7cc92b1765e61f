//! Next instants, for given ones.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::from_unix_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The next instants after `after`, as clocks in Berlin (where no other zone is named) show them.
#[track_caller]
fn next(text: &str, after: &str, wanted: &[&str]) {
    next_in("Europe/Berlin", text, after, wanted);
}

#[track_caller]
fn next_in(name: &str, text: &str, after: &str, wanted: &[&str]) {
    let recurrence: Recurrence = text.parse().unwrap();
    let zone = zone(name);
    let mut now = at(after);
    let start = at("2024-01-01T00:00:07Z");
    for wanted in wanted {
        now = recurrence.next(now, &zone, start).unwrap();
        assert_eq!(now, at(wanted), "{text}: {now}");
    }
}

#[test]
fn cron_expressions_in_local_time() {
    next(
        "0 3 * * *",
        "2024-01-10T12:00:00Z",
        &["2024-01-11T03:00:00+01:00", "2024-01-12T03:00:00+01:00"],
    );
    next(
        "*/20 8-9 * * MON-FRI",
        "2024-01-12T08:30:00+01:00",
        &[
            "2024-01-12T08:40:00+01:00",
            "2024-01-12T09:00:00+01:00",
            "2024-01-12T09:20:00+01:00",
            "2024-01-12T09:40:00+01:00",
            "2024-01-15T08:00:00+01:00",
        ],
    );
    next(
        "30 4 1 jan,jul *",
        "2024-02-01T00:00:00Z",
        &["2024-07-01T04:30:00+02:00", "2025-01-01T04:30:00+01:00"],
    );
    next(
        "@daily",
        "2024-01-10T12:00:00Z",
        &["2024-01-11T00:00:00+01:00"],
    );
    next(
        "@midnight",
        "2024-01-10T12:00:00Z",
        &["2024-01-11T00:00:00+01:00"],
    );
    next("@hourly", "2024-01-10T12:00:00Z", &["2024-01-10T13:00:00Z"]);
    next(
        "@weekly",
        "2024-01-10T12:00:00Z",
        &["2024-01-14T00:00:00+01:00"],
    );
    next(
        "@monthly",
        "2024-01-10T12:00:00Z",
        &["2024-02-01T00:00:00+01:00"],
    );
    next(
        "0 0 29 2 *",
        "2024-03-01T12:00:00Z",
        &["2028-02-29T00:00:00+01:00"],
    );
    next(
        "0 0 * * 7",
        "2024-01-10T12:00:00Z",
        &["2024-01-14T00:00:00+01:00"],
    );
}

#[test]
fn an_instant_is_after_what_it_is_asked_for() {
    for text in ["* * * * *", "every 1m"] {
        next(text, "2024-01-10T12:00:00Z", &["2024-01-10T12:01:00Z"]);
        next(text, "2024-01-10T12:00:59.999Z", &["2024-01-10T12:01:00Z"]);
        next(text, "2024-01-10T12:00:00.001Z", &["2024-01-10T12:01:00Z"]);
    }
}

#[test]
fn what_clocks_leave_out_comes_right_after() {
    // On 2024-03-31 clocks in Berlin go from 02:00 to 03:00.
    next(
        "30 2 * * *",
        "2024-03-30T12:00:00Z",
        &["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"],
    );
    next(
        "every 1h",
        "2024-03-31T01:00:00+01:00",
        &["2024-03-31T03:00:00+02:00", "2024-03-31T04:00:00+02:00"],
    );
    next(
        "every 12h",
        "2024-03-30T12:00:00+01:00",
        &[
            "2024-03-31T00:00:00+01:00",
            "2024-03-31T12:00:00+02:00",
            "2024-04-01T00:00:00+02:00",
        ],
    );
    // In Santiago de Chile it is midnight that is left out.
    next_in(
        "America/Santiago",
        "every 1d",
        "2024-09-07T12:00:00Z",
        &["2024-09-08T01:00:00-03:00", "2024-09-09T00:00:00-03:00"],
    );
    // Samoa left out the whole of 2011-12-30.
    next_in(
        "Pacific/Apia",
        "every 1d",
        "2011-12-29T12:00:00Z",
        &["2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"],
    );
}

#[test]
fn what_clocks_show_twice_comes_once() {
    // On 2024-10-27 clocks in Berlin go from 03:00 back to 02:00.
    for text in ["30 2 * * *", "30 2 27 10 *"] {
        next(text, "2024-10-26T12:00:00Z", &["2024-10-27T02:30:00+02:00"]);
    }
    next(
        "30 2 * * *",
        "2024-10-27T02:30:00+02:00",
        &["2024-10-28T02:30:00+01:00"],
    );
    next(
        "every 1h",
        "2024-10-27T01:00:00+02:00",
        &[
            "2024-10-27T02:00:00+02:00",
            "2024-10-27T03:00:00+01:00",
            "2024-10-27T04:00:00+01:00",
        ],
    );
    // What comes more often goes on.
    next(
        "every 30m",
        "2024-10-27T02:00:00+02:00",
        &[
            "2024-10-27T02:30:00+02:00",
            "2024-10-27T02:00:00+01:00",
            "2024-10-27T02:30:00+01:00",
            "2024-10-27T03:00:00+01:00",
        ],
    );
    // In Santiago de Chile it is the hour before midnight.
    next_in(
        "America/Santiago",
        "every 1d",
        "2024-04-06T12:00:00Z",
        &["2024-04-07T00:00:00-04:00", "2024-04-08T00:00:00-04:00"],
    );
}

#[test]
fn every_so_often() {
    next(
        "every 6h",
        "2024-01-10T17:59:00+01:00",
        &["2024-01-10T18:00:00+01:00", "2024-01-11T00:00:00+01:00"],
    );
    next(
        "every 90s",
        "2024-01-10T12:01:00Z",
        &["2024-01-10T12:01:30Z", "2024-01-10T12:03:00Z"],
    );
    next(
        "every 0.5h",
        "2024-01-10T12:01:00Z",
        &["2024-01-10T12:30:00Z"],
    );
    // Seven hours do not divide a day: they count from the start.
    next(
        "every 7h",
        "2024-01-01T00:00:00Z",
        &[
            "2024-01-01T00:00:07Z",
            "2024-01-01T07:00:07Z",
            "2024-01-01T14:00:07Z",
        ],
    );
    next(
        "every 2d",
        "2024-01-04T00:00:00Z",
        &["2024-01-05T00:00:07Z"],
    );
}

#[test]
fn what_is_no_recurrence() {
    for (text, why) in [
        (
            "",
            "is an invalid schedule: it must have five fields, not 0",
        ),
        (
            "0 3 * *",
            "is an invalid schedule: it must have five fields, not 4",
        ),
        (
            "0 0 3 * * *",
            "is an invalid schedule: it must have five fields, not 6",
        ),
        ("@reboot", "is an unknown schedule name"),
        (
            "every",
            "is an invalid schedule: it must have five fields, not 1",
        ),
        ("every day", "has no duration after \"every\""),
        ("every 59s", "comes more often than once a minute"),
        ("every 1001y", "comes less often than once in 1000 years"),
        ("0 0 30 2 *", "never comes"),
    ] {
        let error = text.parse::<Recurrence>().unwrap_err();
        assert_eq!(error.to_string(), why, "{text}");
    }
    for text in ["60 * * * *", "a b c d e", "* * * foo *", "*/0 * * * *"] {
        let error = text.parse::<Recurrence>().unwrap_err().to_string();
        assert!(
            error.starts_with("is an invalid schedule: "),
            "{text}: {error}"
        );
    }
}

#[test]
fn two_are_one_when_they_are_written_alike() {
    let parse = |text: &str| text.parse::<Recurrence>().unwrap();
    assert_eq!(parse("0  3 * * * "), parse("0 3 * * *"));
    assert_ne!(parse("0 3 * * *"), parse("0 4 * * *"));
    assert_eq!(format!("{:?}", parse("every  6h")), "\"every 6h\"");
}

proptest! {
    #[test]
    fn every_divides_the_day_whatever_the_zone(
        minutes in prop::sample::select(vec![1i64, 2, 5, 10, 15, 30, 60, 120, 180, 360, 480, 720, 1440]),
        seconds in 1_500_000_000i64..1_900_000_000,
        name in prop::sample::select(vec!["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago"]),
    ) {
        let recurrence: Recurrence = format!("every {minutes}m").parse().unwrap();
        let zone = zone(name);
        let after = Timestamp::from_unix_ms(seconds * 1000);
        let next = recurrence.next(after, &zone, after).unwrap();
        // A day with an hour more, or one that was left out and made up for.
        prop_assert!(next > after && next.ms_since(after) <= minutes * 60_000 + 2 * 3_600_000);
    }

    #[test]
    fn no_text_makes_it_fall_over(text in "([0-9*,/@ -]|every |MON|L|#){0,12}") {
        if let Ok(recurrence) = text.parse::<Recurrence>() {
            let _ = recurrence.next(Timestamp::from_unix_ms(0), &TimeZone::UTC, Timestamp::MAX);
        }
    }
}
