//! An application with jobs in a PostgreSQL database, and a daemon that watches its files.

use std::ops::Deref;

use crate::common::sources::{tell_of, wait_for_source};
use crate::common::{Daemon, Place, wait_or_tell};
use crate::postgres::{Cluster, Session};

const TABLE: &str = "CREATE TABLE jobs (id text PRIMARY KEY, status text, created_at timestamptz DEFAULT now(), completed_at timestamptz, \
     files text[], cleaned_at timestamptz, summary jsonb, marks int NOT NULL DEFAULT 0)";

/// Results in directories, and uploads that rows claim.
const ROOTS: &str = r#"
[[root]]
path = "results"
owner = "{job}/**"
source = "eemt"
[[root]]
path = "uploads"
source = "eemt"
orphans = "*"
"#;

/// All that a completed job owns goes an hour after its end.
pub const COMPLETED: &str = r#"
[[rule]]
name = "done"
source = "eemt"
job = "completed"
since = "completed_at"
expire = "1h"
unit = "job"
record = "mark"
"#;

/// The records of failed jobs go with their files.
pub const FORGOTTEN: &str = r#"
[[rule]]
name = "failed"
source = "eemt"
job = "failed"
since = "completed_at"
expire = "1h"
unit = "job"
record = "forget"
"#;

/// What is nobody's goes at once.
pub const NOBODYS: &str = r#"
[[rule]]
name = "orphans"
root = "uploads"
job = "none"
since = "mtime"
expire = "1s"
"#;

/// A place with a database.
pub struct World {
    pub place: Place,
    pub db: Session,
    pub url: String,
}

impl World {
    /// With an empty table of jobs in a database of its own.
    pub fn new() -> Self {
        Self::at(Cluster::shared(), &Cluster::shared().database())
    }

    /// With an empty table of jobs in this database.
    pub fn at(cluster: &Cluster, database: &str) -> Self {
        let place = Place::new();
        for root in ["results", "uploads"] {
            place.make_dir(root);
        }
        let db = cluster.session(database);
        db.run(TABLE);
        Self {
            place,
            db,
            url: cluster.url(database),
        }
    }

    /// Writes the configuration.
    pub fn configure(&self, rules: &str) {
        self.configure_polled(rules, "1s");
    }

    /// Likewise, with so long between two polls.
    pub fn configure_polled(&self, rules: &str, poll: &str) {
        let source = format!(
            r#"
[[source]]
name = "eemt"
url = "{}"
poll = "{poll}"
statement_timeout = "2s"
select = "SELECT id, status, created_at, completed_at, files, cleaned_at FROM jobs"
mark = "UPDATE jobs SET cleaned_at = :now, summary = :summary, marks = marks + 1 WHERE id = :job"
forget = "DELETE FROM jobs WHERE id = :job AND status = :status"
files_root = "uploads"
"#,
            self.url
        );
        self.place.config(&[ROOTS, &source, rules].concat());
    }

    /// A daemon with `rules` that has read everything.
    pub fn serve(&self, rules: &str) -> Daemon {
        self.configure(rules);
        let daemon = self.serve_again();
        wait_for_source(&daemon, "eemt", "ready");
        daemon
    }

    /// Installs the trigger that `lapsed source sql` prints.
    pub fn install_trigger(&self) {
        self.db
            .run(&self.said(&["source", "sql", "eemt", "--config", &self.config_path()]));
    }

    /// A job that ended two hours ago.
    pub fn insert(&self, id: &str, status: &str) {
        self.db.run(&format!(
            "INSERT INTO jobs (id, status, completed_at) VALUES ('{id}', '{status}', now() - interval '2 hours')"
        ));
    }

    /// Waits until the query gives `expected`.
    #[track_caller]
    pub fn wait_until_row(&self, daemon: &Daemon, sql: &str, expected: &str) {
        wait_or_tell(
            sql,
            || (self.db.value(sql).as_deref() == Some(expected)).then_some(()),
            || tell_of(daemon),
        );
    }
}

impl Deref for World {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}
