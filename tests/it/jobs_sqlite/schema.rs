//! Databases that are not there, or not as the queries expect them.

use super::other::Other;
use super::world::{COMPLETED, MODES, ROOTS, SOURCE, World};
use crate::common::sources::wait_for_source;

fn files_at(world: &World) -> Vec<String> {
    let dir = std::fs::read_dir(world.place.path("")).unwrap();
    let names = dir.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(".db")).collect()
}

#[test]
fn a_database_that_is_not_there_is_never_made() {
    let World { place, db } = World::new();
    drop(db);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place.path(&format!("jobs.db{end}")));
    }
    let config = place.config(&[ROOTS, SOURCE, COMPLETED].concat());
    let file = place.path("results/old/file");
    crate::common::trees::write(&file, 3);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let why = wait_for_source(&daemon, "eemt", "down");
    assert!(
        why.contains("does not exist") && why.contains("jobs.db"),
        "{why}"
    );
    let _ = place.run(&["job", "get", "old"]);
    let _ = place.run(&["clean"]);
    let _ = place.run(&["check", "--config", config.to_str().unwrap()]);
    assert!(daemon.get("/v1/jobs/old").0 >= 400);
    // It comes to be: made elsewhere and moved, or where it is.
    let world = World {
        db: Other::open(&place.path("new.db")),
        place,
    };
    assert_eq!(files_at(&world), Vec::<String>::new());
    world.db.run("CREATE TABLE jobs(id TEXT, status, kind, created_at, completed_at, files, cleaned_at, summary, marks DEFAULT 0)");
    world.insert("old", "completed", Some(7200));
    assert!(file.exists());
    std::fs::rename(world.place.path("new.db"), world.place.path("jobs.db")).unwrap();
    world.wait_until_gone(&daemon, "results/old");
}

#[test]
fn a_select_that_does_not_fit_is_told_with_its_column_and_mended_by_itself() {
    for mode in MODES {
        let world = World::with_mode(mode);
        world
            .db
            .run("ALTER TABLE jobs RENAME COLUMN completed_at TO finished_at");
        world.write("results/old/file");
        world.db.run("INSERT INTO jobs(id, status, finished_at) VALUES('old', 'completed', '2001-02-03 04:05:06')");
        world.place.config(&[ROOTS, SOURCE, COMPLETED].concat());
        let mut daemon = world.serve_again();
        let why = wait_for_source(&daemon, "eemt", "down");
        let status = world.said(&["status"]);
        for text in [&why, &status, &daemon.said()] {
            assert!(text.contains("completed_at"), "{mode}: {text}");
            assert!(
                text.contains("finished_at"),
                "{mode}: it says what there is: {text}"
            );
        }
        assert!(world.exists("results/old/file"));
        world
            .db
            .run("ALTER TABLE jobs RENAME COLUMN finished_at TO completed_at");
        world.wait_until_gone(&daemon, "results/old");
        world.wait_until_marked(&daemon, "old");
        wait_for_source(&daemon, "eemt", "ready");

        // The schema changes while it runs.
        let file = world.write("results/next/file");
        daemon.sync();
        world.db.run("ALTER TABLE jobs RENAME COLUMN kind TO sort");
        world.insert("next", "completed", Some(7200));
        let why = wait_for_source(&daemon, "eemt", "down");
        assert!(why.contains("kind"), "{mode}: {why}");
        assert!(file.exists());
        world.db.run("ALTER TABLE jobs RENAME COLUMN sort TO kind");
        world.wait_until_gone(&daemon, "results/next");
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_database_in_a_watched_root_is_no_file_to_lapse() {
    let world = World::new();
    let World { place, db } = world;
    drop(db);
    place.make_dir("results");
    let db = Other::open(&place.path("results/jobs.db"));
    db.rows("PRAGMA journal_mode = WAL");
    db.run("CREATE TABLE jobs(id TEXT, status, kind, created_at, completed_at, files, cleaned_at, summary, marks DEFAULT 0)");
    let world = World { place, db };
    world.write("results/old.txt");
    let source = SOURCE.replace("jobs.db", "results/jobs.db");
    let rules = "[[rule]]\nname = \"all\"\nexpire = \"300ms\"\nskip_open = false\n";
    let daemon = world.serve_config(&[ROOTS, &source, rules].concat());
    world.wait_until_gone(&daemon, "results/old.txt");
    world.write("results/later.txt");
    world.wait_until_gone(&daemon, "results/later.txt");
    for end in ["", "-wal", "-shm"] {
        assert!(world.exists(&format!("results/jobs.db{end}")), "{end}");
    }
    world.insert("x", "running", None);
    world.wait_for_job(&daemon, "x", |_| true);
}
