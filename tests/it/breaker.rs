//! What becomes due at once by a change of facts waits for a person; what becomes due by the passing of time does not.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::follow::Follows;
use crate::common::machine::has_other_users;
use crate::common::others::run_as;
use crate::common::{Daemon, Place, errors, lines, wait_for, walk};
use rustix::process::Signal;
use serde_json::{Value, json};

const OLD: usize = 2000;
const YOUNG: usize = 500;

/// A user and group that own nothing here.
const NOBODY: Option<(u32, u32)> = Some((65_534, 65_534));

/// Files last changed two days ago, and files of today.
fn fill(root: &Path) {
    let two_days_ago = SystemTime::now() - Duration::from_hours(48);
    for number in 0..OLD {
        let dir = root.join(format!("{}", number / 500));
        std::fs::create_dir_all(&dir).unwrap();
        let file = std::fs::File::create(dir.join(format!("old-{number}"))).unwrap();
        file.set_modified(two_days_ago).unwrap();
    }
    for number in 0..YOUNG {
        std::fs::write(root.join(format!("young-{number}")), b"x").unwrap();
    }
}

fn config_of(place: &Place, expire: &str, more: &str) -> PathBuf {
    place.config(&format!(
        "{more}\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nsince = \"mtime\"\nexpire = \"{expire}\"\n"
    ))
}

/// A place whose first start makes 2,000 of 2,500 files due at once.
fn tripped(more: &str) -> (Place, PathBuf, Daemon) {
    let place = Place::new();
    let root = place.make_dir("data");
    fill(&root);
    let config = config_of(&place, "1d", more);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    (place, root, daemon)
}

fn count(root: &Path) -> usize {
    walk(root).len()
}

/// What the breaker says it holds.
#[track_caller]
fn trips(daemon: &Daemon) -> Vec<Value> {
    let (status, breaker) = daemon.get("/v1/breaker");
    assert_eq!(status, 200, "{breaker}");
    breaker["tripped"].as_array().unwrap().clone()
}

#[test]
fn a_first_start_that_makes_much_due_asks_first() {
    let (place, root, daemon) = tripped("");
    let (status, _) = daemon.post("/v1/sync", "");
    assert_eq!(status, 200);
    assert_eq!(count(&root), OLD + YOUNG, "nothing goes");

    let trips = trips(&daemon);
    assert_eq!(trips.len(), 1);
    assert_eq!(
        (&trips[0]["root"], &trips[0]["due"], &trips[0]["of"]),
        (&json!("data"), &json!(OLD), &json!(OLD + YOUNG))
    );
    let (_, health) = daemon.get("/v1/health");
    assert_eq!(health["status"], "holding");
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["breaker"]["tripped"], json!(trips));
    assert_eq!(status["roots"][0]["breaker"], trips[0]);
    assert_eq!(status["holds"][0]["code"], "breaker");
    assert_eq!(status["holds"][0]["count"], json!(OLD));
    let held = daemon.files("?hold=breaker");
    assert_eq!(held.len(), OLD);
    assert!(held.values().all(|entry| entry["hold"] == "breaker"));
    let told = daemon.said();
    assert!(told.contains("lapsed breaker release"), "{told}");

    // The same for people: what is held, and the word that lets it go.
    let breaker = lines(&place.run(&["breaker", "show"])).join("\n");
    assert!(
        breaker.starts_with("root data: 2,000 of 2,500 files became due at once")
            && breaker.contains("lapsed breaker release --root data"),
        "{breaker}"
    );
    let path = root.join("0/old-0");
    let explained = lines(&place.run(&["explain", path.to_str().unwrap()])).join("\n");
    assert!(
        explained.contains("it stays: too much became due at once")
            && explained.contains("lapsed breaker release"),
        "{explained}"
    );
    let status = lines(&place.run(&["status"])).join("\n");
    assert!(status.contains("breaker"), "{status}");
    let listed = place.run(&["ls", "--hold", "breaker", "--json"]);
    assert_eq!(lines(&listed).len(), OLD);
    assert_eq!(count(&root), OLD + YOUNG, "nothing went meanwhile");
}

#[test]
fn what_becomes_due_later_by_time_still_lapses() {
    let (_place, root, daemon) = tripped("");
    let soon = root.join("soon");
    let file = std::fs::File::create(&soon).unwrap();
    let due = Duration::from_hours(24) - Duration::from_millis(1500);
    file.set_modified(SystemTime::now() - due).unwrap();
    drop(file);
    wait_for("it lapses", || (!soon.exists()).then_some(()));
    assert_eq!(count(&root), OLD + YOUNG, "only that one");
    assert_eq!(trips(&daemon).len(), 1, "the breaker stays as it is");
}

