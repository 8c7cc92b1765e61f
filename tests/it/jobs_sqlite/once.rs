//! `lapsed plan` and `lapsed clean` without a daemon know jobs as the daemon does.

use serde_json::Value;

use super::world::{COMPLETED, ROOTS, SOURCE, World};
use crate::common::evidence::{assert_untouched, snapshot};
use crate::common::sources::{uuid, wait_for_source};
use crate::common::wait_for;

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
    let dry = json(&world.said(&["clean", "--dry-run", "--json", "--config", &config]));
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
    // They are gone from their places before they are recorded.
    wait_for("the plan has what is left", || {
        let with_daemon = json(&world.said(&["plan", "--json", "--within", "12h"]));
        (with_daemon["files"] == 3).then_some(())
    });
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

/// What may be wrong with a database: what it takes, and what mends it.
const DAMAGES: [&str; 4] = ["locked", "missing", "damaged", "without the table"];

fn damage(world: &World, how: &str) {
    let path = world.place.path("jobs.db");
    match how {
        "locked" => {
            world.db.rows("PRAGMA journal_mode = DELETE");
            world.db.run("BEGIN EXCLUSIVE");
        }
        "missing" => std::fs::rename(path, world.place.path("aside.db")).unwrap(),
        "damaged" => {
            // Or the log would have all of it.
            world.db.rows("PRAGMA journal_mode = DELETE");
            std::fs::rename(&path, world.place.path("aside.db")).unwrap();
            std::fs::write(
                path,
                "this is no database, but long enough to be one".repeat(100),
            )
            .unwrap();
        }
        _ => {
            world.db.run("ALTER TABLE jobs RENAME TO other");
        }
    }
}

/// A root and a rule that do without the database.
const PLAIN: &str = "[[root]]\npath = \"plain\"\nsource = \"api\"\n[[rule]]\nname = \"plain\"\nroot = \"plain\"\nexpire = \"0s\"\n";

#[test]
fn a_database_that_cannot_be_read_is_an_error_and_nothing_of_it_is_removed() {
    for how in DAMAGES {
        let (world, config) = prepared();
        damage(&world, how);
        let output = world.run(&["clean", "--json", "--config", &config]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{how}: nothing can be judged"
        );
        let report = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(
            (&report["files"], &report["status"]),
            (&0.into(), &"failed".into()),
            "{how}"
        );
        let error = &report["errors"][0];
        assert_eq!(
            (&error["kind"], &error["source"]),
            (&"source".into(), &"eemt".into()),
            "{how}: {report}"
        );
        assert!(error["why"].as_str().is_some_and(|why| !why.is_empty()));
        assert!(world.exists("results/old/file"), "{how}");

        // What does not depend on it is cleaned.
        world
            .place
            .config(&[ROOTS, SOURCE, COMPLETED, PLAIN].concat());
        world.write("plain/file");
        let output = world.run(&["clean", "--json", "--config", &config]);
        let report = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(1), "{how}: {report}");
        assert_eq!(report["files"], 1, "{how}: {report}");
        assert!(world.exists("results/old/file") && !world.exists("plain/file"));
        assert!(how != "missing" || !world.exists("jobs.db"));

        // Where it may be lacking that is worth a note.
        let source = SOURCE.replace("kind =", "required = false\nkind =");
        world
            .place
            .config(&[ROOTS, &source, COMPLETED, PLAIN].concat());
        world.write("plain/file");
        let output = world.run(&["clean", "--json", "--config", &config]);
        let report = json(&String::from_utf8_lossy(&output.stdout));
        assert_eq!(output.status.code(), Some(0), "{how}: {report}");
        assert_eq!(
            (&report["files"], &report["errors"]),
            (&1.into(), &serde_json::json!([]))
        );
        assert_eq!(report["notes"][0]["source"], "eemt", "{how}: {report}");
        assert!(world.exists("results/old/file"), "{how}");
    }
}

#[test]
fn a_daemon_reports_a_database_that_it_cannot_read_as_well() {
    let world = World::new();
    let daemon = world.serve_config(&[ROOTS, SOURCE, COMPLETED, PLAIN].concat());
    damage(&world, "missing");
    wait_for_source(&daemon, "eemt", "down");
    world.write("plain/file");
    let output = world.run(&["clean", "--json"]);
    let report = json(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{report}");
    let error = &report["errors"][0];
    assert_eq!(
        (&error["kind"], &error["source"]),
        (&"source".into(), &"eemt".into()),
        "{report}"
    );
}

#[test]
fn a_report_tells_of_jobs_and_of_records_that_wait() {
    let (world, config) = prepared();
    world.insert("bare", "completed", Some(7200));
    world.db.rows("PRAGMA journal_mode = WAL");
    world.db.run("BEGIN IMMEDIATE");
    let output = world.run(&["clean", "--json", "--config", &config]);
    world.db.run("COMMIT");
    let report = json(&String::from_utf8_lossy(&output.stdout));
    let mut jobs = report["jobs"].as_array().unwrap().clone();
    jobs.sort_by_key(|job| job["id"].to_string());
    let told = jobs.iter().map(|job| {
        let of = ["id", "status", "rule", "file_count", "bytes", "record"];
        serde_json::json!(of.map(|key| &job[key]))
    });
    let of = |id: &str, files: u64| {
        serde_json::json!([id, "completed", "done", files, files * 7, "marked"])
    };
    assert!(told.eq([of("bare", 0), of("old", 3)]), "{report}");
    let removed = report["removed"].as_array().unwrap();
    assert_eq!(
        removed.len(),
        1,
        "a job without files is at no path: {report}"
    );
    assert_eq!(output.status.code(), Some(1), "{report}");
    let error = &report["errors"][0];
    assert_eq!(
        (&error["kind"], &error["source"]),
        (&"record".into(), &"eemt".into()),
        "{report}"
    );
    let again = json(&world.said(&["clean", "--json", "--config", &config]));
    assert_eq!(
        (&again["jobs"], &again["errors"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    assert_eq!((world.marks("old"), world.marks("bare")), (1, 1));
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
    for mode in super::world::MODES {
        let (world, config) = with_a_record_that_waits(mode);
        let typo = world.place.path("typo");
        let watch = format!("{}=1d", typo.display());
        let elsewhere = world.place.path("elsewhere");
        let elsewhere = elsewhere.to_str().unwrap();
        let before = snapshot(world.place.dir.path());
        let questions: [&[&str]; 7] = [
            &["plan", "--config", &config],
            &["clean", "--dry-run", "--config", &config],
            &[
                "clean",
                "--dry-run",
                "--retention",
                "done=0s",
                "--config",
                &config,
            ],
            &["check", "--config", &config],
            &["plan", "--watch", &watch],
            &["clean", "--dry-run", "--watch", &watch],
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
