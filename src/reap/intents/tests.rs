//! The file of intents: what is live in it, and how large it may get.

use super::*;
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
        .write(all.into_iter().map(|intent| (intent, Vec::new())))
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
    intents.done_parts(5, &[0, 2]);
    assert!(
        intents.is_live(5, 1) && !intents.is_live(5, 2),
        "one part is left"
    );
    intents.done([6]);
    drop(intents);
    let again = open(&dir);
    assert!(again.is_live(5, 1), "and is so on disk");
    assert!(!again.is_live(5, 0) && !again.is_live(6, 0), "only it");
    assert!(again.has_left("job5") && !again.has_left("job6"));
    again.done_parts(5, &[0, 1, 2]);
    assert!(!again.is_live(5, 1) && again.is_done(5) && !again.has_left("job5"));
    assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), b"");
}

#[test]
fn the_file_stays_small_while_a_disk_is_away_whose_removals_wait() {
    const WAITING: u64 = 1500;
    let dir = tempfile::tempdir().unwrap();
    let intents = open(&dir);
    write_all(&intents, (0..WAITING).map(|id| (id, 0)));
    intents.leave(0..WAITING);
    let len = || std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    let live = len();
    let mut id = WAITING;
    let mut most = 0;
    for _ in 0..40 {
        let batch: Vec<u64> = (id..id + 200).collect();
        write_all(&intents, batch.iter().map(|&id| (id, 0)));
        most = most.max(len());
        intents.done(batch);
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
    intents.done([1]);
    drop(intents);
    assert_eq!(open(&dir).ids(), BTreeSet::from([2, 3]));
}

#[test]
fn lines_of_json_are_read_once_and_kept_as_records() {
    let dir = tempfile::tempdir().unwrap();
    let line = |id: u64, part: u32| {
        format!(
            "{{\"part\":{part},\"root\":\"/r\",\"root_ino\":7,\"path\":\"u\",\"dir\":true,\
             \"key\":{{\"dev\":1,\"ino\":2}},\"size\":3,\"mtime\":{{\"secs\":4,\"nanos\":5}},\"btime\":null,\
             \"skip_open\":true,\"line\":{{\"id\":{id},\"at\":\"2023-11-14T22:13:20.007Z\",\"root\":\"results\",\
             \"path\":\"/r/u\",\"unit\":\"dir\",\"owner\":\"job{id}\",\"rule\":\"old\",\"since\":\"newest\",\
             \"basis\":\"2023-11-14T21:56:40.000Z\",\"deadline\":\"2023-11-14T22:13:19.000Z\",\"late_ms\":3,\
             \"files\":1,\"bytes\":42,\"result\":\"removed\",\"by\":{{\"uid\":1000}}}}}}\n"
        )
    };
    let ended = "{\"ended\":[[6,null],[5,1]]}\n";
    let torn = line(9, 0);
    let text = [
        &line(5, 0),
        &line(5, 1),
        &line(6, 0),
        ended,
        "no such line\n",
        &line(7, 0),
        &torn[..torn.len() - 9],
    ];
    std::fs::write(dir.path().join(FILE), text.concat()).unwrap();
    for _ in 0..2 {
        let intents = open(&dir);
        assert_eq!(intents.ids(), BTreeSet::from([5, 7]));
        assert!(intents.is_live(5, 0) && !intents.is_live(5, 1));
        assert!(intents.has_left("job5") && intents.has_left("job7"));
    }
    let bytes = std::fs::read(dir.path().join(FILE)).unwrap();
    let Some((Record::Intent(first), _)) = Record::decode(&bytes) else {
        panic!("no record");
    };
    let line = first.line();
    assert_eq!(
        (&*line.path, line.by),
        ("/r/u", crate::core::principal::Principal::Uid(1000))
    );
    assert_eq!((line.at.unix_ms(), line.bytes), (1_700_000_000_007, 42));
}
