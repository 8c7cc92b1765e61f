//! Questions while no daemon runs: the same answers, from the saved state and the trees, and nothing written.

use crate::common::commands::said;
use crate::common::evidence::{assert_untouched, snapshot};
use crate::common::trees::write;
use crate::common::{Place, errors, lines, wait_for};
use serde_json::{Value, json};

/// Files that wait to be asked for, files that go at once, files that go in a week, files of a job.
const CONFIG: &str = r#"
[[root]]
name = "data"
path = "data"

[[root]]
name = "results"
path = "results"
owner = "{job}/**"

[[rule]]
name = "asked"
root = "data"
glob = "*.tmp"
expire = "1s"
schedule = "manual"

[[rule]]
name = "now"
root = "data"
glob = "*.now"
expire = "0s"

[[rule]]
name = "week"
root = "data"
glob = "**/*.log"
expire = "7d"

[[rule]]
name = "done"
root = "results"
since = "completed_at"
expire = "1d"
unit = "job"
"#;

const QUESTIONS: [&[&str]; 17] = [
    &["plan", "--within", "30d"],
    &["ls", "--sort", "path"],
    &["ls", "--sort", "path", "--sync", "--job", "one"],
    &["explain", "data/a.tmp"],
    &["explain", "data/gone.now"],
    &["explain", "results/one/out"],
    &["stats"],
    &["stats", "--by", "day"],
    &["history"],
    &["history", "--path", "data/gone.now"],
    &["history", "--job", "one"],
    &["status"],
    &["pin", "ls"],
    &["job", "ls"],
    &["job", "get", "one"],
    &["source", "ls"],
    &["clean", "--dry-run"],
];

/// Removes what is of the process, and not of the files.
fn strip(value: &mut Value) {
    const PROCESS: [&str; 21] = [
        "cache",
        "configuration",
        "finished",
        "from",
        "health",
        "hours",
        "lateness",
        "mode",
        "pid",
        "reconciliation",
        "removed_files",
        "available_bytes",
        "available_inodes",
        "cpu_ms",
        "resident_bytes",
        "started",
        "text",
        "until",
        "uptime_s",
        "watches",
        "per_second",
    ];
    match value {
        Value::Object(object) => {
            object.retain(|name, _| !PROCESS.contains(&name.as_str()));
            // Since the start of the daemon.
            if object.contains_key("entries") && object.contains_key("due") {
                object.remove("removed");
            }
            object.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The answers to all questions, and their exit statuses.
fn answers(place: &Place, config: &str) -> Vec<(Vec<Value>, Option<i32>)> {
    let answer = |question: &&[&str]| {
        let output = place.run(&[*question, &["--json", "--config", config]].concat());
        let lines = lines(&output);
        let lines = lines.iter().map(|line| {
            let mut value = serde_json::from_str(line).unwrap();
            strip(&mut value);
            value
        });
        (lines.collect(), output.status.code())
    };
    QUESTIONS.iter().map(answer).collect()
}

#[test]
fn questions_have_the_same_answers_after_the_daemon_has_ended_and_write_nothing() {
    let place = Place::new();
    for (root, file) in [("data", "a.tmp"), ("data", "b.log"), ("data", "kept")] {
        write(&place.make_dir(root).join(file), 3);
    }
    std::fs::create_dir_all(place.path("results/one")).unwrap();
    write(&place.path("results/one/out"), 5);
    let config = place.config(CONFIG);
    let config = config.to_str().unwrap();
    let mut daemon = place.serve_ready(&["--config", config]);
    said(&place, &["job", "put", "one", "--status", "completed"]);
    said(
        &place,
        &["pin", "add", "data/b.log", "--for", "7d", "--why", "x"],
    );
    write(&place.path("data/gone.now"), 1);
    wait_for("the removal", || {
        (said(&place, &["history", "--json"]).len() == 2).then_some(())
    });
    wait_for("the rule that waits", || {
        let (_, status) = daemon.get("/v1/status");
        (status["waits"]["asked"]["files"] == 1).then_some(())
    });
    let with = answers(&place, config);
    daemon.stop();
    let before = snapshot(place.dir.path());
    let without = answers(&place, config);
    assert_untouched(place.dir.path(), &before, "the questions");
    for (question, (with, without)) in QUESTIONS.iter().zip(with.iter().zip(&without)) {
        assert_eq!(with, without, "{question:?}");
    }
    let output = place.run(&["status", "--check", "--config", config]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = errors(&output);
    assert!(
        told.starts_with("note: no daemon listens on socket") && told.lines().count() == 1,
        "{told}"
    );
    let status = lines(&output);
    assert!(
        status[0].ends_with("no daemon runs: nothing is removed"),
        "{status:?}"
    );

    // Nothing was locked, and nothing is lost: the next daemon knows what this one knew.
    drop(place.serve_ready(&["--config", config]));
    // What is left after a crash is read as it is, too.
    let before = snapshot(place.dir.path());
    let pins = said(&place, &["pin", "ls", "--json", "--config", config]);
    assert_eq!(pins.len(), 1, "{pins:?}");
    let crashed = answers(&place, config);
    assert_untouched(place.dir.path(), &before, "the questions after a crash");
    assert_eq!(crashed[1], without[1], "{:?}", QUESTIONS[1]);
}

#[test]
fn questions_of_a_place_without_state_make_none() {
    let place = Place::new();
    write(&place.make_dir("data").join("a"), 3);
    let before = snapshot(place.dir.path());
    let watch = ["--watch", "data=7d", "--watch", "missing=1d"];
    for question in [
        &["ls"][..],
        &["plan"],
        &["stats"],
        &["status"],
        &["history"],
    ] {
        let told = said(&place, &[question, &watch].concat());
        assert!(!told.is_empty(), "{question:?}");
    }
    let listed = said(&place, &[&["ls", "--json"][..], &watch].concat());
    let listed: Value = serde_json::from_str(&listed[0]).unwrap();
    assert_eq!(
        (&listed["size"], &listed["root"]),
        (&json!(3), &json!("data"))
    );
    assert_untouched(place.dir.path(), &before, "the questions");
}

#[test]
fn records_are_told_without_a_configuration() {
    let place = Place::new();
    let root = place.make_dir("data");
    write(&root.join("gone"), 1);
    let mut daemon = place.serve_ready(&["--watch", "data=0s"]);
    wait_for("the removal", || {
        (!said(&place, &["history", "--json"]).is_empty()).then_some(())
    });
    write(&root.join("kept"), 1);
    said(
        &place,
        &["pin", "add", "data/kept", "--for", "7d", "--why", "x"],
    );
    let questions = [
        &["history", "--json"][..],
        &["history", "--json", "--rule", "data after 0s"],
        &["pin", "ls", "--json"],
        &["stats", "--by", "day", "--json"],
    ];
    let answers = || questions.map(|question| said(&place, question));
    let with = answers();
    assert!(with.iter().all(|lines| !lines.is_empty()), "{with:?}");
    daemon.stop();
    assert_eq!(answers(), with);
    // A mistake in the file says nothing about the records.
    let config = place.config("[[root]]\npath = 5\n");
    let output = place.run(&["history", "--json", "--config", config.to_str().unwrap()]);
    assert_eq!(lines(&output), with[0], "{output:?}");
    // What needs a root needs a configuration, and so does a place without records.
    let refused = place.run(&["ls"]);
    assert!(
        errors(&refused).contains("no configuration"),
        "{}",
        errors(&refused)
    );
    let nowhere = place.run(&["history", "--state-dir", "none"]);
    assert!(
        errors(&nowhere).contains("no configuration"),
        "{}",
        errors(&nowhere)
    );
}
