//! A database, a process that writes to it, and a table of jobs that takes in what is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::core::jobs::{JobRow, Known, News, SourceId, SourceNews};
use crate::jobs::options::{Queries, SqliteOptions};
use crate::jobs::sqlite::Sqlite;
use crate::jobs::view::View;

/// Longer than anything here takes on a busy machine; a million rows, without optimization.
const PATIENCE: Duration = Duration::from_mins(2);

const DATABASE: &str = "LAPSED_TEST_JOBS_DATABASE";

/// The jobs that most tests begin with.
pub(super) const SCHEMA: &str = "CREATE TABLE jobs (id TEXT PRIMARY KEY, status, kind, created_at, completed_at, \
     data_cleaned_at, summary, updated_at INTEGER);
     CREATE TABLE metrics (job_id TEXT, value);
     INSERT INTO jobs (id, status, completed_at, updated_at) VALUES ('a', 'completed', '2026-01-01 00:00:00', 1), ('b', 'running', NULL, 2);";

pub(super) const SELECT: &str =
    "SELECT id, status, kind, created_at, completed_at, data_cleaned_at AS cleaned_at FROM jobs";

/// Another process with a connection of its own.
pub(super) struct Writer {
    process: Child,
    stdin: ChildStdin,
    answers: BufReader<std::process::ChildStderr>,
}

impl Writer {
    pub(super) fn open(path: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "jobs::tests::harness::another_process"])
            .env(DATABASE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stderr.take().unwrap());
        Self {
            process,
            stdin,
            answers,
        }
    }

    /// Runs statements there; what went wrong, if something did.
    pub(super) fn try_run(&mut self, sql: &str) -> Result<(), String> {
        let line = serde_json::to_string(sql).unwrap();
        writeln!(self.stdin, "{line}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        match answer.trim_end() {
            "ok" => Ok(()),
            other => Err(other.to_owned()),
        }
    }

    #[track_caller]
    pub(super) fn run(&mut self, sql: &str) {
        self.try_run(sql).unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What that process does. In the run of the tests themselves there is nothing to do.
#[test]
fn another_process() {
    let Some(path) = std::env::var_os(DATABASE) else {
        return;
    };
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    for line in std::io::stdin().lines() {
        let sql: String = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = match connection.execute_batch(&sql) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("error: {error}").replace('\n', " "),
        };
        // Not a print, which the test's runner would keep to itself.
        writeln!(std::io::stderr(), "{answer}").unwrap();
    }
}

/// A directory with a database in it.
pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    pub(super) path: PathBuf,
}

impl Place {
    /// Without a database.
    pub(super) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jobs.db");
        Self { dir, path }
    }

    /// With the jobs of [`SCHEMA`], and whoever wrote them.
    pub(super) fn filled(journal: &str) -> (Self, Writer) {
        let place = Self::empty();
        let mut writer = Writer::open(&place.path);
        writer.run(&format!("PRAGMA journal_mode = {journal};"));
        writer.run(SCHEMA);
        (place, writer)
    }

    pub(super) fn options(&self) -> SqliteOptions {
        SqliteOptions {
            id: SourceId(3),
            name: "eemt".to_owned(),
            path: self.path.clone(),
            queries: Queries {
                select: SELECT.to_owned(),
                ..Queries::default()
            },
        }
    }
}

/// A table of jobs as the engine keeps it.
#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: BTreeMap<String, (u32, JobRow)>,
    free: Vec<u32>,
    pub(super) told: Vec<News>,
}

impl Table {
    fn take_in(&mut self, news: News) {
        match &news {
            News::Rows(rows) => {
                assert!(!rows.is_empty() && rows.len() <= 1000);
                for row in rows {
                    let next = u32::try_from(self.rows.len()).unwrap();
                    let free = &mut self.free;
                    let number = self
                        .rows
                        .get(&row.id)
                        .map_or_else(|| free.pop().unwrap_or(next), |(number, _)| *number);
                    self.rows.insert(row.id.clone(), (number, row.clone()));
                }
            }
            News::Gone(ids) => {
                for id in ids {
                    let (number, _) = self.rows.remove(id).expect("only what is known goes");
                    self.free.push(number);
                }
            }
            News::Loaded { .. } | News::Stale | News::Down { .. } => {}
        }
        self.told.push(news);
    }

