//! Records that are written back, and those that are not.

use super::harness::{Place, Watched, Writer};
use crate::core::jobs::{JobLookup, JobRow, Status};
use crate::core::policy::Record;
use crate::core::time::Timestamp;
use crate::sources::write_back::{WriteBack, WriteOutcome};

fn filled(journal: &str) -> (Place, Writer, Watched) {
    let (place, mut writer) = Place::filled(journal);
    writer.run("INSERT INTO metrics VALUES ('a', 1), ('b', 2)");
    let mut options = place.options();
    options.queries.mark = vec![
        "UPDATE jobs SET data_cleaned_at = :now, summary = :summary || :status WHERE id = :job"
            .to_owned(),
    ];
    options.queries.forget = vec![
        "DELETE FROM metrics WHERE job_id = :job".to_owned(),
        "DELETE FROM jobs WHERE id = :id AND status = :status AND completed_at IS :completed_at"
            .to_owned(),
    ];
    options.queries.timezones = [("cleaned_at".to_owned(), "Europe/Berlin".to_owned())].into();
    let watched = Watched::loaded(options);
    (place, writer, watched)
}

fn order(watched: &Watched, action: Record) -> WriteBack {
    WriteBack {
        job: watched.look(|table| table.row("a").unwrap().clone()),
        action,
        now: Timestamp::from_unix_ms(1_700_000_000_999),
        summary: "3 files, ".to_owned(),
    }
}

fn count(place: &Place, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(&place.path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_job_is_marked_once() {
    for journal in ["WAL", "DELETE"] {
        let (place, _writer, watched) = filled(journal);
        let order = order(&watched, Record::Mark);
        assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
        let marked = "SELECT count(*) FROM jobs WHERE data_cleaned_at = '2023-11-14 23:13:20' AND summary = '3 files, completed'";
        assert_eq!(count(&place, marked), 1);
        // Our own writing is news like any other.
        watched.until("cleaned", |table| {
            table.row("a").unwrap().moments.cleaned_at
                == Some(Timestamp::from_unix_ms(1_700_000_000_000))
        });
        let again = WriteBack {
            summary: "again".to_owned(),
            ..order
        };
        assert_eq!(watched.source.write(&again).unwrap(), WriteOutcome::Done);
        assert_eq!(count(&place, marked), 1);
    }
}

#[test]
fn a_record_is_forgotten_with_what_hangs_on_it() {
    let (place, _writer, watched) = filled("WAL");
    let order = order(&watched, Record::Forget);
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    assert_eq!(count(&place, "SELECT count(*) FROM jobs"), 1);
    assert_eq!(count(&place, "SELECT count(*) FROM metrics"), 1);
    assert_eq!(watched.source.fresh("a"), JobLookup::Gone);
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Gone);
    let keep = WriteBack {
        action: Record::Keep,
        ..order
    };
    assert_eq!(watched.source.write(&keep).unwrap(), WriteOutcome::Done);
}

#[test]
fn a_row_that_changed_is_not_touched() {
    let (place, mut writer, watched) = filled("WAL");
    let orders = [Record::Mark, Record::Forget].map(|action| order(&watched, action));
    writer.run("UPDATE jobs SET status = 'running', completed_at = NULL WHERE id = 'a'");
    for order in orders {
        let WriteOutcome::Changed { how } = watched.source.write(&order).unwrap() else {
            panic!("it was written");
        };
        assert_eq!(
            how,
            "status: completed → running, completed_at: 2026-01-01T00:00:00.000Z → none"
        );
    }
    assert_eq!(
        count(
            &place,
            "SELECT count(*) FROM jobs WHERE data_cleaned_at IS NULL"
        ),
        2
    );
    assert_eq!(count(&place, "SELECT count(*) FROM metrics"), 2);
}

#[test]
fn all_statements_or_none() {
    let (place, mut writer, watched) = filled("DELETE");
    writer.run(
        "CREATE TRIGGER no BEFORE DELETE ON jobs BEGIN SELECT raise(ABORT, 'not this one'); END",
    );
    let order = order(&watched, Record::Forget);
    let error = watched.source.write(&order).unwrap_err().to_string();
    assert!(
        error.starts_with("forget 2 fails in ") && error.contains("not this one"),
        "{error}"
    );
    assert_eq!(count(&place, "SELECT count(*) FROM metrics"), 2);
    writer.run("DROP TRIGGER no");
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    assert_eq!(count(&place, "SELECT count(*) FROM metrics"), 1);
}

#[test]
fn a_busy_database_can_be_tried_again() {
    let (place, mut writer, watched) = filled("WAL");
    writer.run("BEGIN IMMEDIATE");
    let order = order(&watched, Record::Mark);
    let error = watched.source.write(&order).unwrap_err().to_string();
    assert!(error.contains("locked by another process"), "{error}");
    writer.run("ROLLBACK");
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    assert_eq!(count(&place, "SELECT count(data_cleaned_at) FROM jobs"), 1);
}

#[test]
fn writing_creates_no_database() {
    let place = Place::empty();
    let watched = Watched::start(place.options());
    let order = WriteBack {
        job: JobRow::new("a", Status::Failed),
        action: Record::Mark,
        now: Timestamp::from_unix_ms(0),
        summary: String::new(),
    };
    let error = watched.source.write(&order).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot mark job \"a\" in ") && error.contains("it does not exist"),
        "{error}"
    );
    assert!(!place.path.exists());
}
