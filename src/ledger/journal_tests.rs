//! The ledger on real files: restarts, torn ends, full disks, concurrent readers.
#![expect(
    clippy::disallowed_methods,
    clippy::format_push_string,
    reason = "the tests stand in for other people"
)]

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::super::line::sample;
use super::*;
use crate::common::machine::has_namespaces;
use crate::core::totals::Cursor;
use crate::ledger::Stretch;

#[path = "damage_tests.rs"]
mod damage;
#[path = "retention_tests.rs"]
mod retention;

const SMALL: Options = Options {
    segment_bytes: 2000,
    segment_age: Duration::from_hours(1),
    keep_age: None,
    keep_bytes: None,
};

fn ids(ledger: &Ledger, before: Option<Cursor>) -> Vec<u64> {
    ledger
        .newest_first(before)
        .map(|line| line.unwrap().id)
        .collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    list(dir).unwrap().into_iter().map(|s| s.path).collect()
}

#[test]
fn lines_come_back_newest_first_over_segments_and_restarts() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("ledger");
    let mut expected = Vec::new();
    for _ in 0..3 {
        let ledger = Ledger::open(&dir, SMALL).unwrap();
        for _ in 0..20 {
            let id = ledger.next_id();
            ledger.append(&[sample(id)]).unwrap();
            expected.insert(0, id);
        }
        assert_eq!(ids(&ledger, None), expected);
        let mut lines = ledger.newest_first(None);
        for at in 1..=expected.len() {
            lines.next().unwrap().unwrap();
            assert_eq!(ids(&ledger, lines.cursor()), expected[at..]);
        }
        assert_eq!(ledger.last_at(), Some(sample(expected[0]).at));
    }
    assert!(segments(&dir).len() > 5);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert!(segments(&dir).iter().all(|path| mode(path) == 0o600));
}

#[test]
fn a_segment_ends_with_its_age() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(scratch.path(), Options::default()).unwrap();
    ledger.append(&[sample(ledger.next_id())]).unwrap();
    let mut late = sample(ledger.next_id());
    late.at = late.at.after(Options::default().segment_age);
    ledger.append(&[late]).unwrap();
    assert_eq!(segments(scratch.path()).len(), 2);
}

#[test]
fn numbers_are_not_given_twice_even_after_a_crash() {
    let scratch = tempfile::tempdir().unwrap();
    let mut highest = 0;
    for _ in 0..3 {
        let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
        for _ in 0..1500 {
            let id = ledger.next_id();
            assert!(id > highest);
            highest = id;
        }
        std::mem::forget(ledger); // a crash: nothing is put in order
    }
    std::fs::remove_file(scratch.path().join("next-id")).unwrap();
    let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
    ledger.raise_ids(highest + 1);
    ledger.append(&[sample(ledger.next_id())]).unwrap();
    drop(ledger);
    std::fs::remove_file(scratch.path().join("next-id")).unwrap();
    assert!(Ledger::open(scratch.path(), SMALL).unwrap().next_id() > highest + 1);
}

#[test]
fn pages_of_a_long_ledger_are_read_once() {
    const LINES: u64 = 400_000;
    const PAGE: usize = 1000;
    let scratch = tempfile::tempdir().unwrap();
    let padding = "x".repeat(100);
    let (mut text, mut bytes, mut floor) = (String::new(), 0, 1);
    for id in 1..=LINES {
        text.push_str(&format!("{{\"id\":{id},\"x\":\"{padding}\"}}\n"));
        if id % 150_000 == 0 || id == LINES {
            let path = scratch.path().join(format!("{floor:020}{SUFFIX}"));
            std::fs::write(path, &text).unwrap();
            (bytes, floor) = (bytes + text.len() as u64, id + 1);
            text.clear();
        }
    }
    let ledger = Ledger::open(scratch.path(), Options::default()).unwrap();
    let (mut cursor, mut read, mut expected) = (None, 0, LINES);
    while expected > 0 {
        let mut page = ledger.newest_first(cursor);
        for _ in 0..PAGE {
            let line = page.next_raw().unwrap().unwrap();
            assert_eq!(line.id(), Some(expected));
            expected -= 1;
        }
        cursor = page.cursor();
        read += page.bytes_read();
    }
    assert!(ledger.newest_first(cursor).next().is_none());
    // Each page reads a block more than it gives out, at most.
    let most = bytes + LINES / PAGE as u64 * 65_536;
    assert!((bytes..=most).contains(&read), "{read} of {bytes} bytes");
    for count in [1, 10, 100, 1000, 10_000] {
        let mut page = ledger.newest_first(None);
        let mut given = 0;
        for _ in 0..count {
            page.next_raw().unwrap().unwrap();
            given += page.last_bytes();
        }
        let read = page.bytes_read();
        assert!(
            read <= 2 * given + 16_384,
            "{count}: {read} of {given} bytes"
        );
    }
}

