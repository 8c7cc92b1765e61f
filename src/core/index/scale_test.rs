//! The index at its real page size: memory, large directories, readers beside the writer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{DirId, Index, Record, Writer};
use crate::core::facts::{RootId, RuleId, usual_blocks};
use crate::core::path::RelPath;
use crate::core::policy::Class;
use crate::core::time::Timestamp;

const ROOT: RootId = RootId(0);
const NOW: i64 = 1_700_000_000_000;

fn name(number: u64) -> Vec<u8> {
    format!("upload-{number:09}.dat").into_bytes()
}

/// A file of no special age, within the last 30 days, and of no special size.
fn record(number: u64) -> Record {
    let age = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (30 * 86_400_000);
    let at = Timestamp::from_unix_ms(NOW - age.cast_signed());
    Record {
        size: number.wrapping_mul(7_919) % 5_000_000,
        blocks: usual_blocks(number.wrapping_mul(7_919) % 5_000_000),
        nlink: 1,
        ino: 10_000_000 + number * 3,
        mtime: at,
        basis: at.plus_ms(4),
        class: Class::File(RuleId(0)),
        expire_ms: Some(30 * 86_400_000),
    }
}

fn dir(writer: &mut Writer, path: &str) -> DirId {
    writer.ensure_dir(ROOT, &RelPath::parse(path.as_bytes()).unwrap())
}

fn fill(writer: &mut Writer, dir: DirId, numbers: impl Iterator<Item = u64>) {
    let entries: Vec<_> = numbers.map(|n| (name(n), record(n))).collect();
    writer.upsert_many(
        dir,
        entries.iter().map(|(name, record)| (&name[..], *record)),
    );
}

/// Bytes of all pages, without what the allocator adds.
fn page_bytes(index: &Index) -> usize {
    let pages = index.snapshot();
    pages
        .iter()
        .map(|(_, page)| size_of_val(&**page) + page.blob.len())
        .sum()
}

#[test]
fn a_packed_file_takes_forty_bytes_before_and_after_churn() {
    let (index, mut writer) = Index::new();
    let (files, dirs) = (50_000, 500);
    let most = usize::try_from(40 * files).unwrap();
    for d in 0..dirs {
        let dir = dir(&mut writer, &format!("jobs/job-{d:016}"));
        fill(&mut writer, dir, (0..files / dirs).map(|n| d * 1_000 + n));
    }
    assert!(page_bytes(&index) <= most, "{}", page_bytes(&index));
    // Half of the files are removed, and others come under other names.
    for d in 0..dirs {
        let dir = dir(&mut writer, &format!("jobs/job-{d:016}"));
        writer.retain_names(dir, &|name| name[15] % 2 == 0);
        let others = (500..500 + files / dirs / 2).map(|n| d * 1_000 + n);
        fill(&mut writer, dir, others);
    }
    assert_eq!(index.totals(ROOT).files, files);
    assert!(page_bytes(&index) <= most, "{}", page_bytes(&index));
}

#[test]
fn a_large_directory_finds_its_names_through_growth_and_decay() {
    let (index, mut writer) = Index::new();
    let large = dir(&mut writer, "large");
    let count = 20_000;
    for start in (0..count).step_by(777) {
        fill(&mut writer, large, start..(start + 777).min(count));
    }
    let found = |n: u64| index.find(ROOT, &[b"large/", &name(n)[..]].concat());
    assert!((0..count).all(|n| found(n) == Some((large, record(n)))));
    assert_eq!(found(count), None);
    let numbers = (0..count).filter(|n| n % 10 != 0).map(name);
    for name in numbers {
        assert!(writer.remove(large, &name).is_some());
    }
    assert!((0..count).all(|n| found(n).is_some() == (n % 10 == 0)));
    let pages = index.pages_of(large).len();
    assert!(pages <= 2_000 / 102 + 1, "sparse pages are merged: {pages}");
    let left = writer.drop_dir(large);
    assert_eq!((left.files, left.pages.len()), (2_000, pages));
    assert!(index.pages().is_empty());
}

