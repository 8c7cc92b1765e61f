//! Rules that ask who owns a file: by kind and source, for files and directories, and what pins hold.

use super::other::Other;
use super::world::{COMPLETED, World, wait_for_hold};
use crate::common::evidence::explained;
use crate::common::sources::wait_for_source;
use crate::common::wait_for;

#[test]
fn files_and_directories_go_by_the_job_that_owns_them() {
    let world = World::new();
    let daemon = world.serve(
        r#"
[[rule]]
name = "temporary files of failed jobs"
root = "results"
glob = "**/*.tmp"
job = ["failed", "cancelled"]
since = "completed_at"
expire = "30m"
[[rule]]
name = "directories of completed jobs"
root = "results"
job = "completed"
expire = "500ms"
unit = "dir"
[[rule]]
name = "uploads of thumbnails"
root = "uploads"
kind = "thumbnail"
job = "completed"
since = "created_at"
expire = "1h"
"#,
    );
    let jobs = [
        ("ok", "completed"),
        ("bad", "failed"),
        ("quit", "cancelled"),
        ("run", "running"),
    ];
    for (id, _) in jobs {
        for file in ["sub/a.tmp", "b.tif"] {
            world.write(&format!("results/{id}/{file}"));
        }
        world.write(&format!("uploads/{id}_thumb.png"));
    }
    world.write("results/unknown/a.tmp");
    daemon.sync();
    for (id, status) in jobs {
        world.insert(id, status, Some(7200));
    }
    world.insert("thumb", "completed", Some(60));
    world.write("uploads/thumb_a.png");
    world
        .db
        .run("UPDATE jobs SET kind = 'thumbnail' WHERE id = 'thumb'");
    for gone in [
        "results/bad/sub/a.tmp",
        "results/quit/sub/a.tmp",
        "results/ok",
        "uploads/thumb_a.png",
    ] {
        world.wait_until_gone(&daemon, gone);
    }
    world.write("results/run/late.tmp");
    world.write("results/late/a");
    world.insert("late", "completed", Some(1));
    world.wait_until_gone(&daemon, "results/late");
    for stays in [
        "results/bad/b.tif",
        "results/quit/b.tif",
        "results/run/sub/a.tmp",
        "results/run/late.tmp",
        "results/unknown/a.tmp",
        "uploads/ok_thumb.png",
        "uploads/bad_thumb.png",
    ] {
        assert!(world.exists(stays), "{stays}");
    }
    // A change of kind is a change of facts like any other.
    world
        .db
        .run("UPDATE jobs SET kind = 'thumbnail' WHERE id = 'ok'");
    world.wait_until_gone(&daemon, "uploads/ok_thumb.png");
    assert_eq!(world.db.value("SELECT sum(marks) FROM jobs"), 0);
}

#[test]
fn what_is_pinned_stays_by_path_and_by_job() {
    let world = World::new();
    world.insert("one", "running", None);
    world.insert("two", "running", None);
    let daemon = world.serve(COMPLETED);
    let files = [
        "results/one/file",
        "uploads/one_up",
        "results/two/sub/file",
        "uploads/two_up",
    ]
    .map(|path| world.write(path));
    daemon.sync();
    world.said(&[
        "pin", "add", "--job", "one", "--for", "7d", "--why", "a look",
    ]);
    world.said(&[
        "pin",
        "add",
        files[2].to_str().unwrap(),
        "--for",
        "7d",
        "--why",
        "evidence",
    ]);
    world.complete("one", 7200);
    world.complete("two", 7200);
    world.canary(&daemon, "canary");
    wait_for_hold(&daemon, "pinned");
    for path in &files {
        assert!(path.exists(), "{}", path.display());
    }
    assert!(explained(&world.place, &files[0]).contains("a look"));
    assert!(explained(&world.place, &files[2]).contains("evidence"));
    assert_eq!((world.marks("one"), world.marks("two")), (0, 0));
    world.said(&["pin", "rm", "1"]);
    world.wait_until_gone(&daemon, "results/one");
    world.wait_until_gone(&daemon, "uploads/one_up");
    assert!(files[2].exists() && files[3].exists());
    world.said(&["pin", "rm", "2"]);
    world.wait_until_gone(&daemon, "results/two");
    world.wait_until_marked(&daemon, "two");
}

