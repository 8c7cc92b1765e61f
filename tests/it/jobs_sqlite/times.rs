//! Timestamps without a zone, and in every form.

use super::world::{COMPLETED, ROOTS, SOURCE, World};
use crate::common::sources::wait_for_source;
use crate::common::trees::{instant_ms, now_ms};
use crate::common::{Daemon, wait_for};

/// A daemon whose own zone is that of Berlin.
fn serve_in_berlin(world: &World, zones: &str) -> Daemon {
    let source = SOURCE.replace("files_root", &format!("timezone = {zones}\nfiles_root"));
    let config = world.place.config(&[ROOTS, &source, COMPLETED].concat());
    let mut command = world.place.lapsed();
    command
        .env("TZ", "Europe/Berlin")
        .arg("serve")
        .arg("--config")
        .arg(config);
    let daemon = Daemon::start(command, world.place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    wait_for_source(&daemon, "eemt", "ready");
    daemon
}

fn insert(world: &World, id: &str, created: &str, completed: &str) {
    world.db.run(&format!(
        "INSERT INTO jobs(id, status, created_at, completed_at) VALUES('{id}', 'completed', {created}, {completed})"
    ));
}

#[test]
fn naive_timestamps_are_read_in_the_zone_of_their_column() {
    let world = World::new();
    let daemon = serve_in_berlin(&world, "{ created_at = \"UTC\", completed_at = \"local\" }");
    // In winter Berlin is one hour ahead, in summer two.
    insert(
        &world,
        "winter",
        "'2023-01-15 12:00:00'",
        "'2023-01-15T12:00:00.123456'",
    );
    insert(
        &world,
        "summer",
        "'2023-07-15 12:00:00'",
        "'2023-07-15T12:00:00'",
    );
    insert(
        &world,
        "zoned",
        "'2023-07-15 12:00:00+05:00'",
        "'2023-07-15T12:00:00Z'",
    );
    insert(&world, "number", "1689422400", "1689422400.5");
    for (id, created, completed) in [
        (
            "winter",
            "2023-01-15T12:00:00.000Z",
            "2023-01-15T11:00:00.124Z",
        ),
        (
            "summer",
            "2023-07-15T12:00:00.000Z",
            "2023-07-15T10:00:00.000Z",
        ),
        (
            "zoned",
            "2023-07-15T07:00:00.000Z",
            "2023-07-15T12:00:00.000Z",
        ),
        (
            "number",
            "2023-07-15T12:00:00.000Z",
            "2023-07-15T12:00:00.500Z",
        ),
    ] {
        let job = world.wait_for_job(&daemon, id, |_| true);
        assert_eq!(job["created_at"], created, "{id}");
        let differs = instant_ms(&job["completed_at"]) - instant_ms(&completed.into());
        assert!((-1..=1).contains(&differs), "{id}: {job}");
    }
}

#[test]
fn a_job_goes_by_the_clock_of_its_application_and_not_an_hour_early() {
    for zone in ["\"local\"", "\"UTC\""] {
        let world = World::new();
        let daemon = serve_in_berlin(&world, zone);
        for id in ["due", "fresh"] {
            world.write(&format!("results/{id}/file"));
        }
        daemon.sync();
        // Written by an application in Berlin: 61 and 55 minutes ago.
        let shown = |minutes: i64| {
            let at = jiff::Timestamp::from_millisecond(now_ms() - minutes * 60_000).unwrap();
            let zone = if zone == "\"local\"" {
                "Europe/Berlin"
            } else {
                "UTC"
            };
            let at = at.in_tz(zone).unwrap();
            format!("'{}'", at.strftime("%Y-%m-%d %H:%M:%S"))
        };
        insert(&world, "fresh", "NULL", &shown(55));
        insert(&world, "due", "NULL", &shown(61));
        world.wait_until_gone(&daemon, "results/due");
        assert!(world.exists("results/fresh/file"), "{zone}");
        let line = &wait_for("it is recorded", || world.lines_of("due").pop());
        let age = instant_ms(&line["at"]) - instant_ms(&line["basis"]);
        assert!((61 * 60_000..70 * 60_000).contains(&age), "{zone}: {line}");
        // What is written back is read as the instant that it is.
        world.wait_until_marked(&daemon, "due");
        let job = world.wait_for_job(&daemon, "due", |job| job["cleaned_at"].is_string());
        let marked = now_ms() - instant_ms(&job["cleaned_at"]);
        assert!((-1000..60_000).contains(&marked), "{zone}: {job}");
    }
}
