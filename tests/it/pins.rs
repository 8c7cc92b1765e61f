//! Pins: set, listed, moved and taken away, by people and programs, and over a crash.

use crate::common::commands::{refused, said};
use crate::common::machine::has_other_users;
use crate::common::others::run_as;
use crate::common::{Daemon, Place, errors, lines};
use serde_json::{Value, json};

fn begin() -> (Place, Daemon) {
    let place = Place::new();
    let root = place.make_dir("data");
    std::fs::create_dir(root.join("sub")).unwrap();
    for name in ["a", "b", "sub/c"] {
        std::fs::write(root.join(name), name).unwrap();
    }
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    (place, daemon)
}

fn pins(daemon: &Daemon) -> Vec<Value> {
    let (status, pins) = daemon.get("/v1/pins");
    assert_eq!(status, 200, "{pins}");
    pins["pins"].as_array().unwrap().clone()
}

/// `lapsed pin` with a time and a reason.
#[track_caller]
fn pin(place: &Place, what: &[&str]) -> Value {
    let tail = ["--for", "7d", "--why", "for the audit", "--json"];
    let told = said(place, &[&["pin", "add"], what, &tail].concat());
    serde_json::from_str(&told[0]).unwrap()
}

#[test]
fn a_path_is_pinned_from_where_one_stands_and_let_go_again() {
    let (place, daemon) = begin();
    let output = place
        .lapsed()
        .current_dir(place.path("data"))
        .args(["pin", "add", "sub", "--for", "2h", "--why", "for the audit"])
        .output()
        .unwrap();
    let told = lines(&output);
    let sub = place.path("data/sub");
    let expected = format!("pin 1: keeps {} until ", sub.display());
    assert!(
        told[0].starts_with(&expected) && told[0].contains("(in "),
        "{output:?}"
    );
    let held = pins(&daemon);
    assert_eq!(held[0]["path"], json!(sub));
    let me = rustix::process::geteuid();
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(me.as_raw())).unwrap();
    let me = name.map_or(me.as_raw().to_string(), |user| user.name);
    assert_eq!(held[0]["who"], json!(me));

    let table = said(&place, &["pin", "ls"]);
    assert!(
        table[0].starts_with("PIN") && table[1].contains("for the audit"),
        "{table:?}"
    );
    let listed = said(&place, &["ls", "--pinned"]);
    assert!(
        listed.len() == 2 && listed[1].ends_with("sub/c") && listed[1].contains("pin 1"),
        "{listed:?}"
    );
    let why = said(&place, &["explain", "data/sub/c"]).join("\n");
    assert!(
        why.contains("pin 1 holds it until ") && why.contains("because \"for the audit\""),
        "{why}"
    );
    assert!(
        said(&place, &["status"])
            .join("\n")
            .contains("pins     1 pin holds")
    );

    let before = held[0]["until"].clone();
    let told = said(&place, &["pin", "extend", "1", "--for", "7d"]);
    assert!(told[0].starts_with("pin 1: keeps "), "{told:?}");
    assert!(pins(&daemon)[0]["until"].as_str() > before.as_str());
    let told = said(&place, &["pin", "rm", "data/sub"]);
    assert!(told[0].starts_with("pin 1: removed, kept "), "{told:?}");
    assert_eq!(said(&place, &["pin", "ls"]), ["nothing is pinned"]);

    let history = said(&place, &["history"]).join("\n");
    for part in [
        "(pinned: pin 1 of ",
        "(extended: pin 1 of ",
        "(unpinned: pin 1)",
    ] {
        assert!(history.contains(part), "{part:?} in {history}");
    }
    let ledger = said(
        &place,
        &["history", "--json", "--path", sub.to_str().unwrap()],
    );
    assert_eq!(ledger.len(), 3);
    let last: Value = serde_json::from_str(&ledger[0]).unwrap();
    assert_eq!(
        (&last["unit"], &last["root"]),
        (&json!("dir"), &json!("data"))
    );
}

#[test]
fn a_job_is_pinned_and_let_go_by_number() {
    let (place, _daemon) = begin();
    let told = refused(
        &place,
        &["pin", "add", "--job", "one", "--for", "7d", "--why", "x"],
    );
    assert!(told.contains("no source has a job \"one\""), "{told}");
    said(&place, &["job", "put", "one", "--status", "completed"]);
    let set = pin(&place, &["--job", "one"]);
    assert_eq!(
        (&set["job"], &set["source"]),
        (&json!("one"), &json!("api"))
    );
    let history = said(&place, &["history"]).join("\n");
    assert!(history.contains("job one (pinned: pin 1 of "), "{history}");
    let told = said(&place, &["pin", "rm", "1"]);
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("job one of source api"), "{told:?}");
    let told = refused(&place, &["pin", "rm", "1"]);
    assert!(
        told.contains("there is no pin 1\n") && told.contains("`lapsed pin ls`"),
        "{told}"
    );
    pin(&place, &["--job", "one"]);
    let told = said(&place, &["pin", "rm", "--job", "one"]);
    assert!(
        told[0].starts_with("pin 2: removed, kept job one of source api"),
        "{told:?}"
    );
    let told = refused(&place, &["pin", "rm", "--job", "one"]);
    assert!(told.contains("no pin keeps job \"one\""), "{told}");
}

