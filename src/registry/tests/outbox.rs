//! Order and retries of deliveries from the outbox.

use super::*;

#[test]
fn the_outbox_hands_out_what_happened_oldest_first_until_it_is_done() {
    let dir = scratch();
    let registry = open(&dir);
    let items = [
        item(3, "a"),
        item(1, "a"),
        item(2, "b"),
        item(u64::MAX, "a"),
    ];
    registry.prepare(&items).unwrap();
    registry.prepare(&items).unwrap();
    assert_eq!(registry.prepared().unwrap().len(), 4);
    assert_eq!(registry.ready("a", NOW).unwrap(), []);
    registry.cancel(&[u64::MAX, 77]).unwrap();
    registry.confirm(&[3, 1, 2, 77]).unwrap();
    registry.confirm(&[3]).unwrap();
    registry.cancel(&[3]).unwrap();
    // What happened is not changed by a second preparation.
    let other = OutboxItem {
        summary: "other".to_owned(),
        ..item(3, "a")
    };
    registry.prepare(&[other]).unwrap();
    assert_eq!(
        registry.ready("a", NOW).unwrap(),
        [item(1, "a"), item(3, "a")]
    );
    assert_eq!(registry.prepared().unwrap(), [0; 0]);

    let source = FailureScope::Source;
    registry.failed(1, source, "locked", NOW).unwrap();
    registry.failed(1, source, "gone", NOW.plus_ms(1)).unwrap();
    assert_eq!(
        registry.ready("a", NOW).unwrap(),
        [item(3, "a"), item(1, "a")],
        "it goes behind the others, and need not wait: its source could not be asked"
    );
    let counts = registry.counts().unwrap();
    let backlog = |waiting, error: Option<&str>| Backlog {
        waiting,
        last_error: error.map(str::to_owned),
        refused: 0,
        since: Some(item(1, "a").at),
    };
    assert_eq!(counts["a"], backlog(2, Some("gone")));
    assert_eq!(counts["b"], backlog(1, None));
    registry.done(1).unwrap();
    registry.done(1).unwrap();
    assert_eq!(registry.counts().unwrap()["a"], backlog(1, None));
    assert_eq!(registry.waiting("a", "job-1").unwrap(), None);
}

#[test]
fn a_refused_item_goes_behind_the_others_and_waits_longer_each_time_also_over_a_restart() {
    let dir = scratch();
    let registry = open(&dir);
    registry.prepare(&[item(1, "a"), item(2, "a")]).unwrap();
    registry.confirm(&[1, 2]).unwrap();
    let hour_ms = 3_600_000;
    let mut at = NOW;
    for (attempt, pause_ms) in (1..).zip([1000, 2000, 4000].into_iter().chain([hour_ms; 20])) {
        let known = registry.refused("a").unwrap();
        // The longest pause is not reached by steps that this test spells out.
        if pause_ms < hour_ms || attempt > 15 {
            let (before, after) = (at.plus_ms(pause_ms - 1), at.plus_ms(pause_ms));
            registry.failed(1, FailureScope::Item, "no", at).unwrap();
            assert_eq!(registry.ready("a", before).unwrap(), [item(2, "a")]);
            let both = [item(2, "a"), item(1, "a")];
            assert_eq!(registry.ready("a", after).unwrap(), both, "{attempt}");
        } else {
            registry.failed(1, FailureScope::Item, "no", at).unwrap();
        }
        assert_eq!(known.len(), usize::from(attempt > 1));
        at = at.plus_ms(hour_ms);
    }
    let last = at.plus_ms(-hour_ms);
    drop(registry);
    let registry = open(&dir);
    assert_eq!(registry.refused("a").unwrap()[0].attempts, 23);
    registry.done(2).unwrap();
    assert_eq!(registry.next_ready("a", last).unwrap(), Some(at));
    assert_eq!(registry.ready("a", last).unwrap(), []);
    // The clock was set back: it does not wait for what it was.
    assert_eq!(registry.ready("a", NOW).unwrap(), [item(1, "a")]);
}

#[test]
fn no_more_is_handed_out_at_once_than_is_named() {
    let dir = scratch();
    let registry = open(&dir);
    let items: Vec<OutboxItem> = (1..400).map(|id| item(id, "a")).collect();
    let ids: Vec<u64> = items.iter().map(|item| item.id).collect();
    registry.prepare(&items).unwrap();
    registry.confirm(&ids).unwrap();
    let ready = registry.ready("a", NOW).unwrap();
    assert_eq!(ready.len(), READY_MAX);
    assert_eq!(ready[..], items[..READY_MAX]);
}

#[test]
fn an_item_that_cannot_be_read_delays_no_other() {
    let dir = scratch();
    let registry = open(&dir);
    let bad = [
        ("job = '{'", "EOF while parsing"),
        ("job = '{}'", "missing field"),
        ("job = x'00'", "Invalid column type"),
        ("action = 'burn'", "\"burn\""),
    ];
    let ids: Vec<u64> = (1..).take(bad.len() + 1).collect();
    let items: Vec<OutboxItem> = ids.iter().map(|&id| item(id, "a")).collect();
    registry.prepare(&items).unwrap();
    registry.confirm(&ids).unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    for (id, (change, _)) in (1..).zip(bad) {
        let changed =
            connection.execute(&format!("UPDATE outbox SET {change} WHERE id = {id}"), []);
        assert_eq!(changed.unwrap(), 1);
    }
    let last = *ids.last().unwrap();
    assert_eq!(registry.ready("a", NOW).unwrap(), [item(last, "a")]);
    registry.done(last).unwrap();
    assert_eq!(registry.ready("a", NOW).unwrap(), []);
    assert_eq!(registry.counts().unwrap()["a"].refused, bad.len() as u64);
    let refused = registry.refused("a").unwrap();
    for (item, (_, why)) in refused.iter().zip(bad) {
        let error = item.error.as_deref().unwrap();
        assert!(error.contains(why), "{why}: {error}");
    }
    assert_eq!(registry.waiting("a", "job-1").unwrap(), None);
    assert_eq!(registry.unwritten().unwrap().len(), bad.len());
    assert_eq!(registry.ready("a", NOW.plus_ms(1000)).unwrap(), []);
    assert_eq!(registry.refused("a").unwrap()[0].attempts, 2);
}

#[test]
fn a_batch_that_cannot_be_read_does_not_hide_the_next() {
    let dir = scratch();
    let registry = open(&dir);
    let ids: Vec<u64> = (1..=READY_MAX as u64 + 1).collect();
    let items: Vec<OutboxItem> = ids.iter().map(|&id| item(id, "a")).collect();
    registry.prepare(&items).unwrap();
    registry.confirm(&ids).unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("registry.db")).unwrap();
    let changed = connection.execute("UPDATE outbox SET job = '{' WHERE id <= ?1", [READY_MAX]);
    assert_eq!(changed.unwrap(), READY_MAX);
    assert_eq!(
        registry.ready("a", NOW).unwrap(),
        [item(READY_MAX as u64 + 1, "a")]
    );
}
