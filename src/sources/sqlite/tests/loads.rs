//! Reports of what is there, and of what changes.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::harness::{Place, Watched, Writer, database, eventually, view};
use crate::core::jobs::{JobChange, JobLookup, JobRow, SourceUpdate, Status};
use crate::sources::publisher::ChangePublisher;
use crate::sources::reading::Reading;
use crate::sources::snapshot_diff::ScanStrategy;
use crate::sources::sqlite::open;
use crate::sources::sqlite::reader::SqliteReader;
use crate::sources::stats::SourceState;
use crate::sources::tests::reports::SOURCE;

const JOURNALS: [&str; 6] = ["WAL", "DELETE", "TRUNCATE", "PERSIST", "MEMORY", "OFF"];

#[test]
fn what_is_there_is_reported_first() {
    let (place, _writer) = Place::filled("WAL");
    let watched = Watched::loaded(place.options());
    watched.look(|table| {
        assert_eq!(table.ids(), ["a", "b"]);
        assert_eq!(table.row("a").unwrap().status, Status::Completed);
        assert_eq!(table.told.last(), Some(&JobChange::Loaded { jobs: 2 }));
    });
    let stats = watched.source.stats();
    assert_eq!(
        (stats.state, stats.jobs, stats.reads),
        (SourceState::Ready, 2, 1)
    );
    assert!(stats.last_read_at.is_some() && stats.last_read_took.is_some());
    eventually("current", || watched.source.is_current());
}

#[test]
fn changes_are_noticed_with_every_journal() {
    for journal in JOURNALS {
        let (place, mut writer) = Place::filled(journal);
        let watched = Watched::loaded(place.options());
        for round in 0..5 {
            writer.run(&format!(
                "UPDATE jobs SET kind = 'round {round}' WHERE id = 'a';
                 INSERT INTO jobs (id, status) VALUES ('new {round}', 'pending');"
            ));
            let kind = format!("round {round}");
            watched.until(&format!("{kind} with {journal}"), |table| {
                table.row("a").unwrap().kind.as_deref() == Some(&kind)
                    && table.row(&format!("new {round}")).is_some()
            });
        }
        writer.run("DELETE FROM jobs WHERE id <> 'b'");
        watched.until("gone", |table| table.ids() == ["b"]);
        eventually("current", || watched.source.is_current());
    }
}

#[test]
fn a_table_without_an_index_is_read_in_one_pass() {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("CREATE TABLE jobs (id, status); INSERT INTO jobs VALUES (1, 'failed'), ('x', 'failed'), (NULL, 'failed'), (x'00', 'failed');");
    let mut options = place.options();
    options.queries.select = "SELECT id, status FROM jobs".to_owned();
    let watched = Watched::loaded(options);
    watched.look(|table| assert_eq!(table.ids(), [JobRow::UNNAMED, "1", "x"]));
    writer.run(
        "DELETE FROM jobs WHERE id = 1; INSERT INTO jobs VALUES ('x', 'running'), ('y', 'failed')",
    );
    watched.until("read", |table| table.ids() == [JobRow::UNNAMED, "x", "y"]);
    // Two rows of one id that say two things are no answer.
    let JobLookup::Unknown(why) = watched.source.fresh("x") else {
        panic!("an answer");
    };
    assert!(why.contains("several rows have the id \"x\""), "{why}");
    assert_eq!(watched.source.fresh("1"), JobLookup::Gone);
}

#[test]
fn computed_ids_are_found() {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("CREATE TABLE jobs (n INTEGER PRIMARY KEY, status); INSERT INTO jobs VALUES (1, 'failed'), (2, 'failed')");
    for (select, id) in [
        ("SELECT n AS id, status FROM jobs; ", "2"),
        ("SELECT n + 0 AS ID, status AS STATUS FROM jobs -- all", "2"),
        ("SELECT 'job-' || n AS id, status FROM jobs", "job-2"),
    ] {
        let mut options = place.options();
        options.queries.select = select.to_owned();
        let watched = Watched::loaded(options);
        assert!(watched.look(|table| table.row(id).is_some()), "{select}");
        let fresh = watched.source.fresh(id);
        assert!(
            matches!(fresh, JobLookup::Row(row) if row.id == id),
            "{select}"
        );
        assert_eq!(watched.source.fresh("3"), JobLookup::Gone);
    }
}

#[test]
fn a_fresh_row_is_as_it_is_now() {
    let (place, mut writer) = Place::filled("WAL");
    let watched = Watched::loaded(place.options());
    for status in ["failed", "running", "completed"] {
        writer.run(&format!(
            "UPDATE jobs SET status = '{status}' WHERE id = 'a'"
        ));
        let fresh = watched.source.fresh("a");
        assert!(matches!(fresh, JobLookup::Row(row) if row.status.as_str() == status));
    }
    writer.run("BEGIN; DELETE FROM jobs WHERE id = 'a'");
    assert!(matches!(watched.source.fresh("a"), JobLookup::Row(_)));
    writer.run("COMMIT");
    assert_eq!(watched.source.fresh("a"), JobLookup::Gone);
}

