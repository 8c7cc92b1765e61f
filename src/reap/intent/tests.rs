//! Records of intents: what comes back of them, and their ledger lines.

use super::*;

/// Of a part of the directory `u`, whose removal has the number `id`.
pub(in crate::reap) fn sample<'a>(id: u64, part: u32, path: &'a str, owner: &'a str) -> Intent<'a> {
    let at = Timestamp::from_unix_ms(3);
    Intent {
        id,
        part,
        root: b"/r",
        root_ino: 7,
        quarantine: None,
        path: path.as_bytes(),
        dir: true,
        key: FileKey::default(),
        size: 0,
        mtime: FileTime::default(),
        btime: None,
        skip_open: true,
        line: PartLine {
            at,
            root: "r",
            unit: LineUnit::Dir,
            owner: Some(owner),
            rule: "x",
            since: "newest",
            basis: at,
            deadline: at,
            files: 1,
            bytes: 1,
            by: Principal::Uid(7),
        },
    }
}

#[test]
fn a_record_comes_back_as_it_was_and_no_shorter_or_altered_one_does() {
    let records = [
        Record::Intent(sample(u64::MAX, u32::MAX, "u/\u{1}", "job")),
        Record::Intent(Intent {
            path: b"u/\xff\n",
            quarantine: Some(QuarantineId {
                ino: u64::MAX,
                btime: Some(FileTime { secs: -1, nanos: 9 }),
            }),
            ..sample(0, 0, "", "")
        }),
        Record::Ended(vec![(1, None), (u64::MAX, Some(u32::MAX))]),
    ];
    for record in &records {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let whole = bytes.len();
        bytes.extend_from_slice(b"what follows");
        assert_eq!(
            Record::decode(&bytes).as_ref(),
            Some(&(Record::decode(&bytes).unwrap().0, whole))
        );
        assert_eq!(&Record::decode(&bytes).unwrap().0, record);
        for len in 0..whole {
            assert_eq!(
                Record::decode(&bytes[..len]),
                None,
                "{len} of {whole} bytes"
            );
        }
        for at in 0..whole {
            bytes[at] ^= 0x40;
            assert_eq!(Record::decode(&bytes), None, "byte {at} is another");
            bytes[at] ^= 0x40;
        }
    }
}

#[test]
fn a_part_has_a_line_of_its_own() {
    let intent = Intent {
        dir: false,
        size: 5,
        ..sample(4, 2, "u/a", "job")
    };
    let line = intent.line();
    assert_eq!((&*line.path, line.files, line.bytes), ("/r/u/a", 1, 5));
    let top = Intent {
        root: b"/",
        ..intent
    };
    assert_eq!(top.line().path, "/u/a");
}
