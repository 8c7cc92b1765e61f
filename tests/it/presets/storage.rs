//! storage: uploads and outputs of jobs in a SQL database, whose rows go with their files, and what no row names.

use std::os::unix::fs::symlink;

use serde_json::Value;

use super::database::{BOTH, DAY, Database, HOUR, Kind, YEAR, ago, ms, quoted, utc};
use super::site::{Site, age_tree};
use crate::common::sources::{source, uuid, wait_for_source};
use crate::common::trees::now_ms;
use crate::common::{Daemon, wait_for, wait_or_tell};

const COMPLETED: &str = "completed jobs";
const FAILED: &str = "failed jobs";
const UPLOADS: &str = "orphaned uploads";
const OUTPUTS: &str = "orphaned outputs";

/// Metrics hang on jobs: a row that has some cannot go before them.
pub const TABLES: &str = "CREATE TABLE jobs (id VARCHAR(255) PRIMARY KEY, status VARCHAR(32) NOT NULL, file_path TEXT, \
     created_at TIMESTAMP, completed_at TIMESTAMP, error_message TEXT); \
     CREATE TABLE metrics (job_id VARCHAR(255) NOT NULL REFERENCES jobs (id), name VARCHAR(64) NOT NULL, value REAL)";

pub struct Storage {
    pub site: Site,
    pub db: Database,
}

impl Storage {
    pub fn new(kind: Kind) -> Self {
        let mut site = Site::new("storage");
        let db = Database::new(kind, &mut site, "data/storage.db");
        Self::with(site, db)
    }

    pub fn with(site: Site, db: Database) -> Self {
        for name in [
            "data/uploads/.gitkeep",
            "data/outputs/.gitkeep",
            "data/uploads/readme.txt",
            "data/models/model.bin",
            "bin/cleanup_storage.py",
        ] {
            site.aged(name, YEAR);
        }
        db.run(TABLES);
        Self { site, db }
    }

    pub fn row(&self, id: &str, status: &str, completed: Option<i64>, file: Option<&str>) {
        let error = (status == "failed").then_some("out of memory");
        self.db.run(&format!(
            "INSERT INTO jobs(id, status, file_path, created_at, completed_at, error_message) \
             VALUES({0}, {1}, {2}, '{3}', {4}, {5}); \
             INSERT INTO metrics VALUES({0}, 'seconds', 1.5), ({0}, 'bytes', 7)",
            quoted(Some(id)),
            quoted(Some(status)),
            quoted(file),
            utc(ago(YEAR)),
            quoted(completed.map(utc).as_deref()),
            quoted(error),
        ));
    }

    pub fn files(&self, id: &str) {
        self.site.write(&format!("data/outputs/{id}/result.json"));
        self.site.write(&format!("data/outputs/{id}/stems/v.wav"));
        self.site.make_dir(&format!("data/outputs/{id}/empty"));
        self.site.aged(&format!("data/uploads/{id}_in.wav"), YEAR);
        age_tree(&self.site.path(&format!("data/outputs/{id}")), YEAR);
    }

    pub fn job(&self, id: &str, status: &str, completed: Option<i64>) {
        self.files(id);
        self.row(id, status, completed, Some(&format!("{id}_in.wav")));
    }

    pub fn serve(&self) -> Daemon {
        let daemon = self.site.serve();
        wait_for_source(&daemon, "storage", "ready");
        daemon
    }

    /// All that the tables hold.
    pub fn tables(&self) -> [Vec<Value>; 2] {
        [
            "SELECT id, status, file_path, error_message, CAST(completed_at AS VARCHAR(40)) AS completed FROM jobs ORDER BY id",
            "SELECT job_id, name, value FROM metrics ORDER BY job_id, name",
        ]
        .map(|sql| self.db.rows(sql))
    }

    /// Waits until exactly the rows of `ids` went from `before`, with their metrics.
    #[track_caller]
    pub fn wait_until_forgotten(&self, daemon: &Daemon, before: &[Vec<Value>; 2], ids: &[String]) {
        let left = before.clone().map(|mut rows| {
            rows.retain(|row| {
                let id = row.get("id").unwrap_or(&row["job_id"]).as_str().unwrap();
                !ids.iter().any(|gone| gone == id)
            });
            rows
        });
        wait_or_tell(
            &format!("rows {ids:?} go, and no others"),
            || (self.tables() == left).then_some(()),
            || format!("{:#?}\n{}", self.tables(), source(daemon, "storage")),
        );
    }
}

/// What of a job goes.
pub fn of(id: &str) -> [String; 2] {
    [
        format!("data/outputs/{id}"),
        format!("data/uploads/{id}_in.wav"),
    ]
}

