//! The file of intents: what is live in it, and how large it may get.

use super::*;
use crate::core::facts::FileKey;
use crate::core::time::FileTime;

/// Of a part of the directory `u`.
fn intent(id: u64, part: u32) -> Intent {
    let at = crate::core::time::Timestamp::from_unix_ms(3);
    let line = Line {
        id,
        at,
        root: "r".to_owned(),
        path: "/r/u".to_owned(),
        path_b64: None,
        unit: crate::ledger::LineUnit::Dir,
        owner: Some(format!("job{id}")),
        rule: "x".to_owned(),
        since: "newest".to_owned(),
        basis: at,
        deadline: at,
        late_ms: 0,
        files: 1,
        bytes: 1,
        result: crate::ledger::Mark::Removed,
        by: crate::ledger::By::Rule,
        job: None,
        paths: Vec::new(),
        further_lines: 0,
        part: 0,
        pin: None,
    };
    Intent {
        part,
        root: "/r".to_owned(),
        root_b64: None,
        root_ino: 7,
        quarantine: None,
        path: format!("u/{part}"),
        path_b64: None,
        dir: true,
        key: FileKey::default(),
        size: 0,
        mtime: FileTime::default(),
        btime: None,
        skip_open: true,
        line,
    }
}

fn open(dir: &tempfile::TempDir) -> Intents {
    Intents::open(dir.path()).unwrap()
}

#[test]
fn parts_that_are_done_with_leave_the_others_to_recovery() {
    let dir = tempfile::tempdir().unwrap();
    let all = [intent(5, 0), intent(5, 1), intent(5, 2), intent(6, 0)];
    let text: Vec<String> = all
        .iter()
        .map(|intent| serde_json::to_string(intent).unwrap() + "\n")
        .collect();
    std::fs::write(dir.path().join(FILE), text.concat()).unwrap();
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
    intents.write((0..WAITING).map(|id| intent(id, 0))).unwrap();
    intents.leave(0..WAITING);
    let len = || std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    let live = len();
    let mut id = WAITING;
    let mut most = 0;
    for _ in 0..40 {
        let batch: Vec<u64> = (id..id + 200).collect();
        intents
            .write(batch.iter().map(|&id| intent(id, 0)))
            .unwrap();
        most = most.max(len());
        intents.done(batch);
        id += 200;
    }
    let limit = REWRITE_BYTES + 4 * live;
    assert!(most <= limit, "{most} bytes; {live} are live");
    assert!(intents.is_live(0, 0) && intents.is_done(id - 1));
}
