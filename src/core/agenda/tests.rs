//! A simulated clock goes through instants.

use super::*;

const HOUR: i64 = 3_600_000;

fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_unix_ms(instant.as_millisecond())
}

fn item(times: &Recurrence) -> AgendaItem<'_> {
    AgendaItem {
        key: AgendaKey::Schedule("nightly".to_owned()),
        times,
        jitter_ms: 0,
    }
}

fn agenda(item: &AgendaItem<'_>, zone: &str, started: Timestamp) -> Agenda {
    let zone = TimeZone::get(zone).unwrap();
    let mut agenda = Agenda::new(BTreeMap::new(), zone, started, 7);
    agenda.set_items(std::slice::from_ref(item), started);
    agenda
}

/// Instants at which it comes, when a clock ticks every 10 min from `from` to `to`.
fn comings(item: &AgendaItem<'_>, zone: &str, (from, to): (&str, &str)) -> Vec<Timestamp> {
    let (mut now, to) = (at(from), at(to));
    let mut agenda = agenda(item, zone, now);
    let mut found = Vec::new();
    while now <= to {
        if agenda.come(std::slice::from_ref(item), now).is_ok() {
            found.push(now);
        }
        now = now.plus_ms(HOUR / 6);
    }
    found
}

#[test]
fn an_instant_comes_once_when_clocks_are_set() {
    let nightly: Recurrence = "30 2 * * *".parse().unwrap();
    for (zone, span, wanted) in [
        // Forward: from 02:00 to 03:00, at Lord Howe to 02:30.
        (
            "America/New_York",
            ("2024-03-10T04:00:00Z", "2024-03-10T23:00:00Z"),
            "2024-03-10T07:00:00Z",
        ),
        (
            "Europe/Berlin",
            ("2024-03-30T23:00:00Z", "2024-03-31T20:00:00Z"),
            "2024-03-31T01:00:00Z",
        ),
        (
            "Australia/Lord_Howe",
            ("2024-10-05T13:30:00Z", "2024-10-06T12:00:00Z"),
            "2024-10-05T15:30:00Z",
        ),
        // Back: 02:30 comes after the change in New York and Berlin never, at Lord Howe before it.
        (
            "America/New_York",
            ("2024-11-03T04:00:00Z", "2024-11-03T23:00:00Z"),
            "2024-11-03T07:30:00Z",
        ),
        (
            "Europe/Berlin",
            ("2024-10-26T22:00:00Z", "2024-10-27T22:00:00Z"),
            "2024-10-27T00:30:00Z",
        ),
        (
            "Australia/Lord_Howe",
            ("2024-04-06T13:00:00Z", "2024-04-07T13:00:00Z"),
            "2024-04-06T16:00:00Z",
        ),
    ] {
        assert_eq!(comings(&item(&nightly), zone, span), [at(wanted)], "{zone}");
    }
    let early: Recurrence = "45 1 * * *".parse().unwrap();
    let back = ("2024-04-06T13:00:00Z", "2024-04-07T13:00:00Z");
    assert_eq!(comings(&item(&early), "Australia/Lord_Howe", back).len(), 1);
    let early: Recurrence = "30 1 * * *".parse().unwrap();
    let back = ("2024-11-03T04:00:00Z", "2024-11-03T23:00:00Z");
    assert_eq!(
        comings(&item(&early), "America/New_York", back),
        [at("2024-11-03T05:30:00Z")]
    );
}

#[test]
fn a_zone_of_its_own_goes_before_that_of_the_machine() {
    let phoenix: Recurrence = "0 3 * * *".parse().unwrap();
    let phoenix = phoenix.in_zone(TimeZone::get("America/Phoenix").unwrap());
    let span = ("2024-06-01T00:00:00Z", "2024-06-01T23:50:00Z");
    assert_eq!(
        comings(&item(&phoenix), "UTC", span),
        [at("2024-06-01T10:00:00Z")]
    );
}

