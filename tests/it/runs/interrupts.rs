//! Interrupted runs.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{DATA, fill, run};
use crate::common::{Place, errors, wait_for, walk};

/// Files enough for a run that a signal overtakes.
const MANY: usize = 20_000;

#[test]
fn an_interrupted_run_tells_what_it_did() {
    let place = Place::new();
    let root = place.path("data");
    fill(&root, MANY);
    let config = place.config(&["breaker.entries = 100000\n", DATA].concat());
    let mut command = place.lapsed();
    command.args(["clean", "--json", "--config", config.to_str().unwrap()]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let first = root.join("due-00000");
    wait_for("it removes something", || (!first.exists()).then_some(()));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    assert_eq!(report["status"], "interrupted");
    let left = walk(&root).len();
    assert_eq!(
        report["files"],
        json!(MANY - left),
        "it tells exactly what is gone"
    );
    assert!(left > 0);
    // The next one goes on.
    let (code, report) = run(&place, &["--config", config.to_str().unwrap()]);
    assert_eq!((code, &report["files"]), (Some(0), &json!(left)));
}
