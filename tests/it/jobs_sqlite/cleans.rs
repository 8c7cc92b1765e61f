//! `lapsed clean` knows what is true when it is asked: rows and files that have only just come, and whose they are.

use std::process::Output;
use std::thread;

use serde_json::Value;

use super::world::{MODES, ROOTS, SOURCE, World, ended};
use crate::common::evidence::ledger;
use crate::common::others::Neighbour;
use crate::common::sources::{tell_of, uuid, wait_for_source};
use crate::common::{Daemon, errors};

/// Nothing goes by itself; what nobody owns and what a job's timestamp decides is looked at once more when it is known whose it is.
const ON_REQUEST: &str = r#"
[[rule]]
name = "done"
source = "eemt"
job = "completed"
since = "completed_at"
expire = "1h"
unit = "job"
record = "mark"
schedule = "manual"
[[rule]]
name = "failed"
job = "failed"
since = "mtime"
expire = "0s"
schedule = "manual"
[[rule]]
name = "orphans"
root = "audio"
job = "none"
since = "mtime"
expire = "0s"
schedule = "manual"
"#;

const ROUNDS: u32 = 12;

fn config() -> String {
    let orphans = "path = \"audio\"\nsource = \"eemt\"\norphans = \"{name}\"\n";
    let roots = ROOTS.replace("path = \"audio\"\nsource = \"eemt\"\n", orphans);
    assert_ne!(roots, ROOTS);
    [&roots, SOURCE, ON_REQUEST].concat()
}

