//! Schedules that wait for runs.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{make_files, none_exists, wait_a_minute};
use crate::common::follow::Follows;
use crate::common::{Place, lines, wait_for};

/// Files enough for a run that a signal overtakes.
const MANY: u32 = 20_000;

const CONFIG: &str = "breaker.entries = 100000\n[[root]]\npath = \"data\"\n\
    [[rule]]\nname = \"asked\"\nglob = \"many/*\"\nexpire = \"0s\"\nschedule = \"manual\"\n\
    [[rule]]\nname = \"timed\"\nexpire = \"0s\"\nschedule = \"* * * * *\"\n";

fn run(place: &Place, id: u64) -> Option<Value> {
    let rows = lines(&place.run(&["history", "--runs", "--json"]));
    let rows = rows.iter().map(|row| serde_json::from_str(row).unwrap());
    rows.into_iter().find(|run: &Value| run["id"] == id)
}

#[test]
fn a_schedule_waits_for_a_run_on_its_root_and_events_tell_of_both() {
    let place = Place::new();
    let data = place.make_dir("data");
    let many = make_files(&place.make_dir("data/many"), MANY);
    let config = place.config(CONFIG);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let follows = Follows::begin(&place.socket(), "", None);
    let mut command = place.lapsed();
    let mut client = command
        .args(["clean", "--rule", "asked", "--json"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the order removes something", || {
        many.iter().any(|file| !file.exists()).then_some(())
    });
    // The instant of the schedule passes while the run is under way.
    daemon.signal(Signal::STOP);
    let timed = make_files(&data, 3);
    let minute = || jiff::Timestamp::now().as_second() / 60;
    let stopped = minute();
    wait_a_minute(&daemon, "the instant passes", || {
        (minute() > stopped).then_some(())
    });
    assert!(
        many.iter().any(|file| file.exists()),
        "the run is under way"
    );
    daemon.signal(Signal::CONT);
    assert!(client.wait().unwrap().success());
    wait_a_minute(&daemon, "the schedule's files go", || none_exists(&timed));
    let last = follows.wait("the end of a scheduled run", |heard| {
        heard.event == "run" && heard.data["cause"] == "schedule" && heard.data["files"] == 3
    });
    let heard = follows
        .heard()
        .into_iter()
        .filter(|heard| heard.event == "run");
    let heard = heard.map(|heard| {
        let data = heard.data;
        json!([
            data["run"],
            data["status"],
            data["cause"],
            data["by"],
            data["files"]
        ])
    });
    let heard: Vec<Value> = heard.collect();
    let uid = rustix::process::getuid().as_raw();
    let order = heard.iter().position(|run| run[2] == "order").unwrap();
    let expected = [
        json!([heard[order][0], "running", "order", {"uid": uid}, 0]),
        json!([heard[order][0], "done", "order", {"uid": uid}, MANY]),
    ];
    assert_eq!(
        heard[order..order + 2],
        expected,
        "nothing between: {heard:?}"
    );
    let id = last.data["run"].as_u64().unwrap();
    let scheduled = [
        json!([id, "running", "schedule", "schedule", 0]),
        json!([id, "done", "schedule", "schedule", 3]),
    ];
    assert!(heard.ends_with(&scheduled), "{heard:?}");
    let ordered = wait_for("both are listed", || run(&place, heard[order][0].as_u64()?));
    let next = &heard[order + 2];
    assert_eq!(
        next[2], "schedule",
        "the instant that had passed: {heard:?}"
    );
    let next = run(&place, next[0].as_u64().unwrap()).unwrap();
    assert!(
        next["started"].as_str() >= ordered["finished"].as_str(),
        "{next} {ordered}"
    );
}
