//! Sources that come, change and go with a reload.

use rustix::process::Signal;

use super::other::Other;
use super::world::{COMPLETED, ROOTS, SOURCE, World};
use crate::common::Daemon;
use crate::common::sources::{source, wait_for_source};

/// Puts another configuration in force.
#[track_caller]
fn reload(world: &World, daemon: &Daemon, text: &str) {
    let count = || daemon.said().matches("reloading").count();
    let before = count();
    world.place.config(text);
    daemon.signal(Signal::HUP);
    crate::common::wait_for("it reloads", || (count() > before).then_some(()));
}

const MORE: &str = r#"
[[root]]
path = "runs"
owner = "{job}/**"
source = "runs"
[[source]]
name = "runs"
kind = "sqlite"
path = "other.db"
select = "SELECT id, status, completed_at FROM runs"
mark = "UPDATE runs SET marked = 1 WHERE id = :job"
"#;

#[test]
fn a_source_that_comes_owns_and_one_that_goes_holds_nothing_and_takes_nothing() {
    let world = World::new();
    let other = Other::open(&world.place.path("other.db"));
    other.run(
        "CREATE TABLE runs(id TEXT PRIMARY KEY, status TEXT, completed_at TEXT, marked INTEGER)",
    );
    other.run("INSERT INTO runs VALUES('a', 'completed', '2001-01-01 00:00:00', NULL), ('b', 'running', NULL, NULL)");
    world.write("runs/a/file");
    world.write("runs/b/file");
    let base = [ROOTS, SOURCE, COMPLETED].concat();
    let daemon = world.serve_config(&base);
    let rule = "[[rule]]\nname = \"runs\"\nroot = \"runs\"\nsource = \"runs\"\njob = \"completed\"\nsince = \"completed_at\"\nexpire = \"1h\"\nunit = \"job\"\nrecord = \"mark\"\n";
    reload(&world, &daemon, &[&base, MORE, rule].concat());
    wait_for_source(&daemon, "runs", "ready");
    world.wait_until_gone(&daemon, "runs/a");
    crate::common::wait_for("it is marked", || {
        (other.value("SELECT marked FROM runs WHERE id = 'a'") == 1).then_some(())
    });
    assert!(world.exists("runs/b/file"));
    world.canary(&daemon, "canary");

    // Without the source nobody knows whose the files are, and no rule is for them.
    reload(&world, &daemon, &base);
    crate::common::wait_for("it is gone", || {
        source(&daemon, "runs").is_null().then_some(())
    });
    other.run(
        "UPDATE runs SET status = 'completed', completed_at = '2001-01-01 00:00:00' WHERE id = 'b'",
    );
    world.canary(&daemon, "canary2");
    assert!(world.exists("runs/b/file"));
    // And it comes back.
    reload(&world, &daemon, &[&base, MORE, rule].concat());
    world.wait_until_gone(&daemon, "runs/b");
}

#[test]
fn a_source_that_is_another_database_now_is_read_anew_before_anything_goes() {
    let world = World::new();
    let file = world.write("results/back/file");
    world.insert("back", "running", None);
    let base = [ROOTS, SOURCE, COMPLETED].concat();
    let daemon = world.serve_config(&base);
    let other = Other::open(&world.place.path("other.db"));
    other.run(&format!(
        "ATTACH '{}' AS old; CREATE TABLE jobs AS SELECT * FROM old.jobs; DETACH old; \
         INSERT INTO jobs SELECT 'gone', 'completed', kind, created_at, '2001-01-01 00:00:00', files, NULL, NULL, 0 FROM jobs",
        world.place.path("jobs.db").display()
    ));
    world.write("results/gone/file");
    daemon.sync();
    reload(&world, &daemon, &base.replace("jobs.db", "other.db"));
    world.wait_until_gone(&daemon, "results/gone");
    assert!(file.exists());
    // What the first one says has no meaning any more.
    world.complete("back", 7200);
    other.run("UPDATE jobs SET status = 'running' WHERE id = 'none'");
    world.write("results/last/file");
    daemon.sync();
    other.run("INSERT INTO jobs(id, status, completed_at, marks) VALUES('last', 'completed', '2001-01-01 00:00:00', 0)");
    world.wait_until_gone(&daemon, "results/last");
    assert!(file.exists());
    other.run("UPDATE jobs SET status = 'completed', completed_at = '2001-01-01 00:00:00' WHERE id = 'back'");
    world.wait_until_gone(&daemon, "results/back");
    assert_eq!(world.marks("back"), 0);
    crate::common::wait_for("the new one is marked", || {
        (other.value("SELECT marks FROM jobs WHERE id = 'back'") == 1).then_some(())
    });
}

#[test]
fn statuses_that_are_explained_later_let_go() {
    let world = World::new();
    world.write("results/odd/file");
    world.insert("odd", "fertig", Some(7200));
    let base = [ROOTS, SOURCE, COMPLETED].concat();
    let daemon = world.serve_config(&base);
    world.canary(&daemon, "canary");
    assert!(world.exists("results/odd/file"));
    reload(
        &world,
        &daemon,
        &base.replace(
            "files_root",
            "statuses = { fertig = \"completed\" }\nfiles_root",
        ),
    );
    world.wait_until_gone(&daemon, "results/odd");
    world.wait_until_marked(&daemon, "odd");
    // A mistake changes nothing.
    let before = daemon.said().matches("cannot reload").count();
    world.place.config(&base.replace("SELECT id,", "SELECT"));
    world
        .place
        .config(&base.replace("kind = \"sqlite\"", "kind = \"oracle\""));
    daemon.signal(Signal::HUP);
    crate::common::wait_for("it is refused", || {
        (daemon.said().matches("cannot reload").count() > before).then_some(())
    });
    world.canary(&daemon, "canary2");
}