#[test]
fn it_is_not_current_until_a_change_was_read() {
    let (place, mut writer) = Place::filled("DELETE");
    let watched = Watched::loaded(place.options());
    eventually("current", || watched.source.is_current());
    for _ in 0..20 {
        writer.run("UPDATE jobs SET summary = random()");
        let reads = watched.source.stats().reads;
        if watched.source.is_current() {
            assert!(watched.source.stats().reads >= reads);
        }
        eventually("current", || watched.source.is_current());
        assert!(watched.source.stats().reads > 1);
    }
}

#[test]
fn with_changes_only_those_are_read_and_what_is_gone_later() {
    let (place, mut writer) = Place::filled("WAL");
    let mut options = place.options();
    let changed = "SELECT id, status, kind, created_at, completed_at, data_cleaned_at AS cleaned_at, updated_at AS changed_at
        FROM jobs WHERE updated_at >= :since";
    options.queries.changed = Some(changed.to_owned());
    let watched = Watched::loaded(options);
    for round in 3..8 {
        writer.run(&format!(
            "UPDATE jobs SET kind = '{round}', updated_at = {round} WHERE id = 'b'"
        ));
        watched.until("changed", |table| {
            table.row("b").unwrap().kind.as_deref() == Some(&round.to_string())
        });
    }
    assert!(watched.source.stats().reads_of_changes > 0);
    writer.run("DELETE FROM jobs WHERE id = 'a'");
    watched.until("gone", |table| table.ids() == ["b"]);
    eventually("current", || watched.source.is_current());
}

#[test]
fn stopping_ends_the_telling() {
    let (place, mut writer) = Place::filled("WAL");
    let watched = Watched::loaded(place.options());
    watched.source.stop();
    let told = watched.look(|table| table.told.len());
    writer.run("DELETE FROM jobs");
    assert_eq!(watched.source.fresh("a"), JobLookup::Gone);
    assert_eq!(watched.look(|table| table.told.len()), told);
}

#[test]
fn a_link_to_a_database_is_followed() {
    let (place, mut writer) = Place::filled("WAL");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut options = place.options();
    options.path = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(&place.path, &options.path).unwrap();
    let watched = Watched::loaded(options);
    writer.run("DELETE FROM jobs WHERE id = 'a'");
    watched.until("read", |table| table.ids() == ["b"]);
}

#[test]
fn news_that_are_taken_in_late_are_waited_for() {
    let (place, mut writer) = Place::filled("WAL");
    let watched = Watched::start_late(place.options(), Duration::from_millis(5));
    watched.until("loaded", |table| table.loads() > 0);
    for round in 0..20 {
        // Each round takes back what the one before did, while the news of that are still on their
        // way.
        writer.run(
            "DELETE FROM jobs WHERE id = 'a'; INSERT INTO jobs (id, status) VALUES ('c', 'failed')",
        );
        if round % 2 == 0 {
            watched.until("told", |table| table.row("c").is_some());
        }
        writer.run("INSERT OR IGNORE INTO jobs (id, status) VALUES ('a', 'pending'); DELETE FROM jobs WHERE id = 'c'");
    }
    watched.until("as it is", |table| table.ids() == ["a", "b"]);
    eventually("current", || watched.source.is_current());
    watched.until("as it is", |table| {
        table.ids() == ["a", "b"] && table.row("a").unwrap().status == Status::Pending
    });
}

/// The writer that locks the reader of the test below out, and how often the reader has met the
/// lock.
static LOCK: Mutex<(Option<Writer>, u32)> = Mutex::new((None, 0));

#[test]
fn a_writer_in_the_midst_of_a_reading_delays_a_page_and_not_all_of_it() {
    /// The reader gives up at once, and the writer commits when it has done so three times.
    fn on_busy(_: i32) -> bool {
        let (writer, times) = &mut *LOCK.lock();
        *times += 1;
        if *times == 3
            && let Some(mut writer) = writer.take()
        {
            writer.run("COMMIT");
        }
        false
    }
    let (place, mut writer) = Place::filled("DELETE");
    writer.run(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 600)
         INSERT INTO jobs (id, status) SELECT 'job' || n, 'running' FROM n",
    );
    let options = place.options();
    let (connection, identity) = open::to_read(&options, Duration::ZERO).unwrap();
    connection.busy_handler(Some(on_busy)).unwrap();
    let writer = Mutex::new(Some(writer));
    let told = Arc::new(Mutex::new(0));
    let counts = Arc::clone(&told);
    let tell = move |news: SourceUpdate| {
        if let Some(mut writer) = writer.lock().take() {
            writer.run("BEGIN EXCLUSIVE");
            LOCK.lock().0 = Some(writer);
        }
        for news in news.news {
            if let JobChange::Rows(rows) = news {
                *counts.lock() += rows.len();
            }
        }
    };
    let shared = database(&options);
    let context = Arc::clone(&shared.context);
    let mut reading = Reading {
        driver: &mut SqliteReader::over(shared, (connection, identity), None),
        context: &context,
        view: &view(&Arc::default()),
        publisher: &mut ChangePublisher::new(Arc::new(tell), SOURCE),
    };
    assert_eq!(reading.all(ScanStrategy::Paged, true).unwrap(), 602);
    assert_eq!(*told.lock(), 602);
    assert!(LOCK.lock().1 >= 3);
}
