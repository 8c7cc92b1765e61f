//! When things go that do not go by themselves, and how much is said about it.

mod named;
mod own;
mod plans;
mod waits;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use crate::common::{Daemon, PATIENCE, Place, errors, lines, wait_for, wait_within};

/// One root, `top` above it, and one rule with `more`.
fn config_of(top: &str, more: &str) -> String {
    format!(
        "{top}\n[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nroot = \"data\"\nexpire = \"0s\"\n{more}\n"
    )
}

/// What is known of `path`: its rule says so.
#[track_caller]
fn said_of(daemon: &Daemon, path: &Path) -> String {
    let (status, why) = daemon.get(&format!("/v1/explain?path={}", path.display()));
    assert_eq!(status, 200, "{why}");
    why["text"].to_string()
}

#[test]
fn without_automatic_things_go_only_when_asked() {
    let place = Place::new();
    let data = place.make_dir("data");
    let config = place.config(&config_of("automatic = \"${GO:-off}\"", ""));
    let file = data.join("a");
    std::fs::write(&file, b"x").unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let checked = place.run(&["check", arguments[0], arguments[1]]);
    let checked = lines(&checked).join("\n");
    assert!(checked.contains("automatic = false"), "{checked}");
    let daemon = place.serve_ready(&arguments);
    assert!(said_of(&daemon, &file).contains("only when somebody asks"));
    // A file of another root's rule would have gone by now: this one is still known.
    daemon.sync();
    assert!(file.exists());
    let cleaned = place.run(&["clean"]);
    assert_eq!(cleaned.status.code(), Some(0), "{}", errors(&cleaned));
    assert!(!file.exists());
    // In force again, it goes by itself.
    std::fs::write(&file, b"x").unwrap();
    place.config(&config_of("", ""));
    wait_for("it goes by itself", || (!file.exists()).then_some(()));
}

#[test]
fn the_configuration_says_how_much_is_logged() {
    let place = Place::new();
    let data = place.make_dir("data");
    let config = place.config(&config_of("log_level = \"WARNING\"", ""));
    let arguments = ["--config", config.to_str().unwrap()];
    let daemon = place.serve_ready(&arguments);
    std::fs::write(data.join("a"), b"x").unwrap();
    wait_for("it goes", || (!data.join("a").exists()).then_some(()));
    daemon.sync();
    // A warning may tell that another test's child had the file open for a moment.
    let said = daemon.said();
    assert!(!said.contains(" INFO "), "from the start: {said}");
    place.config(&config_of("log_level = \"info\"", ""));
    daemon.signal(Signal::HUP);
    daemon.wait_until_said("reloading");
    std::fs::write(data.join("b"), b"x").unwrap();
    daemon.wait_until_said("lapsed");
    drop(daemon);
    // Who types something means it.
    place.config(&config_of("log_level = \"error\"", ""));
    let daemon = place.serve_ready(&["-v", arguments[0], arguments[1]]);
    daemon.wait_until_said("watching");
    drop(daemon);
    let mut command = place.lapsed();
    command
        .env("LAPSED_LOG", "info")
        .env("LAPSED_LOG_LEVEL", "critical");
    command.arg("serve").args(arguments);
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_said("watching");
}

#[test]
fn a_root_that_may_be_missing_holds_no_job() {
    let place = Place::new();
    let data = place.make_dir("data");
    let above = place.make_dir("above");
    let config_of = |optional: &str| {
        format!(
            "[[root]]\npath = \"data\"\nowner = \"{{job}}/**\"\n[[root]]\nname = \"extra\"\npath = \"above/extra\"\nowner = \"{{job}}_{{name}}\"\n\
             {optional}\n[[rule]]\njob = \"completed\"\nsince = \"completed_at\"\nexpire = \"0s\"\nunit = \"job\"\n"
        )
    };
    let config = place.config(&config_of(""));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let complete = |job: &str| {
        let dir = data.join(job);
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("out"), b"x").unwrap();
        daemon.sync();
        let arguments = ["job", "put", job, "--status", "completed"];
        let told =
            place.run(&[&arguments[..], &["--completed-at", "2024-01-01T00:00:00Z"]].concat());
        assert_eq!(told.status.code(), Some(0), "{}", errors(&told));
        dir
    };
    let gone = |dir: &Path| (!dir.exists()).then_some(());
    let first = complete("first");
    let said = wait_for("it is held", || {
        let said = said_of(&daemon, &first.join("out"));
        said.contains("the root is not there").then_some(said)
    });
    assert!(first.exists(), "{said}");
    place.config(&config_of("optional = true"));
    wait_for("the first goes", || gone(&first));
    let (_, health) = daemon.get("/v1/health");
    assert_eq!(health["status"], "ready", "{health}");
    // It comes: what a job owns in it goes with the job.
    std::fs::create_dir(above.join("extra")).unwrap();
    let file = above.join("extra/second_in");
    std::fs::write(&file, b"x").unwrap();
    let second = complete("second");
    wait_for("the second goes", || gone(&second).and(gone(&file)));
    // It goes: its place is still known to be empty.
    std::fs::remove_dir_all(above.join("extra")).unwrap();
    daemon.wait_until_said("it is optional, and counts as empty until it is there");
    let third = complete("third");
    wait_for("the third goes", || gone(&third));
    // What it would lie in goes, too: it is as empty as before.
    std::fs::remove_dir(&above).unwrap();
    let fourth = complete("fourth");
    wait_for("the fourth goes", || gone(&fourth));
    // They come one after another.
    for dir in [&above, &above.join("extra")] {
        std::fs::create_dir(dir).unwrap();
        daemon.sync();
    }
    let file = above.join("extra/fifth_in");
    std::fs::write(&file, b"x").unwrap();
    let fifth = complete("fifth");
    wait_for("the fifth goes", || gone(&fifth).and(gone(&file)));
    // Something else stands there: nobody can tell.
    std::fs::remove_dir_all(&above).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere"), &above).unwrap();
    daemon.sync();
    let last = complete("last");
    wait_for("it is held", || {
        let said = said_of(&daemon, &last.join("out"));
        said.contains("the root is not there").then_some(())
    });
    assert!(last.exists());
}

