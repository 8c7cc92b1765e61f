//! Schedules of their own: at the start, after a time without a daemon, and what is told of them.

use serde_json::{Value, json};

use super::{all_exist, make_files, none_exists, said_of};
use crate::common::{Place, errors, lines, wait_for};

/// A manual rule, a named one, and a schedule.
fn config_of(schedule: &str) -> String {
    let rule = |name: &str, when: &str| {
        format!(
            "[[root]]\npath = \"{name}\"\n[[rule]]\nname = \"{name}\"\nroot = \"{name}\"\nexpire = \"0s\"\nschedule = \"{when}\"\n"
        )
    };
    let rules = [rule("asked", "manual"), rule("archives", "named")].concat();
    format!("{rules}[[schedule]]\nname = \"nightly\"\n{schedule}\n")
}

fn runs(place: &Place) -> Vec<Value> {
    let database = rusqlite::Connection::open(place.path("state/registry.db")).unwrap();
    let mut query = database
        .prepare("SELECT details FROM run ORDER BY id")
        .unwrap();
    let rows = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|row| serde_json::from_str(&row.unwrap()).unwrap())
        .collect()
}

/// Has the registry say that the last instant was long ago.
fn set_back(place: &Place) {
    let database = rusqlite::Connection::open(place.path("state/registry.db")).unwrap();
    let changed = database
        .execute("UPDATE schedule SET until = 1700000000000", [])
        .unwrap();
    assert_eq!(changed, 1);
}

#[test]
fn a_schedule_cleans_at_the_start_what_it_names() {
    let place = Place::new();
    let archives = make_files(&place.make_dir("archives"), 2);
    let asked = make_files(&place.make_dir("asked"), 2);
    let config = place.config(&config_of("on_start = true\nrules = \"archives\""));
    let arguments = ["--config", config.to_str().unwrap()];
    let checked = lines(&place.run(&["check", arguments[0], arguments[1]])).join(" ");
    let checked = checked.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        checked.contains("schedule \"nightly\": removes what is due under rule \"archives\", when the daemon starts"),
        "{checked}"
    );
    let daemon = place.serve_ready(&arguments);
    daemon.wait_until_said("schedule \"nightly\" at start: 2 removed");
    assert_eq!(none_exists(&archives), Some(()));
    assert!(all_exist(&asked));
    wait_for("the run is recorded", || {
        let (_, runs) = daemon.get("/v1/runs");
        let run = &runs["runs"][0];
        (run["schedule"] == "nightly" && run["cause"] == "start" && run["files"] == 2).then_some(())
    });
}

#[test]
fn what_was_missed_without_a_daemon_is_made_up_for_once() {
    let place = Place::new();
    let asked = make_files(&place.make_dir("asked"), 2);
    let archives = make_files(&place.make_dir("archives"), 2);
    let text = config_of("at = \"0 3 1 1 *\"");
    let config = place.config(&text);
    let arguments = ["--config", config.to_str().unwrap()];
    let mut daemon = place.serve_ready(&arguments);
    let (_, settings) = daemon.get("/v1/settings");
    let schedule = &settings["schedules"][0];
    assert_eq!(
        (&schedule["name"], &schedule["at"], &schedule["enabled"]),
        (&json!("nightly"), &json!("0 3 1 1 *"), &json!(true))
    );
    let next = schedule["next"].clone();
    assert!(next.is_string(), "{schedule}");
    let (_, status) = daemon.get("/v1/status");
    assert_eq!(status["schedules"][0]["next"], next);
    assert_eq!(status["waits"]["scheduled"]["files"], 2, "{status:#}");
    let told = lines(&place.run(&["status"])).join("\n");
    assert!(told.contains("schedule nightly: next at "), "{told}");
    let (_, plan) = daemon.get("/v1/plan?within=400d");
    assert_eq!(plan["files"], 2, "{plan:#}");
    assert!(said_of(&daemon, &asked[0]).contains("only by schedule"));
    assert!(
        all_exist(&asked),
        "nothing was missed before the first start"
    );
    assert!(daemon.stop().success());

    set_back(&place);
    let mut daemon = place.serve_ready(&arguments);
    daemon.wait_until_said("for times at which no daemon ran: 2 removed");
    assert_eq!(none_exists(&asked), Some(()));
    assert!(all_exist(&archives), "they must be named");
    assert!(daemon.stop().success());
    let asked = make_files(&place.path("asked"), 2);
    let mut daemon = place.serve_ready(&arguments);
    daemon.sync();
    assert!(daemon.stop().success());
    assert!(all_exist(&asked), "once");
    let made_up: Vec<_> = runs(&place)
        .into_iter()
        .filter(|run| run["schedule"] == "nightly" && run["cause"] == "schedule")
        .collect();
    assert_eq!(made_up.len(), 1, "{made_up:?}");

    // Neither what is to be skipped, nor what comes at other times than then, nor what was
    // switched off.
    for other in [
        format!("{text}catch_up = false\n"),
        text.replace("0 3 1 1 *", "0 4 1 1 *"),
        format!("{text}enabled = false\n"),
        text,
    ] {
        if !other.ends_with("\"0 3 1 1 *\"\n") {
            set_back(&place);
        }
        place.config(&other);
        let mut daemon = place.serve_ready(&arguments);
        daemon.sync();
        assert!(daemon.stop().success());
        assert!(all_exist(&asked), "{other}");
        let known: bool = rusqlite::Connection::open(place.path("state/registry.db"))
            .unwrap()
            .query_row("SELECT count(*) > 0 FROM schedule", [], |row| row.get(0))
            .unwrap();
        assert_eq!(known, !other.contains("enabled = false"), "{other}");
    }
    let checked = place.run(&["check", arguments[0], arguments[1]]);
    assert_eq!(checked.status.code(), Some(0), "{}", errors(&checked));
}