#[test]
fn lines_are_summed_up_once_from_place_to_place() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut counted, mut files, mut appended) = (None, 0, 0);
    for round in 0..6 {
        // Each round is a start that finds what the last one has not counted.
        let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
        for _ in 0..round * 3 {
            ledger.append(&[sample(ledger.next_id())]).unwrap();
            appended += 1;
        }
        for stretch in ledger.stretches(counted) {
            files += stretch
                .totals()
                .sums
                .values()
                .map(|sum| sum.files)
                .sum::<i64>();
            counted = Some(stretch.end());
        }
        assert_eq!(files, appended);
        assert!(ledger.stretches(counted).iter().all(Stretch::is_empty));
    }
    // Archived segments are counted already.
    for path in segments(scratch.path()) {
        std::fs::remove_file(path).unwrap();
    }
    let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
    ledger.append(&[sample(ledger.next_id())]).unwrap();
    let fresh = ledger.stretches(counted);
    let sums = fresh
        .iter()
        .flat_map(|stretch| stretch.totals().sums.into_values());
    assert_eq!(sums.map(|sum| sum.files).sum::<i64>(), 1);
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(scratch.path(), Options::default()).unwrap();
    ledger.append(&[sample(1), sample(2)]).unwrap();
    for offset in [1, 100, 1 << 40] {
        let cursor = Cursor { segment: 1, offset };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let answers: Vec<_> = ledger.newest_first(Some(cursor)).collect();
        let [Err(LedgerError::NoSuchCursor { .. })] = &answers[..] else {
            panic!("{answers:?}");
        };
    }
    // Segments that are archived meanwhile are skipped.
    let later = Cursor {
        segment: 9,
        offset: 77,
    };
    assert_eq!(ids(&ledger, Some(later)), [2, 1]);
}

#[test]
fn what_is_in_the_ledger_is_found_by_its_number_whatever_the_order() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
    let early = ledger.next_id();
    let never = ledger.next_id();
    let mut all = BTreeSet::new();
    for _ in 0..100 {
        let id = ledger.next_id();
        ledger.append(&[sample(id)]).unwrap();
        all.insert(id);
    }
    ledger.append(&[sample(early)]).unwrap(); // its number was given long before
    all.insert(early);
    let mut asked = all.clone();
    asked.insert(never);
    for _ in 0..2 {
        assert_eq!(ledger.contains(&asked).unwrap(), all);
        assert_eq!(
            ledger.contains(&BTreeSet::from([early, never])).unwrap(),
            BTreeSet::from([early])
        );
    }
    assert_eq!(ids(&ledger, None)[0], early);
}

#[test]
fn a_segment_that_was_archived_is_not_missed() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
    for id in 1..=40 {
        ledger.append(&[sample(id)]).unwrap();
    }
    std::fs::remove_file(&segments(scratch.path())[0]).unwrap();
    let left = ids(&ledger, None);
    assert_eq!(left[0], 40);
    assert!(left.len() < 40 && left.len() > 20);
    assert!(Ledger::open(scratch.path(), SMALL).is_ok());
}

#[test]
fn readers_see_whole_lines_while_others_append() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..50 {
                    ledger
                        .append(&[sample(ledger.next_id()), sample(ledger.next_id())])
                        .unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        let mut seen = 0;
        while !done.load(Ordering::Relaxed) {
            let now = ids(&ledger, None).len();
            assert!(now >= seen && now.is_multiple_of(2));
            seen = now;
        }
    });
    let mut all = ids(&ledger, None);
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_loses_no_line_and_the_ledger_goes_on_when_there_is_room() {
    if !has_namespaces(&["--mount"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let disk = scratch.path();
    let mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none"];
    let mounted = std::process::Command::new(mount[0])
        .args(&mount[1..])
        .arg(disk)
        .status();
    assert!(mounted.unwrap().success());
    let ledger = Ledger::open(&disk.join("ledger"), Options::default()).unwrap();
    std::fs::write(disk.join("ballast"), vec![1; 20_000]).unwrap();
    let mut kept = Vec::new();
    let error = loop {
        let batch: Vec<_> = (0..7).map(|_| sample(ledger.next_id())).collect();
        match ledger.append(&batch) {
            Ok(()) => kept.extend(batch.iter().map(|line| line.id)),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("no space left"), "{error}");
    assert!(kept.len() > 7);
    std::fs::remove_file(disk.join("ballast")).unwrap();
    let after = ledger.next_id();
    ledger.append(&[sample(after)]).unwrap();
    kept.push(after);
    kept.reverse();
    assert_eq!(ids(&ledger, None), kept);
    drop(ledger);
    let ledger = Ledger::open(&disk.join("ledger"), Options::default()).unwrap();
    assert_eq!(ids(&ledger, None), kept);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_lines_come_back_in_any_block_alignment(
        lengths in proptest::collection::vec(0usize..100_000, 1..12),
        segment_bytes in 1u64..300_000,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes, ..SMALL };
        let ledger = Ledger::open(scratch.path(), options).unwrap();
        let mut lines: Vec<Line> = Vec::new();
        for length in lengths {
            let line = Line { path: "p".repeat(length), ..sample(ledger.next_id()) };
            ledger.append(std::slice::from_ref(&line)).unwrap();
            lines.insert(0, line);
        }
        let read: Vec<Line> = ledger.newest_first(None).map(Result::unwrap).collect();
        prop_assert_eq!(read, lines);
    }
}
