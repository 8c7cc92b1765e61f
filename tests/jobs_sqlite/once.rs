//! `lapsed plan` and `lapsed clean` without a daemon know jobs as the daemon does.

use serde_json::Value;

use crate::common::evidence::{assert_untouched, snapshot};
use crate::common::sources::{uuid, wait_for_source};
use crate::world::{COMPLETED, ROOTS, SOURCE, World};

fn prepared() -> (World, String) {
    let world = World::new();
    for (id, status, ended) in [
        ("old", "completed", Some(7200)),
        ("fresh", "completed", Some(60)),
        ("run", "running", None),
    ] {
        world.insert(id, status, ended);
        world.write(&format!("results/{id}/file"));
        world.write(&format!("results/{id}/run.log"));
        world.write(&format!("uploads/{id}_up"));
    }
    world.write(&format!("results/{}/file", uuid(1)));
    world.write("results/old/empty/x");
    let config = world.place.config(&[ROOTS, SOURCE, COMPLETED].concat());
    let config = config.to_str().unwrap().to_owned();
    (world, config)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn without_a_daemon_exactly_the_same_is_planned_and_goes() {
    let (world, config) = prepared();
    let dry = json(&world.said(&["clean", "-n", "--json", "--config", &config]));
    assert_eq!(dry["files"], 3, "{dry}");
    assert!(world.exists("results/old/file"));
    assert_eq!(world.marks("old"), 0);
    let report = json(&world.said(&["clean", "--json", "--config", &config]));
    assert_eq!(report["files"], 3, "{report}");
    assert!(!world.exists("results/old/file") && !world.exists("uploads/old_up"));
    assert!(world.exists("results/old/run.log"));
    for id in ["fresh", "run"] {
        assert!(
            world.exists(&format!("results/{id}/file"))
                && world.exists(&format!("uploads/{id}_up"))
        );
    }
    assert!(world.exists(&format!("results/{}/file", uuid(1))));
    assert_eq!(
        world.marks("old"),
        1,
        "its record is written before the command ends"
    );
    assert_eq!(world.lines_of("old").len(), 1);
    let again = json(&world.said(&["clean", "--json", "--config", &config]));
    assert_eq!(again["files"], 0, "{again}");
    assert_eq!(world.marks("old"), 1);

    // A daemon goes on from there.
    let daemon = world.serve_again();
    world.canary(&daemon, "canary");
    assert_eq!(world.marks("old"), 1);
}

#[test]
fn a_daemon_tells_the_same_plan() {
    let (world, config) = prepared();
    let files = "[[rule]]\nname = \"files\"\nsource = \"eemt\"\njob = \"completed\"\nsince = \"completed_at\"\nexpire = \"1h\"\nskip_open = false\n";
    world.place.config(&[ROOTS, SOURCE, files].concat());
    let alone = json(&world.said(&["plan", "--json", "--within", "12h", "--config", &config]));
    // Three files of each of the two that have ended, and one in a directory of its own.
    assert_eq!(alone["files"], 7, "{alone}");
    let daemon = world.serve_again();
    for path in [
        "results/old/file",
        "results/old/run.log",
        "uploads/old_up",
        "results/old/empty/x",
    ] {
        world.wait_until_gone(&daemon, path);
    }
    let with_daemon = json(&world.said(&["plan", "--json", "--within", "12h"]));
    assert_eq!(with_daemon["files"], 3, "{with_daemon}");
    assert!(world.exists("results/run/file"));
}

#[test]
fn a_running_job_loses_nothing_whatever_is_asked_for() {
    let (world, config) = prepared();
    let report = json(&world.said(&[
        "clean",
        "--json",
        "--config",
        &config,
        "--retention",
        "done=0s",
        "--job",
        "run",
        "--job",
        "fresh",
    ]));
    assert_eq!(report["files"], 2, "{report}");
    assert!(world.exists("results/run/file") && world.exists("results/old/file"));
    assert!(!world.exists("results/fresh/file"));
    assert_eq!(
        (world.marks("fresh"), world.marks("run"), world.marks("old")),
        (1, 0, 0)
    );
}

#[test]
fn while_the_database_cannot_be_read_nothing_of_it_goes() {
    let (world, config) = prepared();
    for how in ["locked", "missing"] {
        if how == "locked" {
            world.db.rows("PRAGMA journal_mode = DELETE");
            world.db.run("BEGIN EXCLUSIVE");
        } else {
            world.db.run("COMMIT");
            std::fs::rename(world.place.path("jobs.db"), world.place.path("aside.db")).unwrap();
        }
        let output = world.run(&["clean", "--json", "--config", &config]);
        assert!(world.exists("results/old/file"), "{how}");
        let report = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(report["files"], 0, "{how}: {report}");
        assert!(how == "locked" || !world.exists("jobs.db"));
    }
}

/// A record that waits, left by a clean whose database took no writes.
fn with_a_record_that_waits(mode: &str) -> (World, String) {
    let world = World::with_mode(mode);
    world.insert("old", "completed", Some(7200));
    world.insert("due", "completed", Some(7200));
    world.write("results/old/file");
    let rule = COMPLETED.replace("mark", "forget");
    let config = world.place.config(&[ROOTS, SOURCE, &rule].concat());
    let config = config.to_str().unwrap().to_owned();
    world.db.run("BEGIN IMMEDIATE");
    let cleaned = world.run(&["clean", "--job", "old", "--config", &config]);
    assert!(!world.exists("results/old"), "{cleaned:?}");
    world.db.run("COMMIT");
    assert_eq!(rows(&world), 2, "its record waits");
    world.write("results/due/file");
    (world, config)
}

fn rows(world: &World) -> i64 {
    let count = world.db.value("SELECT count(*) FROM jobs");
    count.as_i64().unwrap()
}

#[test]
fn questions_write_nothing_anywhere() {
    for mode in crate::world::MODES {
        let (world, config) = with_a_record_that_waits(mode);
        let typo = world.place.path("typo");
        let watch = format!("{}=1d", typo.display());
        let elsewhere = world.place.path("elsewhere");
        let elsewhere = elsewhere.to_str().unwrap();
        let before = snapshot(world.place.dir.path());
        let questions: [&[&str]; 7] = [
            &["plan", "--config", &config],
            &["clean", "--dry-run", "--config", &config],
            &["clean", "-n", "--retention", "done=0s", "--config", &config],
            &["check", "--config", &config],
            &["plan", "--watch", &watch],
            &["clean", "-n", "--watch", &watch],
            &["plan", "--watch", &watch, "--state-dir", elsewhere],
        ];
        for question in questions {
            let answer = world.run(question);
            assert_ne!(answer.status.code(), Some(2), "{question:?}: {answer:?}");
            let what = format!("{question:?} with {mode}");
            assert_untouched(world.place.dir.path(), &before, &what);
        }
        assert_eq!(rows(&world), 2);
        world.said(&["clean", "--config", &config]);
        assert_eq!(rows(&world), 0, "a run writes what waits");
    }
}

#[test]
fn a_daemon_in_a_dry_run_writes_to_no_source_and_makes_no_root() {
    let (world, config) = with_a_record_that_waits("DELETE");
    let watch = format!("{}=1d", world.place.path("typo").display());
    let before = snapshot(&world.place.path("jobs.db"));
    let daemon = world
        .place
        .serve(&["--dry-run", "--config", &config, "--watch", &watch]);
    wait_for_source(&daemon, "eemt", "ready");
    daemon.sync();
    // Ends with what waits for the thread that writes records.
    drop(daemon);
    assert!(!world.exists("typo"));
    assert_untouched(&world.place.path("jobs.db"), &before, "serve --dry-run");
    assert_eq!(rows(&world), 2);
    world.said(&["clean", "--config", &config]);
    assert_eq!(rows(&world), 0);
}
