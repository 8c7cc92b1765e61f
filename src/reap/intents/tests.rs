//! The file of intents: what is live in it, and how large it may get.

use super::*;
use crate::reap::intent::Fate;
use crate::reap::intent::tests::sample;

fn write_all(intents: &Intents, numbers: impl IntoIterator<Item = (u64, u32)>) {
    let numbers: Vec<_> = numbers.into_iter().collect();
    let texts: Vec<_> = numbers
        .iter()
        .map(|(id, part)| (format!("u/{part}"), format!("job{id}")))
        .collect();
    let all = numbers.iter().zip(&texts);
    let all = all.map(|((id, part), (path, owner))| sample(*id, *part, path, owner));
    intents
        .write(
            all.into_iter()
                .map(|intent| (Fate::Deletion, intent, Vec::new())),
        )
        .unwrap();
}

fn open(dir: &tempfile::TempDir) -> Intents {
    Intents::open(dir.path()).unwrap()
}

#[test]
fn parts_that_are_done_with_leave_the_others_to_recovery() {
    let dir = tempfile::tempdir().unwrap();
    let before = open(&dir);
    write_all(&before, [(5, 0), (5, 1), (5, 2), (6, 0)]);
    drop(before);
    let intents = open(&dir);
    assert!(intents.is_live(5, 1) && intents.is_live(6, 0));
    intents.end([(5, Some(0)), (5, Some(2))]);
    assert!(
        intents.is_live(5, 1) && !intents.is_live(5, 2),
        "one part is left"
    );
    intents.end([(6, None)]);
    drop(intents);
    let again = open(&dir);
    assert!(again.is_live(5, 1), "and is so on disk");
    assert!(!again.is_live(5, 0) && !again.is_live(6, 0), "only it");
    assert!(again.has_left("job5") && !again.has_left("job6"));
    again.end((0..3).map(|part| (5, Some(part))));
    assert!(!again.is_live(5, 1) && again.is_done(5) && !again.has_left("job5"));
    assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), b"");
}

#[test]
fn the_file_stays_small_while_a_disk_is_away_whose_removals_wait() {
    const WAITING: u64 = 1500;
    let dir = tempfile::tempdir().unwrap();
    let intents = open(&dir);
    write_all(&intents, (0..WAITING).map(|id| (id, 0)));
    intents.leave((0..WAITING).map(|id| (id, None)));
    let len = || std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    let live = len();
    let mut id = WAITING;
    let mut most = 0;
    for _ in 0..40 {
        let batch: Vec<u64> = (id..id + 200).collect();
        write_all(&intents, batch.iter().map(|&id| (id, 0)));
        most = most.max(len());
        intents.end(batch.into_iter().map(|id| (id, None)));
        id += 200;
    }
    let limit = REWRITE_BYTES + 4 * live;
    assert!(most <= limit, "{most} bytes; {live} are live");
    assert!(intents.is_live(0, 0) && intents.is_done(id - 1));
}

#[test]
fn records_before_a_torn_one_are_read_and_none_joins_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    write_all(&open(&dir), [(1, 0), (2, 0), (3, 0)]);
    let whole = std::fs::read(&file).unwrap();
    for cut in 1..=whole.len() / 3 {
        std::fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        let intents = open(&dir);
        assert!(intents.is_live(2, 0) && !intents.is_live(3, 0), "{cut}");
        write_all(&intents, [(4, 0)]);
        drop(intents);
        let again = open(&dir);
        assert_eq!(again.ids(), BTreeSet::from([1, 2, 4]));
    }
}

#[test]
fn the_file_stays_readable_when_a_write_was_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(FILE);
    let intents = open(&dir);
    write_all(&intents, [(1, 0), (2, 0)]);
    // As a write that failed half-way, and could not be taken back, leaves it.
    let mut bytes = std::fs::read(&file).unwrap();
    let torn = bytes[..100].to_vec();
    bytes.extend(torn);
    std::fs::write(&file, bytes).unwrap();
    write_all(&intents, [(3, 0)]);
    intents.end([(1, None)]);
    drop(intents);
    assert_eq!(open(&dir).ids(), BTreeSet::from([2, 3]));
}