#[test]
fn what_is_acknowledged_survives_a_kill() {
    let (place, mut daemon) = begin();
    let (first, second) = (pin(&place, &["data/a"]), pin(&place, &["data/b"]));
    daemon.kill();
    daemon = place.serve_ready(&["--watch", "data=1h"]);
    assert_eq!(pins(&daemon), [first.clone(), second.clone()]);
    said(
        &place,
        &["pin", "extend", "1", "--until", "2100-01-01T00:00:00Z"],
    );
    daemon.kill();
    daemon = place.serve_ready(&["--watch", "data=1h"]);
    assert_eq!(pins(&daemon)[0]["until"], "2100-01-01T00:00:00.000Z");
    said(&place, &["pin", "rm", "2"]);
    daemon.kill();
    daemon = place.serve_ready(&["--watch", "data=1h"]);
    assert_eq!(pins(&daemon).len(), 1);
    assert_eq!(pin(&place, &["data/b"])["id"], 3, "a number is given once");
}

#[test]
fn wrong_orders_are_told_what_would_be_right() {
    let (place, daemon) = begin();
    let root = place.path("data");
    let tail = ["--for", "7d", "--why", "x"];
    let told = refused(
        &place,
        &[&["pin", "add", "/etc/passwd"][..], &tail].concat(),
    );
    let expected = format!(
        "\"/etc/passwd\" lies beneath no root\n  allowed: {}",
        root.display()
    );
    assert!(told.contains(&expected), "{told}");
    let told = refused(
        &place,
        &["pin", "add", "data/a", "--for", "7d", "--why", " "],
    );
    assert!(told.contains("the pin's \"why\" is missing"), "{told}");
    let told = refused(
        &place,
        &[
            "pin",
            "add",
            "data/a",
            "--until",
            "2001-01-01T00:00:00Z",
            "--why",
            "x",
        ],
    );
    assert!(told.contains("has passed"), "{told}");
    let told = refused(&place, &[&["pin", "add"][..], &tail].concat());
    assert!(told.contains("<PATH|--job <ID>>"), "{told}");
    let told = refused(&place, &["pin", "rm", "data/a"]);
    assert!(
        told.contains("no pin keeps exactly") && told.contains("data/a"),
        "{told}"
    );
    let told = refused(&place, &["pin", "extend", "7", "--for", "1d"]);
    assert!(told.contains("there is no pin 7"), "{told}");
    assert!(pins(&daemon).is_empty());
    assert_eq!(said(&place, &["history"]), ["nothing was removed"]);
}

#[test]
fn a_path_that_is_not_utf_8_is_pinned_as_it_is() {
    use std::os::unix::ffi::OsStrExt;
    let (place, daemon) = begin();
    let name = std::ffi::OsStr::from_bytes(b"data/\xff");
    std::fs::write(
        place
            .path("data")
            .join(std::ffi::OsStr::from_bytes(b"\xff")),
        b"x",
    )
    .unwrap();
    daemon.sync();
    let run = |arguments: &[&str], path: &std::ffi::OsStr| {
        place.lapsed().args(arguments).arg(path).output().unwrap()
    };
    let set = run(&["pin", "add", "--for", "1h", "--why", "x", "--json"], name);
    assert!(set.status.success(), "{set:?}");
    assert!(pins(&daemon)[0]["path_b64"].is_string());
    assert_eq!(daemon.files("?pinned=true").len(), 1);
    assert!(run(&["pin", "rm"], name).status.success());
    assert!(pins(&daemon).is_empty());
}

#[test]
fn only_those_who_may_act_pin() {
    if !has_other_users() {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("data");
    let config = place.config("socket_mode = \"0666\"\n[[root]]\npath = \"data\"\n");
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let nobody = Some((65_534, 65_534));
    let root = root.to_str().unwrap();
    for arguments in [
        &["pin", "add", root, "--for", "1d", "--why", "x"][..],
        &["pin", "extend", "1", "--for", "1d"],
        &["pin", "rm", "1"],
    ] {
        let output = run_as(&place, nobody, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(errors(&output).contains("is not an operator"), "{output:?}");
    }
    assert!(run_as(&place, nobody, &["pin", "ls"]).status.success());
    assert!(pins(&daemon).is_empty());
}
