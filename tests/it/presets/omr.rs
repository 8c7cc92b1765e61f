//! omr: directories of jobs and uploads that nobody wrote to for a week, and single files of temporary output.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Duration;

use serde_json::json;

use super::database::{DAY, HOUR, YEAR, ago};
use super::site::{Site, age_tree, written_at};
use crate::common::http::Request;
use crate::common::trees::now_ms;
use crate::common::{Daemon, wait_for};

const WEEK: Duration = Duration::from_hours(7 * 24);
const OLD_JOBS: &str = "old jobs";
const TEMPORARY: &str = "temporary output";

/// A backend directory with something of everything, all a little older or younger than a week.
fn site() -> Site {
    let site = Site::new("omr");
    let old = WEEK + HOUR;
    let young = 167 * HOUR;
    for root in ["omr_jobs", "uploads"] {
        for (job, age) in [("old", old), ("young", young), ("ancient", YEAR)] {
            site.write(&format!("{root}/{job}/composition.json"));
            site.write(&format!("{root}/{job}/mxl/score.mxl"));
            age_tree(&site.path(&format!("{root}/{job}")), age);
        }
        // The directory itself is old, a file deep in it is not.
        site.write(&format!("{root}/deep/mxl/score.mxl"));
        age_tree(&site.path(&format!("{root}/deep")), old);
        written_at(
            &site.path(&format!("{root}/deep/mxl/score.mxl")),
            ago(young),
        );
        // A file at the top is no job's directory.
        site.aged(&format!("{root}/.gitkeep"), YEAR);
        site.aged(&format!("{root}/loose.pdf"), YEAR);
        symlink(
            site.place.path("outside"),
            site.path(&format!("{root}/link")),
        )
        .unwrap();
    }
    symlink(
        site.place.path("outside/deep"),
        site.path("omr_jobs/old/link"),
    )
    .unwrap();
    age_tree(&site.path("omr_jobs/old"), old);
    let strange = OsStr::from_bytes(b"omr_jobs/caf\xe9");
    std::fs::create_dir(site.path("").join(strange)).unwrap();
    std::fs::write(
        site.path("").join(strange).join(OsStr::from_bytes(b"\xff")),
        b"x",
    )
    .unwrap();
    age_tree(&site.path("").join(strange), old);
    for (dir, age) in [
        ("omr_output_audiveris", old),
        ("omr_pipeline_test", old),
        ("omr_output_imagine", young),
    ] {
        site.aged(&format!("{dir}/page.png"), age);
        site.aged(&format!("{dir}/deep/er/page.png"), age);
    }
    site.aged("omr_output_audiveris/new.png", young);
    // What only looks like it.
    for name in [
        "omr_output_notes.txt",
        "omr_jobs_backup/old/file",
        "my_omr_output_x/file",
        "models/omr_output_model/weights",
        "omr_pipeline.py",
        "omr_cleanup.py",
    ] {
        site.aged(name, YEAR);
    }
    site
}

/// What of [`site`] is due.
const DUE: [&str; 9] = [
    "omr_jobs/old",
    "omr_jobs/ancient",
    "omr_jobs/caf\\xe9",
    "uploads/old",
    "uploads/ancient",
    "omr_output_audiveris/page.png",
    "omr_output_audiveris/deep/er/page.png",
    "omr_pipeline_test/page.png",
    "omr_pipeline_test/deep/er/page.png",
];

fn put(daemon: &Daemon, id: &str, job: &serde_json::Value) {
    let request = Request::new("PUT", &format!("/v1/jobs/{id}")).json(&job.to_string());
    let answer = daemon.send(&request);
    assert!(
        answer.status == 200 || answer.status == 201,
        "{}",
        answer.text()
    );
}

