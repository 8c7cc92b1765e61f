//! Space and settings.

use serde_json::{Value, json};

use super::{HOUR, file};
use crate::common::{Daemon, Place};

/// Files, directories and jobs that are due at different times; all rules wait for a request.
fn warehouse() -> (Place, Daemon) {
    let place = Place::new();
    file(&place.path("loose/a.tmp"), 10, HOUR * 3);
    file(&place.path("loose/b.tmp"), 20, HOUR);
    file(&place.path("loose/deep/c.tmp"), 40, HOUR * 3);
    file(&place.path("loose/kept.txt"), 5, HOUR * 100);
    file(&place.path("whole/old/x"), 100, HOUR * 30);
    file(&place.path("whole/new/y"), 200, HOUR * 2);
    std::fs::create_dir(place.path("whole/empty")).unwrap();
    // Their own times count, too.
    for (dir, ago) in [("whole/old", HOUR * 30), ("whole/new", HOUR * 2)] {
        let dir = std::fs::File::open(place.path(dir)).unwrap();
        dir.set_modified(std::time::SystemTime::now() - ago)
            .unwrap();
    }
    file(&place.path("results/7/out"), 1000, HOUR * 5);
    file(&place.path("results/8/out"), 2000, HOUR * 5);
    file(&place.path("results/9/out"), 4000, HOUR * 5);
    let config = place.config(
        r#"
        automatic = false
        [[root]]
        name = "loose"
        path = "${LOOSE_DIR:-./loose}"
        [[root]]
        name = "whole"
        path = "whole"
        [[root]]
        name = "results"
        path = "results"
        owner = "{job}/**"
        orphans = "{digits}/**"
        [[root]]
        name = "none yet"
        path = "none"
        optional = true
        [[rule]]
        name = "temporaries, all"
        root = "loose"
        glob = "**/*.tmp"
        since = "mtime"
        expire = "2h"
        [[rule]]
        name = "old"
        root = "whole"
        unit = "dir"
        since = "newest_mtime"
        expire = "1.5h"
        [[rule]]
        name = "jobs"
        root = "results"
        unit = "job"
        job = ["completed", "failed"]
        since = "completed_at"
        expire = "1d"
        record = "forget"
        [[rule]]
        name = "orphans"
        root = "results"
        job = "none"
        since = "mtime"
        expire = "10h"
        "#,
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let ended = |ago: i64| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(ago);
        format!(r#"{{"status": "completed", "completed_at": "{at}"}}"#)
    };
    for (id, ago) in [("7", 25), ("8", 3)] {
        let put = crate::common::http::Request::new("PUT", &format!("/v1/jobs/{id}"));
        let (status, answer) = daemon.send(&put.json(&ended(ago))).pair();
        assert!(status < 300, "{answer}");
    }
    daemon.sync();
    (place, daemon)
}

/// (files, bytes) that are due, by rule.
fn due(daemon: &Daemon, query: &str) -> Value {
    let (status, space) = daemon.get(&format!("/v1/space{query}"));
    assert_eq!(status, 200, "{space}");
    let rules = space["rules"].as_array().unwrap();
    let due = |rule: &Value| json!([rule["rule"], rule["due_files"], rule["due_bytes"]]);
    rules.iter().map(due).collect()
}

#[test]
fn space_is_told_by_root_and_by_rule_and_what_is_due_also_under_other_times_to_live() {
    let (place, daemon) = warehouse();
    let (_, space) = daemon.get("/v1/space");
    let root = |name: &str| {
        let mut roots = space["roots"].as_array().unwrap().iter();
        let of = roots.find(|root| root["root"] == name).unwrap();
        json!([
            of["files"],
            of["bytes"],
            of["top_files"],
            of["top_directories"]
        ])
    };
    // The quarantine is there, and not counted.
    assert!(place.path("whole/.lapsed").exists());
    assert_eq!(root("loose"), json!([4, 75, 3, 1]));
    assert_eq!(root("whole"), json!([2, 300, 0, 3]));
    assert_eq!(root("results"), json!([3, 7000, 0, 3]));
    assert_eq!(root("none yet"), json!([0, 0, 0, 0]));
    let files: Vec<&Value> = space["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["files"])
        .collect();
    assert_eq!(files, [3, 2, 2, 1]);

    let expected = |loose: Value, old: Value, jobs: Value, orphans: Value| {
        let line = |name: &str, of: Value| json!([name, of[0], of[1]]);
        json!([
            line("temporaries, all", loose),
            line("old", old),
            line("jobs", jobs),
            line("orphans", orphans),
        ])
    };
    assert_eq!(
        due(&daemon, ""),
        expected(
            json!([2, 50]),
            json!([2, 300]),
            json!([1, 1000]),
            json!([0, 0])
        )
    );
    assert_eq!(
        due(&daemon, "?retention=temporaries,+all=0s,old=1d"),
        expected(
            json!([3, 70]),
            json!([1, 100]),
            json!([1, 1000]),
            json!([0, 0])
        )
    );
    assert_eq!(
        due(&daemon, "?retention=*=0s"),
        expected(
            json!([3, 70]),
            json!([2, 300]),
            json!([2, 3000]),
            json!([0, 0])
        ),
        "orphans are never meant by *"
    );
    assert_eq!(
        due(&daemon, "?retention=*=9999d,orphans=1h"),
        expected(
            json!([0, 0]),
            json!([0, 0]),
            json!([0, 0]),
            json!([1, 4000])
        )
    );
    for wrong in ["nothing=1h", "old", "old=", "old=soon", "=1h", "old=1h,"] {
        let (status, problem) = daemon.get(&format!("/v1/space?retention={wrong}"));
        assert_eq!(status, 400, "{wrong}: {problem}");
    }

    // What is told is what a clean removes.
    let (_, report) = daemon.post(
        "/v1/clean",
        r#"{"dry_run": true, "retention": {"*": "0s"}}"#,
    );
    assert_eq!(report["files"], 7, "{report}");
}

#[test]
fn settings_in_force_are_told_with_paths_as_they_are_written() {
    let (place, daemon) = warehouse();
    let (status, settings) = daemon.get("/v1/settings");
    assert_eq!(status, 200, "{settings}");
    assert_eq!(settings["base_dir"], place.dir.path().to_str().unwrap());
    for (key, value) in [
        ("file", json!(place.config_path())),
        ("dry_run", json!(false)),
        ("automatic", json!(false)),
        ("clean_at_start", json!(false)),
        ("schedules", json!([])),
    ] {
        assert_eq!(settings[key], value, "{key}");
    }
    assert_eq!(
        settings["roots"][0],
        json!({"name": "loose", "path": place.path("loose").to_str().unwrap(), "written": "./loose"})
    );
    assert_eq!(
        settings["rules"][1],
        json!({"name": "old", "expire": 5400, "schedule": "manual", "roots": ["whole"], "since": "newest_mtime",
               "unit": "dir", "job": null, "record": "keep", "enabled": true})
    );
    let rules = &settings["rules"];
    assert_eq!(rules[2]["job"], json!(["completed", "failed"]));
    assert_eq!(
        (&rules[2]["record"], &rules[3]["job"]),
        (&json!("forget"), &json!(["none"]))
    );

    let text = std::fs::read_to_string(place.config_path()).unwrap();
    let text = text.replace("expire = \"1.5h\"", "expire = \"500ms\"");
    place.config(&text.replace("automatic = false", "clean_at_start = true\ndry_run = true"));
    let (status, answer) = daemon.post("/v1/reload", "");
    assert_eq!(status, 200, "{answer}");
    let (_, settings) = daemon.get("/v1/settings");
    assert_eq!(settings["rules"][1]["expire"], json!(0.5));
    assert_eq!(settings["automatic"], true);
    assert_eq!(settings["clean_at_start"], true);
    assert_eq!(settings["dry_run"], false, "that takes a restart");
}