/// The report of a run that ends with `status`.
#[track_caller]
fn report_of(output: &Output, status: i32) -> Value {
    assert_eq!(
        output.status.code(),
        Some(status),
        "{}\n{}",
        errors(output),
        String::from_utf8_lossy(&output.stdout)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks once. What somebody has open in that moment (a child of another test that is just being forked) is said and asked for again;
/// nothing else is.
#[track_caller]
fn clean(world: &World, daemon: &Daemon, gone: &[&str]) {
    crate::common::wait_for("what is open is closed", || {
        let report = report_of(&world.run(&["clean", "--json"]), 0);
        let left: Vec<_> = gone.iter().filter(|path| world.exists(path)).collect();
        let mut held = report["held"].as_array().unwrap().iter();
        assert!(
            left.is_empty() || held.any(|item| item["hold"] == "open"),
            "{left:?} stay: {report}\n{}",
            tell_of(daemon)
        );
        left.is_empty().then_some(())
    });
}

#[test]
fn a_row_that_has_just_come_is_known() {
    for mode in MODES {
        let world = World::with_mode(mode);
        world.insert("other", "running", None);
        let daemon = world.serve_config(&config());
        for round in 0..ROUNDS {
            let (done, failed) = (uuid(2 * round), uuid(2 * round + 1));
            // One by its directory, one by the name of its file.
            let result = format!("results/{done}/out.tif");
            let upload = format!("uploads/{failed}_in.tif");
            world.write(&result);
            world.write(&upload);
            daemon.sync();
            world.insert(&done, "completed", Some(7200));
            world.insert(&failed, "failed", Some(0));
            let dry = report_of(&world.run(&["clean", "--dry-run", "--json"]), 0);
            assert_eq!(dry["files"], 2, "{dry}");
            assert!(world.exists(&result) && world.exists(&upload), "{dry}");
            clean(&world, &daemon, &[&result, &upload]);
            world.wait_until_marked(&daemon, &done);
        }
    }
}

#[test]
fn what_a_row_says_now_counts_and_not_what_it_said() {
    let world = World::new();
    let daemon = world.serve_config(&config());
    for round in 0..ROUNDS {
        let (id, other) = (uuid(2 * round), uuid(2 * round + 1));
        world.insert(&id, "running", None);
        world.insert(&other, "failed", Some(0));
        let (file, others) = (
            format!("results/{id}/out.tif"),
            format!("results/{other}/out.tif"),
        );
        world.write(&file);
        world.write(&others);
        world.complete(&id, 7200);
        // It has come back to life.
        world.db.run(&format!(
            "UPDATE jobs SET status = 'running' WHERE id = '{other}'"
        ));
        clean(&world, &daemon, &[&file]);
        assert!(world.exists(&others), "{}", tell_of(&daemon));
    }
}

#[test]
fn what_is_nobodys_any_more_and_what_has_become_somebodys_is_known() {
    let world = World::new();
    for number in 0..20 {
        world.insert(&uuid(1000 + number), "running", None);
    }
    let daemon = world.serve_config(&config());
    for round in 0..ROUNDS {
        let id = uuid(round);
        world.db.run(&format!(
            "INSERT INTO jobs(id, status, files) VALUES('{id}', 'running', 'lost{round}.wav')"
        ));
        let (lost, claimed) = (
            format!("audio/lost{round}.wav"),
            format!("audio/claimed{round}.wav"),
        );
        world.write(&lost);
        world.write(&claimed);
        daemon.sync();
        world.db.run(&format!(
            "UPDATE jobs SET files = 'claimed{round}.wav' WHERE id = '{id}'"
        ));
        clean(&world, &daemon, &[&lost]);
        assert!(world.exists(&claimed), "{}", tell_of(&daemon));
        let new = format!("audio/new{round}.wav");
        world.write(&new);
        clean(&world, &daemon, &[&new]);
    }
}

#[test]
fn a_clean_does_not_wait_for_a_source_that_is_always_written() {
    let world = World::new();
    let daemon = world.serve_config(&config());
    let neighbour = Neighbour::default();
    thread::scope(|scope| {
        let _ending = neighbour.ends_with();
        scope.spawn(|| {
            let mut number = 0_u32;
            while !neighbour.is_to_end() {
                number += 1;
                world.db.run(&format!(
                    "INSERT OR REPLACE INTO jobs(id, status) VALUES('busy', 'running {number}')"
                ));
            }
        });
        for round in 0..ROUNDS {
            let id = uuid(round);
            let file = format!("results/{id}/out.tif");
            world.write(&file);
            world.insert(&id, "completed", Some(7200));
            clean(&world, &daemon, &[&file]);
        }
    });
    let said = daemon.said();
    assert!(!said.contains("it is still being read"), "{said}");
}

#[test]
fn a_source_that_is_down_is_not_waited_for_and_one_that_has_come_back_is_read() {
    let world = World::with_mode("DELETE");
    let (db, aside) = (world.place.path("jobs.db"), world.place.path("aside.db"));
    let daemon = world.serve_config(&config());
    for round in 0..3 {
        let id = uuid(round);
        let file = format!("results/{id}/out.tif");
        world.write(&file);
        world.insert(&id, "completed", Some(7200));
        std::fs::rename(&db, &aside).unwrap();
        wait_for_source(&daemon, "eemt", "down");
        report_of(&world.run(&["clean", "--json"]), 2);
        assert!(world.exists(&file), "{}", tell_of(&daemon));
        assert!(ledger(&world.place).len() == usize::try_from(round).unwrap());
        std::fs::rename(&aside, &db).unwrap();
        wait_for_source(&daemon, "eemt", "ready");
        clean(&world, &daemon, &[&file]);
        world.wait_until_marked(&daemon, &id);
    }
    let said = daemon.said();
    assert!(!said.contains("it is still being read"), "{said}");
}

#[test]
fn a_start_is_waited_for() {
    let world = World::new();
    for round in 0..3 {
        let ids: Vec<String> = (0..200).map(|job| uuid(1000 * round + job)).collect();
        let files: Vec<String> = ids.iter().map(|id| format!("results/{id}/out")).collect();
        let mut sql = "BEGIN; ".to_owned();
        for (id, file) in ids.iter().zip(&files) {
            world.write(file);
            sql += &format!(
                "INSERT INTO jobs(id, status, completed_at) VALUES('{id}', 'failed', {}); ",
                ended(0)
            );
        }
        world.db.run(&(sql + "COMMIT"));
        world.place.config(&config());
        let mut command = world.place.lapsed();
        command.args(["serve", "--config"]);
        command.arg(world.place.path("lapsed.toml"));
        let mut daemon = Daemon::start(command, world.place.socket());
        daemon.wait_until_up();
        let report = report_of(&world.run(&["clean", "--dry-run", "--json"]), 0);
        assert_eq!(report["files"], 200, "{report}");
        let gone: Vec<&str> = files.iter().map(String::as_str).collect();
        clean(&world, &daemon, &gone);
        assert!(daemon.stop().success());
    }
}
