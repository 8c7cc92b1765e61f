//! Large tables: read in pages, so that others can write.

use super::harness::{Place, Watched, Writer};
use crate::core::jobs::News;
use crate::jobs::snapshot_diff::ScanStrategy;
use crate::jobs::sqlite::error::Fault;
use crate::jobs::sqlite::lock_pace::PAGE;
use crate::jobs::sqlite::open;
use crate::jobs::sqlite::read::strategy;
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

/// Reads `jobs` jobs while another process commits, whenever some were told. A writer with a rollback journal gets through
/// only when nobody reads: the telling waits for it, so a read transaction across it would wait for ever.
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
        move |news: crate::core::jobs::SourceNews| {
            for news in news.news {
                match news {
                    News::Rows(told) if loads.load(Ordering::SeqCst) == 0 => {
                        rows.fetch_add(told.len() as u64, Ordering::SeqCst);
                        writer.lock().run(UPDATE);
                        commits.fetch_add(1, Ordering::SeqCst);
                    }
                    News::Loaded { .. } => {
                        loads.fetch_add(1, Ordering::SeqCst);
                    }
                    News::Rows(_) | News::Gone(_) | News::Stale | News::Down { .. } => {}
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

/// An application that waits for no lock updates a row again and again while its table is read. How many updates
/// fail is counted, not how long they take.
#[test]
fn a_writer_without_a_busy_timeout_seldom_fails() {
    const JOBS: usize = 3000;
    let place = Place::empty();
    let mut writer = Writer::open(&place.path);
    writer.run("PRAGMA journal_mode = DELETE");
    // What stands before the status has to be passed over in the file: most of the time goes into the transaction.
    writer.run(&format!(
        "CREATE TABLE jobs (id TEXT PRIMARY KEY, content, status, kind, created_at, completed_at, data_cleaned_at);
         INSERT INTO jobs (id, content, status)
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {JOBS})
         SELECT printf('%08d-0000-4000-8000-000000000000', i), zeroblob(12000), 'running' FROM n;"
    ));
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
    let watched = Watched::loaded(place.options());
    loaded.store(true, Ordering::SeqCst);
    let (done, failed) = application.join().unwrap();
    assert_eq!(watched.look(|table| table.rows.len()), JOBS);
    // A hundredth or so; without the rests an eighth at least.
    assert!(failed <= done / 12, "{failed} failed, {done} did not");
}

#[test]
fn what_is_gone_of_many_is_told_in_slices() {
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
                .any(|news| matches!(news, News::Rows(rows) if rows.len() == 10))
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
