//! eemt: results, uploads and working directories of jobs in an SQLite database, which mixes local time and UTC.

use std::os::unix::fs::symlink;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::database::{DAY, Database, HOUR, YEAR, ago, ms, quoted};
use super::eemt_kinds::every_kind;
use super::site::{Site, age_tree};
use crate::common::sources::{source, uuid, wait_for_source};
use crate::common::trees::now_ms;
use crate::common::{Daemon, wait_for, wait_or_tell};

pub const WEEK: Duration = Duration::from_hours(7 * 24);
/// Five hours behind UTC, or four: compared as text, everything would be done so much later, or earlier.
const ZONE: &str = "America/New_York";
pub const TABLE: &str = "CREATE TABLE jobs (id TEXT PRIMARY KEY, workflow_type TEXT NOT NULL, status TEXT NOT NULL, \
     created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, started_at TIMESTAMP, completed_at TIMESTAMP, parameters TEXT, \
     dem_filename TEXT, error_message TEXT, progress INTEGER)";
const SUCCESSFUL: &str = "successful jobs";
const FAILED: &str = "failed jobs";
const WORKING: &str = "working directories";

/// The web interface's directory, with its database.
pub struct Eemt {
    pub site: Site,
    pub db: Database,
}

impl Eemt {
    pub fn new() -> Self {
        Self::with_mode("WAL")
    }

    pub fn with_mode(mode: &str) -> Self {
        let mut site = Site::new("eemt");
        site.set("TZ", ZONE);
        site.set_apart("app/jobs.db");
        for dir in ["results", "uploads", "temp"] {
            site.make_dir(dir);
        }
        for name in [
            "results/.gitkeep",
            "uploads/.gitkeep",
            "uploads/readme.txt",
            "app.py",
            "cleanup_summary_20240120_020001.json",
            "templates/index.html",
        ] {
            site.aged(name, YEAR);
        }
        let db = Database::open(&site.path("jobs.db"), mode);
        db.run(TABLE);
        Self { site, db }
    }

    /// A row, as SQLite and the application write it.
    pub fn row(&self, id: &str, status: &str, completed: Option<i64>, dem: Option<&str>) {
        let created = super::database::utc(completed.unwrap_or(ago(YEAR)) - 600_000);
        let error = (status == "failed").then_some("no space left");
        self.db.run(&format!(
            "INSERT INTO jobs(id, workflow_type, status, created_at, completed_at, dem_filename, error_message, progress) \
             VALUES({}, 'sol', {}, '{}', {}, {}, {}, 50)",
            quoted(Some(id)),
            quoted(Some(status)),
            &created[..19],
            quoted(completed.map(local).as_deref()),
            quoted(dem),
            quoted(error),
        ));
    }

    /// All files that a job has, written a year ago.
    pub fn files(&self, id: &str) {
        for name in [
            format!("results/{id}/output/global.tif"),
            format!("results/{id}/workflow.log"),
            format!("uploads/{id}_dem.tif"),
            format!("temp/{id}/makeflow/part.0"),
        ] {
            self.site.write(&name);
        }
        self.site.make_dir(&format!("results/{id}/empty"));
        for name in [
            format!("results/{id}"),
            format!("uploads/{id}_dem.tif"),
            format!("temp/{id}"),
        ] {
            age_tree(&self.site.path(&name), YEAR);
        }
    }

    /// A job with all that it has.
    pub fn job(&self, id: &str, status: &str, completed: Option<i64>) {
        self.files(id);
        self.row(id, status, completed, Some(&format!("{id}_dem.tif")));
    }

    pub fn serve(&self) -> Daemon {
        let daemon = self.site.serve();
        for name in ["eemt", "working"] {
            wait_for_source(&daemon, name, "ready");
        }
        daemon
    }

    /// The ids of the rows that say that they were cleaned.
    pub fn marked(&self) -> Vec<String> {
        let columns = self.db.texts("SELECT name FROM pragma_table_info('jobs')");
        if !columns.contains(&"data_cleaned_at".to_owned()) {
            return Vec::new();
        }
        let sql = "SELECT id FROM jobs WHERE data_cleaned_at IS NOT NULL ORDER BY id";
        self.db.texts(sql)
    }

