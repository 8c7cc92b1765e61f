//! Meaning of the columns of a row.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use super::harness::{Place, Writer, database};
use crate::core::jobs::{JobLookup, JobRow, Status};
use crate::sources::driver::Driver;
use crate::sources::options::SqliteOptions;

const SELECT: &str =
    "SELECT id, status, kind, created_at, expires_at, files, error, extra, amount, raw FROM jobs";

/// Writer of a test's log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn filled() -> (Place, Writer, SqliteOptions) {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("CREATE TABLE jobs (id PRIMARY KEY, status, kind, created_at, expires_at, files, error, extra, amount, raw)");
    let mut options = place.options();
    options.queries.select = SELECT.to_owned();
    (place, writer, options)
}

fn ask(options: &SqliteOptions) -> impl Fn(&str) -> JobRow + use<> {
    let lookups = database(options);
    move |id| match lookups.fresh(id) {
        JobLookup::Row(row) => *row,
        other => panic!("{id}: {other:?}"),
    }
}

#[test]
fn every_column_is_read() {
    let (_place, mut writer, mut options) = filled();
    options.queries.timezones = [("created_at".to_owned(), "Europe/Berlin".to_owned())].into();
    writer.run(
        "INSERT INTO jobs VALUES ('j', 'COMPLETED', 'sol', '2026-07-01 12:00:00', 1700000000, 'dem.tif', 'why', 'x', 2.5, x'00')",
    );
    let row = ask(&options)("j");
    assert_eq!(row.status, Status::Completed);
    assert_eq!(row.kind.as_deref(), Some("sol"));
    assert_eq!(row.error.as_deref(), Some("why"));
    assert_eq!(row.files, ["dem.tif"]);
    let created = row.moments.created_at.unwrap().to_string();
    assert_eq!(created, "2026-07-01T10:00:00.000Z");
    let expires = row.moments.expires_at.unwrap();
    assert_eq!(expires.unix_ms(), 1_700_000_000_000);
    assert_eq!(
        serde_json::to_value(&row.attributes).unwrap(),
        json!({"extra": "x", "amount": 2.5, "raw": null})
    );
    assert_eq!(row.unreadable, None);
}

#[test]
fn files_are_one_name_or_a_list() {
    let (_place, mut writer, options) = filled();
    for (id, files) in [
        ("none", "NULL"),
        ("empty", "''"),
        ("one", "'../../etc/passwd'"),
        ("list", "'[\"a b\", \"\", \"c/d\"]'"),
        ("bracket", "'[draft'"),
        ("mixed", "'[\"a\", 1]'"),
        ("blob", "x'61'"),
    ] {
        writer.run(&format!(
            "INSERT INTO jobs (id, status, files) VALUES ('{id}', 'failed', {files})"
        ));
    }
    let ask = ask(&options);
    assert_eq!(ask("none").files, [""; 0]);
    assert_eq!(ask("empty").files, [""; 0]);
    assert_eq!(ask("one").files, ["../../etc/passwd"]);
    assert_eq!(ask("list").files, ["a b", "c/d"]);
    assert_eq!(ask("bracket").files, ["[draft"]);
    for id in ["mixed", "blob"] {
        let why = ask(id).unreadable.unwrap();
        assert!(why.starts_with("column files: "), "{why}");
    }
}

#[test]
fn unreadable_times_and_unknown_words_hold_and_are_said_once() {
    let (_place, mut writer, mut options) = filled();
    options.queries.statuses = [
        ("done".to_owned(), Status::Completed),
        ("failed".to_owned(), Status::Cancelled),
    ]
    .into();
    writer.run(
        "INSERT INTO jobs (id, status, created_at) VALUES (1, 'done', 'yesterday'), (2, 'failed', 'tomorrow'),
         (3, 'odd', NULL), (4, 'odd', NULL), (5, NULL, NULL), (6, ' Failed', NULL)",
    );
    let log = Log::default();
    let subscriber = {
        let log = log.clone();
        tracing_subscriber::fmt()
            .with_writer(move || log.clone())
            .with_ansi(false)
            .finish()
    };
    let rows = tracing::subscriber::with_default(subscriber, || {
        let ask = ask(&options);
        ["1", "2", "3", "4", "5", "6", "1", "3"].map(ask)
    });
    assert_eq!(rows[0].status, Status::Completed);
    assert_eq!(
        rows[0].unreadable.as_deref(),
        Some("column created_at: \"yesterday\"")
    );
    assert_eq!(rows[1].status, Status::Cancelled);
    assert_eq!(rows[2].status, Status::Running);
    assert_eq!(rows[2].unknown_status.as_deref(), Some("odd"));
    assert_eq!(rows[4].unknown_status.as_deref(), Some(""));
    assert_eq!(
        (rows[5].status, &rows[5].unknown_status),
        (Status::Failed, &None)
    );
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert_eq!(log.matches("status=\"odd\"").count(), 1, "{log}");
    assert_eq!(log.matches("a value cannot be read").count(), 1, "{log}");
}

