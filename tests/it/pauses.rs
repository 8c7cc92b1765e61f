//! Pauses: nothing is removed while one holds, over a crash, by deadlines, cleans, schedules, and without a daemon.

use crate::common::commands::{refused, said};
use crate::common::follow::Follows;
use crate::common::machine::has_other_users;
use crate::common::others::run_as;
use crate::common::trees::configured;
use crate::common::{Daemon, Place, errors, lines, wait_for};
use serde_json::{Value, json};

/// One root for what goes at once, two for what waits to be asked for, of which one is cleaned at the start.
const CONFIG: &str = r#"
[[schedule]]
name = "boot"
on_start = true
rules = ["started"]
[[root]]
path = "data"
[[root]]
path = "started"
[[root]]
path = "asked"
[[rule]]
name = "data"
root = "data"
expire = "0s"
[[rule]]
name = "started"
root = "started"
expire = "0s"
schedule = "manual"
[[rule]]
name = "asked"
root = "asked"
expire = "0s"
schedule = "manual"
"#;

const ROOTS: [&str; 3] = ["data", "started", "asked"];

fn begin() -> (Place, Daemon) {
    let place = Place::new();
    for root in ROOTS {
        place.make_dir(root);
    }
    let daemon = configured(&place, CONFIG);
    (place, daemon)
}

fn paused(daemon: &Daemon) -> Vec<Value> {
    let (status, pauses) = daemon.get("/v1/pause");
    assert_eq!(status, 200, "{pauses}");
    pauses["pauses"].as_array().unwrap().clone()
}