    /// Waits until there are no rows of these.
    #[track_caller]
    pub fn wait_until_forgotten(&self, daemon: &Daemon, ids: &[&str]) {
        wait_or_tell(
            &format!("{ids:?} are forgotten"),
            || {
                let left = self.db.texts("SELECT id FROM jobs");
                let is_left = ids.iter().any(|id| left.iter().any(|found| found == id));
                (!is_left).then_some(())
            },
            || source(daemon, "eemt").to_string(),
        );
    }

    #[track_caller]
    pub fn wait_until_marked(&self, daemon: &Daemon, ids: &[&str]) {
        let mut ids: Vec<&str> = ids.to_vec();
        ids.sort_unstable();
        wait_or_tell(
            &format!("{ids:?} are marked"),
            || (self.marked() == ids).then_some(()),
            || format!("{:?}\n{}", self.marked(), source(daemon, "eemt")),
        );
    }

    /// The rows without what marks say.
    pub fn rows(&self) -> Vec<Value> {
        self.db.rows(
            "SELECT id, workflow_type, status, created_at, started_at, completed_at, parameters, dem_filename, error_message, \
             progress FROM jobs ORDER BY id",
        )
    }
}

/// Naive local time, ISO with a T and microseconds.
pub fn local(unix_ms: i64) -> String {
    let zone = TimeZone::get(ZONE).unwrap();
    let at = jiff::Timestamp::from_millisecond(unix_ms).unwrap();
    let at = at.to_zoned(zone);
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// What of a job goes with it, but its working directory.
pub fn of(id: &str) -> [String; 2] {
    [format!("results/{id}"), format!("uploads/{id}_dem.tif")]
}

pub fn temp(id: &str) -> String {
    format!("temp/{id}")
}

pub fn all_of(id: &str) -> [String; 3] {
    let [results, upload] = of(id);
    [results, upload, temp(id)]
}

pub fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[test]
fn each_kind_of_job_loses_what_the_document_says() {
    let eemt = Eemt::new();
    let kinds = every_kind(&eemt);
    // A DEM that is not called after its job, and what is left of one that was cleaned.
    let plain = uuid(20);
    eemt.site.aged("uploads/valley.tif", YEAR);
    eemt.row(&plain, "completed", Some(ago(8 * DAY)), Some("valley.tif"));
    let empty = uuid(21);
    eemt.row(&empty, "completed", Some(ago(8 * DAY)), None);
    let (before, rows) = (eemt.site.tree(), eemt.rows());
    let begun = now_ms();
    let daemon = eemt.serve();
    let mut gone = borrowed(&kinds.due);
    gone.push("uploads/valley.tif");
    let left = eemt.site.wait_until_gone(&daemon, &before, &gone);
    let mut marked = borrowed(&kinds.marked);
    marked.extend([plain.as_str(), empty.as_str()]);
    eemt.wait_until_marked(&daemon, &marked);
    eemt.site.assert_all_stay(&daemon, &left);
    eemt.wait_until_marked(&daemon, &marked);
    // Rows are as they were, but for the marks: they are of just now, in the application's own zone. What a row that is gone said is kept.
    eemt.wait_until_forgotten(&daemon, &borrowed(&kinds.forgotten));
    let is_left = |row: &&Value| !kinds.forgotten.iter().any(|id| row["id"] == **id);
    let rows: Vec<Value> = rows.iter().filter(is_left).cloned().collect();
    assert_eq!(eemt.rows(), rows);
    let facts = || daemon.get(&format!("/v1/jobs/{}", kinds.forgotten[0])).1;
    wait_for("it is forgotten", || {
        (facts()["forgotten"] == true).then_some(())
    });
    assert_eq!(facts()["error"], "no space left");
    let marks = eemt
        .db
        .rows("SELECT id, data_cleaned_at AS at, cleanup_summary AS summary FROM jobs ORDER BY id");
    for mark in marks {
        let id = mark["id"].as_str().unwrap();
        if !marked.contains(&id) {
            assert_eq!(
                (&mark["at"], &mark["summary"]),
                (&Value::Null, &Value::Null)
            );
            continue;
        }
        let at: jiff::civil::DateTime = mark["at"].as_str().unwrap().parse().unwrap();
        let at = at.to_zoned(TimeZone::get(ZONE).unwrap()).unwrap();
        let at = at.timestamp().as_millisecond();
        assert!((begun - 1000..=now_ms() + 1000).contains(&at), "{mark}");
        let summary = mark["summary"].as_str().unwrap();
        let summary: Value = serde_json::from_str(summary).unwrap();
        let files = match id {
            _ if id == empty => 0,
            _ if id == plain => 1,
            _ => 3,
        };
        assert_eq!(summary["files"], files, "{mark}");
    }
    let [old, failed] = [uuid(1), uuid(2)].map(|id| format!("results/{id}"));
    eemt.site.line_about(&daemon, &old, SUCCESSFUL);
    eemt.site.line_about(&daemon, &failed, FAILED);
    eemt.site.line_about(&daemon, &temp(&uuid(7)), WORKING);
    eemt.site.assert_never_early();
}

#[test]
fn each_goes_at_its_deadline_by_the_applications_clock() {
    let eemt = Eemt::new();
    let daemon = eemt.serve();
    let at = now_ms() + 3000;
    let (success, failure, working) = (uuid(1), uuid(2), uuid(3));
    for id in [&success, &failure, &working] {
        eemt.files(id);
    }
    let before = eemt.site.tree();
    eemt.row(&success, "completed", Some(at - ms(WEEK)), None);
    eemt.row(&failure, "failed", Some(at - ms(12 * HOUR)), None);
    // The application says a little early when it will be through.
    eemt.row(&working, "completed", Some(at), None);
    let site = &eemt.site;
    site.wait_for_deadline(&daemon, &format!("results/{success}"), SUCCESSFUL, at);
    site.wait_for_deadline(&daemon, &format!("results/{failure}"), FAILED, at);
    site.wait_for_deadline(&daemon, &temp(&working), WORKING, at);
    let mut gone: Vec<String> = [&success, &failure]
        .into_iter()
        .flat_map(|id| all_of(id))
        .collect();
    gone.push(temp(&working));
    let left = site.wait_until_gone(&daemon, &before, &borrowed(&gone));
    eemt.wait_until_marked(&daemon, &[&success]);
    eemt.wait_until_forgotten(&daemon, &[&failure]);
    site.assert_all_stay(&daemon, &left);
}

#[test]
fn a_working_directory_goes_with_the_end_of_its_job_and_never_before() {
    let eemt = Eemt::new();
    let id = uuid(1);
    eemt.job(&id, "running", None);
    let before = eemt.site.tree();
    let daemon = eemt.serve();
    eemt.site.assert_all_stay(&daemon, &before);
    // The application ends it in two steps.
    eemt.db.run("UPDATE jobs SET status = 'completed'");
    wait_for("it is read", || {
        let (_, job) = daemon.get(&format!("/v1/jobs/{id}?source=working"));
        (job["status"] == "completed").then_some(())
    });
    // Two sources tell of it, and it is one job.
    wait_for("it is read for the other roots, too", || {
        let (_, status) = daemon.get("/v1/status");
        (status["jobs"]["completed"] == 1).then_some(())
    });
    let (_, listed) = daemon.get("/v1/jobs");
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(daemon.get(&format!("/v1/jobs/{id}")).1["source"], "eemt");
    eemt.site.assert_all_stay(&daemon, &before);
    let ended = local(now_ms());
    eemt.db
        .run(&format!("UPDATE jobs SET completed_at = '{ended}'"));
    let left = eemt.site.wait_until_gone(&daemon, &before, &[&temp(&id)]);
    eemt.site.assert_all_stay(&daemon, &left);
    assert!(eemt.marked().is_empty());
}

#[test]
fn rows_cannot_reach_what_is_not_their_jobs() {
    let eemt = Eemt::new();
    let (busy, young) = (uuid(1), uuid(2));
    eemt.job(&busy, "running", None);
    eemt.job(&young, "completed", Some(ago(DAY)));
    std::fs::remove_dir_all(eemt.site.path(&temp(&young))).unwrap();
    eemt.files(&uuid(90));
    symlink(
        eemt.site.place.path("outside"),
        eemt.site.path("uploads/link"),
    )
    .unwrap();
    symlink(
        eemt.site.place.path("outside"),
        eemt.site.path("results/link"),
    )
    .unwrap();
    let at = |name: &str| eemt.site.path(name).to_str().unwrap().to_owned();
    let outside = eemt.site.place.path("outside/passwd");
    let claims = [
        "../../etc/passwd".to_owned(),
        "../etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        outside.to_str().unwrap().to_owned(),
        "link/passwd".to_owned(),
        "link".to_owned(),
        at("uploads/link/passwd"),
        at("results/link/passwd"),
        at("uploads"),
        at("results"),
        at("temp"),
        at(""),
        at("jobs.db"),
        at("app.py"),
        "../app.py".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "/".to_owned(),
        String::new(),
        " ".to_owned(),
        format!("{busy}_dem.tif"),
        format!("{young}_dem.tif"),
        format!("../results/{busy}/workflow.log"),
        at(&format!("results/{busy}/workflow.log")),
        at(&format!("results/{busy}")),
        at(&format!("results/{young}/workflow.log")),
        // Nobody's, and no upload.
        at(&format!("results/{}/workflow.log", uuid(90))),
        format!("results/{}/workflow.log", uuid(90)),
        format!("results/{}", uuid(90)),
        at(&format!("temp/{busy}/makeflow/part.0")),
        format!("{busy}_dem.tif\n"),
    ];
    let mut hostile = Vec::new();
    for (number, claim) in (100..).zip(&claims) {
        let id = uuid(number);
        eemt.site.aged(&format!("results/{id}/own.tif"), YEAR);
        eemt.row(&id, "completed", Some(ago(YEAR)), Some(claim));
        // Which file these mean is not known: their jobs wait.
        if ![".", "..", "link"].contains(&claim.as_str()) {
            hostile.push(id);
        }
    }
    // All of them at once.
    let all = uuid(99);
    eemt.site.aged(&format!("results/{all}/own.tif"), YEAR);
    let list = serde_json::to_string(&claims).unwrap();
    eemt.row(&all, "completed", Some(ago(YEAR)), Some(&list));
    hostile.push(all);
    let ids = [
        "../x".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        String::new(),
        "/".to_owned(),
        "*".to_owned(),
        "results".to_owned(),
        ".gitkeep".to_owned(),
        "readme.txt".to_owned(),
        "link".to_owned(),
        at("results"),
        format!("{busy}\n"),
        format!("{young}\n"),
        format!("../results/{busy}"),
        format!("{busy}/output"),
        "job-20240113-123456\n".to_owned(),
        "job-20240113-1234567".to_owned(),
        "xjob-20240113-123456".to_owned(),
    ];
    for id in &ids {
        eemt.row(id, "completed", Some(ago(YEAR)), None);
    }
    for name in [
        "results/job-20240113-1234567/out.tif",
        "results/xjob-20240113-123456/out.tif",
        "results/job-20240113-123456\n/out.tif",
        "results/*/out.tif",
        "uploads/*_dem.tif",
        "uploads/._dem.tif",
        "x/file",
    ] {
        eemt.site.aged(name, YEAR);
    }
    age_tree(&eemt.site.path("results"), YEAR);
    let (before, rows) = (eemt.site.tree(), eemt.rows());
    let daemon = eemt.serve();
    let own: Vec<String> = hostile.iter().map(|id| format!("results/{id}")).collect();
    let left = eemt.site.wait_until_gone(&daemon, &before, &borrowed(&own));
    eemt.wait_until_marked(&daemon, &borrowed(&hostile));
    eemt.site.assert_all_stay(&daemon, &left);
    assert_eq!(eemt.rows(), rows);
    eemt.site.assert_never_early();
}
