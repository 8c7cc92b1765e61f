//! Edits of the configuration.

use std::path::PathBuf;

use rustix::process::Signal;

use super::{config_of, expire_ms};
use crate::common::commands::said;
use crate::common::{Daemon, Place, wait_for};

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
    wait_for("the configuration is watched", || {
        let sleeps = |status: &String| status.contains("State:\tS");
        threads("config").iter().any(sleeps).then_some(())
    });
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
fn a_client_reloads_and_learns_what_takes_a_restart_or_what_is_wrong() {
    let place = Place::new();
    place.make_dir("data");
    let config = place.config(&config_of("1h"));
    // A file elsewhere is not watched.
    place.make_dir("versions");
    let real = place.path("versions/1");
    std::fs::rename(&config, &real).unwrap();
    std::os::unix::fs::symlink(&real, &config).unwrap();
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let file = place.path("data/file");
    std::fs::write(&file, b"x").unwrap();
    daemon.sync();

    let other = format!("dry_run = true\n{}", config_of("2h"));
    std::fs::write(&real, other).unwrap();
    let (status, reloaded) = daemon.post("/v1/reload", "");
    assert_eq!(status, 200, "{reloaded}");
    assert_eq!(reloaded["restart"], serde_json::json!(["dry_run"]));
    assert_eq!(reloaded["configuration"]["file"].as_str(), config.to_str());
    daemon.wait_until_ready();
    assert_eq!(expire_ms(&daemon, &file), Some(2 * 3_600_000));

    std::fs::write(&real, config_of("soon")).unwrap();
    let (status, problem) = daemon.post("/v1/reload", "");
    assert_eq!(status, 422, "{problem}");
    assert!(problem.to_string().contains("soon"), "{problem}");
    assert_eq!(expire_ms(&daemon, &file), Some(2 * 3_600_000));
    let status = said(&place, &["status"]).join("\n");
    assert!(status.contains("the last reload failed"), "{status}");
    assert!(
        status.contains("config   ") && status.contains("read "),
        "{status}"
    );
    let refused = place.run(&["reload"]);
    assert_eq!(refused.status.code(), Some(2));
    daemon.wait_until_ready();
    assert_eq!(daemon.get("/v1/health").0, 200);
    assert_eq!(daemon.get("/v1/health?ready").0, 200);
    let (status, problem) = daemon.get("/v1/health?strict");
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("reloaded"));

    std::fs::write(&real, config_of("3h")).unwrap();
    let told = said(&place, &["reload"]).join("\n");
    assert!(told.contains(config.to_str().unwrap()), "{told}");
    daemon.wait_until_ready();
    assert_eq!(expire_ms(&daemon, &file), Some(3 * 3_600_000));
    assert_eq!(daemon.get("/v1/health?strict").0, 200);
    // A root that is gone holds.
    std::fs::rename(place.path("data"), place.path("aside")).unwrap();
    wait_for("it is told", || {
        (daemon.get("/v1/health?strict").0 == 503).then_some(())
    });
    assert_eq!(daemon.get("/v1/health").0, 200);
}
