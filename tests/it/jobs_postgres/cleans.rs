//! `lapsed clean` knows what is true when it is asked, however changes are noticed.

use super::world::{COMPLETED, FORGOTTEN, NOBODYS, World};
use crate::common::others::Neighbour;
use crate::common::sources::{source, tell_of, wait_for_source};
use crate::common::{Daemon, wait_for};
use crate::postgres::Cluster;

const ROUNDS: u32 = 5;

/// Nothing goes by itself.
fn on_request() -> String {
    let rules = [COMPLETED, NOBODYS].map(|rule| format!("{rule}schedule = \"manual\"\n"));
    rules.concat().replace("expire = \"1s\"", "expire = \"0s\"")
}

/// Asks once. What somebody has open in that moment (a child of another test that is just being forked) is said and asked for again;
/// nothing else is.
#[track_caller]
fn clean(world: &World, daemon: &Daemon, gone: &[&str]) {
    wait_for("what is open is closed", || {
        let report = world.said(&["clean", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let exists = |path: &str| world.place.path(path).symlink_metadata().is_ok();
        let left: Vec<_> = gone.iter().filter(|path| exists(path)).collect();
        let mut held = report["held"].as_array().unwrap().iter();
        assert!(
            left.is_empty() || held.any(|item| item["hold"] == "open"),
            "{left:?} stay: {report}\n{}\n{}",
            tell_of(daemon),
            daemon.said()
        );
        left.is_empty().then_some(())
    });
}

#[test]
fn what_has_just_changed_is_known() {
    // Of its own: what nobody owns stays while anything is written to the server that nobody tells of.
    let cluster = Cluster::new();
    for by in ["polling", "notifications"] {
        let world = World::at(&cluster, &cluster.database());
        world.configure_polled(&on_request(), "1h");
        if by == "notifications" {
            world.install_trigger();
        }
        for other in 0..10 {
            world.insert(&format!("other{other}"), "running");
        }
        let daemon = world.serve_again();
        wait_for_source(&daemon, "eemt", "ready");
        assert_eq!(source(&daemon, "eemt")["by"], by);
        for round in 0..ROUNDS {
            let (result, lost, claimed) = (
                format!("results/job{round}/file"),
                format!("uploads/lost{round}.tif"),
                format!("uploads/claimed{round}.tif"),
            );
            for path in [&result, &lost, &claimed] {
                world.write(path);
            }
            world.db.run(&format!(
                "INSERT INTO jobs (id, status, files) VALUES ('holder{round}', 'running', '{{claimed{round}.tif}}')"
            ));
            world.insert(&format!("job{round}"), "completed");
            clean(&world, &daemon, &[&result, &lost]);
            let claimed_path = world.place.path(&claimed);
            assert!(claimed_path.exists(), "{by}: {}", tell_of(&daemon));
            // Its job lets go of it, and is gone.
            world
                .db
                .run(&format!("DELETE FROM jobs WHERE id = 'holder{round}'"));
            clean(&world, &daemon, &[&claimed]);
        }
        let said = daemon.said();
        assert!(!said.contains("it is still being read"), "{by}: {said}");
    }
}

#[test]
fn a_server_that_is_busy_with_others_is_no_reason_to_wait() {
    let cluster = Cluster::new();
    for by in ["polling", "notifications"] {
        let database = cluster.database();
        let world = World::at(&cluster, &database);
        world.configure_polled(&on_request(), "1h");
        if by == "notifications" {
            world.install_trigger();
        }
        let daemon = world.serve_again();
        wait_for_source(&daemon, "eemt", "ready");
        let others = cluster.session(&database);
        let neighbour = Neighbour::default();
        std::thread::scope(|scope| {
            let _ending = neighbour.ends_with();
            scope.spawn(|| {
                let mut number = 0_u32;
                while !neighbour.is_to_end() {
                    number += 1;
                    others.run(&format!(
                        "INSERT INTO jobs (id, status) VALUES ('busy', 'running {number}') ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status"
                    ));
                }
            });
            for round in 0..ROUNDS {
                let result = format!("results/job{round}/file");
                world.write(&result);
                world.insert(&format!("job{round}"), "completed");
                clean(&world, &daemon, &[&result]);
            }
        });
        let said = daemon.said();
        assert!(!said.contains("it is still being read"), "{by}: {said}");
    }
}

#[test]
fn a_run_without_a_daemon_takes_jobs_whole_or_not_at_all() {
    let world = World::new();
    let config = world.config_path();
    // Until its row is read, an upload is nobody's.
    let nobodys = NOBODYS.replace("expire = \"1s\"", "expire = \"1h\"");
    world.configure(&[FORGOTTEN, &nobodys].concat());
    for round in 0..3 {
        let result = world.write(&format!("results/job{round}/file"));
        let upload = world.write(&format!("uploads/in{round}.tif"));
        world.insert(&format!("job{round}"), "failed");
        world.db.run(&format!(
            "UPDATE jobs SET files = '{{in{round}.tif}}' WHERE id = 'job{round}'"
        ));
        for arguments in [&["clean", "--dry-run"][..], &["clean"]] {
            let arguments = [arguments, &["--json", "--config", &config]].concat();
            let report = world.said(&arguments);
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            assert_eq!(report["files"], 2, "round {round}: {report}");
        }
        assert!(!result.exists() && !upload.exists());
        let rows = world.db.value("SELECT count(*)::text FROM jobs");
        assert_eq!(rows.as_deref(), Some("0"));
    }
}
