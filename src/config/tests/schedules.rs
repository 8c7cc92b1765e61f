//! `[[schedule]]` tables, good and bad.

use crate::core::facts::RuleId;
use crate::core::policy::{NamedSchedule, ScheduleAction};

use super::*;

const RULES: &str = "[[root]]\npath = \"a\"\n[[rule]]\nname = \"old\"\nexpire = \"1d\"\nschedule = \"manual\"\n\
                     [[rule]]\nname = \"archives\"\nexpire = \"1d\"\nschedule = \"named\"\n\
                     [[rule]]\nname = \"off\"\nexpire = \"1d\"\nenabled = false\n";

fn with(text: &str) -> Host {
    Host::with(&format!("[[schedule]]\n{text}\n{RULES}"))
}

fn only(host: &Host) -> NamedSchedule {
    host.good().policy.schedules.remove(0)
}

#[test]
fn schedules_that_variables_switch() {
    let host = with(
        "name = \"nightly\"\nat = \"${HOUR:+0 }${HOUR:-}${HOUR:+ * * *}\"\nevery = \"${INTERVAL:-}\"\non_start = \"${START:-no}\"\n\
         jitter = \"5m\"\ncatch_up = false\ntimezone = \"${ZONE:-local}\"\nenabled = \"${NIGHTLY:-true}\"\nrules = [\"archives\", \"off\"]",
    );
    let host = host.set("HOUR", "3").set("ZONE", "Europe/Berlin");
    let found = only(&host);
    let times = found.times.as_ref().unwrap();
    assert_eq!(
        (times.as_str(), times.zone()),
        ("0 3 * * *", Some("Europe/Berlin"))
    );
    assert_eq!(
        (found.jitter_ms, found.catch_up, found.is_enabled),
        (300_000, false, true)
    );
    // A rule that is switched off is left out.
    assert_eq!(found.action, ScheduleAction::Clean(Some(vec![RuleId(1)])));
    let policy = host.good().policy;
    assert!(policy.lapses_by_itself(RuleId(1)), "the breaker watches it");
    assert!(!policy.lapses_by_itself(RuleId(0)));

    let host = host.set("NIGHTLY", "off");
    assert!(!only(&host).is_enabled);
    assert!(!host.good().policy.lapses_by_itself(RuleId(1)));
    let host = host.set("NIGHTLY", "on").set("LAPSED_AUTOMATIC", "off");
    assert!(!only(&host).is_enabled, "nothing goes by itself");
    let host = with("name = \"s\"\nat = \"\"\nevery = \"${HOURS}h\"\n").set("HOURS", "24");
    let found = only(&host);
    assert_eq!(found.times.unwrap().interval_ms(), Some(86_400_000));
    assert_eq!(found.action, ScheduleAction::Clean(None));
    let policy = host.good().policy;
    assert!(policy.lapses_by_itself(RuleId(0)) && !policy.lapses_by_itself(RuleId(1)));
    let found = only(&with("name = \"s\"\nrules = \"off\"\non_start = true"));
    assert_eq!(
        found.action,
        ScheduleAction::Clean(Some(Vec::new())),
        "never all"
    );
}

#[test]
fn schedules_that_are_refused() {
    for (text, wanted) in [
        ("at = \"daily\"", "name is missing"),
        (
            "name = \"s\"\nat = \"daily\"",
            "at = \"daily\" is an invalid schedule: it must have five fields, not 1",
        ),
        ("name = \"s\"", "has no times\n  write at ="),
        (
            "name = \"s\"\nat = \"@daily\"\nevery = \"24h\"",
            "has both at and every",
        ),
        (
            "name = \"s\"\nevery = \"10s\"",
            "every = \"10s\" comes more often than once a minute",
        ),
        (
            "name = \"s\"\nevery = \"x\"",
            "every = \"x\" is an invalid duration\n  such as 15m",
        ),
        (
            "name = \"s\"\non_start = true\njitter = \"x\"",
            "jitter = \"x\" is an invalid duration",
        ),
        (
            "name = \"s\"\non_start = true\ntimezone = \"Mars\"",
            "timezone = \"Mars\" is an unknown time zone",
        ),
        (
            "name = \"s\"\nat = \"every 6h\"",
            "is an interval\n  such as",
        ),
        (
            "name = \"s\"\nat = \"@daily\"\nrules = \"odl\"",
            "rules = \"odl\" is an unknown rule\n  allowed: old, archives, off; did you mean \"old\"?",
        ),
        (
            "name = \"s\"\non_start = true\n[[schedule]]\nname = \"s\"\non_start = true",
            "is taken by the schedule at",
        ),
    ] {
        let refusal = with(text).refusal();
        assert!(refusal.contains(wanted), "{text}: {refusal}");
    }
}
