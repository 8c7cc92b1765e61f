//! What changed facts make due of jobs waits for a person, as files do; what the passing of time does, does not.

use super::world::{ROOTS, SOURCE, World, ended, wait_until};
use crate::common::sources::{tell_of, uuid};
use crate::common::trees::now_ms;
use crate::common::{Daemon, wait_or_tell};

const JOBS: u32 = 60;

fn config(expire: &str) -> String {
    let rule = format!(
        "[[rule]]\nname = \"done\"\nsource = \"eemt\"\njob = \"completed\"\nsince = \"completed_at\"\nexpire = \"{expire}\"\nunit = \"job\"\nrecord = \"mark\"\n"
    );
    ["breaker.entries = 20\n", ROOTS, SOURCE, &rule].concat()
}

/// Jobs with a file each, which ended so many seconds ago, or have not ended.
fn world(ended_s_ago: Option<i64>) -> World {
    let world = World::new();
    let (status, at) = match ended_s_ago {
        Some(s_ago) => ("completed", ended(s_ago)),
        None => ("running", "NULL".to_owned()),
    };
    let rows: Vec<String> = (0..JOBS)
        .map(|number| {
            world.write(&format!("results/{}/out.tif", uuid(number)));
            format!("('{}', '{status}', {at})", uuid(number))
        })
        .collect();
    let rows = rows.join(", ");
    world.db.run(&format!(
        "INSERT INTO jobs(id, status, completed_at) VALUES {rows}"
    ));
    world
}

fn left(world: &World) -> usize {
    let is_there = |number: &u32| world.exists(&format!("results/{}/out.tif", uuid(*number)));
    (0..JOBS).filter(is_there).count()
}

fn marked(world: &World) -> i64 {
    let marks = world
        .db
        .value("SELECT count(*) FROM jobs WHERE cleaned_at IS NOT NULL");
    marks.as_i64().unwrap()
}

#[track_caller]
fn wait_until_tripped(world: &World, daemon: &Daemon) {
    let trip = wait_or_tell(
        "the breaker trips",
        || {
            let (status, breaker) = daemon.get("/v1/breaker");
            assert_eq!(status, 200, "{breaker}");
            breaker["tripped"].as_array().unwrap().first().cloned()
        },
        || tell_of(daemon),
    );
    assert_eq!(
        (&trip["root"], &trip["due"], &trip["of"]),
        (&"results".into(), &JOBS.into(), &JOBS.into()),
        "{trip}"
    );
    daemon.sync();
    assert_eq!((left(world), marked(world)), (60, 0), "{}", tell_of(daemon));
}

#[track_caller]
fn wait_until_all_gone(world: &World, daemon: &Daemon) {
    wait_or_tell(
        "all jobs go",
        || (left(world) == 0 && marked(world) == i64::from(JOBS)).then_some(()),
        || tell_of(daemon),
    );
}

#[test]
fn a_first_start_that_makes_many_jobs_due_asks_first_also_after_a_restart() {
    let world = world(Some(3 * 86_400));
    let mut daemon = world.serve_config(&config("7h"));
    wait_until_tripped(&world, &daemon);
    assert!(world.said(&["status"]).contains("60 of 60"));
    assert!(daemon.stop().success());
    let daemon = world.serve_again();
    wait_until_tripped(&world, &daemon);
    world.said(&["breaker", "release"]);
    wait_until_all_gone(&world, &daemon);
}

#[test]
fn an_edited_rule_that_makes_many_jobs_due_asks_first() {
    let world = world(Some(3 * 86_400));
    let daemon = world.serve_config(&config("7d"));
    // It is read again by itself.
    world.place.config(&config("7h"));
    wait_until_tripped(&world, &daemon);
    world.said(&["breaker", "release"]);
    wait_until_all_gone(&world, &daemon);
}

#[test]
fn an_application_that_rewrites_many_rows_asks_first() {
    let world = world(None);
    let mut daemon = world.serve_config(&config("7h"));
    for is_running in [true, false] {
        if !is_running {
            let undone = "UPDATE jobs SET status = 'running', completed_at = NULL";
            world.db.run(undone);
            wait_or_tell(
                "they run again",
                || {
                    (daemon.get("/v1/jobs?limit=1000").1["jobs"][0]["status"] == "running")
                        .then_some(())
                },
                || tell_of(&daemon),
            );
            world.said(&["breaker", "release"]);
            assert!(daemon.stop().success());
        }
        let update = "UPDATE jobs SET status = 'completed', completed_at = '2001-01-01 00:00:00'";
        world.db.run(update);
        if !is_running {
            daemon = world.serve_again();
        }
        wait_until_tripped(&world, &daemon);
    }
}

#[test]
fn what_came_due_while_no_daemon_ran_goes_at_the_start() {
    // Due in some seconds, or by the time that a daemon is stopped on a busy machine.
    let world = world(Some(7 * 3600 - 3));
    let mut daemon = world.serve_config(&config("7h"));
    assert!(daemon.stop().success());
    wait_until(now_ms() + 3_500);
    daemon = world.serve_again();
    wait_until_all_gone(&world, &daemon);
    let (_, breaker) = daemon.get("/v1/breaker");
    assert_eq!(breaker["tripped"], serde_json::json!([]), "{breaker}");
}