#[test]
fn a_pinned_job_without_files_keeps_its_row_unmarked() {
    let world = World::new();
    world.insert("bare", "running", None);
    let daemon = world.serve(COMPLETED);
    world.wait_for_job(&daemon, "bare", |_| true);
    world.said(&["pin", "add", "--job", "bare", "--for", "7d", "--why", "x"]);
    world.complete("bare", 7200);
    world.canary(&daemon, "canary");
    assert_eq!(world.marks("bare"), 0);
    world.said(&["pin", "rm", "1"]);
    world.wait_until_marked(&daemon, "bare");
}

#[test]
fn two_sources_may_have_jobs_of_the_same_id() {
    let world = World::new();
    let other = Other::open(&world.place.path("other.db"));
    other.run("CREATE TABLE runs(id INTEGER PRIMARY KEY, status TEXT, completed_at TEXT)");
    let more = r#"
[[root]]
path = "runs"
owner = "{job}/**"
source = "runs"
[[source]]
name = "runs"
kind = "sqlite"
path = "other.db"
select = "SELECT id, status, completed_at FROM runs"
[[rule]]
name = "runs"
root = "runs"
source = "runs"
job = "completed"
since = "completed_at"
expire = "1h"
unit = "job"
"#;
    let daemon = world.serve(&[COMPLETED, more].concat());
    wait_for_source(&daemon, "runs", "ready");
    for number in [7, 8] {
        world.write(&format!("results/{number}/file"));
        world.write(&format!("runs/{number}/file"));
    }
    daemon.sync();
    other.run(
        "INSERT INTO runs VALUES(7, 'completed', '2001-01-01 00:00:00'), (8, 'running', NULL)",
    );
    world.insert("7", "running", None);
    world.insert("8", "completed", Some(7200));
    world.wait_until_gone(&daemon, "results/8");
    world.wait_until_gone(&daemon, "runs/7");
    world.canary(&daemon, "canary");
    assert!(world.exists("results/7/file") && world.exists("runs/8/file"));
    let told = world.run(&["job", "get", "7"]);
    assert_eq!(told.status.code(), Some(2), "which one? {told:?}");
    assert!(
        world
            .said(&["job", "get", "7", "--source", "runs"])
            .contains("completed")
    );
    assert!(
        world
            .said(&["job", "get", "7", "--source", "eemt"])
            .contains("running")
    );
    let lines = wait_for("it is recorded", || {
        Some(world.lines_of("7")).filter(|lines| !lines.is_empty())
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(
        (&lines[0]["job"]["source"], &lines[0]["root"]),
        (&"runs".into(), &"runs".into())
    );
}

#[test]
fn an_hour_of_the_row_itself_is_a_deadline() {
    let world = World::new();
    world.db.run("CREATE TABLE exports(id INTEGER PRIMARY KEY, status TEXT, expires_at TEXT, file_path TEXT)");
    let config = r#"
[[root]]
path = "audio"
source = "eemt"
[[source]]
name = "eemt"
kind = "sqlite"
path = "jobs.db"
select = "SELECT id, status, expires_at, file_path AS files FROM exports WHERE file_path IS NOT NULL"
mark = "UPDATE exports SET file_path = NULL WHERE id = :job"
[[rule]]
name = "exports"
job = "completed"
source = "eemt"
since = "expires_at"
expire = "0s"
unit = "job"
record = "mark"
"#;
    let daemon = world.serve_config(config);
    for name in [
        "audio/sub/soon.zip",
        "audio/later.zip",
        "audio/unfinished.zip",
    ] {
        world.write(name);
    }
    daemon.sync();
    let at = |s: i64| super::world::ended(-s);
    world.db.run(&format!(
        "INSERT INTO exports VALUES(1, 'completed', {}, 'audio/sub/soon.zip'), (2, 'completed', {}, 'audio/later.zip'), (3, 'running', {}, 'audio/unfinished.zip')",
        at(1), at(3600), at(-3600)
    ));
    world.wait_until_gone(&daemon, "audio/sub/soon.zip");
    wait_for("the row says so", || {
        let path = world.db.value("SELECT file_path FROM exports WHERE id = 1");
        path.is_null().then_some(())
    });
    assert!(world.exists("audio/later.zip") && world.exists("audio/unfinished.zip"));
    assert_eq!(
        world
            .db
            .value("SELECT count(*) FROM exports WHERE file_path IS NULL"),
        1
    );
    let line = &wait_for("it is recorded", || world.lines_of("1").pop());
    let (at, deadline) = (&line["at"], &line["deadline"]);
    assert!(
        crate::common::evidence::ms(at) >= crate::common::evidence::ms(deadline),
        "{line}"
    );
}
