//! Rows without an id that can be used.

use super::harness::{Place, Watched, Writer};
use crate::core::jobs::JobRow;
use crate::sources::options::SqliteOptions;

/// A table whose ids need not be there; `key` has it read in pages, or in one pass.
fn filled(key: &str) -> (Place, Writer, SqliteOptions) {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("PRAGMA journal_mode = WAL");
    writer.run(&format!(
        "CREATE TABLE jobs (id {key}, status, files, updated_at INTEGER DEFAULT 1);
         INSERT INTO jobs (id, status) VALUES ('a', 'running');"
    ));
    let mut options = place.options();
    options.queries.select = "SELECT id, status, files FROM jobs".to_owned();
    (place, writer, options)
}

fn unnamed(watched: &Watched) -> Option<JobRow> {
    watched.look(|table| table.row(JobRow::UNNAMED).cloned())
}

#[test]
fn rows_without_an_id_own_what_they_name() {
    for key in ["PRIMARY KEY", ""] {
        let (_place, mut writer, options) = filled(key);
        writer.run(
            "INSERT INTO jobs (id, status, files) VALUES (NULL, 'completed', 'x'), ('', 'failed', '[\"y\", \"x\"]'), (NULL, 'failed', NULL)",
        );
        let watched = Watched::loaded(options);
        let row = unnamed(&watched).unwrap();
        assert_eq!(
            (&*row.files, row.has_unread_files),
            (&["x".to_owned(), "y".to_owned()][..], false)
        );
        assert!(!row.status.is_over());
        writer.run("UPDATE jobs SET files = 'z' WHERE id = ''");
        watched.until("another file", |table| {
            table
                .row(JobRow::UNNAMED)
                .is_some_and(|row| row.files == ["x", "z"])
        });
        writer.run("DELETE FROM jobs WHERE id IS NOT 'a'");
        watched.until("gone", |table| table.ids() == ["a"]);
    }
}

#[test]
fn a_row_whose_id_cannot_be_read_may_own_any_file() {
    for key in ["PRIMARY KEY", ""] {
        for id in [
            "x'ff'",
            "2.5",
            "CAST(x'ff' AS TEXT)",
            "CAST(x'61ff' AS TEXT)",
        ] {
            let (_place, mut writer, options) = filled(key);
            writer.run(&format!("INSERT INTO jobs (id, status, files) VALUES ({id}, 'completed', 'x'), ('b', 'running', NULL)"));
            let watched = Watched::loaded(options);
            let row = unnamed(&watched).unwrap();
            assert_eq!(
                (&*row.files, row.has_unread_files),
                (&["x".to_owned()][..], true),
                "{id}"
            );
            assert_eq!(watched.look(|table| table.ids().len()), 3, "{id}");
            writer.run(&format!("DELETE FROM jobs WHERE id = {id}"));
            watched.until("gone", |table| table.ids() == ["a", "b"]);
        }
    }
}

#[test]
fn a_row_that_changes_is_reported_before_everything_is_read() {
    let (_place, mut writer, mut options) = filled("PRIMARY KEY");
    options.queries.changed = Some(
        "SELECT id, status, files, updated_at AS changed_at FROM jobs WHERE updated_at >= :since"
            .to_owned(),
    );
    let watched = Watched::loaded(options);
    writer.run(
        "INSERT INTO jobs VALUES (CAST(x'ff' AS TEXT), 'completed', 'x', CAST(x'ff' AS TEXT))",
    );
    watched.until("told", |table| {
        table
            .row(JobRow::UNNAMED)
            .is_some_and(|row| row.files == ["x"])
    });
    writer.run("INSERT INTO jobs VALUES ('b', 'running', NULL, CAST(x'ffff' AS TEXT))");
    watched.until("the next one", |table| table.row("b").is_some());
}
