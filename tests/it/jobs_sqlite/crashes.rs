//! The daemon is killed at random moments while another process runs jobs.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::other::Other;
use super::world::{World, ended};
use crate::common::evidence::{Seed, ledger, wait_until_settled};
use crate::common::sources::tell_of;
use crate::common::{wait_or_tell, walk};

const RULES: &str = r#"
[[rule]]
name = "done"
source = "eemt"
job = "completed"
since = "completed_at"
expire = "150ms"
unit = "job"
record = "mark"
keep = ["**/*.log"]
"#;

fn rounds() -> u32 {
    std::env::var("LAPSED_CRASH_ROUNDS").map_or(10, |text| text.parse().unwrap())
}

/// Jobs that have not ended.
type Alive = Mutex<BTreeSet<String>>;

/// Begins jobs, lets them work, and ends them; some of them go back to work before they lose anything.
fn churn(world: &World, alive: &Alive, stop: &AtomicBool, mut rng: fastrand::Rng, names: &str) {
    let other = Other::open(&world.place.path("jobs.db"));
    let mut running: Vec<String> = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        if running.len() < 12 && rng.u32(0..3) > 0 {
            let id = format!("{names}{number}");
            number += 1;
            let claim = if rng.bool() {
                format!("'{id}.wav'")
            } else {
                "NULL".to_owned()
            };
            other.run(&format!(
                "INSERT INTO jobs(id, status, files) VALUES('{id}', 'running', {claim})"
            ));
            for file in ["a", "sub/b", "sub/run.log"] {
                world.write(&format!("results/{id}/{file}"));
            }
            world.write(&format!("uploads/{id}_up"));
            if claim != "NULL" {
                world.write(&format!("audio/{id}.wav"));
                world.write(&format!("audio/{id}_processed.mp3"));
            }
            alive.lock().unwrap().insert(id.clone());
            running.push(id);
        } else if !running.is_empty() {
            let id = running.swap_remove(rng.usize(..running.len()));
            check_alive(world, &id);
            alive.lock().unwrap().remove(&id);
            let at = ended(0);
            other.run(&format!(
                "UPDATE jobs SET status = 'completed', completed_at = {at} WHERE id = '{id}'"
            ));
        }
        std::thread::park_timeout(Duration::from_micros(rng.u64(0..20_000)));
    }
}

#[track_caller]
fn check_alive(world: &World, id: &str) {
    for file in ["a", "sub/b", "sub/run.log"] {
        assert!(
            world.exists(&format!("results/{id}/{file}")),
            "job {id} runs and has lost {file}"
        );
    }
    assert!(
        world.exists(&format!("uploads/{id}_up")),
        "job {id} runs and has lost its upload"
    );
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_takes_nothing_of_running_jobs_and_marks_each_once() {
    let seed = Seed::from_env("LAPSED_CRASH_SEED");
    let world = World::new();
    let (alive, stop) = (Alive::default(), AtomicBool::new(false));
    let mut daemon = world.serve(RULES);
    daemon.kill();
    let mut rng = seed.rng(0);
    std::thread::scope(|scope| {
        let (world, alive, stop_ref) = (&world, &alive, &stop);
        let workers: Vec<_> = ["x", "y"]
            .into_iter()
            .zip(1..)
            .map(|(names, salt)| {
                let rng = seed.rng(salt);
                scope.spawn(move || churn(world, alive, stop_ref, rng, names))
            })
            .collect();
        for _ in 0..rounds() {
            let mut daemon = world.place.serve(&[
                "--config",
                world.place.path("lapsed.toml").to_str().unwrap(),
            ]);
            std::thread::park_timeout(Duration::from_millis(rng.u64(1..900)));
            daemon.kill();
            if workers
                .iter()
                .any(std::thread::ScopedJoinHandle::is_finished)
            {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    daemon = world.serve_again();
    let unmarked = "SELECT count(*) FROM jobs WHERE status = 'completed' AND marks = 0";
    wait_or_tell(
        "every job that has ended is marked",
        || (world.db.value(unmarked) == 0).then_some(()),
        || format!("{:?}\n{}", world.db.rows(unmarked), tell_of(&daemon)),
    );
    world.canary(&daemon, "canary");
    world.wait_until_marked(&daemon, "canary");
    for root in ["results", "uploads", "audio"] {
        wait_until_settled(&world.place.path(root));
    }
    assert!(daemon.stop().success());

    check_all(&world, &alive.into_inner().unwrap());
}

/// Everything that ended has lost all that it owned, and is marked once; nothing else has lost anything.
fn check_all(world: &World, alive: &BTreeSet<String>) {
    for id in alive {
        check_alive(world, id);
    }
    let lines = ledger(&world.place);
    let rows = world
        .db
        .rows("SELECT id, marks, files, summary FROM jobs WHERE status = 'completed'");
    assert!(!rows.is_empty());
    println!(
        "{} jobs ended, {} ran on, {} lines",
        rows.len(),
        alive.len(),
        lines.len()
    );
    for row in rows {
        let id = row[0].as_str().unwrap();
        assert_eq!(row[1], 1, "job {id} was marked so often: {row:?}");
        let mut of_job = lines
            .iter()
            .filter(|line| line["job"]["id"] == id && line["result"] == "removed");
        // A crash between the ledger and the row may cut a unit in two; then both halves are told.
        let files: u64 = of_job
            .clone()
            .map(|line| line["files"].as_u64().unwrap())
            .sum();
        let owned = if row[2].is_null() { 3 } else { 5 };
        let owned = if id == "canary" { 1 } else { owned };
        assert_eq!(
            files,
            owned,
            "job {id}: {of_job:?}",
            of_job = of_job.clone().collect::<Vec<_>>()
        );
        assert!(of_job.all(|line| line["job"]["status"] == "completed"));
        let left: Vec<_> = walk(&world.place.path(&format!("results/{id}")))
            .into_keys()
            .collect();
        assert!(
            left.iter().all(|path| path.ends_with("run.log")),
            "job {id}: {left:?}"
        );
        assert!(!world.exists(&format!("uploads/{id}_up")), "job {id}");
        assert!(!world.exists(&format!("audio/{id}.wav")), "job {id}");
        assert!(
            !world.exists(&format!("audio/{id}_processed.mp3")),
            "job {id}"
        );
    }
    for line in &lines {
        let id = line["job"]["id"].as_str().unwrap();
        assert!(!alive.contains(id), "a running job lost something: {line}");
    }
}
