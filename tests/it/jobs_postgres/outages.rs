//! Whatever happens to the server, what depends on it is held, and goes on by itself.

use super::world::{COMPLETED, World};
use crate::common::sources::{source, tell_of, wait_for_source};
use crate::common::wait_or_tell;
use crate::postgres::Cluster;

#[test]
fn a_server_that_is_down_holds_and_one_that_is_back_goes_on() {
    let cluster = Cluster::new();
    let world = World::at(&cluster, "postgres");
    world.configure(COMPLETED);
    world.install_trigger();
    world.insert("one", "completed");
    let file = world.write("results/one/file");
    // Down at the start.
    cluster.stop();
    let daemon = world.serve_again();
    let why = wait_for_source(&daemon, "eemt", "down");
    assert!(
        why.starts_with("cannot read jobs from postgres at 127.0.0.1:"),
        "{why}"
    );
    daemon.sync();
    assert!(file.exists());
    cluster.start();
    world.wait_until_gone(&daemon, "results/one");
    wait_for_source(&daemon, "eemt", "ready");
    // Going down, coming back.
    cluster.stop();
    wait_for_source(&daemon, "eemt", "down");
    cluster.start();
    let db = cluster.session("postgres");
    let world = World { db, ..world };
    world.write("results/two/file");
    world.insert("two", "completed");
    world.wait_until_gone(&daemon, "results/two");
    world.wait_until_row(&daemon, "SELECT sum(marks)::text FROM jobs", "2");
}

#[test]
fn another_server_takes_over() {
    let primary = Cluster::new();
    let standby = primary.standby();
    let mut world = World::at(&primary, "postgres");
    world.url = format!(
        "postgresql+asyncpg://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=primary",
        primary.port, standby.port
    );
    world.configure(COMPLETED);
    world.install_trigger();
    world
        .db
        .run("INSERT INTO jobs (id, status) VALUES ('one', 'running')");
    let followed = standby.session("postgres");
    wait_or_tell(
        "the standby follows",
        || {
            (followed.value("SELECT count(*)::text FROM pg_tables WHERE tablename = 'jobs'")?
                == "1"
                && followed.value("SELECT count(*)::text FROM jobs")? == "1")
                .then_some(())
        },
        String::new,
    );
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    let file = world.write("results/one/file");
    primary.stop();
    wait_for_source(&daemon, "eemt", "down");
    assert!(file.exists());
    followed.value("SELECT pg_promote()");
    wait_for_source(&daemon, "eemt", "ready");
    wait_or_tell(
        "it listens there",
        || (source(&daemon, "eemt")["by"] == "notifications").then_some(()),
        || tell_of(&daemon),
    );
    followed.run("UPDATE jobs SET status = 'completed', completed_at = now() - interval '2 hours'");
    world.wait_until_gone(&daemon, "results/one");
    let world = World {
        db: followed,
        ..world
    };
    world.wait_until_row(&daemon, "SELECT marks::text FROM jobs", "1");
}

#[test]
fn rights_that_are_taken_away_hold_and_records_wait_for_theirs() {
    let mut world = World::new();
    let role = format!("app_{}", world.url.rsplit('/').next().unwrap());
    world.db.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON jobs TO {role}"
    ));
    world.configure("");
    world.install_trigger();
    world.url = world.url.replace("postgres@", &format!("{role}@"));
    let daemon = world.serve(COMPLETED);
    world.write("results/one/file");
    world.insert("one", "completed");
    world.wait_until_gone(&daemon, "results/one");
    // It may read, not write.
    wait_or_tell(
        "its record waits",
        || {
            let error = source(&daemon, "eemt")["last_error"].as_str()?.to_owned();
            error
                .contains(&format!(
                    "permission denied for table jobs\n  GRANT SELECT, UPDATE ON jobs TO {role};"
                ))
                .then_some(())
        },
        || tell_of(&daemon),
    );
    world.db.run(&format!("GRANT UPDATE ON jobs TO {role}"));
    world.wait_until_row(&daemon, "SELECT marks::text FROM jobs", "1");
    world.db.run(&format!(
        "REVOKE SELECT ON jobs FROM {role}; NOTIFY lapsed_eemt, 'one'"
    ));
    let why = wait_for_source(&daemon, "eemt", "down");
    assert!(
        why.contains(&format!(
            "permission denied for table jobs\n  GRANT SELECT ON jobs TO {role};"
        )),
        "{why}"
    );
    let file = world.write("results/two/file");
    world.insert("two", "completed");
    daemon.sync();
    assert!(file.exists());
    world.db.run(&format!("GRANT SELECT ON jobs TO {role}"));
    world.wait_until_gone(&daemon, "results/two");
}

#[test]
fn a_column_that_is_dropped_holds_until_it_is_back() {
    let world = World::new();
    world.configure(COMPLETED);
    world.install_trigger();
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    world
        .db
        .run("INSERT INTO jobs (id, status) VALUES ('one', 'running')");
    let file = world.write("results/one/file");
    world
        .db
        .run("ALTER TABLE jobs DROP COLUMN completed_at; UPDATE jobs SET status = 'completed'");
    let why = wait_for_source(&daemon, "eemt", "down");
    assert!(why.contains("select: column \"completed_at\" does not exist\n  table jobs has id, status, created_at"), "{why}");
    assert!(file.exists());
    world.db.run("ALTER TABLE jobs ADD COLUMN completed_at timestamptz; UPDATE jobs SET completed_at = now() - interval '2 hours'");
    world.wait_until_gone(&daemon, "results/one");
}

#[test]
fn a_table_that_is_locked_holds_until_it_is_free() {
    let world = World::new();
    world.configure(COMPLETED);
    world.install_trigger();
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    let lock = Cluster::shared().session(world.url.rsplit('/').next().unwrap());
    lock.run("BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE");
    world.db.run("NOTIFY lapsed_eemt, 'one'");
    let why = wait_for_source(&daemon, "eemt", "down");
    assert!(
        why.contains("timeout\n  see what locks the tables"),
        "{why}"
    );
    let file = world.write("results/one/file");
    daemon.sync();
    lock.run("INSERT INTO jobs (id, status, completed_at) VALUES ('one', 'completed', now() - interval '2 hours')");
    assert!(file.exists());
    lock.run("COMMIT");
    world.wait_until_gone(&daemon, "results/one");
}

#[test]
fn a_table_that_is_suddenly_empty_makes_nobody_an_orphan() {
    let world = World::new();
    world.configure(super::world::NOBODYS);
    world.install_trigger();
    for number in 0..10 {
        world.db.run(&format!(
            "INSERT INTO jobs (id, status, files) VALUES ('j{number}', 'running', '{{f{number}}}')"
        ));
    }
    let daemon = world.serve_again();
    wait_for_source(&daemon, "eemt", "ready");
    let file = world.write("uploads/f1");
    daemon.sync();
    world.db.run("TRUNCATE jobs");
    wait_or_tell(
        "a person is asked",
        || {
            let (_, breaker) = daemon.get("/v1/breaker");
            breaker["orphans"]
                .as_array()
                .is_some_and(|trips| !trips.is_empty())
                .then_some(())
        },
        || tell_of(&daemon),
    );
    assert!(file.exists());
}
