//! The report of a clean lists its jobs.

use serde_json::{Value, json};

use super::world::World;
use crate::common::{Place, path_of};

const CONFIG: &str = r#"
automatic = false
[[root]]
path = "results"
owner = "{job}/**"
source = "app"
[[root]]
path = "uploads"
owner = "{job}_{name}"
source = "app"
[[root]]
path = "temp"
owner = "{job}/**"
source = "app"
[[source]]
name = "app"
kind = "sqlite"
path = "app.db"
select = "SELECT id, status, kind, created_at, started_at, completed_at, error, note, number, cleaned_at FROM jobs"
timezone = { started_at = "Asia/Kolkata" }
mark = "UPDATE jobs SET cleaned_at = :now WHERE id = :job"
forget = "DELETE FROM jobs WHERE id = :job"
[[rule]]
name = "done"
root = ["results", "uploads"]
job = "completed"
unit = "job"
since = "completed_at"
expire = "1h"
record = "mark"
[[rule]]
name = "failed"
root = ["results", "uploads"]
job = "failed"
unit = "job"
since = "completed_at"
expire = "1h"
record = "forget"
keep = ["**/*.log"]
[[rule]]
name = "working"
root = "temp"
job = ["completed", "failed"]
unit = "dir"
since = "completed_at"
expire = "0s"
"#;

const TABLE: &str = "CREATE TABLE jobs(id, status, kind, created_at, started_at, completed_at, error, note, number, cleaned_at);
    INSERT INTO jobs VALUES('a', 'completed', 'sol', '2024-05-06 07:00:00', '2024-05-06 12:35:00', '2024-05-06 08:00:00', NULL, 'x \"y\"', 5, NULL);
    INSERT INTO jobs VALUES('f', 'failed', NULL, NULL, NULL, '2024-05-06 09:00:00', 'out of memory', NULL, 0.5, NULL);
    INSERT INTO jobs VALUES('r', 'running', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);";

/// A place with that table and files, each of 7 bytes.
fn application() -> (World, Vec<String>) {
    let world = World::new();
    let db = rusqlite::Connection::open(world.path("app.db")).unwrap();
    db.execute_batch(TABLE).unwrap();
    for file in [
        "results/a/out",
        "results/a/deep/x",
        "uploads/a_in.tif",
        "temp/a/1",
        "temp/a/2",
        "results/f/out",
        "results/f/run.log",
        "results/r/out",
        "temp/r/1",
    ] {
        world.write(file);
    }
    let config = world.config(CONFIG);
    let arguments = ["clean", "--json", "--config", config.to_str().unwrap()];
    (world, arguments.map(str::to_owned).to_vec())
}

fn run(place: &Place, arguments: &[String], more: &[&str]) -> Value {
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    all.extend(more);
    serde_json::from_str(&place.said(&all)).unwrap()
}

/// Jobs by rule and id, with the names of their things.
fn jobs(report: &Value) -> Vec<Value> {
    let mut jobs = report["jobs"].as_array().unwrap().clone();
    jobs.sort_by_key(|job| format!("{} {}", job["rule"], job["id"]));
    jobs
}

fn things(world: &World, job: &Value, list: &str) -> Vec<String> {
    let things = job[list].as_array().unwrap().iter();
    things
        .map(|thing| {
            let path = path_of(thing);
            let path = path.strip_prefix(world.path("")).unwrap();
            format!(
                "{} {} {} {}",
                path.display(),
                thing["root"].as_str().unwrap(),
                thing["files"],
                thing["bytes"]
            )
        })
        .collect()
}

