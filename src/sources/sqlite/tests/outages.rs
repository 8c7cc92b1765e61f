//! Databases that are missing, locked, replaced, broken, or another one than was thought.

use super::harness::{Place, SCHEMA, Watched, Writer, eventually};
use crate::core::jobs::{JobChange, JobLookup};
use crate::sources::stats::SourceState;

fn is_down(watched: &Watched, with: &str) {
    watched.until(&format!("down with {with}"), |table| {
        table.down().is_some_and(|why| why.contains(with))
    });
}

#[test]
fn a_missing_database_is_awaited_and_never_created() {
    let place = Place::empty();
    let watched = Watched::start(place.options());
    is_down(&watched, "it does not exist");
    let why = watched.look(|table| table.down().unwrap().to_owned());
    assert!(why.contains(place.path.to_str().unwrap()), "{why}");
    assert_eq!(watched.source.stats().state, SourceState::Down { why });
    assert!(matches!(watched.source.fresh("a"), JobLookup::Unknown(_)));
    assert!(!watched.source.is_current());
    let files = std::fs::read_dir(place.dir.path()).unwrap().count();
    assert_eq!(files, 0, "something was created");
    // An empty file is a database without tables.
    let mut writer = Writer::open(&place.path);
    writer.run("PRAGMA journal_mode = WAL");
    is_down(&watched, "no such table: jobs");
    writer.run(SCHEMA);
    watched.until("loaded", |table| {
        table.ids() == ["a", "b"] && table.down().is_none()
    });
    assert_eq!(watched.source.stats().state, SourceState::Ready);
}

#[test]
fn a_missing_directory_is_awaited() {
    let place = Place::empty();
    let inner = place.dir.path().join("later");
    let mut options = place.options();
    options.path = inner.join("jobs.db");
    let watched = Watched::start(options);
    is_down(&watched, "it does not exist");
    std::fs::create_dir(&inner).unwrap();
    let mut writer = Writer::open(&inner.join("jobs.db"));
    writer.run(SCHEMA);
    watched.until("loaded", |table| table.ids() == ["a", "b"]);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test is the user who deletes a database"
)]
fn a_deleted_database_keeps_its_jobs_until_it_is_back() {
    let (place, writer) = Place::filled("DELETE");
    let watched = Watched::loaded(place.options());
    drop(writer);
    std::fs::remove_file(&place.path).unwrap();
    is_down(&watched, "it does not exist");
    watched.look(|table| assert_eq!(table.ids(), ["a", "b"]));
    assert!(matches!(watched.source.fresh("a"), JobLookup::Unknown(_)));
    let mut writer = Writer::open(&place.path);
    writer.run(SCHEMA);
    writer.run("DELETE FROM jobs WHERE id = 'a'");
    watched.until("back", |table| {
        table.ids() == ["b"] && table.down().is_none()
    });
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test is the user who replaces a database"
)]
fn a_replaced_database_is_read_anew() {
    let (place, _writer) = Place::filled("DELETE");
    let watched = Watched::loaded(place.options());
    eventually("current", || watched.source.is_current());
    for round in 0..3 {
        let other = place.dir.path().join("other");
        let mut writer = Writer::open(&other);
        writer.run(&format!(
            "CREATE TABLE jobs AS SELECT 'c{round}' AS id, 'running' AS status, NULL AS kind, NULL AS created_at,
             NULL AS completed_at, NULL AS data_cleaned_at"
        ));
        drop(writer);
        std::fs::rename(&other, &place.path).unwrap();
        let id = format!("c{round}");
        assert!(matches!(watched.source.fresh(&id), JobLookup::Row(_)));
        watched.until("the other", |table| table.ids() == [id.as_str()]);
        eventually("current", || watched.source.is_current());
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test is the user who replaces a database"
)]
fn what_is_no_database_is_reported() {
    let place = Place::empty();
    std::fs::write(
        &place.path,
        "these are notes about jobs, not jobs; ".repeat(100),
    )
    .unwrap();
    let watched = Watched::start(place.options());
    is_down(&watched, "it is not an SQLite database");
    let other = place.dir.path().join("other");
    Writer::open(&other).run(SCHEMA);
    std::fs::rename(&other, &place.path).unwrap();
    watched.until("loaded", |table| table.ids() == ["a", "b"]);
}

#[test]
fn a_lock_is_waited_for() {
    let (place, mut writer) = Place::filled("DELETE");
    writer.run("BEGIN EXCLUSIVE; DELETE FROM jobs WHERE id = 'a'");
    let watched = Watched::start(place.options());
    is_down(&watched, "locked by another process");
    assert!(matches!(watched.source.fresh("a"), JobLookup::Unknown(why) if why.contains("locked")));
    assert!(!watched.source.is_current());
    writer.run("COMMIT");
    watched.until("loaded", |table| table.ids() == ["b"]);
    // A lock that comes and goes in between is not worth a word.
    let downs = |watched: &Watched| {
        let is_down = |news: &&JobChange| matches!(news, JobChange::Down { .. });
        watched.look(|table| table.told.iter().filter(is_down).count())
    };
    let before = downs(&watched);
    writer.run("BEGIN EXCLUSIVE; INSERT INTO jobs (id, status) VALUES ('c', 'failed')");
    writer.run("COMMIT");
    watched.until("read", |table| table.ids() == ["b", "c"]);
    assert_eq!(downs(&watched), before);
}

#[test]
fn a_schema_that_does_not_fit_names_the_column() {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run(
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, status); INSERT INTO jobs VALUES ('a', 'failed')",
    );
    let watched = Watched::start(place.options());
    is_down(
        &watched,
        "select: no such column: kind\n  table jobs has id, status",
    );
    for column in ["kind", "created_at", "completed_at", "data_cleaned_at"] {
        writer.run(&format!("ALTER TABLE jobs ADD COLUMN {column}"));
    }
    watched.until("loaded", |table| table.ids() == ["a"]);
    writer.run("ALTER TABLE jobs RENAME COLUMN kind TO sort");
    is_down(&watched, "no such column: kind");
    watched.look(|table| assert_eq!(table.ids(), ["a"]));
    writer.run("ALTER TABLE jobs RENAME COLUMN sort TO kind");
    watched.until("back", |table| table.down().is_none());
}
