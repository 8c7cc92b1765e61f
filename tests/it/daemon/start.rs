//! The start of a daemon: sockets, directories that it makes, and what it says.

use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use super::{assert_no_socket, config_of, ends_cleanly, expire_ms};
use crate::common::{Daemon, Place, errors, lines, patience, wait_for};

#[test]
fn a_second_daemon_is_refused_and_told_who_the_first_is() {
    let place = Place::new();
    place.make_dir("data");
    let daemon = place.serve_ready(&["--watch", "data=1h"]);
    let pid = daemon.child.id();

    let other = place.path("other.sock");
    let refused = place.run(&[
        "--socket",
        other.to_str().unwrap(),
        "serve",
        "--watch",
        "data=1h",
    ]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        errors(&refused),
        format!(
            "error: the state directory \"{}\" is in use by process {pid}\n  \
             stop that one first, or give this one its own with --state-dir\n",
            place.path("state").display()
        )
    );
    assert!(!other.exists());

    let state = place.path("other-state");
    let refused = place.run(&[
        "--state-dir",
        state.to_str().unwrap(),
        "serve",
        "--watch",
        "data=1h",
    ]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        errors(&refused),
        format!(
            "error: another daemon (pid {pid}) owns socket \"{}\"\n  \
             stop it first, or give this one another path with --socket\n",
            place.socket().display()
        )
    );
    assert_eq!(daemon.get("/v1/health").0, 200, "the first one goes on");
}