/// What a clean holds, by path: the codes of the holds.
fn held(place: &Place, arguments: &[&str]) -> Vec<(String, String)> {
    let output = place.run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let report: Value = serde_json::from_str(&lines(&output).join("\n")).unwrap();
    assert_eq!(report["removed"], json!([]), "{report}");
    let held = report["held"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut held: Vec<_> = held
        .map(|one| (text(&one["path"]), text(&one["hold"])))
        .collect();
    held.sort();
    held
}

#[test]
fn nothing_goes_in_a_pause_by_deadline_schedule_clean_or_after_a_crash_and_all_of_it_after_it() {
    let (place, mut daemon) = begin();
    let told = said(
        &place,
        &["pause", "--for", "2h", "--why", "the backup is restored"],
    );
    let is_told = told[0].starts_with("all roots are paused until ")
        && told[0].contains("(in ")
        && told[0].ends_with("the backup is restored");
    assert!(is_told, "{told:?}");
    let files = ROOTS.map(|root| place.write(&format!("{root}/old")));
    daemon.sync();
    let all: Vec<_> = {
        let mut paths = files
            .each_ref()
            .map(|path| path.to_str().unwrap().to_owned());
        paths.sort();
        paths
            .into_iter()
            .map(|path| (path, "paused".to_owned()))
            .collect()
    };
    assert_eq!(held(&place, &["clean", "--dry-run", "--json"]), all);
    assert_eq!(held(&place, &["clean", "--yes", "--json"]), all);
    let why = said(&place, &["explain", "data/old"]).join("\n");
    assert!(why.contains("`lapsed resume` ends it"), "{why}");
    let status = said(&place, &["status"]).join("\n");
    assert!(
        status.contains("paused   all roots are paused until "),
        "{status}"
    );
    let metrics = place.said(&["status", "--json"]);
    let metrics: Value = serde_json::from_str(&metrics).unwrap();
    assert_eq!(metrics["pauses"][0]["root"], Value::Null);

    daemon.kill();
    // Without a daemon, too.
    let file = place.config_path();
    let alone = ["clean", "--yes", "--json", "--config", &file];
    assert_eq!(held(&place, &[&alone[..], &["--dry-run"]].concat()), all);
    assert_eq!(held(&place, &alone), all);
    daemon = place.serve_again();
    assert_eq!(paused(&daemon)[0]["why"], "the backup is restored");
    daemon.wait_until_said("some of it is held: ");
    for path in &files {
        assert!(path.exists(), "{}", path.display());
    }

    let told = said(&place, &["resume"]);
    assert_eq!(told, ["all roots are not paused any more"]);
    place.wait_until_gone(&daemon, "data/old");
    said(&place, &["clean", "--yes"]);
    assert!(!place.exists("asked/old") && !place.exists("started/old"));
    let (_, status) = daemon.get("/v1/status");
    assert!(status["lateness"]["max_ms"].as_i64().unwrap() < 3_600_000);
    let history = said(&place, &["history"]).join("\n");
    for part in ["all roots (paused by ", "all roots (resumed)"] {
        assert!(history.contains(part), "{part:?} in {history}");
    }
    assert_eq!(said(&place, &["resume"]), ["nothing was paused"]);
}

#[test]
fn a_pause_ends_by_itself_and_tells_so() {
    let (place, daemon) = begin();
    let follows = Follows::begin(&daemon.socket, "", None);
    let order = [
        "pause", "--for", "3s", "--why", "x", "--root", "data", "--json",
    ];
    let answer: Value = serde_json::from_str(&place.said(&order)).unwrap();
    assert_eq!(answer["pauses"][0]["root"], "data");
    let begun = follows.wait("the pause is told", |heard| heard.event == "paused");
    assert_eq!(begun.data["root"], "data");
    place.write("data/old");
    place.wait_until_gone(&daemon, "data/old");
    let ended = follows.wait("its end is told", |heard| heard.event == "resumed");
    assert_eq!(
        (&ended.data["root"], &ended.data["by"]),
        (&json!("data"), &Value::Null)
    );
    assert!(paused(&daemon).is_empty());
    daemon.wait_until_said("the pause was ended by its end");
    // It is not kept, and not told of again after a restart.
    drop(daemon);
    let daemon = place.serve_again();
    daemon.sync();
    assert!(
        !daemon.said().contains("the pause was ended"),
        "{}",
        daemon.said()
    );
}

#[test]
fn a_pause_of_one_root_leaves_the_others_alone() {
    let (place, daemon) = begin();
    said(
        &place,
        &[
            "pause", "--for", "2h", "--why", "x", "--root", "data", "--root", "asked",
        ],
    );
    for root in ROOTS {
        place.write(&format!("{root}/old"));
    }
    let told = said(&place, &["clean", "--yes"]).join("\n");
    assert!(told.contains("root \"asked\""), "{told}");
    assert!(!place.exists("started/old"));
    let metrics = daemon
        .send(&crate::common::http::Request::get("/metrics"))
        .text();
    for (root, is_paused) in [("data", true), ("asked", true), ("started", false)] {
        let name = format!("lapsed_pause_end_timestamp_seconds{{root=\"{root}\"}}");
        assert_eq!(metrics.contains(&name), is_paused, "{metrics}");
    }
    said(&place, &["resume", "--root", "data"]);
    place.wait_until_gone(&daemon, "data/old");
    assert!(place.exists("asked/old"));
    let told = refused(&place, &["resume", "--root", "other"]);
    assert!(told.contains("there is no root \"other\""), "{told}");
}

#[test]
fn a_pause_needs_an_end_and_a_reason() {
    let (place, daemon) = begin();
    for (arguments, words) in [
        (&["pause", "--why", "x"][..], "--for <DURATION>"),
        (&["pause", "--for", "1h"], "--why <TEXT>"),
        (&["pause", "--for", "31d", "--why", "x"], "30 days"),
        (
            &["pause", "--for", "soon", "--why", "x"],
            "cannot be \"soon\"",
        ),
        (
            &["pause", "--for", "1h", "--why", " "],
            "\"why\" is missing",
        ),
    ] {
        let told = refused(&place, arguments);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    assert!(paused(&daemon).is_empty());
}

#[test]
fn only_an_admin_pauses_and_everybody_may_look() {
    if !has_other_users() {
        return;
    }
    let place = Place::new();
    place.make_dir("data");
    let daemon = configured(
        &place,
        "socket_mode = \"0666\"\n[[root]]\npath = \"data\"\n",
    );
    let nobody = Some((65_534, 65_534));
    for arguments in [&["pause", "--for", "1h", "--why", "x"][..], &["resume"]] {
        let output = run_as(&place, nobody, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(errors(&output).contains("is not an admin"), "{output:?}");
    }
    assert!(paused(&daemon).is_empty());
    said(&place, &["pause", "--for", "1h", "--why", "x"]);
    let output = run_as(&place, nobody, &["status"]);
    assert!(
        lines(&output).join("\n").contains("paused   all roots"),
        "{output:?}"
    );
}

#[test]
fn a_registry_that_cannot_be_read_starts_nothing() {
    let (place, mut daemon) = begin();
    said(&place, &["pause", "--for", "2h", "--why", "x"]);
    place.write("data/old");
    daemon.kill();
    std::fs::write(place.path("state/registry.db"), "no database").unwrap();
    let file = place.config_path();
    for option in ["--yes", "--dry-run"] {
        let output = place.run(&["clean", option, "--config", &file]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(errors(&output).contains("registry.db"), "{output:?}");
    }
    assert!(place.exists("data/old"));
    wait_for("it is said why", || {
        let output = place.run(&["serve", "--config", &place.config_path()]);
        errors(&output).contains("registry.db").then_some(())
    });
    assert!(place.exists("data/old"));
}
