//! storage: every command line and every request of its document, copied from it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::database::{BOTH, HOUR, Kind, YEAR, ago};
use super::document::{Shell, assert_page};
use super::site::age_tree;
use super::storage::{Storage, borrowed};
use super::tree::Tree;
use crate::common::http::Request;
use crate::common::sources::uuid;
use crate::common::wait_or_tell;

/// Jobs: number, status, age at completion.
const JOBS: [(u32, &str, Option<Duration>); 8] = [
    (1, "COMPLETED", Some(Duration::from_hours(31 * 24))),
    (2, "completed", Some(Duration::from_hours(70 * 24))),
    (3, "completed", Some(Duration::from_hours(29 * 24))),
    (4, "FAILED", Some(Duration::from_hours(8 * 24))),
    (5, "failed", Some(Duration::from_hours(20 * 24))),
    (6, "failed", Some(Duration::from_hours(6 * 24))),
    (7, "running", Some(Duration::from_hours(8784))),
    (8, "pending", None),
];

/// The upload of a job: its UUID is a fresh one.
pub fn upload(number: u32) -> String {
    format!("data/uploads/{}_in.wav", uuid(1000 + number))
}

pub fn output(number: u32) -> String {
    format!("data/outputs/{}", uuid(number))
}

/// Number of the files that belong to no job.
pub const ORPHAN: u32 = 200;

/// What goes with the jobs of these numbers.
pub fn of(numbers: &[u32]) -> Vec<String> {
    let both = |&number: &u32| [upload(number), output(number)];
    numbers.iter().flat_map(both).collect()
}

/// Jobs whose rows name their uploads as the application in its container does, each with 1 MB of upload and 2 MB of output.
pub fn lay(storage: &Storage) {
    let sized = |name: &str, megabytes: usize, age: Duration| {
        let path = storage.site.write(name);
        std::fs::write(&path, vec![b'x'; megabytes << 20]).unwrap();
        age_tree(&path, age);
    };
    for (number, status, age) in JOBS {
        sized(&upload(number), 1, YEAR);
        sized(&format!("{}/stems/v.wav", output(number)), 2, YEAR);
        age_tree(&storage.site.path(&output(number)), YEAR);
        let seen = format!("/{}", upload(number));
        storage.row(&uuid(number), status, age.map(ago), Some(&seen));
    }
    sized(&upload(ORPHAN), 1, 25 * HOUR);
    sized(&format!("{}/v.wav", output(ORPHAN)), 2, YEAR);
    age_tree(&storage.site.path(&output(ORPHAN)), 25 * HOUR);
    // Its row may be on its way.
    sized(&upload(ORPHAN + 1), 1, HOUR);
}

pub fn world(kind: Kind) -> Storage {
    let storage = Storage::new(kind);
    lay(&storage);
    storage
}

/// State of files and rows.
pub struct State {
    pub tree: Tree,
    tables: [Vec<Value>; 2],
}

impl State {
    pub fn of(storage: &Storage) -> Self {
        Self {
            tree: storage.site.tree(),
            tables: storage.tables(),
        }
    }

    /// Exactly the jobs of `jobs` went since, with files, metrics and rows, and the orphans if `orphans`.
    #[track_caller]
    pub fn assert_gone(&self, storage: &Storage, jobs: &[u32], orphans: bool) {
        let mut gone = of(jobs);
        if orphans {
            gone.extend(of(&[ORPHAN]));
        }
        let difference = self
            .tree
            .but(&borrowed(&gone))
            .difference(&storage.site.tree());
        assert!(difference.is_empty(), "{difference}");
        let ids: Vec<String> = jobs.iter().map(|&number| uuid(number)).collect();
        let left = self.tables.clone().map(|mut rows| {
            rows.retain(|row| {
                let id = row.get("id").unwrap_or(&row["job_id"]).as_str().unwrap();
                !ids.iter().any(|gone| gone == id)
            });
            rows
        });
        // A daemon removes rows once the file system has kept that their files are gone.
        wait_or_tell(
            &format!("the rows of {jobs:?} go, and no others"),
            || (storage.tables() == left).then_some(()),
            || format!("{:#?}", storage.tables()),
        );
    }
}

#[track_caller]
pub fn assert_says(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line}: {text}");
    }
}

