//! What belongs to nobody: only where that is known for certain.

use std::path::PathBuf;

use super::other::Other;
use super::world::{SOURCE, World, wait_for_hold};
use crate::common::evidence::ledger;
use crate::common::sources::{source, tell_of, uuid, wait_for_source};
use crate::common::trees::{instant_ms, write};
use crate::common::{Daemon, Place, wait_for, wait_or_tell};

const ROOTS: &str = r#"
[[root]]
path = "results"
owner = "{job}/**"
source = "eemt"
orphans = "{uuid}/**"
[[root]]
path = "uploads"
owner = "{job}_{name}"
source = "eemt"
orphans = "{uuid}_{name}"
[[root]]
path = "audio"
source = "eemt"
[[rule]]
name = "orphans"
job = "none"
expire = "1500ms"
"#;

fn config() -> String {
    [ROOTS, SOURCE].concat()
}

fn gone(paths: &[PathBuf]) -> Option<()> {
    paths.iter().all(|path| !path.exists()).then_some(())
}

#[track_caller]
fn wait_until_all_gone(daemon: &Daemon, paths: &[PathBuf]) {
    wait_or_tell("orphans go", || gone(paths), || tell_of(daemon));
}

/// Two orphans, and what looks like one but is none.
fn litter(place: &Place) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let orphans = [
        format!("results/{}/a/out.tif", uuid(100)),
        format!("uploads/{}_name.tif", uuid(101)),
    ];
    let others = [
        "results/.gitkeep".to_owned(),
        "results/notes/readme".to_owned(),
        format!("results/x{}/out.tif", uuid(102)),
        format!("results/{}x/out.tif", uuid(103)),
        format!("uploads/formal_{}.svg", uuid(104)),
        "uploads/.gitkeep".to_owned(),
        "uploads/12345678-1234_name".to_owned(),
        format!("audio/{}_name", uuid(105)),
    ];
    let make = |names: &[String]| -> Vec<PathBuf> {
        let paths = names.iter().map(|name| place.path(name));
        paths.inspect(|path| write(path, 5)).collect()
    };
    (make(&orphans), make(&others))
}

#[test]
fn only_names_of_the_template_become_orphans_and_only_after_their_grace() {
    let world = World::new();
    world.insert("somebody", "completed", Some(60));
    let daemon = world.serve_config(&config());
    let (orphans, others) = litter(&world.place);
    // Their rows come within the grace: one running, one that ended long ago, which no rule takes.
    let late = [
        world.write(&format!("results/{}/a/out.tif", uuid(1))),
        world.write(&format!("uploads/{}_dem.tif", uuid(2))),
    ];
    world.insert(&uuid(1), "running", None);
    world.insert(&uuid(2), "completed", Some(500_000));
    wait_until_all_gone(&daemon, &orphans);
    let canary = world.write(&format!("results/{}/out.tif", uuid(3)));
    wait_until_all_gone(&daemon, &[canary]);
    for path in late.iter().chain(&others) {
        assert!(path.exists(), "{}", path.display());
    }
    // What they leave empty is nobody's, too.
    let emptied = [uuid(100), uuid(3)].map(|id| world.place.path(&format!("results/{id}")));
    wait_until_all_gone(&daemon, &emptied);
    for line in wait_for("they are recorded", || {
        let lines = ledger(&world.place);
        let files = lines.iter().filter(|line| line["unit"] == "file").count();
        (files == 3).then_some(lines)
    }) {
        assert!(
            instant_ms(&line["at"]) >= instant_ms(&line["basis"]) + 1500,
            "{line}"
        );
        assert_eq!(
            (&line["rule"], &line["since"]),
            (&"orphans".into(), &"newest".into()),
            "{line}"
        );
    }
}

#[test]
fn nothing_becomes_an_orphan_while_the_database_cannot_be_read() {
    for how in ["missing", "garbage", "locked", "no such table"] {
        let world = World::with_mode("DELETE");
        world.insert("somebody", "completed", Some(60));
        let (db, aside) = (world.place.path("jobs.db"), world.place.path("aside.db"));
        match how {
            "missing" => std::fs::rename(&db, &aside).unwrap(),
            "garbage" => {
                std::fs::rename(&db, &aside).unwrap();
                std::fs::write(&db, vec![b'x'; 9000]).unwrap();
            }
            "locked" => drop(world.db.run("BEGIN EXCLUSIVE")),
            _ => drop(world.db.run("ALTER TABLE jobs RENAME TO later")),
        }
        let (orphans, others) = litter(&world.place);
        world.place.config(&config());
        let daemon = world.serve_again();
        let why = wait_for_source(&daemon, "eemt", "down");
        assert!(why.contains("jobs.db"), "{how}: {why}");
        let held = wait_for_hold(&daemon, "source-down");
        assert!(
            held.contains("source \"eemt\" cannot tell whose it is"),
            "{how}: {held}"
        );
        wait_for("both are due and held", || {
            (daemon.files("?hold=source-down").len() >= 2).then_some(())
        });
        assert!(
            orphans.iter().chain(&others).all(|path| path.exists()),
            "{how}"
        );
        match how {
            "missing" | "garbage" => std::fs::rename(&aside, &db).unwrap(),
            "locked" => drop(world.db.run("COMMIT")),
            _ => drop(world.db.run("ALTER TABLE later RENAME TO jobs")),
        }
        wait_until_all_gone(&daemon, &orphans);
        assert!(others.iter().all(|path| path.exists()), "{how}");
    }
}

