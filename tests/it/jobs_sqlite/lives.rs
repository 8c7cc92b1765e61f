//! From a job's begin to the end of all that it owned.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::world::{COMPLETED, MODES, World};
use crate::common::trees::set_age;
use crate::common::{wait_for, walk};

/// What one job owns: its directory of results, uploads by template, audio that its row claims, and what is derived from that.
fn own(world: &World, id: &str) -> Vec<PathBuf> {
    std::fs::create_dir_all(world.place.path(&format!("results/{id}/empty/deep"))).unwrap();
    let paths = [
        format!("results/{id}/out.tif"),
        format!("results/{id}/sub/more.tif"),
        format!("uploads/{id}_dem one.tif"),
        format!("audio/{id}.wav"),
        format!("audio/{id}_processed.mp3"),
    ];
    let paths: Vec<PathBuf> = paths.iter().map(|path| world.write(path)).collect();
    for path in &paths {
        set_age(path, Duration::from_hours(1000)).unwrap();
    }
    paths
}

fn claim(world: &World, id: &str) {
    world.db.run(&format!(
        "UPDATE jobs SET files = '{id}.wav' WHERE id = '{id}'"
    ));
}

#[test]
fn jobs_lose_nothing_until_they_have_ended_and_then_everything_as_one_unit() {
    for mode in MODES {
        let world = World::with_mode(mode);
        for (id, status) in [("run", "running"), ("wait", "pending")] {
            world.insert(id, status, Some(500_000));
            claim(&world, id);
        }
        let owned = [own(&world, "run"), own(&world, "wait")];
        let log = world.write("results/run/sub/run.log");
        let mut daemon = world.serve(COMPLETED);
        world.canary(&daemon, "canary");
        for path in owned.iter().flatten() {
            assert!(path.exists(), "{mode}: {} of a running job", path.display());
        }

        world.complete("run", 7200);
        world.wait_until_marked(&daemon, "run");
        for path in &owned[0] {
            assert!(!path.exists(), "{mode}: {}", path.display());
        }
        assert!(log.exists(), "{mode}: what is to be kept stays");
        assert!(!world.exists("results/run/empty"), "{mode}");
        for path in &owned[1] {
            assert!(path.exists(), "{mode}: {} of a pending job", path.display());
        }
        assert_recorded(&world, &owned[0]);

        // Nobody marks it again: neither the next daemon, nor one that knows nothing.
        assert!(daemon.stop().success());
        daemon = world.serve_again();
        world.canary(&daemon, "canary2");
        assert_eq!(world.marks("run"), 1, "{mode}: after a restart");
        assert!(daemon.stop().success());
        std::fs::rename(world.place.path("state/ledger"), world.place.path("ledger")).unwrap();
        std::fs::remove_dir_all(world.place.path("state")).unwrap();
        std::fs::create_dir(world.place.path("state")).unwrap();
        std::fs::rename(world.place.path("ledger"), world.place.path("state/ledger")).unwrap();
        daemon = world.serve_again();
        world.canary(&daemon, "canary3");
        world.wait_until_marked(&daemon, "canary3");
        assert_eq!(world.marks("run"), 1, "{mode}: without cache and registry");
        assert_eq!(world.lines_of("run").len(), 1, "{mode}");
        assert!(log.exists(), "{mode}");
        assert_eq!(walk(&world.place.path("results/wait")).len(), 2, "{mode}");
    }
}

fn assert_recorded(world: &World, paths: &[PathBuf]) {
    let lines = world.lines_of("run");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(line["unit"], "job", "{line}");
    assert_eq!(line["result"], "removed", "{line}");
    assert_eq!(line["owner"], "run", "{line}");
    assert_eq!(line["since"], "completed_at", "{line}");
    assert_eq!(line["basis"], line["job"]["completed_at"], "{line}");
    assert_eq!(line["job"]["status"], "completed", "{line}");
    assert_eq!(line["job"]["source"], "eemt", "{line}");
    assert_eq!(line["job"]["record"], "mark", "{line}");
    assert_eq!(line["files"], paths.len(), "{line}");
    let told = line["paths"].to_string();
    for name in [
        "results/run",
        "uploads/run_dem one.tif",
        "audio/run.wav",
        "audio/run_processed.mp3",
    ] {
        assert!(told.contains(name), "{name}: {line}");
    }
    let summary = world.db.value("SELECT summary FROM jobs WHERE id = 'run'");
    let summary: Value = serde_json::from_str(summary.as_str().unwrap()).unwrap();
    assert_eq!(summary["ledger_id"], line["id"], "{summary}");
    assert_eq!(summary["files"], line["files"], "{summary}");
    assert_eq!(summary["rule"], "done", "{summary}");
    let cleaned = world
        .db
        .value("SELECT cleaned_at FROM jobs WHERE id = 'run'");
    assert!(
        cleaned.as_str().is_some_and(|at| at.len() > 10),
        "{cleaned}"
    );
}

#[test]
fn scratch_goes_when_the_other_process_commits_its_completion() {
    for mode in MODES {
        let world = World::with_mode(mode);
        let daemon = world.serve(
            "[[rule]]\nname = \"scratch\"\nroot = \"results\"\njob = \"completed\"\nsince = \"completed_at\"\nexpire = \"0s\"\n",
        );
        for round in 0..20 {
            let id = format!("job{round}");
            world.insert(&id, "running", None);
            let file = world.write(&format!("results/{id}/scratch"));
            daemon.sync();
            world.wait_for_job(&daemon, &id, |_| true);
            assert!(file.exists());
            // Nothing else tells of it: nobody asks, and nothing happens in the roots.
            world.complete(&id, 0);
            wait_for("scratch goes", || (!file.exists()).then_some(()));
        }
    }
}

#[test]
fn a_job_without_files_is_marked_once_when_its_time_has_come() {
    let world = World::new();
    let daemon = world.serve(COMPLETED);
    world.insert("bare", "completed", Some(7200));
    world.wait_until_marked(&daemon, "bare");
    world.canary(&daemon, "canary");
    assert_eq!(world.marks("bare"), 1);
    let line = &world.lines_of("bare")[0];
    assert_eq!(
        (&line["files"], &line["unit"]),
        (&0.into(), &"job".into()),
        "{line}"
    );
}
