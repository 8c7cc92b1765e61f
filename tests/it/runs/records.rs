//! Runs have numbers, are listed with what they removed, follow one another, and can be cancelled.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{DATA, fill, run, with_and_without_daemon, write_due};
use crate::common::commands::said;
use crate::common::evidence::ledger;
use crate::common::http::Request;
use crate::common::{Daemon, Place, errors, wait_for, walk};

/// Files enough for a run that a request overtakes.
const MANY: usize = 20_000;

const LIVE: &str = "breaker.entries = 100000\n";

fn runs(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let list = ["history", "--runs", "--json", "--limit", "0"];
    let rows = said(place, &[&list[..], arguments].concat());
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

fn cancel(daemon: &Daemon, run: u64) -> (u16, Value) {
    let request = Request::new("DELETE", &format!("/v1/runs/{run}"));
    daemon.send(&request).pair()
}

/// A daemon over many files that are due, and a client whose run has removed the first.
fn overtaken(place: &Place, clean: &[&str]) -> (Daemon, std::process::Child) {
    let root = place.path("data");
    fill(&root, MANY);
    let config = place.config(&[LIVE, DATA].concat());
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let mut command = place.lapsed();
    command.args(clean);
    let child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let first = root.join("due-00000");
    wait_for("it removes something", || (!first.exists()).then_some(()));
    (daemon, child)
}

#[test]
fn a_run_is_listed_with_what_it_removed() {
    with_and_without_daemon(DATA, |place, arguments, daemon| {
        for name in ["a", "b", "c"] {
            write_due(&place.path("data").join(name));
        }
        if let Some(daemon) = daemon {
            daemon.sync();
        }
        let (code, dry) = run(place, &[&["--dry-run"], arguments].concat());
        assert_eq!((code, &dry["run"]), (Some(0), &Value::Null), "{dry}");
        assert_eq!(
            runs(place, arguments),
            [Value::Null; 0],
            "a dry run writes nothing"
        );
        let (code, report) = run(place, &[&["--rule", "old"], arguments].concat());
        assert_eq!((code, &report["run"]), (Some(0), &json!(1)), "{report}");
        write_due(&place.path("data/d"));
        let (code, report) = run(place, arguments);
        assert_eq!((code, &report["run"]), (Some(0), &json!(2)), "{report}");

        let runs = runs(place, arguments);
        let of = |name: &str| runs.iter().map(|run| run[name].clone()).collect::<Vec<_>>();
        assert_eq!(of("id"), [2, 1]);
        assert_eq!(of("status"), ["done", "done"]);
        assert_eq!(of("files"), [1, 3]);
        assert_eq!(of("bytes"), [10, 30]);
        assert_eq!(of("cause"), ["order", "order"]);
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(of("by"), [json!({ "uid": uid }), json!({ "uid": uid })]);
        assert_eq!(runs[1]["order"]["rules"], json!(["old"]));
        assert_eq!(runs[1]["rules"][0]["files"], 3);
        assert!(runs[1]["finished"].is_string(), "{runs:?}");

        let lines = ledger(place);
        assert_eq!(lines.iter().filter(|line| line["run"] == 1).count(), 3);
        let first = said(
            place,
            &[&["history", "--run", "1", "--json"], arguments].concat(),
        );
        assert_eq!(first.len(), 3, "{first:?}");
        if let Some(daemon) = daemon {
            let (status, run) = daemon.get("/v1/runs/1?limit=2");
            assert_eq!(status, 200, "{run}");
            assert_eq!((&run["id"], &run["files"]), (&json!(1), &json!(3)));
            assert_eq!(run["removed"].as_array().unwrap().len(), 2);
            let next = format!("/v1/runs/1?cursor={}", run["cursor"].as_str().unwrap());
            let (_, rest) = daemon.get(&next);
            assert_eq!(rest["removed"].as_array().unwrap().len(), 1, "{rest}");
            assert_eq!(rest["cursor"], Value::Null);
            let (_, page) = daemon.get("/v1/runs?limit=1");
            let next = format!("/v1/runs?cursor={}", page["cursor"].as_str().unwrap());
            let (_, page) = daemon.get(&next);
            assert_eq!(
                (&page["runs"][0]["id"], &page["cursor"]),
                (&json!(1), &Value::Null)
            );
            assert_eq!(daemon.get("/v1/runs?status=errors").1["runs"], json!([]));
            assert_eq!(daemon.get("/v1/runs/77").0, 404);
            let (status, problem) = cancel(daemon, 1);
            assert_eq!(status, 409, "{problem}");
            assert_eq!(cancel(daemon, 77).0, 404);
        }
    });
}

#[test]
fn a_run_on_the_root_of_another_is_refused_and_names_it() {
    let place = Place::new();
    let (daemon, child) = overtaken(&place, &["clean", "--json"]);
    let (status, problem) = daemon.post("/v1/clean", r#"{"dry_run": false, "rules": ["old"]}"#);
    assert_eq!(status, 409, "{problem}");
    assert_eq!(
        (&problem["code"], &problem["run"]),
        (&json!("run-in-progress"), &json!(1))
    );
    let (_, run) = daemon.get("/v1/runs/1");
    assert_eq!(run["status"], "running", "{run}");
    assert_eq!(run["due"], MANY, "{run}");
    assert!(run["settled"].as_u64() > Some(0), "{run}");

    let (status, cancelled) = cancel(&daemon, 1);
    assert_eq!(status, 200, "{cancelled}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["status"], "interrupted");
    let left = walk(&place.path("data")).len();
    assert!(left > 0);
    assert_eq!(report["files"], json!(MANY - left));
    let (_, run) = daemon.get("/v1/runs/1");
    assert_eq!(
        (&run["status"], &run["files"]),
        (&json!("interrupted"), &report["files"])
    );
    let why = run["why"].as_str().unwrap();
    assert!(why.starts_with("cancelled by uid "), "{why}");
    // Nothing is in its way any more.
    let (status, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!((status, &report["files"]), (200, &json!(left)), "{report}");
}

#[test]
fn a_run_whose_daemon_crashed_is_told_as_interrupted() {
    let place = Place::new();
    let (mut daemon, mut child) = overtaken(&place, &["clean", "--json"]);
    daemon.kill();
    let _ = child.wait();
    let is_of_run = |line: &&Value| line["run"] == 1 && line["result"] == "removed";
    let lines = ledger(&place);
    let removed = lines.iter().filter(is_of_run).count();
    assert!(removed > 0);
    let config = place.path("lapsed.toml");
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let run = wait_for("its sums are told", || {
        let (_, run) = daemon.get("/v1/runs/1");
        assert_eq!(run["status"], "interrupted", "from the start");
        (run["files"] != 0).then_some(run)
    });
    assert_eq!(run["files"], removed);
    assert_eq!(run["finished"], Value::Null);
    assert!(run["why"].as_str().unwrap().contains("its process ended"));
    let (status, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!((status, &report["run"]), (200, &json!(2)), "{report}");
}

#[test]
fn an_interrupted_client_ends_the_run_of_the_daemon() {
    let place = Place::new();
    let (daemon, child) = overtaken(&place, &["clean"]);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(errors(&output).contains("run 1 ends before"), "{output:?}");
    let left = walk(&place.path("data")).len();
    assert!(left > 0);
    let (_, run) = daemon.get("/v1/runs/1");
    assert_eq!(run["status"], "interrupted");
    assert_eq!(run["files"], json!(MANY - left), "{run}");
}
