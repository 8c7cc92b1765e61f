//! Columns that a table lacks and is to have.

use super::harness::{Place, Watched, Writer, check};
use crate::core::jobs::JobRow;
use crate::core::policy::Record;
use crate::core::time::Timestamp;
use crate::sources::options::SqliteOptions;
use crate::sources::write_back::{WriteBack, WriteOutcome};

/// As applications make their tables before anybody cleans up after them.
fn without(journal: &str) -> (Place, Writer, SqliteOptions) {
    let (place, mut writer) = Place::filled(journal);
    writer.run("ALTER TABLE jobs DROP COLUMN data_cleaned_at");
    writer.run("ALTER TABLE jobs DROP COLUMN summary");
    let mut options = place.options();
    options.queries.mark = vec![
        "UPDATE jobs SET data_cleaned_at = :now, summary = :summary WHERE id = :job".to_owned(),
    ];
    options.queries.forget = vec!["DELETE FROM jobs WHERE id = :job".to_owned()];
    options.add_columns = ["data_cleaned_at", "summary"]
        .map(|column| {
            let key = ("jobs".to_owned(), column.to_owned());
            (key, "TIMESTAMP".to_owned())
        })
        .into();
    (place, writer, options)
}

fn columns(place: &Place) -> Vec<String> {
    let connection = rusqlite::Connection::open(&place.path).unwrap();
    let mut statement = connection
        .prepare("SELECT name FROM pragma_table_info('jobs')")
        .unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

fn order(job: JobRow, action: Record) -> WriteBack {
    WriteBack {
        job,
        action,
        now: Timestamp::from_unix_ms(1_700_000_000_000),
        summary: "3 files".to_owned(),
    }
}

#[test]
fn they_read_as_null_and_come_with_the_first_mark() {
    for journal in ["WAL", "DELETE"] {
        let (place, mut writer, options) = without(journal);
        let before = columns(&place);
        check(&options).unwrap();
        let watched = Watched::loaded(options.clone());
        assert_eq!(watched.look(|table| table.rows.len()), 2);
        let a = watched.look(|table| table.row("a").unwrap().clone());
        assert_eq!(a.moments.cleaned_at, None);
        let stale = JobRow {
            kind: Some("another".to_owned()),
            ..a.clone()
        };
        let answer = watched.source.write(&order(stale, Record::Mark)).unwrap();
        assert!(matches!(answer, WriteOutcome::Changed { .. }), "{answer:?}");
        assert_eq!(columns(&place), before, "nothing was written yet");

        // Forgetting a row notes nothing in it.
        writer.run("INSERT INTO jobs (id, status) VALUES ('c', 'failed')");
        watched.until("told of c", |table| table.row("c").is_some());
        let c = watched.look(|table| table.row("c").unwrap().clone());
        let answer = watched.source.write(&order(c, Record::Forget)).unwrap();
        assert_eq!(answer, WriteOutcome::Done);
        assert_eq!(columns(&place), before);

        let answer = watched.source.write(&order(a, Record::Mark)).unwrap();
        assert_eq!(answer, WriteOutcome::Done);
        assert!(columns(&place).contains(&"data_cleaned_at".to_owned()));
        watched.until("told that a was cleaned", |table| {
            table.row("a").unwrap().moments.cleaned_at.is_some()
        });
        // Whoever opens it anew finds them there.
        check(&options).unwrap();
        let again = Watched::loaded(options);
        assert!(again.look(|table| table.row("a").unwrap().moments.cleaned_at.is_some()));
    }
}

#[test]
fn columns_are_read_when_another_adds_them_first() {
    let (_place, mut writer, options) = without("WAL");
    let watched = Watched::loaded(options);
    writer.run("ALTER TABLE jobs ADD COLUMN data_cleaned_at TEXT");
    writer.run("UPDATE jobs SET data_cleaned_at = '2026-01-02 03:04:05' WHERE id = 'a'");
    watched.until("told what stands in them", |table| {
        table.row("a").unwrap().moments.cleaned_at.is_some()
    });
}

#[test]
fn without_being_asked_for_them_nothing_is_added() {
    let (place, _writer, mut options) = without("WAL");
    let before = columns(&place);
    options.add_columns.clear();
    let error = check(&options).unwrap_err();
    assert!(error.contains("data_cleaned_at"), "{error}");
    let watched = Watched::start(options);
    watched.until("told", |table| table.down().is_some());
    assert_eq!(columns(&place), before);
}