#[test]
fn a_table_that_is_empty_at_first_sight_holds_until_a_person_lets_go() {
    let world = World::new();
    let (orphans, others) = litter(&world.place);
    let mut daemon = world.serve_config(&config());
    for round in ["at first", "after a restart"] {
        wait_for_hold(&daemon, "breaker");
        let status = world.said(&["status"]);
        let why = "the source was empty when it was first read";
        assert!(status.contains(why), "{round}: {status}");
        assert!(
            status.contains("lapsed breaker release"),
            "{round}: {status}"
        );
        assert!(orphans.iter().all(|path| path.exists()), "{round}");
        if round == "at first" {
            assert!(daemon.said().contains(why));
            assert!(daemon.stop().success());
            daemon = world.serve_again();
            wait_for_source(&daemon, "eemt", "ready");
        }
    }
    world.said(&["breaker", "release"]);
    wait_until_all_gone(&daemon, &orphans);
    assert!(others.iter().all(|path| path.exists()));
    assert!(!world.said(&["status"]).contains("suddenly"));
    // Once it was let go, and has not changed, it stays so.
    assert!(daemon.stop().success());
    daemon = world.serve_again();
    let later = world.write(&format!("results/{}/out.tif", uuid(3)));
    wait_until_all_gone(&daemon, &[later]);
}

#[test]
fn a_table_that_suddenly_lost_its_rows_holds_until_a_person_lets_go() {
    for how in ["deleted", "replaced"] {
        let world = World::with_mode("DELETE");
        let mut files = Vec::new();
        for number in 0..20 {
            world.insert(&uuid(number), "completed", Some(60));
            files.push(world.write(&format!("results/{}/out.tif", uuid(number))));
        }
        let mut daemon = world.serve_config(&config());
        if how == "deleted" {
            world
                .db
                .run(&format!("DELETE FROM jobs WHERE id > '{}'", uuid(1)));
        } else {
            let fresh = Other::open(&world.place.path("fresh.db"));
            fresh.run(&format!(
                "ATTACH '{}' AS old; CREATE TABLE jobs AS SELECT * FROM old.jobs LIMIT 2; DETACH old",
                world.place.path("jobs.db").display()
            ));
            drop(fresh);
            std::fs::rename(world.place.path("fresh.db"), world.place.path("jobs.db")).unwrap();
        }
        let why = "the source had 20 jobs, and suddenly has 2";
        daemon.wait_until_said(why);
        wait_for_hold(&daemon, "breaker");
        assert!(world.said(&["status"]).contains(why), "{how}");
        daemon.kill();
        daemon = world.serve_again();
        wait_for_source(&daemon, "eemt", "ready");
        wait_for_hold(&daemon, "breaker");
        wait_for("all are due and held", || {
            (daemon.files("?hold=breaker").len() == 18).then_some(())
        });
        assert!(files.iter().all(|path| path.exists()), "{how}");
        assert!(
            world.said(&["status"]).contains(why),
            "{how}: a restart forgets nothing"
        );
        world.said(&["breaker", "release", "--root", "results"]);
        wait_until_all_gone(&daemon, &files[2..]);
        assert!(files[..2].iter().all(|path| path.exists()), "{how}");
    }
}

#[test]
fn rows_that_come_and_go_one_by_one_trip_nothing() {
    let world = World::new();
    for number in 0..20 {
        world.insert(&uuid(number), "completed", Some(60));
    }
    let daemon = world.serve_config(&config());
    let file = world.write(&format!("results/{}/out.tif", uuid(0)));
    daemon.sync();
    for number in 0..16 {
        world
            .db
            .run(&format!("DELETE FROM jobs WHERE id = '{}'", uuid(number)));
        wait_for("it is read", || {
            (source(&daemon, "eemt")["jobs"] == 19 - number).then_some(())
        });
    }
    wait_until_all_gone(&daemon, &[file]);
    assert!(!daemon.said().contains("tripped"), "{}", daemon.said());
}
