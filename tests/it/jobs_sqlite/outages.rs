//! A source that is down holds what depends on it, and nothing else; what is to be written waits.

use super::other::Other;
use super::world::{COMPLETED, MODES, ROOTS, SOURCE, World, wait_for_hold};
use crate::common::evidence::holds;
use crate::common::sources::{source, tell_of, wait_for_source};
use crate::common::{wait_for, wait_or_tell};

#[test]
fn files_that_depend_on_no_source_go_while_one_is_down() {
    let world = World::with_mode("DELETE");
    world.insert("old", "completed", Some(7200));
    let held = world.write("results/old/file");
    let audio = world.write("audio/tmp.wav");
    std::fs::rename(world.place.path("jobs.db"), world.place.path("aside.db")).unwrap();
    std::fs::write(
        world.place.path("jobs.db"),
        b"no database, but long enough to be read as one",
    )
    .unwrap();
    let rules = "[[rule]]\nname = \"tmp\"\nroot = [\"tmp\", \"audio\"]\nexpire = \"200ms\"\n[[root]]\npath = \"tmp\"\n";
    world
        .place
        .config(&[ROOTS, SOURCE, COMPLETED, rules].concat());
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "down");
    for round in 0..3 {
        world.write(&format!("tmp/{round}/file"));
        world.wait_until_gone(&daemon, &format!("tmp/{round}/file"));
    }
    wait_for_hold(&daemon, "source-down");
    assert!(held.exists() && audio.exists());
    let status = world.said(&["status"]);
    assert!(
        status.contains("source eemt: down: cannot read jobs from"),
        "{status}"
    );
    std::fs::rename(world.place.path("aside.db"), world.place.path("jobs.db")).unwrap();
    world.wait_until_gone(&daemon, "results/old");
    world.wait_until_gone(&daemon, "audio/tmp.wav");
    wait_for("nothing is held", || {
        (!holds(&daemon).contains_key("source-down")).then_some(())
    });
}

#[test]
fn a_database_is_followed_when_the_directories_around_it_are_replaced() {
    let world = World::new();
    let source = SOURCE.replace("\"jobs.db\"", "\"app/data/jobs.db\"");
    let table = |jobs: &[(&str, &str)]| {
        world.place.make_dir("app/data");
        let db = Other::open(&world.place.path("app/data/jobs.db"));
        db.rows("PRAGMA journal_mode = WAL");
        db.run(super::world::TABLE);
        for (id, status) in jobs {
            db.run(&format!(
                "INSERT INTO jobs(id, status, created_at, completed_at) \
                 VALUES('{id}', '{status}', '2001-02-03 04:05:06', '2001-02-03 04:05:06')"
            ));
        }
        db
    };
    let ends = |db: &Other, id: &str| {
        db.run(&format!(
            "UPDATE jobs SET status = 'completed' WHERE id = '{id}'"
        ));
    };
    let ids = ["a", "b", "c", "d"];
    let files = ids.map(|id| format!("results/{id}/file"));
    for path in &files {
        world.write(path);
    }
    let running = ids.map(|id| (id, "running"));
    let db = table(&running);
    let daemon = world.serve_config(&[ROOTS, &source, COMPLETED].concat());
    ends(&db, "a");
    world.wait_until_gone(&daemon, &files[0]);
    drop(db);
    // Another directory in the place of the one around the database's own: no event comes from either of these.
    std::fs::rename(world.place.path("app"), world.place.path("old")).unwrap();
    let db = table(&running);
    ends(&db, "b");
    world.wait_until_gone(&daemon, &files[1]);
    ends(&db, "c");
    world.wait_until_gone(&daemon, &files[2]);
    drop(db);
    std::fs::rename(world.place.path("app/data"), world.place.path("older")).unwrap();
    let db = table(&running);
    ends(&db, "d");
    world.wait_until_gone(&daemon, &files[3]);
}

