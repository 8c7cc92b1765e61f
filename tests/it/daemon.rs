//! The life of a daemon: start, one at a time, reload, end.

use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::common::follow::{Follows, stall_after};
use crate::common::{Daemon, Place, errors, lines, patience, wait_for, walk};
use rustix::process::Signal;
use serde_json::Value;

/// One root and one rule.
fn config_of(expire: &str) -> String {
    format!("[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nexpire = \"{expire}\"\n")
}

/// Sends `signal`, asserts a clean end without anything left behind, and prints how long it took.
#[track_caller]
fn ends_cleanly(place: &Place, daemon: &mut Daemon, signal: Signal, what: &str) {
    let begun = Instant::now();
    daemon.signal(signal);
    let status = daemon.wait();
    println!("{what}: {:?} after {:?}", status, begun.elapsed());
    assert_eq!(status.code(), Some(0), "{what}: {status}");
    assert_no_socket(place);
}

#[track_caller]
fn assert_no_socket(place: &Place) {
    assert!(!place.socket().exists(), "the socket stayed");
    assert!(
        !place.path("lapsed.sock.lock").exists(),
        "the socket's lock stayed"
    );
}

#[track_caller]
fn expire_ms(daemon: &Daemon, path: &Path) -> Option<i64> {
    let (status, why) = daemon.get(&format!("/v1/explain?path={}", path.display()));
    assert_eq!(status, 200, "{why}");
    why["expire_ms"].as_i64()
}

#[test]
fn sigterm_and_ctrl_c_end_it_cleanly() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let place = Place::new();
        place.make_dir("data");
        let mut daemon = place.serve_ready(&["--watch", "data=1h"]);
        assert!(place.socket().exists());
        ends_cleanly(&place, &mut daemon, signal, name);
        // What is left does not stand in the way of the next one.
        let mut next = place.serve_ready(&["--watch", "data=1h"]);
        ends_cleanly(&place, &mut next, signal, name);
    }
}

#[test]
fn a_daemon_that_has_only_just_begun_ends_cleanly() {
    let place = Place::new();
    place.make_dir("data");
    for _ in 0..5 {
        let mut command = place.lapsed();
        command.args(["serve", "--watch", "data=1h"]);
        let mut daemon = Daemon::start(command, place.socket());
        wait_for("there is a socket", || {
            place.socket().exists().then_some(())
        });
        ends_cleanly(&place, &mut daemon, Signal::TERM, "at once");
    }
}

