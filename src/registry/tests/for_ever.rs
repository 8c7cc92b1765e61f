//! Facts of forgotten jobs and totals, which are kept for ever.

use std::collections::BTreeMap;

use super::*;
use crate::core::totals::{CleanedKey, Cursor, EndedKey, Sum, TotalKey, Totals};

#[test]
fn totals_and_the_place_up_to_which_they_go_change_together() {
    let dir = scratch();
    let registry = open(&dir);
    assert_eq!(registry.totals().unwrap(), (Totals::default(), None));
    let key = |day: &str| TotalKey {
        day: day.to_owned(),
        root: "r".to_owned(),
        rule: "x".to_owned(),
    };
    let sum = |files| Sum {
        units: 1,
        files,
        bytes: i64::MAX / 4,
        displaced: 0,
    };
    let cursor = |offset| Cursor {
        segment: u64::MAX,
        offset,
    };
    let cleaned = CleanedKey {
        removal: key("2026-11-29"),
        source: "app".to_owned(),
        ended: "2026-11-01".to_owned(),
    };
    for (files, offset) in [(3, 100), (4, 200)] {
        let mut more = Totals::default();
        more.add_cleaned(cleaned.clone(), files);
        more.add(key("2026-11-28"), sum(files));
        more.add(key("2026-11-29"), sum(1));
        registry.add_totals(&more, cursor(offset)).unwrap();
    }
    drop(registry);
    let registry = open(&dir);
    let (totals, counted) = registry.totals().unwrap();
    assert_eq!(counted, Some(cursor(200)));
    assert_eq!(registry.counted().unwrap(), counted);
    assert_eq!(totals.sums[&key("2026-11-28")].files, 7);
    assert_eq!(totals.sums[&key("2026-11-29")].units, 2);
    assert_eq!(totals.cleaned[&cleaned], 7);
    registry
        .connection
        .lock()
        .pragma_update(None, "query_only", true)
        .unwrap();
    assert!(registry.add_totals(&totals, cursor(300)).is_err());
    assert_eq!(registry.totals().unwrap(), (totals, counted));
}

#[test]
fn the_facts_of_a_forgotten_job_stay() {
    let dir = scratch();
    let registry = open(&dir);
    let summary =
        r#"{"rule":"failed","files":3,"bytes":40,"at":"2023-11-14T22:13:20.000Z","ledger_id":7}"#;
    let item = |id, source: &str| OutboxItem {
        id,
        source: source.to_owned(),
        job: row("one", Status::Failed),
        action: Record::Forget,
        at: NOW,
        summary: summary.to_owned(),
    };
    registry
        .prepare(&[item(7, "app"), item(8, "other")])
        .unwrap();
    registry.confirm(&[7, 8]).unwrap();
    assert_eq!(registry.forgotten(None, "one").unwrap(), [], "not yet");
    registry.done_forgetting(7, NOW.plus_ms(5)).unwrap();
    registry.done_forgetting(7, NOW.plus_ms(6)).unwrap();
    registry.done_forgetting(8, NOW.plus_ms(9)).unwrap();
    assert_eq!(registry.counts().unwrap().len(), 0);
    drop(registry);
    let registry = open(&dir);
    let [job] = &registry.forgotten(Some("app"), "one").unwrap()[..] else {
        panic!("one job");
    };
    assert_eq!(job.row, row("one", Status::Failed));
    assert_eq!(job.forgotten_at, NOW.plus_ms(5));
    assert_eq!((&*job.removal.rule, job.removal.files), ("failed", 3));
    let all = registry.forgotten(None, "one").unwrap();
    let sources: Vec<&str> = all.iter().map(|job| &*job.source).collect();
    assert_eq!(sources, ["other", "app"], "the latest first");
    assert_eq!(registry.forgotten(None, "two").unwrap(), []);
}

#[test]
fn forgotten_jobs_are_counted_once_by_the_day_on_which_they_ended_by_older_files_too() {
    let dir = scratch();
    let registry = open(&dir);
    let ended = NOW.plus_ms(-3 * 86_400_000);
    let item = |id: u64, ended, status| {
        let mut job = row(&id.to_string(), status);
        job.moments.completed_at = ended;
        OutboxItem {
            id,
            source: "app".to_owned(),
            job,
            action: Record::Forget,
            at: NOW,
            summary: "{}".to_owned(),
        }
    };
    let items = [
        item(1, Some(ended), Status::Completed),
        item(2, Some(ended), Status::Completed),
        item(3, Some(ended), Status::Failed),
        item(4, None, Status::Failed),
    ];
    registry.prepare(&items).unwrap();
    registry.confirm(&[1, 2, 3, 4]).unwrap();
    for id in [1, 2, 2, 3, 4, 9] {
        registry.done_forgetting(id, NOW).unwrap();
    }
    let key = |day: &str, status| EndedKey {
        day: day.to_owned(),
        source: "app".to_owned(),
        status,
    };
    let day = ended.day();
    let expected = BTreeMap::from([
        (key(&day, Status::Completed), 2),
        (key(&day, Status::Failed), 1),
        (key("", Status::Failed), 1),
    ]);
    assert_eq!(registry.forgotten_totals().unwrap(), expected);
    // As an earlier version left it.
    registry
        .connection
        .lock()
        .execute_batch(
            "DROP TABLE pause; DROP TABLE delivery; DROP TABLE receiver; DROP TABLE notify_position; DROP TABLE sample; DROP TABLE schedule; DROP TABLE cleaned; DROP TABLE forgotten_total; PRAGMA user_version = 6;
             INSERT INTO forgotten VALUES ('app', 'damaged', 77, 'no JSON', '{}', 0);",
        )
        .unwrap();
    drop(registry);
    let seen = Registry::open_to_read(dir.path()).unwrap();
    assert_eq!(seen.forgotten_totals().unwrap(), expected);
    drop(seen);
    for _ in 0..2 {
        assert_eq!(open(&dir).forgotten_totals().unwrap(), expected);
    }
}