#[test]
fn records_wait_over_a_restart_until_the_database_takes_them() {
    for (mode, ends_by_kill) in [("WAL", false), ("WAL", true), ("DELETE", true)] {
        let world = World::with_mode(mode);
        let mut daemon = world.serve(COMPLETED);
        let path = world.write("results/old/file");
        world.insert("old", "running", None);
        daemon.sync();
        let open = std::fs::File::options().append(true).open(&path).unwrap();
        world.complete("old", 7200);
        wait_for_hold(&daemon, "open");
        // Readers get through, writers do not.
        let lock = Other::open(&world.place.path("jobs.db"));
        lock.run("BEGIN IMMEDIATE");
        drop(open);
        world.wait_until_gone(&daemon, "results/old");
        wait_or_tell(
            "its record waits",
            || {
                let source = source(&daemon, "eemt");
                (source["waiting_records"] == 1 && source["last_error"].is_string()).then_some(())
            },
            || tell_of(&daemon),
        );
        let status = world.said(&["status"]);
        assert!(
            status.contains("1 record waits to be written back"),
            "{status}"
        );
        assert_eq!(world.marks("old"), 0);
        if ends_by_kill {
            daemon.kill();
        } else {
            assert!(daemon.stop().success());
        }
        daemon = world.serve_again();
        wait_for("it still waits", || {
            (source(&daemon, "eemt")["waiting_records"] == 1).then_some(())
        });
        assert_eq!(world.marks("old"), 0);
        lock.run("COMMIT");
        world.wait_until_marked(&daemon, "old");
        world.canary(&daemon, "canary");
        assert_eq!(world.marks("old"), 1);
        // A daemon that is started meanwhile may tell the record once more, without files.
        let mut lines = world.lines_of("old");
        lines.retain(|line| line["files"] != 0);
        assert_eq!(lines.len(), 1, "{mode}: {lines:?}");
    }
}

#[test]
fn a_database_that_is_locked_for_readers_too_holds_until_it_is_free() {
    for mode in MODES {
        let world = World::with_mode(mode);
        let daemon = world.serve(COMPLETED);
        let path = world.write("results/old/file");
        world.insert("old", "running", None);
        daemon.sync();
        let open = std::fs::File::options().append(true).open(&path).unwrap();
        world.complete("old", 7200);
        wait_for_hold(&daemon, "open");
        let lock = Other::open(&world.place.path("jobs.db"));
        lock.run("BEGIN EXCLUSIVE");
        drop(open);
        // With a log of its own a writer keeps nobody from reading.
        if mode == "WAL" {
            world.wait_until_gone(&daemon, "results/old");
        } else {
            wait_for_hold(&daemon, "source-down");
            assert!(path.exists());
        }
        lock.run("COMMIT");
        world.wait_until_gone(&daemon, "results/old");
        world.wait_until_marked(&daemon, "old");
        assert_eq!(world.marks("old"), 1);
    }
}

#[test]
fn a_database_that_comes_and_goes_is_believed_when_it_is_there() {
    let world = World::with_mode("DELETE");
    let daemon = world.serve(COMPLETED);
    let (db, aside) = (world.place.path("jobs.db"), world.place.path("aside.db"));
    for round in 0..3 {
        let id = format!("job{round}");
        let file = world.write(&format!("results/{id}/file"));
        world.insert(&id, "running", None);
        world.wait_for_job(&daemon, &id, |_| true);
        std::fs::rename(&db, &aside).unwrap();
        wait_for_source(&daemon, "eemt", "down");
        let moved = Other::open(&aside);
        moved.run("UPDATE jobs SET status = 'completed', completed_at = '2001-01-01 00:00:00'");
        assert!(file.exists());
        std::fs::rename(&aside, &db).unwrap();
        world.wait_until_gone(&daemon, &format!("results/{id}"));
        wait_for_source(&daemon, "eemt", "ready");
    }
}