#[test]
fn the_stale_socket_of_a_killed_daemon_is_replaced() {
    let place = Place::new();
    place.make_dir("data");
    let mut killed = place.serve_ready(&["--watch", "data=1h"]);
    killed.kill();
    assert!(place.socket().exists(), "a kill leaves the socket behind");
    let refused = place.run(&["status"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(errors(&refused).contains("is dead"), "{refused:?}");

    let mut next = place.serve_ready(&["--watch", "data=1h"]);
    assert_eq!(next.get("/v1/health").0, 200);
    ends_cleanly(&place, &mut next, Signal::TERM, "after a killed one");
}

#[test]
fn what_is_no_stale_socket_is_refused_and_kept() {
    let place = Place::new();
    place.make_dir("data");
    std::fs::write(place.socket(), b"mine").unwrap();
    let refused = place.run(&["serve", "--watch", "data=1h"]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        errors(&refused),
        format!(
            "error: \"{}\" is there and is no socket\n  \
             remove it yourself if it may go, or give another path with --socket\n",
            place.socket().display()
        )
    );
    assert_eq!(std::fs::read(place.socket()).unwrap(), b"mine");

    // Somebody else's, who answers.
    std::fs::remove_file(place.socket()).unwrap();
    let _theirs = UnixListener::bind(place.socket()).unwrap();
    let refused = place.run(&["serve", "--watch", "data=1h"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        errors(&refused).contains("somebody already listens on socket"),
        "{refused:?}"
    );
}

#[test]
fn watch_creates_what_it_is_to_watch_and_says_so() {
    let place = Place::new();
    let daemon = place.serve_ready(&["--watch", "scratch=1h", "--watch", "more=2h"]);
    for (name, ms) in [("scratch", 3_600_000), ("more", 7_200_000)] {
        let path = place.path(name);
        daemon.wait_until_said(&format!("created \"{}\"", path.display()));
        std::fs::write(path.join("file"), b"x").unwrap();
        daemon.sync();
        assert_eq!(expire_ms(&daemon, &path.join("file")), Some(ms));
    }
    let (_, status) = daemon.get("/v1/status");
    let names: Vec<_> = status["roots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|root| root["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["scratch", "more"]);
}

#[test]
fn watch_creates_nothing_but_the_last_directory() {
    let place = Place::new();
    let refused = place.run(&["serve", "--watch", "no/such/dir=1h"]);
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(
        errors(&refused),
        "error: --watch \"no/such/dir=1h\" is in a directory that does not exist\n  \
         create its parent first: only the last directory is created\n"
    );
    assert!(!place.path("no").exists());
    assert_no_socket(&place);
}

#[test]
fn the_daemon_writes_nothing_to_its_standard_output() {
    let place = Place::new();
    let root = place.make_dir("data");
    let mut command = place.lapsed();
    command
        .args(["serve", "-vv", "--watch", "data=100ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_for("there is a socket", || {
        place.socket().exists().then_some(())
    });
    std::fs::write(root.join("file"), b"x").unwrap();
    wait_for("it lapses", || (!root.join("file").exists()).then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, "");
}

#[test]
fn it_tells_its_supervisor_when_it_is_ready_reloads_and_ends() {
    let place = Place::new();
    place.make_dir("data");
    let config = place.config(&config_of("1h"));
    let notify = UnixDatagram::bind(place.path("notify")).unwrap();
    notify.set_read_timeout(Some(patience())).unwrap();
    let told = || {
        let mut buffer = [0; 512];
        let length = notify.recv(&mut buffer).expect("it tells");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut command = place.lapsed();
    command
        .args(["serve", "--config", config.to_str().unwrap()])
        .env("NOTIFY_SOCKET", place.path("notify"));
    let mut daemon = Daemon::start(command, place.socket());
    assert_eq!(told().trim(), "READY=1");
    assert_eq!(
        daemon.get("/v1/health").0,
        200,
        "ready means that it answers"
    );
    daemon.signal(Signal::HUP);
    let reloading = told();
    let mut fields = reloading.lines();
    assert_eq!(fields.next(), Some("RELOADING=1"));
    let at = fields.next();
    let at = at.and_then(|field| field.strip_prefix("MONOTONIC_USEC="));
    let at: i64 = at.unwrap_or(&reloading).parse().unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let ago = now.tv_sec - at / 1_000_000;
    assert!((0..=600).contains(&ago), "{reloading}: {ago} s ago");
    assert_eq!(told().trim(), "READY=1");
    daemon.signal(Signal::TERM);
    assert_eq!(told().trim(), "STOPPING=1");
    assert!(daemon.wait().success());
}

#[test]
fn a_dry_run_says_so_wherever_it_is_asked() {
    let place = Place::new();
    let root = place.make_dir("data");
    std::fs::write(root.join("old"), b"x").unwrap();
    let daemon = place.serve_ready(&["--dry-run", "--watch", "data=0s"]);
    assert!(
        daemon.said().contains("dry run: nothing is removed"),
        "{}",
        daemon.said()
    );
    assert_eq!(daemon.get("/v1/status").1["mode"], "dry-run");
    let status = lines(&place.run(&["status"])).join("\n");
    assert!(status.contains("dry"), "{status}");
    let (code, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!(code, 200);
    assert_eq!(report["dry_run"], true, "{report}");
    assert_eq!(report["files"], 1, "{report}");
    assert!(root.join("old").exists());
}

#[test]
fn the_log_is_json_where_the_configuration_says_so() {
    let place = Place::new();
    let root = place.make_dir("data");
    let config = place.config(
        "log_format = \"json\"\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"now\"\nexpire = \"0s\"\n",
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    std::fs::write(root.join("a"), b"x").unwrap();
    daemon.wait_until_said("lapsed: ");
    let said = daemon.said();
    let lines = said.lines().map(|line| {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line["time"].is_string() && line["level"].is_string(),
            "{line}"
        );
        line
    });
    let lapsed = lines
        .into_iter()
        .find(|line| line["rule"] == "now")
        .unwrap();
    assert_eq!(lapsed["level"], "info");
    assert_eq!(lapsed["path"].as_str(), root.join("a").to_str());
    assert_eq!(lapsed["files"], 1);
    let message = lapsed["message"].as_str().unwrap();
    assert!(message.contains("/data/a\" by rule \"now\""), "{message}");
}

/// Names of the daemon's threads.
fn threads(daemon: &Daemon) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn the_reaper_has_as_many_workers_as_are_configured() {
    for (configured, expected) in [
        ("", 2),
        ("[reap]\nworkers = 1\n", 1),
        ("[reap]\nworkers = 99\n", 8),
    ] {
        let place = Place::new();
        place.make_dir("data");
        let rest = "[[root]]\npath = \"data\"\n[[rule]]\nname = \"now\"\nexpire = \"0s\"\n";
        let config = place.config(&format!("{configured}{rest}"));
        let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
        let count = |kind: &str| {
            let all = threads(&daemon);
            // One more is for what has no lane of its own.
            all.iter().filter(|name| *name == kind).count() - 1
        };
        for kind in ["reap-files", "reap-units", "reap-sweep"] {
            assert_eq!(count(kind), expected, "{kind}: {configured}");
        }
        std::fs::write(place.path("data/file"), "x").unwrap();
        place.wait_until_gone(&daemon, "data/file");
    }
}