#[test]
fn a_timer_for_the_earliest_page_rings_for_what_merged_with_it() {
    let (index, mut writer) = Index::new();
    let dir = dir(&mut writer, "");
    let at = |n: u64| {
        let basis = Timestamp::from_unix_ms(NOW - (n.cast_signed() - 300).abs());
        Record { basis, ..record(n) }
    };
    let entries: Vec<_> = (0..512).map(|n| (name(n), at(n))).collect();
    writer.upsert_many(
        dir,
        entries.iter().map(|(name, record)| (&name[..], *record)),
    );
    // The timers: for each page, its earliest deadline when it was written.
    let timers: Vec<_> = index
        .snapshot()
        .iter()
        .map(|(id, page)| (*id, page.min_deadline().unwrap()))
        .collect();
    assert_eq!(timers.len(), 2);
    writer.retain_names(dir, &|name| name[15] == b'7');
    let pages = index.snapshot();
    let [(id, page)] = &pages[..] else {
        panic!("two sparse pages merge into one");
    };
    let (_, rings) = timers.iter().find(|(timer, _)| timer == id).unwrap();
    assert!(*rings <= page.min_deadline().unwrap());
}

#[test]
fn of_a_name_that_comes_twice_the_last_counts() {
    let (index, mut writer) = Index::new();
    let dir = dir(&mut writer, "");
    fill(&mut writer, dir, 0..300);
    let other = Record {
        size: 1,
        ..record(0)
    };
    let names = [name(5), name(5), name(400), name(400), name(299), name(299)];
    let records = [other, record(5), record(1), other, other, record(2)];
    writer.take_touched();
    writer.upsert_many(dir, names.iter().map(|name| &name[..]).zip(records));
    let find = |n| index.find(ROOT, &name(n)).unwrap().1;
    assert_eq!(
        (find(5), find(400), find(299)),
        (record(5), other, record(2))
    );
    assert_eq!(index.totals(ROOT).files, 301);
    assert!(writer.take_touched().contains(&index.pages()[1]));
}

#[test]
fn readers_see_what_stays_exactly_once_while_pages_merge() {
    const STAYS: u64 = 600;
    let (index, mut writer) = Index::new();
    let busy = dir(&mut writer, "busy");
    fill(&mut writer, busy, 0..STAYS);
    let done = AtomicBool::new(false);
    let is_lasting = |name: &[u8]| name < &super::scale_test::name(STAYS)[..];
    std::thread::scope(|scope| {
        let finished = SetOnDrop(&done);
        let readers = [0, 1].map(|_| scope.spawn(|| watch(&index, &done, STAYS)));
        for round in 1..200 {
            let start = STAYS + round * 1_000;
            fill(&mut writer, busy, start..start + 400 + round);
            // What stays is rewritten, and lies sparse between what goes.
            fill(&mut writer, busy, (0..STAYS).filter(|n| n % 7 == round % 7));
            writer.retain_names(busy, &is_lasting);
            if round % 3 == 0 {
                let moved = format!("at-{round}");
                let root = index.dir_id(ROOT, b"").unwrap();
                assert!(writer.move_dir(busy, root, moved.as_bytes()).is_some());
            }
        }
        drop(finished);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

/// Lets the readers end, also when the writer failed.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Looks at everything until `done`; tells how often.
fn watch(index: &Arc<Index>, done: &AtomicBool, stays: u64) -> u64 {
    let mut looks = 0;
    loop {
        let last = done.load(Ordering::Acquire);
        let snapshot = index.snapshot();
        let names = snapshot.iter().flat_map(|(_, page)| page.entries());
        let mut seen = BTreeSet::new();
        for (name, _) in names {
            assert!(seen.insert(name), "an entry twice");
        }
        for n in 0..stays {
            assert!(seen.contains(&name(n)[..]), "an entry is missing");
        }
        let dir = snapshot[0].1.dir();
        let number = looks * 37 % stays;
        assert_eq!(
            index.find_in(dir, &name(number)).map(|(_, r)| r),
            Some(record(number))
        );
        let sum: u64 = index
            .forecast(None, Timestamp::MAX)
            .iter()
            .map(|f| f.files)
            .sum();
        assert!(sum >= stays);
        looks += 1;
        if last {
            return looks;
        }
    }
}

#[test]
fn a_forecast_within_a_crowded_minute_is_exact() {
    let (index, mut writer) = Index::new();
    for d in 0..20 {
        let dir = dir(&mut writer, &format!("d{d}"));
        fill(&mut writer, dir, (0..600).map(|n| d * 600 + n));
    }
    for step in 0..200 {
        let until = Timestamp::from_unix_ms(NOW + step * 13_006_007);
        let due = (0..12_000).filter(|&n| record(n).deadline().is_some_and(|at| at <= until));
        let told: u64 = index.forecast(None, until).iter().map(|f| f.files).sum();
        assert_eq!(told, due.count() as u64, "until {until}");
    }
}