#[test]
fn a_release_lets_all_of_it_go_and_the_ledger_has_all_of_it() {
    let (place, root, daemon) = tripped("");
    let follows = Follows::begin(&place.socket(), "", None);
    let released = place.run(&["breaker", "release"]);
    assert!(released.status.success(), "{released:?}");
    assert_eq!(lines(&released), ["root data: released"]);
    let event = follows.wait("the release", |heard| heard.event == "released");
    let me = rustix::process::geteuid().as_raw();
    assert_eq!(
        (&event.data["root"], &event.data["by"]["uid"]),
        (&json!("data"), &json!(me))
    );
    wait_for("all old files go", || (count(&root) == YOUNG).then_some(()));
    assert!(walk(&root).keys().all(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("young-")
    }));

    let ledger = wait_for("the ledger is complete", || {
        let history = place.run(&["history", "--json", "--limit", "0"]);
        Some(lines(&history)).filter(|lines| lines.len() >= OLD)
    });
    let mut paths: Vec<String> = ledger
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| {
            assert!(line["late_ms"].as_i64().unwrap() >= 0, "{line}");
            assert_eq!(line["by"], "rule", "{line}");
            line["path"].as_str().unwrap().to_owned()
        })
        .collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), OLD, "each once");
    assert_eq!(ledger.len(), OLD, "and none twice");
    assert!(trips(&daemon).is_empty());
    let again = place.run(&["breaker", "release"]);
    assert_eq!(lines(&again), ["nothing was held"]);
    assert_eq!(
        lines(&place.run(&["breaker", "show"])),
        ["the breaker holds nothing"]
    );
}

#[test]
fn a_person_without_rights_releases_nothing() {
    if !has_other_users() {
        return;
    }
    let (place, root, daemon) = tripped("socket_mode = \"0666\"");
    let shown = run_as(&place, NOBODY, &["breaker", "show"]);
    assert!(shown.status.success(), "who can connect may ask: {shown:?}");
    for arguments in [&["breaker", "release"][..], &["clean"]] {
        let refused = run_as(&place, NOBODY, arguments);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let told = errors(&refused);
        let role = if arguments[0] == "breaker" {
            "(uid 65534) is not an admin"
        } else {
            "(uid 65534) is not an operator"
        };
        assert!(
            told.contains(role) && told.contains("become root"),
            "{told}"
        );
    }
    let tried = run_as(&place, NOBODY, &["clean", "--dry-run"]);
    assert_eq!(
        tried.status.code(),
        Some(1),
        "a dry run only asks, and the breaker would stop it: {tried:?}"
    );
    assert_eq!(trips(&daemon).len(), 1);
    assert_eq!(count(&root), OLD + YOUNG);
}

#[test]
fn an_edited_rule_that_makes_much_due_asks_first_and_a_reload_does_not_release() {
    let place = Place::new();
    let root = place.make_dir("data");
    fill(&root);
    let config = config_of(&place, "7d", "");
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    assert!(trips(&daemon).is_empty(), "nothing is due yet");
    let follows = Follows::begin(&place.socket(), "", None);

    config_of(&place, "1d", "");
    let event = follows.wait("the trip", |heard| heard.event == "tripped");
    assert_eq!(
        (&event.data["due"], &event.data["of"]),
        (&json!(OLD), &json!(OLD + YOUNG))
    );
    let before = trips(&daemon);
    assert_eq!(before.len(), 1);

    daemon.signal(Signal::HUP);
    daemon.wait_until_said("reloading: SIGHUP");
    wait_for("the root is read again", || {
        let trips = trips(&daemon);
        (trips.len() == 1 && trips[0]["at"] != before[0]["at"]).then_some(())
    });
    daemon.wait_until_ready();
    daemon.sync();
    assert_eq!(count(&root), OLD + YOUNG, "a reload is no release");

    // With the rule as it was, nothing is due: there is nothing to ask about.
    config_of(&place, "7d", "");
    wait_for("the breaker is at rest", || {
        trips(&daemon).is_empty().then_some(())
    });
    assert_eq!(count(&root), OLD + YOUNG);
}

#[test]
fn a_restart_does_not_release_it() {
    let (place, root, mut daemon) = tripped("");
    assert!(daemon.stop().success());
    let config = place.path("lapsed.toml");
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    assert_eq!(trips(&daemon).len(), 1);
    assert_eq!(count(&root), OLD + YOUNG);
}

#[test]
fn fewer_than_the_limits_go_without_a_word() {
    // More than half of the root, but no more than so many.
    let (_place, root, daemon) = tripped("breaker.entries = 2000");
    wait_for("all old files go", || (count(&root) == YOUNG).then_some(()));
    assert!(trips(&daemon).is_empty());
    // More than so many, but no more than this part of the root.
    let (_place, root, daemon) = tripped("breaker.share = 0.8");
    wait_for("all old files go", || (count(&root) == YOUNG).then_some(()));
    assert!(trips(&daemon).is_empty());
}

#[test]
fn clean_does_not_go_around_it() {
    let (place, root, daemon) = tripped("");
    for arguments in [
        &["clean", "--json"][..],
        &["clean", "--json", "--retention", "old=1h"],
        &["clean", "--json", "--root", "data", "--rule", "old"],
    ] {
        let cleaned = place.run(arguments);
        assert_eq!(cleaned.status.code(), Some(1), "{cleaned:?}");
        let report: Value = serde_json::from_slice(&cleaned.stdout).unwrap();
        assert_eq!(report["removed"], json!([]), "{arguments:?}");
        assert_eq!(report["breaker"]["tripped"][0]["root"], "data");
        let held = report["held"].as_array().unwrap();
        assert_eq!(held.len(), OLD, "{arguments:?}");
        assert!(held.iter().all(|item| item["hold"] == "breaker"));
    }
    assert_eq!(count(&root), OLD + YOUNG);
    assert_eq!(trips(&daemon).len(), 1);
}