#[test]
fn clients_that_hang_on_do_not_hold_up_the_end() {
    let place = Place::new();
    place.make_dir("data");
    for number in 0..3000 {
        std::fs::write(place.path(&format!("data/{number:0200}")), b"").unwrap();
    }
    let mut daemon = place.serve_ready(&["--watch", "data=1h"]);
    let socket = place.socket();
    let follows: Vec<Follows> = (0..3)
        .map(|_| Follows::begin(&socket, "?observed=true", None))
        .collect();
    let _stalled = [
        stall_after(&socket, b""),
        stall_after(&socket, b"GET /v1/sta"),
        stall_after(
            &socket,
            b"POST /v1/clean HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        ),
        // Megabytes that nobody reads.
        stall_after(
            &socket,
            b"GET /v1/files?limit=10000 HTTP/1.1\r\nhost: x\r\n\r\n",
        ),
    ];
    let (status, _) = daemon.get("/v1/health");
    assert_eq!(status, 200);
    ends_cleanly(&place, &mut daemon, Signal::TERM, "with clients");
    for follow in &follows {
        wait_for("the stream ends", || follow.has_ended().then_some(()));
    }
}

#[test]
fn a_crawl_under_way_does_not_hold_up_the_end() {
    let place = Place::new();
    for dir in 0..100 {
        let dir = place.make_dir(&format!("data/{dir}"));
        for file in 0..200 {
            std::fs::write(dir.join(format!("{file}")), b"").unwrap();
        }
    }
    let mut daemon = place.serve(&["--watch", "data=1h"]);
    let (_, health) = daemon.get("/v1/health");
    println!("asked to end while {}", health["status"]);
    ends_cleanly(&place, &mut daemon, Signal::TERM, "while crawling");
    assert_eq!(walk(&place.path("data")).len(), 20_000);
}

#[test]
fn a_removal_under_way_does_not_hold_up_the_end_and_is_finished_later() {
    let place = Place::new();
    let root = place.make_dir("data");
    let config = place.config(
        "[[root]]\npath = \"data\"\n[[rule]]\nname = \"jobs\"\nunit = \"dir\"\nexpire = \"0s\"\n\
         [breaker]\nentries = 1000000\n",
    );
    place.make_dir("outside/job");
    for dir in 0..100 {
        let dir = place.make_dir(&format!("outside/job/{dir}"));
        for file in 0..150 {
            std::fs::write(dir.join(format!("{file}")), b"x").unwrap();
        }
    }
    let arguments = ["--config", config.to_str().unwrap()];
    let mut daemon = place.serve_ready(&arguments);
    std::fs::rename(place.path("outside/job"), root.join("job")).unwrap();
    wait_for("the directory has left its place", || {
        (!root.join("job").exists()).then_some(())
    });
    ends_cleanly(&place, &mut daemon, Signal::TERM, "while removing");
    let left = std::fs::read_dir(root.join(".lapsed")).unwrap().count();
    println!("{left} left in the quarantine");

    let daemon = place.serve_ready(&arguments);
    let removals = wait_for("the removal is finished", || {
        let quarantine = std::fs::read_dir(root.join(".lapsed")).unwrap();
        let (_, history) = daemon.get("/v1/history");
        let removals = history["removals"].as_array().unwrap().clone();
        let is_over = !root.join("job").exists() && quarantine.count() == 0;
        (is_over && !removals.is_empty()).then_some(removals)
    });
    assert_eq!(removals.len(), 1, "{removals:?}");
    assert_eq!(
        (&removals[0]["files"], &removals[0]["unit"]),
        (&Value::from(15_000), &Value::from("dir"))
    );
}

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
fn an_edit_of_the_file_changes_the_rules_however_it_is_made() {
    let place = Place::new();
    let root = place.make_dir("data");
    let file = root.join("file");
    std::fs::write(&file, b"x").unwrap();
    let config = place.config(&config_of("1h"));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let deadline = |daemon: &Daemon| daemon.files("")[&file]["deadline"].clone();
    let before = deadline(&daemon);
    assert_eq!(expire_ms(&daemon, &file), Some(3_600_000));
    let becomes = |hours: i64| {
        wait_for(&format!("the rule says {hours} h"), || {
            (expire_ms(&daemon, &file) == Some(hours * 3_600_000)).then_some(())
        });
    };

    std::fs::write(&config, config_of("2h")).unwrap();
    becomes(2);
    daemon.wait_until_ready();
    assert!(deadline(&daemon).as_str() > before.as_str(), "{before}");

    std::fs::write(place.path("new.toml"), config_of("3h")).unwrap();
    std::fs::rename(place.path("new.toml"), &config).unwrap();
    becomes(3);

    place.make_dir("versions");
    std::fs::write(place.path("versions/4"), config_of("4h")).unwrap();
    std::fs::write(place.path("versions/5"), config_of("5h")).unwrap();
    std::os::unix::fs::symlink("versions/4", place.path("link")).unwrap();
    std::fs::rename(place.path("link"), &config).unwrap();
    becomes(4);
    std::os::unix::fs::symlink("versions/5", place.path("link")).unwrap();
    std::fs::rename(place.path("link"), &config).unwrap();
    becomes(5);

    // A file elsewhere is not watched; a signal reads it again.
    std::fs::write(place.path("versions/5"), config_of("6h")).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_until_said("reloading: SIGHUP");
    becomes(6);
    daemon.wait_until_ready();
    assert!(daemon.files("").contains_key(&file));
}

#[test]
fn an_edit_is_noticed_after_the_directories_around_the_file_were_replaced() {
    let place = Place::new();
    let root = place.make_dir("data");
    let file = root.join("file");
    std::fs::write(&file, b"x").unwrap();
    let put = |dir: &str, expire: &str| {
        let path = place.make_dir(dir).join("lapsed.toml");
        std::fs::write(&path, config_of(expire)).unwrap();
        path
    };
    let config = put("etc/app", "1h");
    let base = place.path("");
    let daemon = place.serve_ready(&[
        "--base-dir",
        base.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ]);
    let becomes = |hours: i64| {
        wait_for(&format!("the rule says {hours} h"), || {
            (expire_ms(&daemon, &file) == Some(hours * 3_600_000)).then_some(())
        });
    };
    becomes(1);
    // Another directory in the place of the file's own, then in that of the one around it.
    std::fs::rename(place.path("etc/app"), place.path("old")).unwrap();
    put("etc/app", "2h");
    becomes(2);
    put("etc/app", "3h");
    becomes(3);
    std::fs::rename(place.path("etc"), place.path("older")).unwrap();
    put("etc/app", "4h");
    becomes(4);
    put("etc/app", "5h");
    becomes(5);
    // What happens where it was is of no concern.
    put("older/app", "6h");
    put("etc/app", "7h");
    becomes(7);
}

#[test]
fn what_happens_beside_the_file_wakes_nobody() {
    let place = Place::new();
    let root = place.make_dir("data");
    let config = place.config(&config_of("1h"));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let threads = |name: &str| -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
        let status = |task: PathBuf| std::fs::read_to_string(task.join("status")).ok();
        let all = tasks.filter_map(|task| status(task.unwrap().path()));
        let head = format!("Name:\t{name}");
        all.filter(|status| status.starts_with(&head)).collect()
    };
    let sleeps = || {
        let threads = threads("config");
        assert_eq!(threads.len(), 1, "{threads:?}");
        let lines = threads[0].lines();
        let line = lines.filter(|line| line.starts_with("voluntary_ctxt_switches"));
        line.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = sleeps();
    for number in 0..200 {
        std::fs::write(root.join(number.to_string()), b"x").unwrap();
        std::fs::read_dir(&root).unwrap();
        std::fs::read(&config).unwrap();
    }
    daemon.sync();
    assert_eq!(daemon.files("").len(), 200);
    assert_eq!(sleeps(), before, "it is woken by what is no edit");
    assert_eq!(threads("notify"), [""; 0]);
}

#[test]
fn a_reload_watches_new_roots_and_forgets_removed_ones() {
    let place = Place::new();
    for name in ["one", "two"] {
        std::fs::write(place.make_dir(name).join("old"), b"x").unwrap();
    }
    let text = |name: &str| {
        format!(
            "[[root]]\nname = \"kept\"\npath = \"kept\"\n[[root]]\nname = \"{name}\"\npath = \"{name}\"\n[[rule]]\nexpire = \"1h\"\n"
        )
    };
    place.make_dir("kept");
    let config = place.config(&text("one"));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    assert_eq!(
        daemon.files("").into_keys().collect::<Vec<_>>(),
        [place.path("one/old")]
    );
    place.config(&text("two"));
    wait_for(
        "the new root's files are there, the old one's are not",
        || {
            let files: Vec<_> = daemon.files("").into_keys().collect();
            (files == [place.path("two/old")]).then_some(())
        },
    );
    daemon.wait_until_ready();
    std::fs::write(place.path("two/new"), b"x").unwrap();
    std::fs::write(place.path("one/new"), b"x").unwrap();
    std::fs::write(place.path("kept/new"), b"x").unwrap();
    daemon.sync();
    assert_eq!(
        daemon.files("").into_keys().collect::<Vec<_>>(),
        [
            place.path("kept/new"),
            place.path("two/new"),
            place.path("two/old")
        ]
    );
    let (status, problem) = daemon.get("/v1/files?root=one");
    assert_eq!(
        (status, &problem["allowed"]),
        (400, &serde_json::json!(["kept", "two"]))
    );
    let (status, _) = daemon.get(&format!(
        "/v1/explain?path={}",
        place.path("one/old").display()
    ));
    assert_eq!(status, 404, "it lies in no root any more");
}

#[test]
fn a_broken_edit_keeps_what_runs_and_is_told_with_its_line() {
    let place = Place::new();
    let root = place.make_dir("data");
    std::fs::write(root.join("file"), b"x").unwrap();
    let config = place.config(&config_of("1h"));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let before = daemon.files("");
    place.config(&config_of("1 fortnight"));
    daemon.wait_until_said(&format!(
        "{}:5: [[rule]] \"old\": expire = \"1 fortnight\" has an unknown unit: \"fortnight\"",
        config.display()
    ));
    assert!(
        daemon.said().contains("what runs goes on"),
        "{}",
        daemon.said()
    );
    assert_eq!(daemon.files(""), before);
    place.config("");
    daemon.wait_until_said("no root: nothing would be watched");
    std::fs::remove_file(&config).unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_until_said("cannot read configuration");
    assert_eq!(daemon.files(""), before);

    place.config(&config_of("2h"));
    wait_for("a file without mistakes is taken", || {
        (expire_ms(&daemon, &root.join("file")) == Some(7_200_000)).then_some(())
    });
}

#[test]
fn what_only_a_restart_changes_is_said() {
    let place = Place::new();
    place.make_dir("data");
    let config = place.config(&config_of("1h"));
    let mut command = place.lapsed();
    command
        .env_remove("LAPSED_STATE_DIR")
        .env_remove("LAPSED_SOCKET")
        .args(["serve", "--config", config.to_str().unwrap()]);
    let with = |head: &str| place.config(&format!("{head}\n{}", config_of("2h")));
    with("state_dir = \"state\"\nsocket = \"lapsed.sock\"");
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    with("state_dir = \"elsewhere\"\nsocket = \"other.sock\"\ndry_run = true");
    daemon.wait_until_said(
        "state_dir, socket, dry_run changed: that takes a restart, until then what runs goes on",
    );
    assert!(!place.path("other.sock").exists());
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["mode"], "live");
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
    let (code, report) = daemon.post("/v1/clean", "{}");
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
