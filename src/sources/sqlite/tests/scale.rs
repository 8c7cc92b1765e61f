//! Large tables: read in pages, so that others can write.

use super::harness::{Place, Watched, Writer, database};
use crate::core::jobs::{JobChange, RowDiff, SourceUpdate};
use crate::sources::change_signal::ChangeSignal;
use crate::sources::error::Fault;
use crate::sources::known_jobs::KnownJobs;
use crate::sources::publisher::ChangePublisher;
use crate::sources::reading::Reading;
use crate::sources::snapshot_diff::ScanStrategy;
use crate::sources::sqlite::lock_pace::{LockPace, PAGE};
use crate::sources::sqlite::queries::strategy;
use crate::sources::sqlite::reader::SqliteReader;
use crate::sources::sqlite::row::OwnedValue;
use crate::sources::sqlite::{copy, open};
use crate::sources::tests::reports::SOURCE;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const UPDATE: &str =
    "UPDATE jobs SET kind = random() WHERE id = '00000000-0000-4000-8000-000000000000'";

fn fill(writer: &mut Writer, jobs: u64) {
    writer.run(&format!(
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, status, kind, created_at, completed_at, data_cleaned_at);
         INSERT INTO jobs (id, status, created_at)
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {jobs})
         SELECT printf('%08d-0000-4000-8000-000000000000', i), 'completed', '2026-01-01 00:00:00' FROM n;"
    ));
}

/// Reads `jobs` jobs while another process commits, whenever some were told. A writer with a
/// rollback journal gets through only when nobody reads: the telling waits for it, so a read
/// transaction across it would wait for ever.
fn read_while_another_commits(jobs: u64) {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("PRAGMA journal_mode = DELETE");
    fill(&mut writer, jobs);
    let writer = Arc::new(parking_lot::Mutex::new(writer));
    let (commits, loads) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let rows = Arc::new(AtomicU64::new(0));
    let tell = {
        let (writer, commits, loads, rows) = (
            Arc::clone(&writer),
            Arc::clone(&commits),
            Arc::clone(&loads),
            Arc::clone(&rows),
        );
        move |news: crate::core::jobs::SourceUpdate| {
            for news in news.news {
                match news {
                    JobChange::Rows(told) if loads.load(Ordering::SeqCst) == 0 => {
                        rows.fetch_add(told.len() as u64, Ordering::SeqCst);
                        writer.lock().run(UPDATE);
                        commits.fetch_add(1, Ordering::SeqCst);
                    }
                    JobChange::Loaded { .. } => {
                        loads.fetch_add(1, Ordering::SeqCst);
                    }
                    JobChange::Rows(_)
                    | JobChange::Gone(_)
                    | JobChange::Stale
                    | JobChange::Down { .. } => {}
                }
            }
        }
    };
    let table = Arc::default();
    let view = super::harness::view(&table);
    let source = super::harness::start(place.options(), view, Arc::new(tell));
    super::harness::eventually("loaded", || loads.load(Ordering::SeqCst) > 0);
    assert_eq!(rows.load(Ordering::SeqCst), jobs);
    assert!(commits.load(Ordering::SeqCst) >= jobs.div_ceil(PAGE as u64));
    source.stop();
}

/// `LAPSED_SOURCE_JOBS` is the number of jobs (default: 6,000).
#[test]
fn a_writer_gets_through_while_many_are_read() {
    let jobs = std::env::var("LAPSED_SOURCE_JOBS").map_or(6000, |jobs| jobs.parse().unwrap());
    read_while_another_commits(jobs);
}

/// An application that waits for no lock updates a row again and again while its table is read.
/// Returns how many updates were made, and how many failed: their number does not depend on the
/// machine's speed as times do.
fn updates_while_read(place: &Place, select: Option<&str>, jobs: usize) -> (u32, u32) {
    let loaded = Arc::new(AtomicBool::new(false));
    let application = {
        let connection = rusqlite::Connection::open(&place.path).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        connection
            .pragma_update(None, "synchronous", "off")
            .unwrap();
        let loaded = Arc::clone(&loaded);
        move || {
            let (mut done, mut failed) = (0_u32, 0_u32);
            while !loaded.load(Ordering::SeqCst) {
                match connection.execute(UPDATE, []) {
                    Ok(_) => done += 1,
                    Err(_) => failed += 1,
                }
            }
            (done, failed)
        }
    };
    let application = std::thread::spawn(application);
    let mut options = place.options();
    if let Some(select) = select {
        select.clone_into(&mut options.queries.select);
    }
    let watched = Watched::loaded(options);
    loaded.store(true, Ordering::SeqCst);
    assert_eq!(watched.look(|table| table.rows.len()), jobs);
    application.join().unwrap()
}

#[test]
fn a_writer_without_a_busy_timeout_seldom_fails() {
    const JOBS: usize = 3000;
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("PRAGMA journal_mode = DELETE");
    // What stands before the status has to be passed over in the file: most of the time goes into
    // the transaction.
    writer.run(&format!(
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, content, status, kind, created_at, completed_at, data_cleaned_at);
         INSERT INTO jobs (id, content, status)
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {JOBS})
         SELECT printf('%08d-0000-4000-8000-000000000000', i), zeroblob(12000), 'running' FROM n;"
    ));
    let (done, failed) = updates_while_read(&place, None, JOBS);
    // A hundredth or so; without the rests an eighth at least.
    assert!(failed <= done / 12, "{failed} failed, {done} did not");
}

