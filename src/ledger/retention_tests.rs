//! Segments that are dropped, and segments that are kept.

use super::*;
use crate::core::totals::Cursor;
use crate::ledger::{Needs, Stretch};

/// A ledger of ten segments with a line each, a day apart.
fn daily(dir: &Path, keep: Options) -> Ledger {
    for day in 0..10 {
        let ledger = Ledger::open(
            dir,
            Options {
                segment_age: Duration::from_hours(1),
                ..Options::default()
            },
        )
        .unwrap();
        let line = Line {
            at: sample(0).at.plus_ms(day * 86_400_000),
            ..sample(ledger.next_id())
        };
        ledger.append(&[line]).unwrap();
    }
    assert_eq!(segments(dir).len(), 10);
    Ledger::open(dir, keep).unwrap()
}

fn counted(ledger: &Ledger) -> Option<Cursor> {
    ledger.stretches(None).last().map(Stretch::end)
}

fn days(days: u64) -> Options {
    Options {
        keep_age: Some(Duration::from_hours(days * 24)),
        ..Options::default()
    }
}

/// Drops what may be dropped, and gives the numbers of the lines that are left.
fn drop_from(ledger: &Ledger, needs: &Needs) -> Vec<u64> {
    let surplus = ledger.surplus().unwrap();
    ledger.drop_surplus(&surplus, needs).unwrap();
    ids(ledger, None)
}

#[test]
fn old_segments_go_as_a_whole_and_the_one_in_use_never() {
    let line_bytes = serde_json::to_vec(&sample(1)).unwrap().len() as u64 + 1;
    let bytes = |most| Options {
        keep_bytes: Some(most),
        ..Options::default()
    };
    for (keep, left) in [
        (Options::default(), 10),
        (days(400), 10),
        (days(3), 4),
        (days(0), 1),
        (bytes(line_bytes * 100), 10),
        (bytes(line_bytes * 4 + 20), 4),
        (bytes(1), 1),
        (
            Options {
                keep_bytes: Some(line_bytes * 2 + 20),
                ..days(6)
            },
            2,
        ),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let ledger = daily(scratch.path(), keep);
        let needs = Needs {
            counted: counted(&ledger),
            ..Needs::default()
        };
        let expected: Vec<u64> = (11 - left..=10).rev().collect();
        assert_eq!(drop_from(&ledger, &needs), expected, "{keep:?}");
        assert_eq!(segments(scratch.path()).len() as u64, left);
        ledger.append(&[sample(ledger.next_id())]).unwrap();
        drop(ledger);
        let ledger = Ledger::open(scratch.path(), keep).unwrap();
        assert_eq!(ids(&ledger, None).len() as u64, left + 1);
    }
}

#[test]
fn what_is_unfinished_or_not_counted_keeps_its_segment() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = daily(scratch.path(), days(1));
    assert_eq!(
        drop_from(&ledger, &Needs::default()).len(),
        10,
        "not counted"
    );
    let third = ledger.stretches(None)[2].end();
    let needs = |counted, named: &[u64]| Needs {
        ids: named.iter().copied().collect(),
        counted,
    };
    let left = drop_from(&ledger, &needs(Some(third), &[2]));
    assert_eq!(left, [10, 9, 8, 7, 6, 5, 4, 2]);
    let left = drop_from(&ledger, &needs(counted(&ledger), &[2, 6]));
    assert_eq!(left, [10, 9, 6, 2]);
    let left = drop_from(&ledger, &needs(counted(&ledger), &[]));
    assert_eq!(left, [10, 9]);
}

#[test]
fn a_segment_of_lines_that_cannot_be_read_is_no_older_than_others() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = daily(scratch.path(), days(3));
    let needs = Needs {
        counted: counted(&ledger),
        ..Needs::default()
    };
    let oldest = &segments(scratch.path())[0];
    let garbage = vec![b'x'; usize::try_from(oldest.metadata().unwrap().len()).unwrap()];
    std::fs::write(oldest, garbage).unwrap();
    let surplus = ledger.surplus().unwrap();
    ledger.drop_surplus(&surplus, &needs).unwrap();
    assert!(oldest.exists());
}
