//! An application with jobs, and a daemon that watches its files.

use std::ops::Deref;

use serde_json::Value;

use super::other::Other;
use crate::common::evidence::ledger;
use crate::common::sources::{tell_of, wait_for_source};
use crate::common::trees::now_ms;
use crate::common::{Daemon, Place, wait_for, wait_or_tell};

/// What `jobs.db` begins as. `marks` counts how often a row was marked.
pub const TABLE: &str = "CREATE TABLE jobs(id TEXT PRIMARY KEY, status TEXT, kind TEXT, created_at TEXT, completed_at TEXT, \
                     files TEXT, cleaned_at TEXT, summary TEXT, marks INTEGER NOT NULL DEFAULT 0);";

/// Results in directories, uploads by template, and audio that rows claim.
pub const ROOTS: &str = r#"
[[root]]
path = "results"
owner = "{job}/**"
source = "eemt"
[[root]]
path = "uploads"
owner = "{job}_{name}"
source = "eemt"
[[root]]
path = "audio"
source = "eemt"
"#;

/// The table of jobs.
pub const SOURCE: &str = r#"
[[source]]
name = "eemt"
kind = "sqlite"
path = "jobs.db"
select = "SELECT id, status, kind, created_at, completed_at, files, cleaned_at FROM jobs"
mark = "UPDATE jobs SET cleaned_at = :now, summary = :summary, marks = marks + 1 WHERE id = :job"
forget = "DELETE FROM jobs WHERE id = :job AND status = :status"
files_root = "audio"
derived = ["{stem}_processed.mp3"]
"#;

/// All that a completed job owns goes an hour after its end, logs excepted.
pub const COMPLETED: &str = r#"
[[rule]]
name = "done"
source = "eemt"
job = "completed"
since = "completed_at"
expire = "1h"
unit = "job"
record = "mark"
keep = ["**/*.log"]
"#;

/// `how` SQLite keeps its journal.
pub const MODES: [&str; 2] = ["WAL", "DELETE"];

/// A place with a database.
pub struct World {
    pub place: Place,
    pub db: Other,
}

impl World {
    /// With an empty table of jobs and a write-ahead log.
    pub fn new() -> Self {
        Self::with_mode("WAL")
    }

    /// With the journal in another mode.
    pub fn with_mode(mode: &str) -> Self {
        let place = Place::new();
        // While a root is not there, all that a job owns waits for it.
        for root in ["results", "uploads", "audio"] {
            place.make_dir(root);
        }
        let db = Other::open(&place.path("jobs.db"));
        db.rows(&format!("PRAGMA journal_mode = {mode}"));
        db.run(TABLE);
        Self { place, db }
    }

    /// A daemon with the roots, the table, and `rules`, which has read everything.
    pub fn serve(&self, rules: &str) -> Daemon {
        self.serve_config(&[ROOTS, SOURCE, rules].concat())
    }

    /// A daemon with the configuration `text`.
    pub fn serve_config(&self, text: &str) -> Daemon {
        self.place.config(text);
        let daemon = self.serve_again();
        wait_for_source(&daemon, "eemt", "ready");
        daemon
    }

    /// Inserts a job that ended so many seconds ago (`None`: it has not ended).
    pub fn insert(&self, id: &str, status: &str, completed_s_ago: Option<i64>) {
        let ended = completed_s_ago.map_or("NULL".to_owned(), ended);
        self.db.run(&format!(
            "INSERT INTO jobs(id, status, created_at, completed_at) \
             VALUES('{id}', '{status}', '2001-02-03 04:05:06', {ended})"
        ));
    }

    /// Lets a job have ended so many seconds ago.
    pub fn complete(&self, id: &str, completed_s_ago: i64) -> i64 {
        let ended = ended(completed_s_ago);
        self.db.run(&format!(
            "UPDATE jobs SET status = 'completed', completed_at = {ended} WHERE id = '{id}'"
        ))
    }

    /// A job that ended long ago comes and goes: by then everything that was due before it has been thought about.
    #[track_caller]
    pub fn canary(&self, daemon: &Daemon, name: &str) {
        self.write(&format!("results/{name}/file"));
        daemon.sync();
        self.insert(name, "completed", Some(7200));
        self.wait_until_gone(daemon, &format!("results/{name}"));
    }

    /// How often the row of a job was marked.
    #[track_caller]
    pub fn marks(&self, id: &str) -> i64 {
        let sql = format!("SELECT marks FROM jobs WHERE id = '{id}'");
        self.db.value(&sql).as_i64().unwrap()
    }

    #[track_caller]
    pub fn wait_until_marked(&self, daemon: &Daemon, id: &str) {
        wait_or_tell(
            &format!("{id} is marked"),
            || (self.marks(id) > 0).then_some(()),
            || tell_of(daemon),
        );
    }

    /// The ledger's lines about units of a job.
    pub fn lines_of(&self, id: &str) -> Vec<Value> {
        let lines = ledger(&self.place).into_iter();
        lines.filter(|line| line["job"]["id"] == id).collect()
    }

    /// What is known of a job, once `is` says so.
    #[track_caller]
    #[expect(clippy::unused_self, reason = "a world is asked about its jobs")]
    pub fn wait_for_job(&self, daemon: &Daemon, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_or_tell(
            &format!("job {id} is known so"),
            || {
                let (status, list) = daemon.get("/v1/jobs?limit=1000");
                assert_eq!(status, 200, "{list}");
                let jobs = list["jobs"].as_array().unwrap();
                jobs.iter().find(|job| job["id"] == id && is(job)).cloned()
            },
            || format!("{}\n{}", daemon.get("/v1/jobs").1, tell_of(daemon)),
        )
    }
}

impl Deref for World {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

/// The expression for an instant so many seconds ago, as SQLite writes it.
pub fn ended(s_ago: i64) -> String {
    format!("strftime('%Y-%m-%d %H:%M:%f', 'now', '{} seconds')", -s_ago)
}

/// Waits until something is held with this code, and gives why.
#[track_caller]
pub fn wait_for_hold(daemon: &Daemon, code: &str) -> String {
    wait_or_tell(
        &format!("something is held: {code}"),
        || {
            let holds = crate::common::evidence::holds(daemon);
            holds.get(code).map(|(_, why)| why.clone())
        },
        || tell_of(daemon),
    )
}

/// Waits until an instant has passed.
pub fn wait_until(ms: i64) {
    wait_for("the time passes", || (now_ms() > ms).then_some(()));
}