/// The statement takes a second or so, and gives its rows in no order that pages could follow.
#[test]
fn a_long_statement_locks_no_writer_out() {
    const SELECT: &str = "SELECT 'x' || id AS id, status, (
        WITH RECURSIVE n(i) AS (SELECT jobs.rowid UNION ALL SELECT i + 1 FROM n WHERE i < jobs.rowid + 2000)
        SELECT max(i) FROM n) AS kind FROM jobs";
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("PRAGMA journal_mode = DELETE");
    fill(&mut writer, 1000);
    let (done, failed) = updates_while_read(&place, Some(SELECT), 1000);
    // It is locked while the file is copied; else for as long as the statement takes, so nothing is
    // done.
    assert!(failed <= done / 12, "{failed} failed, {done} did not");
}

#[test]
fn a_copy_has_the_columns_that_are_to_be_added_and_pages_of_any_size() {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("PRAGMA page_size = 8192; PRAGMA journal_mode = DELETE");
    fill(&mut writer, 3000);
    let mut options = place.options();
    let key = ("jobs".to_owned(), "cleaned_at".to_owned());
    options.add_columns.insert(key, "TEXT".to_owned());
    let (connection, _) = open::to_read(&options, Duration::ZERO).unwrap();
    let signal = ChangeSignal::default();
    let mut locks = LockPace::default();
    let copy = copy::of(&connection, &options.add_columns, &mut locks, &signal);
    let copy = copy.unwrap().expect("it is small");
    let count = "SELECT count(*) FROM jobs WHERE cleaned_at IS NULL";
    let rows: u64 = copy.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 3000);
}

/// So many that each query for changes gives, and more than are kept in memory: the first ones are
/// told while the query is still under way.
#[test]
fn of_many_changes_not_all_are_kept_until_the_last_is_read() {
    const JOBS: u64 = 25_000;
    const CHANGED: &str = "SELECT id, status, 1 AS changed_at FROM jobs WHERE 1 >= :since";
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    fill(&mut writer, JOBS);
    let mut options = place.options();
    options.queries.changed = Some(CHANGED.to_owned());
    let opened = open::to_read(&options, Duration::ZERO).unwrap();
    let shared = database(&options);
    let visited = Arc::new(AtomicU64::new(0));
    let (early, late) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let told = [&visited, &early, &late].map(Arc::clone);
    let tell = move |news: SourceUpdate| {
        let [visited, early, late] = &told;
        let is_under_way = visited.load(Ordering::SeqCst) < JOBS;
        let count = if is_under_way { early } else { late };
        for news in news.news {
            match news {
                JobChange::Rows(rows) => count.fetch_add(rows.len() as u64, Ordering::SeqCst),
                other => panic!("{other:?}"),
            };
        }
    };
    let counts = Arc::clone(&visited);
    let view = KnownJobs {
        known: Arc::new(move |_| {
            counts.fetch_add(1, Ordering::SeqCst);
            RowDiff::New
        }),
        ..super::harness::view(&Arc::default())
    };
    let context = Arc::clone(&shared.context);
    let mut reading = Reading {
        driver: &mut SqliteReader::over(shared, opened, Some(OwnedValue::Integer(0))),
        context: &context,
        view: &view,
        publisher: &mut ChangePublisher::new(Arc::new(tell), SOURCE),
    };
    assert_eq!(reading.changes().unwrap(), JOBS);
    let told = [early, late].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(told, [20_000, 5000]);
}

#[test]
fn what_is_gone_of_many_is_reported_in_slices() {
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    // With a rollback journal each look for one that is gone would call for a rest.
    writer.run("PRAGMA journal_mode = WAL");
    fill(&mut writer, 12_000);
    let watched = Watched::loaded(place.options());
    assert_eq!(watched.look(|table| table.rows.len()), 12_000);
    writer.run("DELETE FROM jobs WHERE id >= '00005000'; UPDATE jobs SET status = 'failed' WHERE id < '00000010'");
    watched.until("read", |table| {
        table.rows.len() == 5000
            && table
                .told
                .iter()
                .any(|news| matches!(news, JobChange::Rows(rows) if rows.len() == 10))
    });
}

#[test]
fn pages_need_an_index() {
    let (place, mut writer) = Place::filled("DELETE");
    writer.run("CREATE VIEW both AS SELECT id, status FROM jobs UNION ALL SELECT job_id, 'failed' FROM metrics");
    let way_of = |select: &str| -> Result<ScanStrategy, Fault> {
        let mut queries = place.options().queries;
        select.clone_into(&mut queries.select);
        let (connection, _) = open::to_read(&place.options(), Duration::ZERO)?;
        strategy(&connection, &queries)
    };
    for (select, expected) in [
        ("SELECT id, status FROM jobs", ScanStrategy::Paged),
        ("SELECT rowid AS id, status FROM jobs", ScanStrategy::Paged),
        (
            "SELECT id, status FROM jobs ORDER BY created_at",
            ScanStrategy::Paged,
        ),
        (
            "SELECT id, status, (SELECT count(*) FROM metrics WHERE job_id = id) AS n FROM jobs",
            ScanStrategy::SinglePass,
        ),
        (
            "SELECT job_id AS id, 'failed' AS status FROM metrics",
            ScanStrategy::SinglePass,
        ),
        (
            "SELECT 'x' || id AS id, status FROM jobs",
            ScanStrategy::SinglePass,
        ),
        ("SELECT id, status FROM both", ScanStrategy::SinglePass),
        (
            "SELECT kind AS id, status FROM jobs GROUP BY kind",
            ScanStrategy::SinglePass,
        ),
    ] {
        assert_eq!(way_of(select).unwrap(), expected, "{select}");
    }
}
