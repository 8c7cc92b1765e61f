//! `lapsed source sql` and `lapsed check` on sources of kind postgres.

use super::world::{COMPLETED, World};
use crate::common::errors;
use crate::postgres::Cluster;

#[test]
fn the_trigger_is_printed_for_the_table_that_the_ids_come_from() {
    let world = World::new();
    world.db.run("CREATE SCHEMA \"My app\"; CREATE TABLE \"My app\".\"Jobs\" (\"Job id\" int PRIMARY KEY, state text);
                  CREATE VIEW jobs_seen AS SELECT \"Job id\" AS id, state AS status FROM \"My app\".\"Jobs\"");
    world.configure(COMPLETED);
    let config = world.place.path("lapsed.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let other = text.replace(
        "SELECT id, status, created_at, completed_at, files, cleaned_at FROM jobs",
        "SELECT \\\"Job id\\\" AS id, state AS status FROM \\\"My app\\\".\\\"Jobs\\\"",
    );
    std::fs::write(&config, &other).unwrap();
    let sql = world.said(&["source", "sql", "--config", &world.config_path()]);
    assert!(
        sql.contains("ON \"My app\".\"Jobs\"")
            && sql.contains("lapsed_notify('lapsed_eemt', 'Job id')"),
        "{sql}"
    );
    // It may be run again at any time.
    world.db.run(&sql);
    world.db.run(&sql);
    world.db.run("LISTEN lapsed_eemt; INSERT INTO \"My app\".\"Jobs\" VALUES (1, 'running'); UPDATE \"My app\".\"Jobs\" SET \"Job id\" = 2; TRUNCATE \"My app\".\"Jobs\"");
    // The application may change its table, and must not suffer from the trigger.
    world.db.run("ALTER TABLE \"My app\".\"Jobs\" RENAME COLUMN \"Job id\" TO other; INSERT INTO \"My app\".\"Jobs\" VALUES (3, 'running');
                  UPDATE \"My app\".\"Jobs\" SET other = 4; DELETE FROM \"My app\".\"Jobs\"; ALTER TABLE \"My app\".\"Jobs\" RENAME COLUMN other TO \"Job id\"");
    // Ids of a view: somebody has to say it.
    std::fs::write(
        &config,
        text.replace(
            "SELECT id, status, created_at, completed_at, files, cleaned_at FROM jobs",
            "SELECT id, status FROM jobs_seen",
        ),
    )
    .unwrap();
    let output = world
        .place
        .run(&["source", "sql", "--config", &world.config_path()]);
    assert!(!output.status.success());
    assert!(errors(&output).contains("its ids come from a view\n  name the table whose rows are jobs: --table schema.table --id column"), "{}", errors(&output));
    let said = world.said(&[
        "source",
        "sql",
        "eemt",
        "--table",
        "\"My app\".\"Jobs\"",
        "--id",
        "\"Job id\"",
        "--config",
        &world.config_path(),
    ]);
    assert_eq!(said, sql);
}

#[test]
fn the_trigger_is_printed_without_a_server_for_a_table_that_is_named() {
    let mut world = World::new();
    world.url = "postgresql://nobody:hunter2@127.0.0.1:1/none".to_owned();
    world.configure(COMPLETED);
    let config = world.config_path();
    let sql = world.said(&[
        "source", "sql", "--table", "jobs", "--id", "id", "--config", &config,
    ]);
    assert!(sql.contains("ON \"public\".\"jobs\""), "{sql}");
    world.db.run(&sql);
    let output = world.place.run(&["source", "sql", "--config", &config]);
    let told = errors(&output);
    assert!(
        !output.status.success()
            && told.contains("postgres at 127.0.0.1:1/none as nobody: error connecting")
            && !told.contains("hunter2"),
        "{told}"
    );
    // For a check it is no mistake that the server is away.
    let output = world.place.run(&["check", "--config", &config]);
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        errors(&output),
    );
    assert!(output.status.success(), "{told}");
    assert!(said.contains("source \"eemt\": jobs of postgres at 127.0.0.1:1/none as nobody; changes are notified on channel \"lapsed_eemt\", or asked for every 1s"), "{said}");
    assert!(
        said.contains("  - cannot read jobs from postgres at 127.0.0.1:1/none as nobody"),
        "{said}"
    );
    let output = world.place.run(&["check", "--quick", "--config", &config]);
    let quick = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        quick.contains("its queries were not checked: source \"eemt\": cannot read jobs"),
        "{quick}"
    );
    assert!(!said.contains("hunter2") && !told.contains("hunter2"));
}

#[test]
fn a_query_that_does_not_fit_is_found_by_the_check() {
    let world = World::new();
    world.configure(COMPLETED);
    world.said(&["check", "--config", &world.config_path()]);
    world.db.run("ALTER TABLE jobs DROP COLUMN marks");
    let output = world
        .place
        .run(&["check", "--config", &world.config_path()]);
    assert!(!output.status.success());
    assert!(
        errors(&output).contains("source \"eemt\": mark: column \"marks\" does not exist"),
        "{}",
        errors(&output)
    );
    let _ = Cluster::shared();
}
