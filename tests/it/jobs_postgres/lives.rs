//! The life of a job, from its row to the end of its files and of its row.

use super::world::{COMPLETED, FORGOTTEN, NOBODYS, World};
use crate::common::evidence::ledger;
use crate::common::sources::{source, wait_for_source};
use crate::common::wait_or_tell;

#[test]
fn a_job_ends_its_files_go_and_its_row_says_so() {
    let world = World::new();
    world.configure(&[COMPLETED, FORGOTTEN].concat());
    world.install_trigger();
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    assert_eq!(source(&daemon, "eemt")["by"], "notifications");
    let result = world.write("results/one/file");
    let upload = world.write("uploads/dem.tif");
    world
        .db
        .run("INSERT INTO jobs (id, status, files) VALUES ('one', 'running', '{dem.tif}')");
    daemon.sync();
    world.write("results/two/file");
    world.insert("two", "failed");
    world.wait_until_gone(&daemon, "results/two");
    assert!(result.exists() && upload.exists());
    world.db.run("UPDATE jobs SET status = 'completed', completed_at = now() - interval '61 minutes' WHERE id = 'one'");
    world.wait_until_gone(&daemon, "results/one");
    world.wait_until_gone(&daemon, "uploads/dem.tif");
    world.wait_until_row(&daemon, "SELECT marks::text FROM jobs WHERE id = 'one' AND cleaned_at IS NOT NULL AND summary ->> 'rule' = 'done'", "1");
    world.wait_until_row(
        &daemon,
        "SELECT count(*)::text FROM jobs WHERE id = 'two'",
        "0",
    );
    assert!(
        ledger(&world.place)
            .iter()
            .any(|line| line["job"]["id"] == "one")
    );
    // That a row is gone is believed after a reading of its own.
    wait_or_tell(
        "the status tells of the job that is left",
        || {
            let told = "source   eemt (postgres): ready, 1 job, changes by notifications";
            world.said(&["status"]).contains(told).then_some(())
        },
        || world.said(&["status"]),
    );
}

#[test]
fn nobodys_files_go_when_nobody_claims_them() {
    for has_trigger in [true, false] {
        let world = World::new();
        world.configure(NOBODYS);
        if has_trigger {
            world.install_trigger();
        }
        world
            .db
            .run("INSERT INTO jobs (id, status, files) VALUES ('one', 'running', '{mine.tif}')");
        let daemon = world.serve_again();
        wait_for_source(&daemon, "eemt", "ready");
        let mine = world.write("uploads/mine.tif");
        let late = world.write("uploads/late.tif");
        world
            .db
            .run("INSERT INTO jobs (id, status, files) VALUES ('two', 'running', '{late.tif}')");
        world.write("uploads/nobodys.tif");
        world.wait_until_gone(&daemon, "uploads/nobodys.tif");
        assert!(mine.exists() && late.exists());
    }
}

#[test]
fn what_a_row_claims_that_nobody_has_told_of_is_no_orphan() {
    let world = World::new();
    // Nothing tells of the row, and the next poll is far off: the source is asked when the file is about to go.
    world.configure_polled(NOBODYS, "1h");
    world
        .db
        .run("INSERT INTO jobs (id, status) VALUES ('one', 'running')");
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    let claimed = world.write("uploads/claimed.tif");
    world
        .db
        .run("INSERT INTO jobs (id, status, files) VALUES ('two', 'running', '{claimed.tif}')");
    world.write("uploads/nobodys.tif");
    world.wait_until_gone(&daemon, "uploads/nobodys.tif");
    assert!(claimed.exists());
}

#[test]
fn a_row_that_comes_back_to_life_keeps_its_files() {
    let world = World::new();
    // Nobody tells of it: the row is read at the moment of the removal.
    let daemon = world.serve(COMPLETED);
    let source_says = source(&daemon, "eemt");
    assert_eq!(source_says["by"], "polling");
    assert!(
        source_says["by_why"]
            .as_str()
            .unwrap()
            .contains("no trigger of public.jobs")
    );
    let file = world.write("results/one/file");
    world.db.run("INSERT INTO jobs (id, status, completed_at) VALUES ('one', 'completed', now() - interval '59 minutes 57 seconds')");
    world.wait_until_row(
        &daemon,
        "SELECT (now() > completed_at + interval '59 minutes 59 seconds')::text FROM jobs",
        "true",
    );
    world.db.run("UPDATE jobs SET status = 'running'");
    world.write("results/two/file");
    world.insert("two", "completed");
    world.wait_until_gone(&daemon, "results/two");
    assert!(file.exists());
}
