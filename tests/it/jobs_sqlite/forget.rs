//! Rows that go with what they own, or alone.

use super::world::{World, ended, wait_until};
use crate::common::sources::tell_of;
use crate::common::{Daemon, wait_or_tell};

const SESSIONS: &str = r#"
[[root]]
path = "results"
owner = "{job}/**"
source = "eemt"
[[source]]
name = "eemt"
kind = "sqlite"
path = "jobs.db"
select = "SELECT session_id AS id, last_activity FROM sessions"
status = "completed"
forget = [
    "DELETE FROM messages WHERE session_id = :job",
    "DELETE FROM sessions WHERE session_id = :job AND last_activity = :last_activity",
]
[[rule]]
name = "idle"
source = "eemt"
since = "last_activity"
expire = "1h"
unit = "job"
record = "forget"
"#;

fn begin() -> (World, Daemon) {
    let world = World::new();
    world.db.run(
        "CREATE TABLE sessions(session_id TEXT PRIMARY KEY, last_activity TEXT); \
         CREATE TABLE messages(session_id TEXT, text TEXT);",
    );
    let daemon = world.serve_config(SESSIONS);
    (world, daemon)
}

fn session(world: &World, id: &str, s_ago: i64) {
    let at = ended(s_ago);
    world.db.run(&format!(
        "BEGIN; INSERT INTO sessions VALUES('{id}', {at}); INSERT INTO messages VALUES('{id}', 'a'), ('{id}', 'b'); COMMIT"
    ));
}

fn count(world: &World, table: &str, id: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table} WHERE session_id = '{id}'");
    world.db.value(&sql).as_i64().unwrap()
}

#[track_caller]
fn wait_until_forgotten(world: &World, daemon: &Daemon, id: &str) {
    wait_or_tell(
        &format!("session {id} is forgotten"),
        || (count(world, "sessions", id) == 0).then_some(()),
        || tell_of(daemon),
    );
}

#[test]
fn a_row_without_files_is_forgotten_with_all_that_hangs_on_it() {
    let (world, daemon) = begin();
    session(&world, "fresh", 60);
    session(&world, "idle", 7200);
    wait_until_forgotten(&world, &daemon, "idle");
    assert_eq!(count(&world, "messages", "idle"), 0);
    let line = &world.lines_of("idle")[0];
    assert_eq!(
        (&line["files"], &line["job"]["record"]),
        (&0.into(), &"forget".into()),
        "{line}"
    );
    assert!(line["job"]["last_activity"].is_string(), "{line}");

    // It becomes due while the daemon runs, by the same wheel.
    session(&world, "soon", 3598);
    session(&world, "revived", 3597);
    world.wait_for_job(&daemon, "revived", |_| true);
    let at = ended(0);
    world.db.run(&format!(
        "UPDATE sessions SET last_activity = {at} WHERE session_id = 'revived'"
    ));
    wait_until_forgotten(&world, &daemon, "soon");
    session(&world, "later", 3598);
    wait_until_forgotten(&world, &daemon, "later");
    for id in ["fresh", "revived"] {
        assert_eq!(
            (count(&world, "sessions", id), count(&world, "messages", id)),
            (1, 2),
            "{id}"
        );
        assert!(world.lines_of(id).is_empty());
    }
}

#[test]
fn a_row_is_forgotten_after_its_files_and_with_all_statements_or_none() {
    let (world, daemon) = begin();
    world.db.run(
        "CREATE TRIGGER no BEFORE DELETE ON sessions BEGIN SELECT raise(ABORT, 'not now'); END",
    );
    world.write("results/idle/a/file");
    daemon.sync();
    session(&world, "idle", 7200);
    world.wait_until_gone(&daemon, "results/idle");
    wait_or_tell(
        "status says what the database said",
        || {
            crate::common::sources::source(&daemon, "eemt")["last_error"]
                .as_str()?
                .contains("not now")
                .then_some(())
        },
        || tell_of(&daemon),
    );
    assert_eq!(
        (
            count(&world, "sessions", "idle"),
            count(&world, "messages", "idle")
        ),
        (1, 2)
    );
    let status = world.said(&["status"]);
    assert!(
        status.contains("1 record waits") && status.contains("forget 2"),
        "{status}"
    );
    world.db.run("DROP TRIGGER no");
    wait_until_forgotten(&world, &daemon, "idle");
    assert_eq!(count(&world, "messages", "idle"), 0);
    assert_eq!(world.lines_of("idle").len(), 1);
}

#[test]
fn a_row_that_came_back_to_life_while_nobody_looked_stays() {
    use rustix::process::Signal;
    let (world, daemon) = begin();
    session(&world, "revived", 3597);
    world.wait_for_job(&daemon, "revived", |_| true);
    daemon.signal(Signal::STOP);
    wait_until(crate::common::trees::now_ms() + 3500);
    let at = ended(0);
    world.db.run(&format!(
        "UPDATE sessions SET last_activity = {at} WHERE session_id = 'revived'"
    ));
    daemon.signal(Signal::CONT);
    session(&world, "canary", 7200);
    wait_until_forgotten(&world, &daemon, "canary");
    assert_eq!(
        (
            count(&world, "sessions", "revived"),
            count(&world, "messages", "revived")
        ),
        (1, 2)
    );
}