/// Totals of the directories as `GET /cleanup/stats` has them, by an independent walk.
fn counted(storage: &Storage) -> Value {
    fn bytes(path: &Path) -> u64 {
        let meta = path.symlink_metadata().unwrap();
        if !meta.is_dir() {
            return meta.len();
        }
        let entries = std::fs::read_dir(path).unwrap();
        let entries = entries.map(|entry| entry.unwrap().path());
        entries
            .filter(|path| !path.ends_with(".lapsed"))
            .map(|path| bytes(&path))
            .sum()
    }
    let count = |name: &str, directories: bool| {
        let entries = std::fs::read_dir(storage.site.path(name)).unwrap();
        let entries = entries.map(|entry| entry.unwrap().path());
        let wanted =
            entries.filter(|path| !path.ends_with(".lapsed") && path.is_dir() == directories);
        wanted.count()
    };
    let part = |name: &str, directories: bool| {
        let bytes = bytes(&storage.site.path(name));
        let (mb, gb) = (
            bytes as f64 / f64::from(1 << 20),
            bytes as f64 / f64::from(1 << 30),
        );
        json!({"count": count(name, directories), "size_bytes": bytes, "size_mb": mb, "size_gb": gb})
    };
    let (uploads, outputs) = (part("data/uploads", false), part("data/outputs", true));
    let total = uploads["size_bytes"].as_u64().unwrap() + outputs["size_bytes"].as_u64().unwrap();
    rounded(json!({
        "uploads": uploads,
        "outputs": outputs,
        "total_size_mb": total as f64 / f64::from(1 << 20),
        "total_size_gb": total as f64 / f64::from(1 << 30),
    }))
}

/// `answer` with its fractions in millionths: text has no last bits.
pub fn rounded(answer: Value) -> Value {
    match answer {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, rounded(value)))
            .collect(),
        Value::Number(number) if number.is_f64() => {
            json!((number.as_f64().unwrap() * 1e6).round() / 1e6)
        }
        other => other,
    }
}

pub fn answer(storage: &Storage, dry_run: bool, counts: [u32; 4]) -> Value {
    json!({
        "dry_run": dry_run,
        "completed_jobs": counts[0],
        "failed_jobs": counts[1],
        "orphaned_uploads": counts[2],
        "orphaned_outputs": counts[3],
        "storage_stats": counted(storage),
    })
}

#[test]
fn the_lines_for_a_preview_and_for_everything_work() {
    for kind in BOTH {
        let storage = world(kind);
        let shell = Shell::install(&storage.site, "storage");
        let before = State::of(&storage);
        let said = shell.line("python bin/cleanup_storage.py --dry-run");
        let lines = [
            "Storage clean-up (dry run: nothing is removed)",
            "completed jobs: 2 (kept 30 days)",
            "failed jobs: 2 (kept 7 days)",
            "orphaned uploads: 1",
            "orphaned outputs: 1",
            "would free: 15.00 MB",
        ];
        assert_says(&said, &lines);
        before.assert_gone(&storage, &[], false);
        // From elsewhere, too.
        let script = storage.site.path("bin/cleanup_storage.py");
        assert_eq!(
            shell.line(&format!("cd / && python {} --dry-run", script.display())),
            said
        );
        let done = shell.line("python bin/cleanup_storage.py");
        assert_says(
            &done,
            &["completed jobs: 2 (kept 30 days)", "freed: 15.00 MB"],
        );
        before.assert_gone(&storage, &[1, 2, 4, 5], true);
        let again = shell.line("python bin/cleanup_storage.py");
        assert_says(
            &again,
            &[
                "completed jobs: 0 (kept 30 days)",
                "orphaned uploads: 0",
                "freed: 0.00 MB",
            ],
        );
        before.assert_gone(&storage, &[1, 2, 4, 5], true);
    }
}

#[test]
fn the_lines_for_a_part_each_remove_that_part() {
    let storage = world(Kind::Sqlite);
    let shell = Shell::install(&storage.site, "storage");
    let before = State::of(&storage);
    shell.line("python bin/cleanup_storage.py --orphaned-only");
    before.assert_gone(&storage, &[], true);
    shell.line("python bin/cleanup_storage.py --old-completed");
    before.assert_gone(&storage, &[1, 2], true);
    shell.line("python bin/cleanup_storage.py --old-failed");
    before.assert_gone(&storage, &[1, 2, 4, 5], true);
}

#[test]
fn the_line_with_other_retentions_works_and_zero_is_zero() {
    let storage = world(Kind::Sqlite);
    let shell = Shell::install(&storage.site, "storage");
    let before = State::of(&storage);
    let said = shell.line("python bin/cleanup_storage.py --completed-days 60 --failed-days 14");
    assert_says(
        &said,
        &[
            "completed jobs: 1 (kept 60 days)",
            "failed jobs: 1 (kept 14 days)",
        ],
    );
    before.assert_gone(&storage, &[2, 5], true);
    shell.line("python bin/cleanup_storage.py --old-completed --completed-days 0");
    before.assert_gone(&storage, &[1, 2, 3, 5], true);
}

