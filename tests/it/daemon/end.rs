//! The end of a daemon.

use rustix::process::Signal;
use serde_json::Value;

use super::ends_cleanly;
use crate::common::follow::Follows;
use crate::common::http::stall_after;
use crate::common::{Daemon, Place, wait_for, walk};

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
