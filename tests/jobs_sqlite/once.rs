//! `lapsed plan` and `lapsed clean` without a daemon know jobs as the daemon does.

use serde_json::Value;

use crate::common::sources::uuid;
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
