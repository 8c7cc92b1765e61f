//! A database, a process that writes to it, and a table of jobs that takes in what is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::common::machine::assert_watches;
use crate::core::jobs::SourceUpdate;
use crate::sources::context::SourceContext;
use crate::sources::known_jobs::{ChangeSink, KnownJobs};
use crate::sources::options::{DatabaseOptions, Queries, SqliteOptions};
use crate::sources::source::Source;
use crate::sources::sqlite::SqliteDatabase;
use crate::sources::tests::reports::{self, SOURCE};
pub(super) use crate::sources::tests::reports::{Table, eventually, view};

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
            .args([
                "--exact",
                "sources::sqlite::tests::harness::another_process",
            ])
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

/// Work of that process. In the run of the tests themselves there is nothing to do.
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
            add_columns: BTreeMap::new(),
            path: self.path.clone(),
            queries: Queries {
                select: SELECT.to_owned(),
                ..Queries::default()
            },
        }
    }
}

/// Starts a source. Without a watch it is polled, which takes longer than these tests wait.
pub(super) fn start(options: SqliteOptions, view: KnownJobs, tell: ChangeSink) -> Source {
    start_as("eemt", options, view, tell)
}

fn start_as(name: &str, options: SqliteOptions, view: KnownJobs, tell: ChangeSink) -> Source {
    assert_watches();
    let options = DatabaseOptions::Sqlite(options);
    Source::start_with(SOURCE, name, &options, view, tell).unwrap()
}

/// The database of `options`, with a context that nothing else shares.
pub(super) fn database(options: &SqliteOptions) -> Arc<SqliteDatabase> {
    let context = SourceContext::new(SOURCE, "eemt", &options.queries).unwrap();
    Arc::new(SqliteDatabase::new(options, Arc::new(context)))
}

/// Checks `options`; says which mistake they have.
pub(super) fn check(options: &SqliteOptions) -> Result<(), String> {
    crate::sources::sqlite::check("eemt", options).map_err(|error| error.to_string())
}

/// A source, and what it told.
pub(super) struct Watched {
    pub(super) source: Source,
    pub(super) table: Arc<(Mutex<Table>, Condvar)>,
}

impl Watched {
    pub(super) fn start(options: SqliteOptions) -> Self {
        Self::start_as("eemt", options)
    }

    /// Started, and called `name`.
    pub(super) fn start_as(name: &str, options: SqliteOptions) -> Self {
        let table: Arc<(Mutex<Table>, Condvar)> = Arc::default();
        let source = start_as(name, options, view(&table), reports::tell(&table));
        Self { source, table }
    }

    /// Started, with a table that takes in each piece of news only after `lag`.
    pub(super) fn start_late(options: SqliteOptions, lag: Duration) -> Self {
        let table: Arc<(Mutex<Table>, Condvar)> = Arc::default();
        let view = view(&table);
        let (tell, told) = std::sync::mpsc::channel::<SourceUpdate>();
        let taking = Arc::clone(&table);
        std::thread::spawn(move || {
            for news in told.into_iter().flat_map(|news| news.news) {
                std::thread::sleep(lag);
                taking.0.lock().take_in(news);
                taking.1.notify_all();
            }
        });
        let tell = move |news| tell.send(news).unwrap();
        let source = start(options, view, Arc::new(tell));
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
        reports::until(&self.table, what, holds);
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.table.0.lock())
    }
}