fn jobs(daemon: &Daemon) -> Vec<String> {
    let (_, list) = daemon.get("/v1/jobs");
    let jobs = list["jobs"].as_array().unwrap().iter();
    let mut ids: Vec<String> = jobs
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn what_is_older_than_a_week_goes_and_nothing_else() {
    let site = site();
    let before = site.tree();
    let daemon = site.serve();
    let left = site.wait_until_gone(&daemon, &before, &DUE);
    site.assert_all_stay(&daemon, &left);
    for (name, rule) in [
        ("omr_jobs/old", OLD_JOBS),
        ("uploads/ancient", OLD_JOBS),
        ("omr_pipeline_test/page.png", TEMPORARY),
    ] {
        site.line_about(&daemon, name, rule);
    }
    site.assert_never_early();
}

#[test]
fn each_goes_at_its_deadline() {
    let site = site();
    let before = site.tree();
    let daemon = site.serve();
    let left = site.wait_until_gone(&daemon, &before, &DUE);
    let at = now_ms() + 3000;
    let written = at - i64::try_from(WEEK.as_millis()).unwrap();
    site.write("omr_output_audiveris/soon.png");
    written_at(&site.path("omr_output_audiveris/soon.png"), written);
    // Unpacked elsewhere, and moved in as they are. The latest file of a directory decides.
    site.write("unpacked/job/composition.json");
    site.write("unpacked/upload/early.pdf");
    site.write("unpacked/upload/late.pdf");
    for (name, before_ms) in [
        ("unpacked/job", 0),
        ("unpacked/upload", 100_000),
        ("unpacked/upload/late.pdf", 0),
    ] {
        written_at(&site.path(name), written - before_ms);
    }
    for (from, to) in [("job", "omr_jobs/soon"), ("upload", "uploads/soon")] {
        std::fs::rename(site.path("unpacked").join(from), site.path(to)).unwrap();
    }
    std::fs::remove_dir(site.path("unpacked")).unwrap();
    site.wait_for_deadline(&daemon, "omr_jobs/soon", OLD_JOBS, at);
    site.wait_for_deadline(&daemon, "uploads/soon", OLD_JOBS, at);
    site.wait_for_deadline(&daemon, "omr_output_audiveris/soon.png", TEMPORARY, at);
    site.assert_all_stay(&daemon, &left);
}

#[test]
fn empty_directories_of_jobs_go_too_and_those_of_temporary_output_stay() {
    let site = Site::new("omr");
    for name in ["omr_jobs/empty", "omr_jobs/hollow/mxl", "uploads/empty"] {
        age_tree(&site.make_dir(name), WEEK + HOUR);
    }
    age_tree(&site.path("omr_jobs/hollow"), WEEK + HOUR);
    age_tree(&site.make_dir("omr_output_x/deep"), YEAR);
    age_tree(&site.path("omr_output_x"), YEAR);
    site.make_dir("uploads/new");
    let before = site.tree();
    let daemon = site.serve();
    let gone = ["omr_jobs/empty", "omr_jobs/hollow", "uploads/empty"];
    let left = site.wait_until_gone(&daemon, &before, &gone);
    site.assert_all_stay(&daemon, &left);
}

#[test]
fn jobs_that_the_server_tells_of_protect_what_is_theirs_until_they_have_ended() {
    let site = site();
    let before = site.tree();
    let mut daemon = site.serve_told(&[("old", "running"), ("ancient", "pending")]);
    let protected = [
        "omr_jobs/old",
        "uploads/old",
        "omr_jobs/ancient",
        "uploads/ancient",
    ];
    let gone: Vec<&str> = DUE
        .into_iter()
        .filter(|name| !protected.contains(name))
        .collect();
    let left = site.wait_until_gone(&daemon, &before, &gone);
    site.assert_all_stay(&daemon, &left);
    // A kill forgets no job.
    daemon.kill();
    let daemon = site.serve();
    site.assert_all_stay(&daemon, &left);
    site.said(&["job", "put", "old", "--status", "completed"]);
    let left = site.wait_until_gone(&daemon, &left, &["omr_jobs/old", "uploads/old"]);
    site.said(&["job", "put", "ancient", "--status", "failed"]);
    let left = site.wait_until_gone(&daemon, &left, &["omr_jobs/ancient", "uploads/ancient"]);
    site.assert_all_stay(&daemon, &left);
    assert_eq!(jobs(&daemon), ["ancient", "old"]);
}

#[test]
fn what_is_known_of_a_job_goes_a_week_after_it_was_made_once_it_has_ended() {
    let site = Site::new("omr");
    site.write("omr_jobs/completed/file");
    site.make_dir("uploads");
    let daemon = site.serve();
    let before = site.tree();
    let made = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
    let soon = now_ms() + 3000 - i64::try_from(WEEK.as_millis()).unwrap();
    for (id, status, created) in [
        ("completed", "completed", ago(YEAR)),
        ("failed", "failed", ago(WEEK + HOUR)),
        ("cancelled", "cancelled", ago(WEEK + HOUR)),
        ("soon", "completed", soon),
        ("running", "running", ago(YEAR)),
        ("pending", "pending", ago(YEAR)),
        ("young", "completed", ago(167 * HOUR)),
    ] {
        put(
            &daemon,
            id,
            &json!({"status": status, "created_at": made(created)}),
        );
    }
    wait_for("old records go", || {
        (jobs(&daemon) == ["pending", "running", "young"]).then_some(())
    });
    assert!(now_ms() >= soon + i64::try_from(WEEK.as_millis()).unwrap());
    // A record is not the files, which are young.
    site.assert_all_stay(&daemon, &before);
    site.assert_never_early();
}

#[test]
fn jobs_cannot_claim_what_is_not_temporary() {
    let site = site();
    let before = site.tree();
    let daemon = site.serve();
    let left = site.wait_until_gone(&daemon, &before, &DUE);
    put(
        &daemon,
        "busy",
        &json!({"status": "running", "files": ["omr_jobs/busy/own.json"]}),
    );
    site.aged("omr_jobs/busy/own.json", YEAR);
    age_tree(&site.path("omr_jobs/busy"), YEAR);
    let left_and_busy = site.tree();
    assert_ne!(left, left_and_busy);
    let outside = site.place.path("outside/passwd");
    let claims = json!([
        "../etc/passwd",
        "../../etc/passwd",
        "/etc/passwd",
        outside.to_str().unwrap(),
        "omr_jobs/link/passwd",
        "omr_jobs",
        "omr_jobs/",
        ".",
        "",
        "omr_output_notes.txt",
        "omr_output_imagine/page.png",
        "models/omr_output_model/weights",
        "omr_pipeline.py",
        "omr_jobs/busy/own.json",
        "omr_jobs/young/composition.json",
        "omr_jobs/loose.pdf",
        site.path("").to_str().unwrap(),
        site.path("omr_jobs/young").to_str().unwrap(),
    ]);
    let put_all = |claims: &serde_json::Value| {
        for id in ["hostile", "..%2Fx", "young%0A", "omr_jobs", "%2E%2E"] {
            let job = json!({
                "status": "completed", "created_at": "2001-01-01T00:00:00Z", "completed_at": "2001-01-01T00:00:00Z", "files": claims,
            });
            put(&daemon, id, &job);
        }
    };
    put_all(&claims);
    site.assert_all_stay(&daemon, &left_and_busy);
    // Which files they mean is not known: their records wait until somebody says it.
    assert_eq!(jobs(&daemon).len(), 6);
    put_all(&json!(["omr_jobs/busy/own.json", "omr_jobs/loose.pdf"]));
    wait_for("their records go", || {
        (jobs(&daemon) == ["busy"]).then_some(())
    });
    site.assert_all_stay(&daemon, &left_and_busy);
}

#[test]
fn the_variable_says_how_many_days() {
    for (days, gone) in [
        ("0", vec!["omr_jobs/today", "uploads/eight"]),
        ("1", vec!["uploads/eight"]),
        ("7", vec!["uploads/eight"]),
        ("14", vec![]),
    ] {
        let mut site = Site::new("omr");
        site.set("JOB_RETENTION_DAYS", days);
        site.write("omr_jobs/today/file");
        age_tree(&site.path("omr_jobs/today"), HOUR);
        site.write("uploads/eight/file");
        age_tree(&site.path("uploads/eight"), 8 * DAY);
        let before = site.tree();
        let daemon = site.serve();
        let left = site.wait_until_gone(&daemon, &before, &gone);
        site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn people_see_first_what_would_go() {
    let mut site = site();
    let before = site.tree();
    // Without a daemon.
    let report = site.clean(&["--dry-run"]);
    let mut told: Vec<&str> = report["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["path"].as_str().unwrap())
        .collect();
    told.sort_unstable();
    assert_eq!(told.len(), DUE.len(), "{report}");
    assert!(told.contains(&site.path("omr_jobs/old").to_str().unwrap()));
    assert_eq!(site.tree(), before);
    let checked = site.said(&["check"]);
    assert!(checked.contains("omr_jobs/ancient/"), "{checked}");
    site.set("LAPSED_DRY_RUN", "true");
    let daemon = site.serve();
    site.assert_dry(&daemon, &before);
    drop(daemon);
    site.set("LAPSED_DRY_RUN", "false");
    let left = before.but(&DUE);
    wait_for("all that is due goes without a daemon", || {
        let report = site.clean(&[]);
        assert_eq!(report["errors"], json!([]), "{report}");
        site.has_the_names_of(&left).then_some(())
    });
    assert_eq!(site.tree(), left);
}