#[test]
fn a_row_that_its_database_keeps_delays_no_other_and_is_told_of() {
    let (world, mut daemon) = begin();
    world.db.run(
        "CREATE TABLE invoices(session_id TEXT); \
         CREATE TRIGGER billed BEFORE DELETE ON sessions WHEN OLD.session_id IN (SELECT session_id FROM invoices) \
         BEGIN SELECT raise(ABORT, 'it has an invoice'); END; INSERT INTO invoices VALUES('kept')",
    );
    session(&world, "kept", 7200);
    let refused = |daemon: &Daemon| {
        let source = crate::common::sources::source(daemon, "eemt");
        let refused = source["refused"].as_array()?.first()?.clone();
        (source["refused_records"] == 1).then_some(refused)
    };
    let first = wait_or_tell("it is refused", || refused(&daemon), || tell_of(&daemon));
    assert_eq!(
        (&first["job"], &first["action"]),
        (&"kept".into(), &"forget".into())
    );
    for id in ["later", "latest"] {
        session(&world, id, 7200);
        wait_until_forgotten(&world, &daemon, id);
    }
    let attempts = first["attempts"].as_u64().unwrap();
    let again = wait_or_tell(
        "it is tried again",
        || refused(&daemon).filter(|record| record["attempts"].as_u64() > Some(attempts)),
        || tell_of(&daemon),
    );
    assert!(
        again["error"]
            .as_str()
            .unwrap()
            .contains("it has an invoice"),
        "{again}"
    );
    assert_eq!(again["since"], first["since"]);
    let said = world.said(&["job", "get", "kept"]);
    assert!(
        said.contains("forget was refused") && said.contains("it has an invoice"),
        "{said}"
    );
    let status = world.said(&["status"]);
    assert!(status.contains("job kept: forget was refused"), "{status}");

    // A daemon that is started meanwhile knows how often it was refused, and begins with the others.
    assert!(daemon.stop().success());
    session(&world, "meanwhile", 7200);
    daemon = world.serve_again();
    wait_until_forgotten(&world, &daemon, "meanwhile");
    let known = wait_or_tell("it is known", || refused(&daemon), || tell_of(&daemon));
    assert!(
        known["attempts"].as_u64() >= again["attempts"].as_u64(),
        "{known}"
    );

    world.db.run("DELETE FROM invoices");
    wait_until_forgotten(&world, &daemon, "kept");
    wait_or_tell(
        "nothing waits",
        || (crate::common::sources::source(&daemon, "eemt")["waiting_records"] == 0).then_some(()),
        || tell_of(&daemon),
    );
}

#[test]
fn a_statement_that_every_row_refuses_is_tried_a_bounded_number_of_times() {
    const JOBS: usize = 200;
    let (world, daemon) = begin();
    world
        .db
        .run("CREATE TRIGGER no BEFORE DELETE ON sessions BEGIN SELECT raise(ABORT, 'never'); END");
    for id in 0..JOBS {
        session(&world, &format!("s{id}"), 7200);
    }
    let source = || crate::common::sources::source(&daemon, "eemt");
    wait_or_tell(
        "all wait",
        || (source()["waiting_records"] == JOBS).then_some(()),
        || tell_of(&daemon),
    );
    let now = source();
    let listed = now["refused"].as_array().unwrap();
    assert!(listed.len() <= 10, "{now}");
    assert!(
        now["refused_records"].as_u64().unwrap() < JOBS as u64,
        "after some refusals the source gets a pause: {now}"
    );
    world.db.run("DROP TRIGGER no");
    wait_or_tell(
        "all are forgotten",
        || (source()["waiting_records"] == 0).then_some(()),
        || tell_of(&daemon),
    );
}

#[test]
fn without_a_daemon_it_is_known_that_a_row_waits_for_the_trash() {
    let world = World::new();
    world.db.run("CREATE TABLE sessions(session_id TEXT PRIMARY KEY, last_activity TEXT); CREATE TABLE messages(session_id TEXT, text TEXT);");
    session(&world, "idle", 7200);
    world.write("results/idle/file");
    let mut daemon = world.serve_config(&format!("{SESSIONS}undo = \"1h\"\n"));
    world.wait_until_gone(&daemon, "results/idle/file");
    wait_or_tell(
        "the row waits",
        || {
            let (_, held) = daemon.get("/v1/status");
            held.to_string().contains("in-trash").then_some(())
        },
        || tell_of(&daemon),
    );
    daemon.stop();
    let config = world.place.config_path();
    let dry = world.said(&["clean", "--dry-run", "--json", "--config", &config]);
    assert!(dry.contains("in-trash") && !dry.contains("forget"), "{dry}");
    let planned = world.said(&["plan", "--json", "--config", &config]);
    let real = world.said(&["clean", "--json", "--config", &config]);
    assert_eq!(count(&world, "sessions", "idle"), 1, "{planned}\n{real}");
    assert!(real.contains("in-trash"), "{real}");
}
