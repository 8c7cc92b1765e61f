//! Values as people write them, good and bad.

use proptest::prelude::*;

use super::*;
use crate::config::settings::LogLevel;
use crate::core::policy::Schedule;

fn outcome<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    let refusal = result.unwrap_err();
    [Some(refusal.reason), refusal.hint]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn durations() {
    for (text, ms) in [
        ("0s", 0),
        ("90s", 90_000),
        ("15m", 900_000),
        ("12h", 43_200_000),
        ("7d", 604_800_000),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
        ("1.5h", 5_400_000),
        ("0.5h", 1_800_000),
        (".5h", 1_800_000),
        ("1.5d", 129_600_000),
        ("0.25m", 15_000),
        ("0.01h", 36_000),
        ("0.0000001h", 1),
        ("1.23456789h", 4_444_445),
        ("1h0.5m", 3_630_000),
        ("0.1ms", 1),
        ("1ms", 1),
        ("1ns", 1),
        ("1000y", 31_557_600_000_000),
    ] {
        assert_eq!(duration(text).map(milliseconds), Ok(ms), "{text}");
    }
}

#[test]
fn durations_that_are_refused() {
    const LONG: &str = "is longer than the limit of 1000 years";
    for (text, reason) in [
        ("", "is empty, but must be a duration"),
        (" ", "is empty, but must be a duration"),
        ("-5s", "is negative"),
        ("−5s", "is negative"),
        ("0", "is a number without a unit"),
        ("90", "is a number without a unit"),
        ("+1.5", "is a number without a unit"),
        ("1h30", "has a number without a unit: 30"),
        ("5x", "has an unknown unit: \"x\""),
        ("5S", "has an unknown unit: \"S\""),
        ("h", "is an invalid duration"),
        ("soon", "is an invalid duration"),
        ("1,5h", "is an invalid duration"),
        ("1001y", LONG),
        ("999y 2y", LONG),
        ("99999999999999999999999999s", LONG),
        ("18446744073709551615s1000ms", LONG),
        ("1000.1y", LONG),
        (".h", "is an invalid duration"),
        ("1.h", "is an invalid duration"),
        ("1.2.3h", "is an invalid duration"),
        ("1.5x", "has an unknown unit: \"x\""),
    ] {
        let wanted = format!("{reason}; {DURATION_EXAMPLES}");
        assert_eq!(outcome(duration(text)), wanted, "{text:?}");
    }
}

#[test]
fn flags() {
    for (text, wanted) in [
        ("true", true),
        ("True", true),
        ("YES", true),
        ("on", true),
        ("1", true),
        (" true ", true),
        ("false", false),
        ("False", false),
        ("no", false),
        ("Off", false),
        ("0", false),
    ] {
        assert_eq!(bool::parse(text), Ok(wanted), "{text}");
    }
    for text in ["", "2", "enabled", "tru", "y"] {
        let wanted = format!("is an invalid boolean; {FLAG_WORDS}");
        assert_eq!(outcome(bool::parse(text)), wanted, "{text:?}");
    }
}

#[test]
fn levels_of_the_log() {
    for (text, wanted) in [
        ("error", LogLevel::Error),
        ("CRITICAL", LogLevel::Error),
        ("Warning", LogLevel::Warn),
        ("warn", LogLevel::Warn),
        ("INFO", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ] {
        assert_eq!(LogLevel::parse(text), Ok(wanted), "{text}");
    }
    assert!(outcome(LogLevel::parse("WARNINGS")).ends_with("did you mean \"warning\"?"));
}

#[test]
fn schedules() {
    assert_eq!(Schedule::parse("manual"), Ok(Schedule::Manual));
    assert_eq!(Schedule::parse("named"), Ok(Schedule::Named));
    assert_eq!(Schedule::parse(""), Ok(Schedule::AtDeadline));
    for text in ["0 3 * * *", "@daily", "every 6h"] {
        let found = Schedule::parse(text).unwrap();
        assert_eq!(found, Schedule::At(text.parse().unwrap()), "{text}");
    }
    assert_eq!(
        outcome(Schedule::parse("daily")),
        "is an invalid schedule: it must have five fields, not 1; allowed: manual; named; five fields (minute, hour, day, month, day of the week) such as \"0 3 * * *\"; @hourly, @daily, @weekly, @monthly, @yearly; or such as \"every 6h\""
    );
}

#[test]
fn never_is_for_ever() {
    assert_eq!(Expire::parse("never"), Ok(Expire(None)));
    assert_eq!(
        Expire::parse("1s"),
        Ok(Expire(Some(Duration::from_secs(1))))
    );
    assert_eq!(
        outcome(Expire::parse("ever")),
        "is an invalid duration; examples: 90s, 15m, 12h, 7d, 1h30m, never"
    );
}

#[test]
fn permission_bits() {
    for (text, mode) in [("0660", 0o660), ("660", 0o660), ("0o600", 0o600), ("0", 0)] {
        assert_eq!(Permissions::parse(text), Ok(Permissions(mode)));
    }
    for text in ["", "0o", "rw-rw----", "0888", "1777", "+660", "-1"] {
        assert!(Permissions::parse(text).is_err(), "{text}");
    }
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("0", 0),
        ("16MiB", 16 << 20),
        ("16 MiB", 16 << 20),
        ("5kB", 5000),
        ("1_000", 1000),
        ("1.5GiB", 3 << 29),
        ("10m", 10_000_000),
    ] {
        assert_eq!(Size::<0>::parse(text), Ok(Size(bytes)), "{text}");
    }
    for text in ["", "MiB", "1.5", "-1", "5 apples", "_", "99999999999TiB"] {
        assert!(Size::<0>::parse(text).is_err(), "{text}");
    }
    assert_eq!(
        outcome(Size::<10>::parse("9")),
        format!("is not within the limits of 10 to {BYTES_MAX} bytes")
    );
}

#[test]
fn shares_and_counts() {
    assert_eq!(Share::parse("0.5"), Ok(Share(0.5)));
    for text in ["1.1", "-0.1", "NaN", "inf", "half", ""] {
        assert!(Share::parse(text).is_err(), "{text}");
    }
    assert_eq!(u64::parse("1000"), Ok(1000));
    for text in ["-1", "1.5", "", "99999999999999999999"] {
        assert!(u64::parse(text).is_err(), "{text}");
    }
}

#[test]
fn names() {
    assert_eq!(name("results of jobs"), Ok(()));
    assert_eq!(outcome(name(" ")), "is empty, but must be a name");
    assert_eq!(outcome(name("a\nb")), "contains a control character");
    assert_eq!(
        outcome(name(&"x".repeat(201))),
        "is 201 bytes long, a name may have at most 200"
    );
}

#[test]
fn groups_must_exist() {
    assert_eq!(
        outcome(Group::parse("no-such-group-here")),
        "is an unknown group; create it (groupadd), or name one that `getent group` lists"
    );
}

proptest! {
    #[test]
    fn no_text_makes_durations_fall_over(text in "[-+0-9.smhdyM ]{0,70}") {
        if let Ok(duration) = duration(&text) {
            prop_assert!(milliseconds(duration) >= 0 && duration <= DURATION_MAX);
        }
    }
}
