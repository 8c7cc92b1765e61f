//! What a row says at the last moment decides, whatever was known before.

use rustix::process::Signal;

use super::other::Other;
use super::world::{COMPLETED, World, wait_for_hold, wait_until};
use crate::common::sources::source;
use crate::common::trees::{instant_ms, now_ms};
use crate::common::{Daemon, wait_for};

/// A job with a file, which is due in two seconds and known so; the daemon sleeps over its deadline.
fn asleep(world: &World, daemon: &Daemon) -> std::path::PathBuf {
    let file = world.write("results/back/file");
    world.insert("back", "running", None);
    daemon.sync();
    world.complete("back", 3598);
    let job = world.wait_for_job(daemon, "back", |job| job["status"] == "completed");
    let due = instant_ms(&job["completed_at"]) + 3_600_000;
    daemon.signal(Signal::STOP);
    assert!(file.exists() || now_ms() >= due, "early");
    assert!(
        file.exists(),
        "the machine was too slow to stop the daemon in time"
    );
    wait_until(due + 300);
    file
}

#[test]
fn a_job_that_was_restarted_while_the_daemon_was_stopped_loses_nothing() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    let file = asleep(&world, &daemon);
    world
        .db
        .run("UPDATE jobs SET status = 'running', completed_at = NULL WHERE id = 'back'");
    daemon.signal(Signal::CONT);
    world.canary(&daemon, "canary");
    assert!(file.exists());
    assert!(world.lines_of("back").is_empty());
    assert_eq!(world.marks("back"), 0);
    // And when it ends again, it goes.
    world.complete("back", 3600);
    world.wait_until_gone(&daemon, "results/back");
}

#[test]
fn a_job_whose_row_went_while_the_daemon_was_stopped_loses_nothing() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    let file = asleep(&world, &daemon);
    world.db.run("DELETE FROM jobs WHERE id = 'back'");
    daemon.signal(Signal::CONT);
    world.canary(&daemon, "canary");
    assert!(
        file.exists(),
        "nobody's, and no rule takes what is nobody's"
    );
}

#[test]
fn a_database_that_another_took_the_place_of_is_believed_before_the_files_go() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    let file = asleep(&world, &daemon);
    let other = Other::open(&world.place.path("other.db"));
    other.run(&format!(
        "ATTACH '{}' AS old; CREATE TABLE jobs AS SELECT * FROM old.jobs; DETACH old; UPDATE jobs SET status = 'running'",
        world.place.path("jobs.db").display()
    ));
    drop(other);
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(world.place.path(&format!("jobs.db{end}")));
    }
    std::fs::rename(world.place.path("other.db"), world.place.path("jobs.db")).unwrap();
    daemon.signal(Signal::CONT);
    let World { place, db } = world;
    drop(db);
    let world = World {
        db: Other::open(&place.path("jobs.db")),
        place,
    };
    world.canary(&daemon, "canary");
    assert!(file.exists());
    assert!(world.lines_of("back").is_empty());
}

#[test]
fn a_row_that_changes_after_its_files_went_is_left_as_it_is() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    let path = world.write("results/late/file");
    world.insert("late", "running", None);
    daemon.sync();
    // Somebody has it open until nobody else can write to the database, but everybody can read.
    let open = std::fs::File::options().append(true).open(&path).unwrap();
    world.complete("late", 7200);
    wait_for_hold(&daemon, "open");
    let lock = Other::open(&world.place.path("jobs.db"));
    lock.run("BEGIN IMMEDIATE");
    drop(open);
    world.wait_until_gone(&daemon, "results/late");
    lock.run("UPDATE jobs SET status = 'running', completed_at = NULL WHERE id = 'late'; COMMIT");
    daemon.wait_until_said("the row has changed since its files went");
    assert_eq!(world.marks("late"), 0);
    wait_for("the record is through", || {
        (source(&daemon, "eemt")["waiting_records"] == 0).then_some(())
    });
}