pub fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Jobs and orphans of every kind; what is due of them, and the rows that go with it.
pub fn every_kind(storage: &Storage) -> (Vec<String>, Vec<String>) {
    let jobs = [
        ("completed", Some(31 * DAY)),
        ("completed", Some(29 * DAY)),
        ("failed", Some(8 * DAY)),
        ("failed", Some(6 * DAY)),
        ("running", None),
        ("pending", None),
        ("completed", None),
        ("failed", None),
        ("cancelled", Some(YEAR)),
        ("transcribing", Some(YEAR)),
        // Began anew: when it ended before is of no interest.
        ("running", Some(YEAR)),
    ];
    let (mut due, mut rows) = (Vec::new(), Vec::new());
    for (number, (status, age)) in (1..).zip(jobs) {
        let id = uuid(number);
        storage.job(&id, status, age.map(ago));
        if number == 1 || number == 3 {
            due.extend(of(&id));
            rows.push(id);
        }
    }
    // Uploads by other ways to name them.
    let site = &storage.site;
    let absolute = site.aged("data/uploads/absolute.wav", YEAR);
    site.aged("data/uploads/relative.wav", YEAR);
    for (number, file) in [
        (20, absolute.to_str().unwrap()),
        (21, "data/uploads/relative.wav"),
        (22, "data/uploads/gone.wav"),
    ] {
        storage.row(&uuid(number), "completed", Some(ago(YEAR)), Some(file));
        rows.push(uuid(number));
    }
    due.extend(["data/uploads/absolute.wav", "data/uploads/relative.wav"].map(str::to_owned));
    // What nobody owns.
    storage.files(&uuid(50));
    due.extend(of(&uuid(50)));
    age_tree(
        &site.make_dir(&format!("data/outputs/{}", uuid(51))),
        25 * HOUR,
    );
    due.push(format!("data/outputs/{}", uuid(51)));
    site.aged(&format!("data/uploads/{}_young.wav", uuid(52)), 23 * HOUR);
    // The directory is old, what was written deep in it is not.
    storage.files(&uuid(53));
    std::fs::remove_file(site.path(&format!("data/uploads/{}_in.wav", uuid(53)))).unwrap();
    age_tree(
        &site.path(&format!("data/outputs/{}/stems/v.wav", uuid(53))),
        23 * HOUR,
    );
    for name in [
        format!("data/uploads/formal_{}.wav", uuid(54)),
        format!("data/uploads/{}", uuid(54)),
        format!("data/uploads/{}x_in.wav", uuid(54)),
        "data/uploads/12345678-1234_in.wav".to_owned(),
        format!("data/outputs/{}x/result.json", uuid(54)),
        format!("data/outputs/{}_kept/result.json", uuid(54)),
        "data/outputs/notes/result.json".to_owned(),
        "data/outputs/loose.json".to_owned(),
    ] {
        site.aged(&name, YEAR);
    }
    for dir in ["notes".to_owned(), format!("{}x", uuid(54))] {
        age_tree(&site.path(&format!("data/outputs/{dir}")), YEAR);
    }
    (due, rows)
}

#[test]
fn each_kind_of_job_and_orphan_goes_as_the_document_says() {
    for kind in BOTH {
        let storage = Storage::new(kind);
        let (due, ids) = every_kind(&storage);
        let (before, tables) = (storage.site.tree(), storage.tables());
        let daemon = storage.serve();
        let left = storage
            .site
            .wait_until_gone(&daemon, &before, &borrowed(&due));
        storage.wait_until_forgotten(&daemon, &tables, &ids);
        storage.site.assert_all_stay(&daemon, &left);
        storage.wait_until_forgotten(&daemon, &tables, &ids);
        for (name, rule) in [
            (&of(&uuid(1))[0], COMPLETED),
            (&of(&uuid(3))[1], FAILED),
            (&of(&uuid(50))[0], OUTPUTS),
            (&of(&uuid(50))[1], UPLOADS),
        ] {
            storage.site.line_about(&daemon, name, rule);
        }
        storage.site.assert_never_early();
    }
}