#[test]
fn every_request_of_the_document_works() {
    for kind in BOTH {
        let storage = world(kind);
        let mut shell = Shell::install(&storage.site, "storage");
        let _daemon = shell.serve();
        let request = |shell: &Shell<'_>, line: &str| {
            let (method, target) = line.split_once(' ').unwrap();
            rounded(shell.json(&format!(
                "curl -s -X {method} \"http://localhost:8000{target}\""
            )))
        };
        let before = State::of(&storage);
        assert_eq!(request(&shell, "GET /cleanup/stats"), counted(&storage));
        assert_eq!(request(&shell, "GET /cleanup/stats/"), counted(&storage));
        // What would go, and not zeros.
        let dry = request(&shell, "POST /cleanup/run?dry_run=true");
        assert_eq!(dry, answer(&storage, true, [2, 2, 1, 1]));
        before.assert_gone(&storage, &[], false);
        let part = request(
            &shell,
            "POST /cleanup/run?old_completed=true&completed_days=60",
        );
        before.assert_gone(&storage, &[2], false);
        assert_eq!(part, answer(&storage, false, [1, 0, 0, 0]));
        let part = request(&shell, "POST /cleanup/run?old_failed=true&failed_days=14");
        before.assert_gone(&storage, &[2, 5], false);
        assert_eq!(part, answer(&storage, false, [0, 1, 0, 0]));
        let part = request(&shell, "POST /cleanup/run?orphaned_only=true");
        before.assert_gone(&storage, &[2, 5], true);
        assert_eq!(part, answer(&storage, false, [0, 0, 1, 1]));
        let all = request(
            &shell,
            "POST /cleanup/run?dry_run=false&orphaned_only=false",
        );
        before.assert_gone(&storage, &[1, 2, 4, 5], true);
        assert_eq!(all, answer(&storage, false, [1, 1, 0, 0]));
        // The script asks the daemon that runs.
        shell.line("python bin/cleanup_storage.py --old-completed --completed-days 0");
        before.assert_gone(&storage, &[1, 2, 3, 4, 5], true);
    }
}

#[test]
fn an_upload_that_a_row_names_through_a_link_stays() {
    let storage = Storage::new(Kind::Sqlite);
    let site = &storage.site;
    symlink(site.path("data"), site.path("volume")).unwrap();
    for (number, seen) in [
        (
            7,
            site.path(&upload(7).replace("data/", "volume/"))
                .display()
                .to_string(),
        ),
        (8, upload(8).replace("data/", "data/../data/")),
    ] {
        site.aged(&upload(number), YEAR);
        storage.row(&uuid(number), "running", None, Some(&seen));
    }
    let shell = Shell::install(site, "storage");
    let before = State::of(&storage);
    for _ in 0..4 {
        shell.run_in("", "python bin/cleanup_storage.py");
        before.assert_gone(&storage, &[], false);
    }
}

#[test]
fn hostile_parameters_change_nothing_but_their_own_field() {
    let storage = world(Kind::Sqlite);
    let mut shell = Shell::install(&storage.site, "storage");
    let daemon = shell.serve();
    let before = State::of(&storage);
    let long = "x".repeat(1 << 20);
    for value in [
        "{{ 7 * 7 }}",
        "7\"}, \"dry_run\": true, \"x\": {\"",
        "7\n8",
        "{% raw %}",
        &long,
    ] {
        for name in ["completed_days", "dry_run", value] {
            let body = json!({ name: value }).to_string();
            let answer = daemon.send(&Request::new("POST", "/cleanup/run").json(&body));
            let (status, body) = answer.pair();
            assert!(status == 422 || status == 413, "{status}: {body}");
            assert!(!body.to_string().contains("49"), "{body}");
        }
    }
    for target in [
        "/cleanup/run?failed_days=%7B%7B7*7%7D%7D",
        "/cleanup/run?dry_run=maybe",
        "/cleanup/run?dry_run=true&dry_run=false",
        "/cleanup/run?release=true",
        "/cleanup/run?dryrun=true",
        "/cleanup/run?completed_days=-1",
        "/cleanup/run?completed_days=99999999999999999999",
    ] {
        let (status, body) = daemon.send(&Request::new("POST", target)).pair();
        assert_eq!(status, 422, "{target}: {body}");
        assert!(!body["detail"].is_null(), "{target}: {body}");
    }
    let (status, _) = daemon.send(&Request::get("/cleanup/run")).pair();
    assert_eq!(status, 405);
    before.assert_gone(&storage, &[], false);
}

#[test]
fn originals_come_back() {
    let storage = world(Kind::Sqlite);
    let before = storage.site.tree();
    Shell::install(&storage.site, "storage");
    assert!(storage.site.exists("bin/cleanup_storage.py.before-lapsed"));
    assert!(storage.site.exists("workers/tasks/cleanup.py"));
    let app = storage.site.path("");
    storage
        .site
        .said(&["uninstall", "--shims", app.to_str().unwrap()]);
    let mut after = storage.site.tree();
    // Directories that came with a script may stay.
    after
        .0
        .retain(|path, _| !["app/workers", "app/workers/tasks"].contains(&path.as_str()));
    assert_eq!(before.difference(&after), "");
}

#[test]
fn the_page_is_current() {
    let sources = [
        include_str!("storage_document.rs"),
        include_str!("storage_around.rs"),
        include_str!("storage.rs"),
        include_str!("storage_settings.rs"),
        include_str!("storage_field.rs"),
    ];
    assert_page("storage", include_str!("items/storage.toml"), &sources);
}
