//! The record of shadow mode.

use super::*;

fn ms(at: i64) -> Timestamp {
    Timestamp::from_unix_ms(at)
}

fn row(path: &str, basis: i64) -> ShadowRow {
    ShadowRow {
        root: "data".to_owned(),
        path: path.into(),
        basis: ms(basis),
        bytes: 1,
        ..ShadowRow::default()
    }
}

fn due(path: &str, basis: i64, at: i64) -> ShadowReports {
    let due = ShadowRow {
        due_at: Some(ms(at)),
        ..row(path, basis)
    };
    ShadowReports {
        due: vec![due],
        ..ShadowReports::default()
    }
}

fn gone(path: &str, basis: i64, at: i64, foretold: Option<i64>) -> ShadowReports {
    let gone = ShadowRow {
        gone_at: Some(ms(at)),
        foretold: foretold.map(ms),
        ..row(path, basis)
    };
    ShadowReports {
        gone: vec![gone],
        ..ShadowReports::default()
    }
}

/// Path, list, instants, and whether it was written again, oldest first.
fn rows(record: &ShadowRecord, now: i64) -> Vec<String> {
    let filter = ShadowFilter {
        list: None,
        since: None,
        before: None,
        limit: 1000,
        now: ms(now),
    };
    let number = |at: Option<Timestamp>| at.map_or(-1, Timestamp::unix_ms);
    let rows = record.rows(&filter).unwrap().into_iter().rev();
    let rows = rows.map(|row| {
        let path = String::from_utf8(row.path).unwrap();
        let list = row.list.as_str();
        let again = if row.rewritten { " again" } else { "" };
        format!(
            "{path} {list} {} {}{again}",
            number(row.due_at),
            number(row.gone_at)
        )
    });
    rows.collect()
}

#[test]
fn each_life_of_a_thing_has_one_row_in_one_list() {
    let dir = tempfile::tempdir().unwrap();
    let record = ShadowRecord::open(dir.path(), ms(1)).unwrap();
    for reports in [
        due("both", 5, 10),
        due("both", 5, 11),
        due("mine", 5, 10),
        due("used", 5, 10),
        due("used", 12, 17),
        gone("both", 5, 20, None),
        gone("used", 12, 20, None),
        gone("early", 19, 20, Some(50)),
        gone("kept", 5, 20, None),
    ] {
        record.add(&reports).unwrap();
    }
    let mut expected = vec![
        "both both 10 20",
        "mine only-lapsed 10 -1",
        "used only-lapsed 10 20 again",
        "used both 17 20",
        "early only-others -1 20",
        "kept only-others -1 20",
    ];
    assert_eq!(rows(&record, 30), expected);
    drop(record);
    // The deadline of what others removed early has come.
    expected[4] = "early both -1 20";
    let record = ShadowRecord::open_to_read(dir.path()).unwrap().unwrap();
    assert_eq!(rows(&record, 50), expected);
    let sums = record.sums(Some(ms(18)), ms(50)).unwrap();
    let sums: Vec<_> = sums.iter().map(|sum| (sum.list, sum.things)).collect();
    assert_eq!(
        sums,
        [
            (ShadowList::Both, 3),
            (ShadowList::OnlyLapsed, 1),
            (ShadowList::OnlyOthers, 1)
        ]
    );
    drop(record);
    // It is there again, as it was.
    let record = ShadowRecord::open(dir.path(), ms(60)).unwrap();
    record.add(&due("both", 5, 61)).unwrap();
    assert_eq!(rows(&record, 62)[0], "both only-lapsed 61 -1");
    assert_eq!(record.extent().unwrap().since, ms(1));
}

#[test]
fn the_oldest_things_are_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let record = ShadowRecord::open(dir.path(), ms(1)).unwrap();
    for number in 0..2 * THINGS_MAX {
        record.add(&due(&number.to_string(), 5, 10)).unwrap();
    }
    let rows = rows(&record, 30);
    let count = i64::try_from(rows.len()).unwrap();
    assert!((THINGS_MAX / 2..=THINGS_MAX).contains(&count), "{count}");
    assert_eq!(
        rows.last().unwrap(),
        &format!("{} only-lapsed 10 -1", 2 * THINGS_MAX - 1)
    );
    let dropped = record.extent().unwrap().dropped;
    assert_eq!(dropped.cast_signed() + count, 2 * THINGS_MAX);
}

#[test]
fn another_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ShadowRecord::open_to_read(dir.path()).unwrap().is_none());
    drop(ShadowRecord::open(dir.path(), ms(1)).unwrap());
    let path = dir.path().join(FILE);
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 2).unwrap();
    drop(other);
    let error = ShadowRecord::open(dir.path(), ms(1))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("format 2") && error.contains("move it away"),
        "{error}"
    );
    std::fs::write(&path, "no database, but long enough to be looked at").unwrap();
    assert!(ShadowRecord::open(dir.path(), ms(1)).is_err());
}