#[test]
fn what_was_missed_comes_once_whatever_its_number() {
    let daily: Recurrence = "0 2 * * *".parse().unwrap();
    let item = item(&daily);
    let items = std::slice::from_ref(&item);
    let first = agenda(&item, "UTC", at("2024-01-01T00:00:00Z"));
    let positions: BTreeMap<_, _> = first
        .positions()
        .map(|(key, position)| (key.clone(), position.clone()))
        .collect();
    let restarted = |now: Timestamp, positions: &BTreeMap<_, _>| {
        Agenda::new(positions.clone(), TimeZone::UTC, now, 7)
    };
    let soon = at("2024-01-01T01:59:59Z");
    assert_eq!(restarted(soon, &positions).missed(items, soon), []);
    let later = at("2024-03-01T12:00:00Z");
    let mut agenda = restarted(later, &positions);
    assert_eq!(agenda.missed(items, later), std::slice::from_ref(&item.key));
    agenda.set_items(items, later);
    agenda.skip_to(later, |_| true);
    assert_eq!(agenda.missed(items, later), []);
    assert_eq!(
        agenda.come(items, later),
        Err(Some(at("2024-03-02T02:00:00Z")))
    );
    // Other instants were not missed: they were not those of this schedule.
    let other: Recurrence = "0 3 * * *".parse().unwrap();
    let other = super::tests::item(&other);
    assert_eq!(restarted(later, &positions).missed(&[other], later), []);
    // Nor were those of something new.
    assert_eq!(restarted(later, &BTreeMap::new()).missed(items, later), []);
}

#[test]
fn an_interval_goes_on_over_a_restart() {
    let every: Recurrence = "every 100h".parse().unwrap();
    let item = item(&every);
    let begun = at("2024-01-01T00:00:00Z");
    let first = agenda(&item, "UTC", begun);
    let positions: BTreeMap<_, _> = first
        .positions()
        .map(|(key, position)| (key.clone(), position.clone()))
        .collect();
    for (hours, is_missed) in [(1, false), (99, false), (100, true), (1000, true)] {
        let now = begun.plus_ms(hours * HOUR);
        let mut agenda = Agenda::new(positions.clone(), TimeZone::UTC, now, 7);
        let items = std::slice::from_ref(&item);
        assert_eq!(!agenda.missed(items, now).is_empty(), is_missed, "{hours}");
        agenda.set_items(items, now);
        if !is_missed {
            assert_eq!(
                agenda.come(items, now),
                Err(Some(begun.plus_ms(100 * HOUR)))
            );
        }
    }
}

#[test]
fn a_clock_that_jumps_brings_nothing_twice_at_once() {
    let daily: Recurrence = "0 2 * * *".parse().unwrap();
    let item = item(&daily);
    let items = std::slice::from_ref(&item);
    let begun = at("2024-01-01T00:00:00Z");
    let mut agenda = agenda(&item, "UTC", begun);
    // Ten days forward: one for all.
    let later = at("2024-01-11T12:00:00Z");
    assert_eq!(agenda.come(items, later), Ok(vec![item.key.clone()]));
    assert_eq!(
        agenda.come(items, later),
        Err(Some(at("2024-01-12T02:00:00Z")))
    );
    // Corrected by some seconds: nothing comes again.
    let corrected = later.plus_ms(-30_000);
    assert_eq!(
        agenda.come(items, corrected),
        Err(Some(at("2024-01-12T02:00:00Z")))
    );
    // Back by ten days: nothing at once, and the next instant as the clock shows it.
    let back = at("2024-01-01T12:00:00Z");
    assert_eq!(
        agenda.come(items, back),
        Err(Some(at("2024-01-02T02:00:00Z")))
    );
}

#[test]
fn a_delay_is_within_its_limit_and_does_not_change() {
    let daily: Recurrence = "0 2 * * *".parse().unwrap();
    let item = AgendaItem {
        jitter_ms: 300_000,
        ..item(&daily)
    };
    let items = std::slice::from_ref(&item);
    let mut agenda = agenda(&item, "UTC", at("2024-01-01T00:00:00Z"));
    let mut delays = std::collections::BTreeSet::new();
    let mut now = at("2024-01-01T00:00:00Z");
    for _ in 0..30 {
        let next = agenda.come(items, now).unwrap_err().unwrap();
        assert_eq!(agenda.come(items, next.plus_ms(-1)), Err(Some(next)));
        let instant = daily.next(now, &TimeZone::UTC, now).unwrap();
        let delay = next.ms_since(instant);
        assert!((0..=300_000).contains(&delay), "{delay}");
        delays.insert(delay);
        assert!(agenda.come(items, next).is_ok());
        now = next;
    }
    assert!(delays.len() > 20, "{delays:?}");
}