    pub(super) fn ids(&self) -> Vec<&str> {
        self.rows.keys().map(String::as_str).collect()
    }

    pub(super) fn row(&self, id: &str) -> Option<&JobRow> {
        self.rows.get(id).map(|(_, row)| row)
    }

    /// How often everything was told.
    pub(super) fn loads(&self) -> usize {
        let is_load = |news: &&News| matches!(news, News::Loaded { .. });
        self.told.iter().filter(is_load).count()
    }

    /// Why it is down, if that was told last.
    pub(super) fn down(&self) -> Option<&str> {
        self.told.iter().rev().find_map(|news| match news {
            News::Down { why } => Some(Some(why.as_str())),
            News::Loaded { .. } => Some(None),
            News::Rows(_) | News::Gone(_) | News::Stale => None,
        })?
    }
}

/// A source, and what it told.
pub(super) struct Watched {
    pub(super) source: Sqlite,
    pub(super) table: Arc<(Mutex<Table>, Condvar)>,
}

impl Watched {
    pub(super) fn start(options: SqliteOptions) -> Self {
        let table: Arc<(Mutex<Table>, Condvar)> = Arc::default();
        let view = view(&table);
        let tell = {
            let table = Arc::clone(&table);
            move |news: SourceNews| {
                assert_eq!(news.source, SourceId(3));
                for news in news.news {
                    table.0.lock().take_in(news);
                }
                table.1.notify_all();
            }
        };
        let source = Sqlite::start_with(options, view, Arc::new(tell)).unwrap();
        Self { source, table }
    }

    /// Started, with a table that takes in each piece of news only after `lag`.
    pub(super) fn start_late(options: SqliteOptions, lag: Duration) -> Self {
        let table: Arc<(Mutex<Table>, Condvar)> = Arc::default();
        let view = view(&table);
        let (tell, told) = std::sync::mpsc::channel::<SourceNews>();
        let taking = Arc::clone(&table);
        std::thread::spawn(move || {
            for news in told.into_iter().flat_map(|news| news.news) {
                std::thread::sleep(lag);
                taking.0.lock().take_in(news);
                taking.1.notify_all();
            }
        });
        let tell = move |news| tell.send(news).unwrap();
        let source = Sqlite::start_with(options, view, Arc::new(tell)).unwrap();
        Self { source, table }
    }

    /// Started, and everything was told.
    pub(super) fn loaded(options: SqliteOptions) -> Self {
        let watched = Self::start(options);
        watched.until("loaded", |table| table.loads() > 0);
        watched
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, holds: impl Fn(&Table) -> bool) {
        let mut table = self.table.0.lock();
        let late = self
            .table
            .1
            .wait_while_for(&mut table, |table| !holds(table), PATIENCE)
            .timed_out();
        assert!(
            !late,
            "not {what}: {:?}, told {:?}",
            table.ids(),
            &table.told[table.told.len().saturating_sub(5)..]
        );
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.table.0.lock())
    }
}

/// Questions to `table`.
pub(super) fn view(table: &Arc<(Mutex<Table>, Condvar)>) -> View {
    let [known, unticked, count] = [table, table, table].map(Arc::clone);
    View {
        known: Arc::new(move |row| match known.0.lock().rows.get(&row.id) {
            None => Known::No,
            Some((number, old)) if old.decides_as(row) => Known::Same(*number),
            Some((number, _)) => Known::Changed(*number),
        }),
        unticked: Arc::new(move |from, most, is_ticked| {
            let table = unticked.0.lock();
            let mut left: Vec<(u32, String)> = table
                .rows
                .iter()
                .filter(|(_, (number, _))| *number >= from && !is_ticked(*number))
                .map(|(id, (number, _))| (*number, id.clone()))
                .collect();
            left.sort();
            let next = left.get(most).map(|(number, _)| *number);
            left.truncate(most);
            (left.into_iter().map(|(_, id)| id).collect(), next)
        }),
        count: Arc::new(move || count.0.lock().rows.len() as u64),
    }
}

/// Waits until `holds`, which nobody tells of.
#[track_caller]
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = crate::clock::now().boot + PATIENCE;
    while !holds() {
        assert!(crate::clock::now().boot < end, "not {what}");
        std::thread::yield_now();
    }
}