#[test]
fn jobs_are_listed_with_all_that_went_with_them_and_dry_runs_foretell_it() {
    for with_daemon in [false, true] {
        let (world, arguments) = application();
        let daemon = with_daemon.then(|| world.serve_again());
        if let Some(daemon) = &daemon {
            crate::common::sources::wait_for_source(daemon, "app", "ready");
            daemon.sync();
        }
        let dry = run(&world, &arguments, &["--dry-run"]);
        let report = run(&world, &arguments, &[]);
        assert_eq!(jobs(&dry), jobs(&report));
        assert_eq!(
            (&dry["roots"], &dry["rules"]),
            (&report["roots"], &report["rules"])
        );
        let found = jobs(&report);
        let [done, failed, working] = &found[..] else {
            panic!("{report}");
        };
        for (key, value) in [
            ("id", json!("a")),
            ("source", json!("app")),
            ("kind", json!("sol")),
            ("status", json!("completed")),
            ("created_at", json!("2024-05-06T07:00:00.000Z")),
            ("started_at", json!("2024-05-06T07:05:00.000Z")),
            ("completed_at", json!("2024-05-06T08:00:00.000Z")),
            ("error", Value::Null),
            ("file_count", json!(3)),
            ("bytes", json!(21)),
            ("record", json!("marked")),
            (
                "columns",
                json!({"note": "x \"y\"", "number": 5, "started_at": "2024-05-06 12:35:00"}),
            ),
        ] {
            assert_eq!(done[key], value, "{key}: {done}");
        }
        assert_eq!(
            things(&world, done, "directories"),
            ["results/a results 2 14"]
        );
        assert_eq!(
            things(&world, done, "files"),
            ["uploads/a_in.tif uploads 1 7"]
        );
        assert_eq!(
            json!([failed["error"], failed["record"], failed["file_count"]]),
            json!(["out of memory", "forgotten", 1])
        );
        // Its directory is still there, with the log.
        assert_eq!(things(&world, failed, "directories"), [""; 0]);
        assert_eq!(
            things(&world, failed, "files"),
            ["results/f/out results 1 7"]
        );
        assert_eq!(failed["columns"]["number"], 0.5);
        assert_eq!(
            json!([
                working["id"],
                working["record"],
                working["columns"],
                working["file_count"]
            ]),
            json!(["a", "kept", null, 2])
        );
        assert_eq!(things(&world, working, "directories"), ["temp/a temp 2 14"]);
        assert_eq!(
            report["roots"],
            json!([
                {"root": "results", "files": 3, "directories": 0, "units": 2, "jobs": 2, "bytes": 21},
                {"root": "uploads", "files": 1, "directories": 0, "units": 1, "jobs": 1, "bytes": 7},
                {"root": "temp", "files": 2, "directories": 1, "units": 1, "jobs": 0, "bytes": 14},
            ])
        );
        let mut owners: Vec<_> = report["removed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| json!([item["job"], item["since"]]))
            .collect();
        owners.sort_by_key(Value::to_string);
        let a = json!(["a", "2024-05-06T08:00:00.000Z"]);
        assert_eq!(
            owners,
            [a.clone(), a, json!(["f", "2024-05-06T09:00:00.000Z"])]
        );
    }
}

#[test]
fn paths_take_a_job_whole_or_leave_it_alone() {
    let (world, arguments) = application();
    for (globs, files) in [
        (&["a/**"][..], 0),
        (&["a/*", "a_*"], 0),
        (&["a/out", "a/deep/**", "a_*"], 3),
    ] {
        let globs: Vec<&str> = globs.iter().flat_map(|glob| ["--path", glob]).collect();
        let report = run(
            &world,
            &arguments,
            &[&["--rule", "done", "--rule", "failed"], &globs[..]].concat(),
        );
        assert_eq!(report["files"], files, "{globs:?}: {report}");
        assert_eq!(world.exists("results/a/out"), files == 0);
    }
    // One job, the oldest.
    let (world, arguments) = application();
    let report = run(
        &world,
        &arguments,
        &["--limit", "1", "--rule", "failed", "--rule", "done"],
    );
    assert_eq!(report["jobs"][0]["id"], "a", "{report}");
    assert_eq!(report["jobs"].as_array().unwrap().len(), 1);
    assert!(world.exists("results/f/out"));
}

#[test]
fn who_is_answered_finds_the_rows_as_the_report_says() {
    let (world, _) = application();
    let daemon = world.serve_again();
    crate::common::sources::wait_for_source(&daemon, "app", "ready");
    let (status, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["errors"], json!([]));
    // At once, without waiting for anything.
    let db = rusqlite::Connection::open(world.path("app.db")).unwrap();
    let left = "SELECT group_concat(id || (cleaned_at IS NOT NULL), ' ') FROM (SELECT * FROM jobs ORDER BY id)";
    let left: String = db.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, "a1 r0", "{report}");
}
