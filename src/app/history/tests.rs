//! Filters and pages over a ledger.

use super::*;
use crate::ledger::{LineUnit, Options};
use crate::types::{History, RemovalResult, RemovalUnit};

fn line(id: u64, path: &str, rule: &str) -> Line {
    let at = Timestamp::from_unix_ms(i64::try_from(id).unwrap() * 10_000_000);
    Line {
        id,
        at,
        root: "srv".into(),
        path: path.into(),
        rule: rule.into(),
        since: "newest".into(),
        basis: at,
        deadline: at,
        files: 1,
        bytes: 1,
        ..Line::default()
    }
}

fn filter(query: &str, now: Timestamp) -> Result<Filter, AppError> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let query = crate::types::from_query(pairs.collect());
    Filter::new(query.map_err(|error| AppError::invalid(error.detail))?, now)
}

fn ask(ledger: &Ledger, query: &str) -> (Vec<u64>, Option<String>) {
    let now = Timestamp::from_unix_ms(100_000_000);
    let filter = filter(query, now).unwrap();
    let answer = filter.find(ledger, false).unwrap().into_json();
    let answer: History<Line> = serde_json::from_slice(&answer).unwrap();
    let ids = answer.removals.iter().map(|line| line.id).collect();
    (ids, answer.cursor)
}

#[test]
fn the_newest_come_first_and_a_cursor_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&dir.path().join("ledger"), Options::default()).unwrap();
    assert_eq!(ask(&ledger, ""), (vec![], None));
    let lines = [
        line(1, "/srv/a", "old"),
        line(2, "/srv/a/x", "old"),
        line(3, "/srv/ab", "new"),
        line(4, "/srv/a/y", "new"),
    ];
    ledger.append(&lines).unwrap();
    assert_eq!(ask(&ledger, ""), (vec![4, 3, 2, 1], None));
    let (ids, cursor) = ask(&ledger, "limit=3");
    assert_eq!(ids, [4, 3, 2]);
    let on = format!("limit=3&cursor={}", cursor.unwrap());
    assert_eq!(ask(&ledger, &on), (vec![1], None));
    assert_eq!(ask(&ledger, "path=/srv/a/"), (vec![4, 2, 1], None));
    assert_eq!(ask(&ledger, "rule=new&root=srv"), (vec![4, 3], None));
    assert_eq!(ask(&ledger, "root=other"), (vec![], None));
    assert_eq!(
        ask(&ledger, "since=1970-01-01T08:20:00Z"),
        (vec![4, 3], None)
    );
    assert_eq!(ask(&ledger, "since=75000s"), (vec![4, 3], None));
}

#[test]
fn lines_are_answered_with_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("ledger");
    let ledger = Ledger::open(&dir, Options::default()).unwrap();
    ledger.append(&[line(1, "/srv/a", "old")]).unwrap();
    let segment = std::fs::read_dir(&dir).unwrap().next().unwrap().unwrap();
    let path = segment.path();
    let text = std::fs::read_to_string(&path).unwrap();
    drop(ledger);
    // A later version may write more, and people may write differently.
    let odd = text
        .trim()
        .replacen("{\"id\":1,", "{ \"id\": 2, \"more\": [1.50],", 1);
    let broken = odd.replace("1.50", "1.5.0");
    std::fs::write(&path, format!("{text}{broken}\n{odd}\n")).unwrap();
    let ledger = Ledger::open(&dir, Options::default()).unwrap();
    let answer = Filter {
        limit: 10,
        ..Filter::default()
    };
    let answer = answer.find(&ledger, false).unwrap().into_json();
    let answer: History<&serde_json::value::RawValue> = serde_json::from_slice(&answer).unwrap();
    let lines: Vec<&str> = answer.removals.iter().map(|line| line.get()).collect();
    assert_eq!(lines, [odd.as_str(), text.trim()]);
    assert_eq!(answer.unreadable.len(), 1, "{:?}", answer.unreadable);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for query in [
        "limit=0",
        "limit=10001",
        "cursor=x",
        "cursor=7",
        "since=soon",
        "path=srv/a",
        "path=",
        "x=1",
    ] {
        let error = filter(query, Timestamp::MAX).unwrap_err();
        assert_eq!(error.kind, crate::app::ErrorKind::Invalid, "{query}");
    }
}

#[test]
fn clients_read_every_word_of_the_ledger() {
    let result = |mark| match mark {
        Mark::Removed => RemovalResult::Removed,
        Mark::Displaced => RemovalResult::Displaced,
        Mark::PutBack => RemovalResult::PutBack,
        Mark::Pinned => RemovalResult::Pinned,
        Mark::Extended => RemovalResult::Extended,
        Mark::Unpinned => RemovalResult::Unpinned,
        Mark::Paused => RemovalResult::Paused,
        Mark::Resumed => RemovalResult::Resumed,
        Mark::Trashed => RemovalResult::Trashed,
        Mark::Restored => RemovalResult::Restored,
        Mark::Purged => RemovalResult::Purged,
    };
    for mark in [
        Mark::Removed,
        Mark::Displaced,
        Mark::PutBack,
        Mark::Pinned,
        Mark::Extended,
        Mark::Unpinned,
        Mark::Paused,
        Mark::Resumed,
        Mark::Trashed,
        Mark::Restored,
        Mark::Purged,
    ] {
        let word = serde_json::to_value(mark).unwrap();
        assert_eq!(word, result(mark).as_str());
    }
    let unit = |unit| match unit {
        LineUnit::File => RemovalUnit::File,
        LineUnit::Dir => RemovalUnit::Dir,
        LineUnit::Job => RemovalUnit::Job,
        LineUnit::EmptyDir => RemovalUnit::EmptyDir,
    };
    for line in [
        LineUnit::File,
        LineUnit::Dir,
        LineUnit::Job,
        LineUnit::EmptyDir,
    ] {
        let word = serde_json::to_value(line).unwrap();
        assert_eq!(word, unit(line).as_str());
    }
}