#[test]
fn each_goes_at_its_deadline() {
    for kind in BOTH {
        let storage = Storage::new(kind);
        storage.row(&uuid(9), "running", None, None);
        let daemon = storage.serve();
        let site = &storage.site;
        // Files that are this old are orphans until a row is known.
        for id in [uuid(1), uuid(2)] {
            storage.row(&id, "running", None, None);
            wait_for("it is read", || {
                let (status, _) = daemon.get(&format!("/v1/jobs/{id}?source=storage"));
                (status == 200).then_some(())
            });
            storage.files(&id);
        }
        let orphan = format!("data/uploads/{}_in.wav", uuid(3));
        let at = now_ms() + 3000;
        site.write(&orphan);
        super::site::written_at(&site.path(&orphan), at - ms(DAY));
        let before = site.tree();
        for (id, status, kept) in [(1, "completed", 30 * DAY), (2, "failed", 7 * DAY)] {
            storage.db.run(&format!(
                "UPDATE jobs SET status = '{status}', completed_at = '{}' WHERE id = '{}'",
                utc(at - ms(kept)),
                uuid(id)
            ));
        }
        let tables = storage.tables();
        site.wait_for_deadline(&daemon, &of(&uuid(1))[0], COMPLETED, at);
        site.wait_for_deadline(&daemon, &of(&uuid(2))[0], FAILED, at);
        site.wait_for_deadline(&daemon, &orphan, UPLOADS, at);
        let mut gone = [of(&uuid(1)), of(&uuid(2))].concat();
        gone.push(orphan);
        let left = site.wait_until_gone(&daemon, &before, &borrowed(&gone));
        storage.wait_until_forgotten(&daemon, &tables, &[uuid(1), uuid(2)]);
        site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn an_upload_whose_row_is_not_written_yet_waits_for_it() {
    for kind in BOTH {
        let storage = Storage::new(kind);
        storage.row(&uuid(9), "running", None, None);
        let daemon = storage.serve();
        // Moved in with the time that it had elsewhere, just short of the grace.
        let (with_row, without) = (uuid(1), uuid(2));
        let at = now_ms() + 3000;
        for id in [&with_row, &without] {
            let name = format!("data/uploads/{id}_in.wav");
            storage.site.write(&name);
            super::site::written_at(&storage.site.path(&name), at - ms(DAY));
        }
        let before = storage.site.tree();
        daemon.sync();
        storage.row(&with_row, "pending", None, None);
        let gone = format!("data/uploads/{without}_in.wav");
        storage.site.wait_for_deadline(&daemon, &gone, UPLOADS, at);
        let left = storage.site.wait_until_gone(&daemon, &before, &[&gone]);
        storage.site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn rows_cannot_reach_what_is_not_their_jobs() {
    for kind in BOTH {
        let storage = Storage::new(kind);
        let site = &storage.site;
        let (busy, young) = (uuid(1), uuid(2));
        storage.job(&busy, "running", None);
        storage.job(&young, "completed", Some(ago(DAY)));
        for root in ["uploads", "outputs"] {
            symlink(
                site.place.path("outside"),
                site.path(&format!("data/{root}/link")),
            )
            .unwrap();
        }
        site.write("data/etc/passwd");
        let at = |name: &str| site.path(name).to_str().unwrap().to_owned();
        let outside = site.place.path("outside/passwd");
        let claims = [
            "../../etc/passwd".to_owned(),
            "../../../etc/passwd".to_owned(),
            "../etc/passwd".to_owned(),
            "/etc/passwd".to_owned(),
            outside.to_str().unwrap().to_owned(),
            "link/passwd".to_owned(),
            "data/uploads/link/passwd".to_owned(),
            "data/uploads/../models/model.bin".to_owned(),
            "data/models/model.bin".to_owned(),
            at("data/outputs/link/passwd"),
            at("data/uploads"),
            "data/uploads".to_owned(),
            "data/uploads/".to_owned(),
            "data/outputs".to_owned(),
            "data".to_owned(),
            at(""),
            at("bin/cleanup_storage.py"),
            at("data/storage.db"),
            "data/storage.db".to_owned(),
            ".".to_owned(),
            "..".to_owned(),
            "/".to_owned(),
            String::new(),
            " ".to_owned(),
            format!("{busy}_in.wav"),
            format!("{busy}_in.wav\n"),
            format!("data/uploads/{busy}_in.wav"),
            format!("data/uploads/{young}_in.wav"),
            format!("data/outputs/{busy}"),
            format!("data/outputs/{busy}/result.json"),
            at(&format!("data/outputs/{young}/result.json")),
        ];
        // Which files these mean is not known: their jobs wait.
        let last = claims.iter().position(|claim| claim == "/").unwrap();
        let refused = &claims[..=last];
        let mut gone = Vec::new();
        let mut ids = Vec::new();
        for (number, claim) in (100..).zip(&claims) {
            let id = uuid(number);
            site.aged(&format!("data/outputs/{id}/own"), YEAR);
            storage.row(&id, "completed", Some(ago(YEAR)), Some(claim));
            if !refused.contains(claim) || claim == "data" {
                gone.push(format!("data/outputs/{id}"));
                ids.push(id);
            }
        }
        // What they are called is no path either. Their rows are old, and go.
        for id in [
            "../x",
            "..",
            ".",
            "",
            "/",
            "*",
            "data",
            "uploads",
            "link",
            ".gitkeep",
            "readme.txt",
            &at("data/uploads"),
            &format!("{busy}\n"),
            &format!("{young}\n"),
            &format!("../outputs/{busy}"),
            &format!("{busy}/stems"),
            "%",
            "x' OR '1'='1",
        ] {
            storage.row(id, "completed", Some(ago(YEAR)), None);
            ids.push(id.to_owned());
        }
        // An empty id is no id.
        ids.retain(|id| !id.is_empty());
        let (before, tables) = (site.tree(), storage.tables());
        let daemon = storage.serve();
        let left = site.wait_until_gone(&daemon, &before, &borrowed(&gone));
        storage.wait_until_forgotten(&daemon, &tables, &ids);
        site.assert_all_stay(&daemon, &left);
        site.assert_never_early();
    }
}