#[test]
fn another_spelling_of_an_id_is_not_none() {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("CREATE TABLE jobs (id TEXT COLLATE NOCASE PRIMARY KEY, status)");
    writer.run("INSERT INTO jobs VALUES ('abc', 'running')");
    let mut options = place.options();
    options.queries.select = "SELECT id, status FROM jobs".to_owned();
    let lookups = database(&options);
    assert!(matches!(lookups.fresh("abc"), JobLookup::Row(_)));
    let fresh = lookups.fresh("ABC");
    assert!(
        matches!(&fresh, JobLookup::Unknown(why) if why.starts_with("it has that job as \"abc\"")),
        "{fresh:?}"
    );
    assert_eq!(lookups.fresh("abd"), JobLookup::Gone);
    // As some libraries keep UUIDs in SQLite.
    writer.run("INSERT INTO jobs VALUES ('4f2b0c9e00004000800000000000beef', 'running')");
    let fresh = lookups.fresh("4f2b0c9e-0000-4000-8000-00000000beef");
    assert!(
        matches!(&fresh, JobLookup::Unknown(why) if why.contains("4f2b0c9e00004000800000000000beef")),
        "{fresh:?}"
    );
    let none = lookups.fresh("5f2b0c9e-0000-4000-8000-00000000beef");
    assert_eq!(none, JobLookup::Gone);
}

#[test]
fn one_status_can_stand_for_all() {
    let (_place, mut writer, mut options) = filled();
    options.queries.select = "SELECT id FROM jobs".to_owned();
    options.queries.constant_status = Some(Status::Failed);
    writer.run("INSERT INTO jobs (id) VALUES (1)");
    assert_eq!(ask(&options)("1"), JobRow::new("1", Status::Failed));
}

#[test]
fn a_text_that_is_not_utf8_is_unreadable() {
    let (_place, mut writer, options) = filled();
    writer.run(
        "INSERT INTO jobs (id, status, kind) VALUES ('kind', 'failed', CAST(x'66ff' AS TEXT));
         INSERT INTO jobs (id, status, created_at) VALUES ('created', 'failed', CAST(x'66ff' AS TEXT));
         INSERT INTO jobs (id, status, files) VALUES ('files', 'failed', CAST(x'66ff' AS TEXT));
         INSERT INTO jobs (id, status, extra) VALUES ('extra', 'failed', CAST(x'66ff' AS TEXT));
         INSERT INTO jobs (id, status) VALUES ('status', CAST(x'66ff' AS TEXT));",
    );
    let ask = ask(&options);
    for (id, column) in [
        ("kind", "kind"),
        ("created", "created_at"),
        ("files", "files"),
    ] {
        let why = ask(id).unreadable.unwrap();
        assert!(why.starts_with(&format!("column {column}: ")), "{why}");
    }
    assert_eq!(ask("extra").unreadable, None);
    assert_eq!(ask("status").status, Status::Running);
}

#[test]
fn a_row_with_an_id_of_another_type_is_not_none() {
    let (_place, mut writer, options) = filled();
    writer.run("DROP TABLE jobs; CREATE TABLE jobs (id REAL PRIMARY KEY, status, kind, created_at, expires_at, files, error, extra, amount, raw)");
    writer.run("INSERT INTO jobs (id, status) VALUES (7, 'running')");
    let lookups = database(&options);
    assert!(matches!(lookups.fresh("7"), JobLookup::Unknown(_)));
    assert_eq!(lookups.fresh("8"), JobLookup::Gone);
}
