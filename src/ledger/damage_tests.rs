//! Segments that a crash, another version, or another process has changed.

use super::*;

/// A line of `length` bytes about the removal `id`, as version 0.1 wrote one for a job of any size.
fn unbounded(id: u64, length: usize) -> Vec<u8> {
    let line = Line {
        paths: vec!["p".repeat(1000); length / 1000],
        ..sample(id)
    };
    let mut bytes = serde_json::to_vec(&line).unwrap();
    bytes.push(b'\n');
    bytes
}

#[test]
fn a_line_of_any_length_stops_neither_the_start_nor_the_readers() {
    for (length, is_read) in [(4_505_925, true), (20_000_000, false)] {
        let scratch = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(scratch.path(), Options::default()).unwrap();
        ledger.append(&[sample(1)]).unwrap();
        drop(ledger);
        let path = segments(scratch.path()).pop().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let offset = bytes.len();
        bytes.extend(unbounded(2, length));
        std::fs::write(&path, &bytes).unwrap();
        let ledger = Ledger::open(scratch.path(), Options::default()).unwrap();
        assert_eq!(path.metadata().unwrap().len(), bytes.len() as u64);
        assert_eq!(ledger.next_id(), 3, "its number is known");
        assert_eq!(
            ledger.contains(&BTreeSet::from([1, 2])).unwrap(),
            BTreeSet::from([1, 2]),
            "recovery finds it"
        );
        ledger.append(&[sample(3)]).unwrap();
        let lines: Vec<_> = ledger.newest_first(None).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].as_ref().unwrap().id, 3);
        assert_eq!(lines[2].as_ref().unwrap().id, 1);
        match &lines[1] {
            Ok(line) => assert!(is_read && line.id == 2),
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !is_read && error.contains(&format!("at byte {offset}")),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn a_segment_in_use_that_is_changed_gets_no_further_line() {
    type Change = fn(&Path, &Path);
    let changes: [(&str, Change); 6] = [
        ("moved", |path, away| std::fs::rename(path, away).unwrap()),
        ("deleted", |path, _| std::fs::remove_file(path).unwrap()),
        ("replaced", |path, away| {
            std::fs::copy(path, away).unwrap();
            std::fs::rename(away, path).unwrap();
        }),
        ("emptied", |path, _| drop(File::create(path).unwrap())),
        ("cut within a line", |path, _| cut(path, 100).unwrap()),
        ("moved with its directory", |path, away| {
            std::fs::rename(path.parent().unwrap(), away).unwrap();
        }),
    ];
    for (what, change) in changes {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("ledger");
        let ledger = Ledger::open(&dir, SMALL).unwrap();
        ledger.append(&[sample(ledger.next_id())]).unwrap();
        let path = segments(&dir).pop().unwrap();
        change(&path, &scratch.path().join("away"));
        let left = std::fs::read(&path).unwrap_or_default();
        let later = [ledger.next_id(), ledger.next_id()];
        for id in later {
            ledger.append(&[sample(id)]).unwrap();
        }
        let read = ledger.newest_first(None).filter_map(Result::ok);
        let read: Vec<u64> = read.map(|line| line.id).take(2).collect();
        assert_eq!(read, [later[1], later[0]], "{what}");
        assert_eq!(
            segments(&dir).iter().filter(|p| **p != path).count(),
            1,
            "{what}"
        );
        assert_eq!(std::fs::read(&path).unwrap_or_default(), left, "{what}");
        drop(ledger);
        let ledger = Ledger::open(&dir, SMALL).unwrap();
        let read = ledger.newest_first(None).filter_map(Result::ok);
        assert_eq!(
            read.map(|line| line.id).next(),
            Some(later[1]),
            "{what}: after a restart"
        );
        assert!(ledger.next_id() > later[1], "{what}: no number twice");
    }
}

#[test]
fn a_removal_of_many_paths_is_recorded_whole_or_not_at_all() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(scratch.path(), Options::default()).unwrap();
    let paths: Vec<String> = (0..5000).map(|at| format!("/srv/{at:0100}")).collect();
    let many = Line {
        paths: paths.clone(),
        ..sample(2)
    };
    ledger.append(&[sample(1), many]).unwrap();
    let read = || ledger.newest_first(None).map(Result::unwrap);
    assert_eq!(read().filter(|line| line.part == 0).count(), 2);
    let found: Vec<String> = read().flat_map(|line| line.paths).collect();
    assert_eq!(found, paths);
    drop(ledger);
    // Torn anywhere: then nothing of it is in the ledger.
    let path = segments(scratch.path()).pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
    assert!(ends.len() > 5);
    for torn in [
        ends[1],
        ends[1] + 1,
        ends[3] + 1,
        ends[3] + 100,
        whole.len() - 1,
    ] {
        std::fs::write(&path, &whole[..torn]).unwrap();
        let ledger = Ledger::open(scratch.path(), Options::default()).unwrap();
        assert_eq!(ids(&ledger, None), [1], "cut off at {torn}");
        assert_eq!(path.metadata().unwrap().len(), ends[0] as u64 + 1);
        assert!(ledger.contains(&BTreeSet::from([2])).unwrap().is_empty());
    }
}

#[test]
fn a_broken_line_in_the_middle_is_reported_and_the_rest_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
    ledger.append(&[sample(1)]).unwrap();
    let path = segments(scratch.path()).pop().unwrap();
    drop(ledger);
    let mut bytes = b"not json\n".to_vec();
    bytes.extend(std::fs::read(&path).unwrap());
    std::fs::write(&path, &bytes).unwrap();
    let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
    let lines: Vec<_> = ledger.newest_first(None).collect();
    assert_eq!(lines[0].as_ref().unwrap().id, 1);
    let error = lines[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("line at byte 0"), "{error}");
}

#[test]
fn a_torn_end_is_cut_off_and_nothing_else() {
    for torn in [
        &b"{\"id\":99,\"at\":\"20"[..],
        b"\0\0\0\0\0\0",
        b"{\"id\":99}", // whole but for its newline: it was never acknowledged
        b"garbage\n",
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
        ledger.append(&[sample(1), sample(2)]).unwrap();
        drop(ledger);
        let path = segments(scratch.path()).pop().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let whole = bytes.clone();
        bytes.extend_from_slice(torn);
        std::fs::write(&path, &bytes).unwrap();
        let ledger = Ledger::open(scratch.path(), SMALL).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        ledger.append(&[sample(3)]).unwrap();
        assert_eq!(ids(&ledger, None), [3, 2, 1]);
    }
}