/// Waits for what happens once a minute.
#[track_caller]
fn wait_a_minute<T>(daemon: &Daemon, what: &str, condition: impl FnMut() -> Option<T>) -> T {
    let limit = PATIENCE + Duration::from_mins(2);
    wait_within(limit, what, condition, || daemon.said())
}

fn make_files(dir: &Path, count: u32) -> Vec<PathBuf> {
    let files: Vec<_> = (0..count)
        .map(|number| dir.join(number.to_string()))
        .collect();
    for file in &files {
        std::fs::write(file, b"x").unwrap();
    }
    files
}

fn all_exist(files: &[PathBuf]) -> bool {
    files.iter().all(|file| file.exists())
}

fn none_exists(files: &[PathBuf]) -> Option<()> {
    files.iter().all(|file| !file.exists()).then_some(())
}

#[test]
fn a_rule_with_a_schedule_goes_at_its_instants() {
    let place = Place::new();
    let data = place.make_dir("data");
    let config = place.config(&config_of("", "schedule = \"* * * * *\""));
    let arguments = ["--config", config.to_str().unwrap()];
    let checked = place.run(&["check", arguments[0], arguments[1]]);
    let checked = lines(&checked).join("\n");
    assert!(
        checked.contains("only at its schedule, \"* * * * *\""),
        "{checked}"
    );
    let mut daemon = place.serve_ready(&arguments);
    let minute_of = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs() / 60;
    let made = minute_of(SystemTime::now());
    let files = make_files(&data, 3);
    daemon.sync();
    if minute_of(SystemTime::now()) == made {
        let said = said_of(&daemon, &files[0]);
        assert!(said.contains("scheduled: it goes only at"), "{said}");
        assert!(said.contains("next at"), "{said}");
    }
    wait_a_minute(&daemon, "they go", || none_exists(&files));
    daemon.wait_until_said("schedule of rule \"old\": 3 removed");
    let history = place.run(&["history", "--json"]);
    for line in lines(&history) {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let at: jiff::Timestamp = line["at"].as_str().unwrap().parse().unwrap();
        let minute = at.as_second().unsigned_abs() / 60;
        assert!(minute > made, "before the first instant: {line}");
    }
    // Another schedule by a reload, and an end while it is waited for.
    place.config(&config_of("", "schedule = \"0 0 1 1 *\""));
    daemon.signal(Signal::HUP);
    daemon.wait_until_said("reloading");
    assert!(daemon.stop().success());
}

#[test]
fn a_schedule_asks_a_person_first_when_there_is_too_much() {
    let place = Place::new();
    let files = make_files(&place.make_dir("data"), 5);
    let top = "breaker.entries = 3";
    let config = place.config(&config_of(top, "schedule = \"every 1m\""));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    daemon.wait_until_said("the breaker tripped");
    wait_a_minute(&daemon, "an instant passes", || {
        daemon.said().contains("some of it is held").then_some(())
    });
    assert!(all_exist(&files));
    let released = place.run(&["breaker", "release"]);
    assert_eq!(released.status.code(), Some(0), "{}", errors(&released));
    wait_a_minute(&daemon, "they go at the next instant", || {
        none_exists(&files)
    });
}

#[test]
fn what_is_due_goes_once_at_the_start() {
    let place = Place::new();
    let data = place.make_dir("data");
    let files = make_files(&data, 3);
    let top = "clean_at_start = \"${CLEAN:-no}\"";
    let config = place.config(&config_of(top, "schedule = \"manual\""));
    let arguments = ["--config", config.to_str().unwrap()];
    let serve = |dry: bool| {
        let mut command = place.lapsed();
        command.env("CLEAN", "yes").arg("serve").args(arguments);
        command.args(dry.then_some("--dry-run"));
        Daemon::start(command, place.socket())
    };
    drop(place.serve_ready(&arguments));
    assert!(all_exist(&files), "only where it is asked for");
    let daemon = serve(true);
    daemon.wait_until_said("clean at start: 3 would go");
    drop(daemon);
    assert!(all_exist(&files), "a dry run only tells");
    let daemon = serve(false);
    daemon.wait_until_said("clean at start: 3 removed");
    assert_eq!(none_exists(&files), Some(()));
    let later = make_files(&data, 2);
    daemon.sync();
    assert!(all_exist(&later), "one time");
}

#[test]
fn a_start_asks_a_person_first_when_there_is_too_much() {
    let place = Place::new();
    let files = make_files(&place.make_dir("data"), 5);
    let top = "clean_at_start = true\nbreaker.entries = 3";
    let config = place.config(&config_of(top, "schedule = \"manual\""));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    daemon.wait_until_said("the breaker tripped");
    daemon.wait_until_said("clean at start: some of it is held");
    assert!(all_exist(&files));
    // A person's word lets it go, and another's asks for it.
    for arguments in [&["breaker", "release"][..], &["clean"][..]] {
        let done = place.run(arguments);
        assert_eq!(done.status.code(), Some(0), "{}", errors(&done));
    }
    assert_eq!(none_exists(&files), Some(()));
}
