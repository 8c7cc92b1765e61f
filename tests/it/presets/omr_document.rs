//! omr: every command line and every curl line of its document, copied from it.

use std::time::Duration;

use serde_json::{Value, json};

use super::database::{DAY, HOUR};
use super::document::{Shell, assert_page, wait_until};
use super::site::{Site, age_tree};
use crate::common::http::Request;
use crate::common::{Daemon, errors};

const WEEK: Duration = Duration::from_hours(7 * 24);

/// Writes a file of `size` bytes.
fn write(site: &Site, name: &str, size: usize) {
    let path = site.write(name);
    std::fs::write(path, vec![b'x'; size]).unwrap();
}

/// A backend directory with what the document's example of an answer was about: two jobs with 4.1 MB, 75 temporary files with 3.53 MB;
/// and the same again, younger.
pub fn site() -> Site {
    let site = Site::new("omr");
    for (jobs, temporary, age) in [
        (
            ["job1", "job2"],
            ["omr_output_audiveris", "omr_pipeline_test"],
            WEEK + HOUR,
        ),
        (
            ["job3", "job4"],
            ["omr_output_imagine", "omr_pipeline_new"],
            167 * HOUR,
        ),
    ] {
        for (job, size) in jobs.into_iter().zip([1_000_000, 1_299_162]) {
            write(&site, &format!("omr_jobs/{job}/composition.json"), 162);
            write(&site, &format!("omr_jobs/{job}/mxl/score.mxl"), size - 162);
            write(&site, &format!("uploads/{job}/score.pdf"), 1_000_000);
            age_tree(&site.path(&format!("omr_jobs/{job}")), age);
            age_tree(&site.path(&format!("uploads/{job}")), age);
        }
        for (dir, count, more) in [(temporary[0], 29, 0), (temporary[1], 46, 4)] {
            for number in 0..count {
                let more = if number == 0 { more * 12 } else { 0 };
                write(&site, &format!("{dir}/{number}.png"), 49_352 + more);
            }
            age_tree(&site.path(dir), age);
        }
    }
    for name in ["omr_cleanup.py", "omr_pipeline.py"] {
        site.aged(name, WEEK * 50);
    }
    site
}

/// What of [`site`] is due.
const DUE: [&str; 4] = [
    "omr_jobs/job1",
    "omr_jobs/job2",
    "uploads/job1",
    "uploads/job2",
];

fn has_temporary(site: &Site, dir: &str) -> bool {
    std::fs::read_dir(site.path(dir)).unwrap().next().is_some()
}

/// Whether exactly what is due went.
#[track_caller]
pub fn assert_cleaned(site: &Site) {
    for name in DUE {
        assert!(!site.exists(name), "{name} stays");
    }
    for dir in ["omr_output_audiveris", "omr_pipeline_test"] {
        assert!(!has_temporary(site, dir), "{dir} has files");
    }
    for name in [
        "omr_jobs/job3",
        "omr_jobs/job4",
        "uploads/job3",
        "uploads/job4",
    ] {
        assert!(site.exists(name), "{name} went");
    }
    for dir in ["omr_output_imagine", "omr_pipeline_new"] {
        assert!(has_temporary(site, dir), "{dir} has no files");
    }
}

/// The answer to a clean-up of [`site`], in the document's numbers.
fn answer(memory_jobs: u64, dry_run: bool) -> Value {
    json!({
        "job_cleanup": {
            "memory_jobs_removed": memory_jobs,
            "output_dirs_removed": ["job1", "job2"],
            "upload_dirs_removed": ["job1", "job2"],
            "space_freed_mb": 4.1,
        },
        "temp_cleanup": {
            "dirs_cleaned": [
                {"dir": "omr_output_audiveris", "files_removed": 29},
                {"dir": "omr_pipeline_test", "files_removed": 46},
            ],
            "files_removed": 75,
            "space_freed_mb": 3.53,
        },
        "total_space_freed_mb": 7.63,
        "errors": [],
        "dry_run": dry_run,
    })
}

/// An answer whose lists are in order.
fn sorted(mut answer: Value) -> Value {
    for list in ["output_dirs_removed", "upload_dirs_removed"] {
        let list = answer["job_cleanup"][list].as_array_mut().unwrap();
        list.sort_by_key(|name| name.as_str().unwrap().to_owned());
    }
    answer
}

fn with_totals(mut answer: Value) -> Value {
    let jobs = answer["job_cleanup"]["memory_jobs_removed"].clone();
    answer["totals"] = json!({
        "memory_jobs_removed": jobs,
        "directories_removed": 4,
        "files_removed": 75,
        "space_freed_mb": 7.63,
    });
    answer
}

/// Tells of three jobs that ended long ago, of one that ended just now, and of one that runs.
fn tell(site: &Site) {
    let old = "2020-01-01T00:00:00Z";
    for id in ["old-1", "old-2", "old-3"] {
        site.said(&[
            "job",
            "put",
            id,
            "--status",
            "completed",
            "--created-at",
            old,
        ]);
    }
    site.said(&["job", "put", "new", "--status", "completed"]);
    site.said(&[
        "job",
        "put",
        "long",
        "--status",
        "running",
        "--created-at",
        old,
    ]);
}

fn known(daemon: &Daemon) -> Vec<String> {
    let (_, list) = daemon.get("/v1/jobs");
    let jobs = list["jobs"].as_array().unwrap().iter();
    let mut ids: Vec<String> = jobs
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn every_command_line_of_the_document_works() {
    let site = site();
    let shell = Shell::install(&site, "omr");
    let before = site.tree();
    let said = shell.line("python omr_cleanup.py --dry-run");
    assert!(said.contains("output directories: 2\n"), "{said}");
    assert!(said.contains("Temporary files: 75\n"), "{said}");
    assert!(said.contains("Space freed: 7.63 MB\n"), "{said}");
    site.assert_same(&before);
    let said = shell.line("python omr_cleanup.py --retention-days 14");
    assert!(said.contains("Space freed: 0.00 MB\n"), "{said}");
    site.assert_same(&before);
    let said = shell.line("python omr_cleanup.py");
    assert!(said.contains("Space freed: 7.63 MB\n"), "{said}");
    assert_cleaned(&site);
    let nothing = shell.json("python omr_cleanup.py --json");
    assert_eq!(nothing["totals"]["directories_removed"], 0, "{nothing}");
    shell.line("python omr_cleanup.py --retention-days 0");
    for name in ["omr_jobs/job3", "uploads/job4"] {
        assert!(!site.exists(name), "{name} stays");
    }
    assert!(!has_temporary(&site, "omr_output_imagine"));
    assert!(site.exists("omr_pipeline.py") && site.exists("omr_jobs"));
}

#[test]
fn the_monitoring_lines_of_the_document_work() {
    let site = site();
    let shell = Shell::install(&site, "omr");
    let du = "du -sh backend/omr_jobs backend/uploads backend/omr_output_*";
    let du = du.replace("backend/", "");
    shell.line(&du);
    shell.line("python omr_cleanup.py --json > cleanup_stats.json");
    let stats = std::fs::read_to_string(site.path("cleanup_stats.json")).unwrap();
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(sorted(stats), with_totals(answer(0, false)));
    assert_cleaned(&site);
    shell.line(&du);
}

#[test]
fn the_crontab_entry_of_the_document_works() {
    let site = site();
    let shell = Shell::install(&site, "omr");
    let entry =
        "0 3 * * * cd /path/to/backend && python3 omr_cleanup.py >> /var/log/omr_cleanup.log 2>&1";
    let app = site.path("").display().to_string();
    let log = site.place.path("bin/omr_cleanup.log").display().to_string();
    let line = entry.strip_prefix("0 3 * * * ").unwrap();
    let line = line
        .replace("/path/to/backend", &app)
        .replace("/var/log/omr_cleanup.log", &log);
    shell.line(&line);
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.contains("Space freed: 7.63 MB\n"), "{said}");
    assert_cleaned(&site);
}

#[test]
fn the_unit_of_the_document_works() {
    let site = site();
    let shell = Shell::install(&site, "omr");
    let unit = "[Service]\nType=oneshot\nWorkingDirectory=/path/to/backend\nExecStart=/usr/bin/python3 omr_cleanup.py\nUser=www-data\n";
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    shell.line(line.unwrap());
    assert_cleaned(&site);
}

#[test]
fn every_curl_line_of_the_document_works() {
    let site = site();
    let mut shell = Shell::install(&site, "omr");
    let daemon = shell.serve();
    tell(&site);
    let before = site.tree();
    let dry = shell.json(r#"curl -X POST "http://localhost:5000/api/omr/cleanup?dry_run=true""#);
    assert_eq!(sorted(dry), answer(3, true));
    site.assert_same(&before);
    assert_eq!(known(&daemon).len(), 5);
    let nothing =
        shell.json(r#"curl -X POST "http://localhost:5000/api/omr/cleanup?retention_days=14""#);
    assert_eq!(nothing["temp_cleanup"]["files_removed"], 0, "{nothing}");
    site.assert_same(&before);
    tell(&site);
    let done = shell.json(r#"curl -X POST "http://localhost:5000/api/omr/cleanup""#);
    assert_eq!(sorted(done), answer(3, false));
    assert_cleaned(&site);
    wait_until("old jobs are forgotten", || {
        known(&daemon) == ["long", "new"]
    });
}

#[test]
fn the_functions_of_the_document_work() {
    let site = site();
    let shell = Shell::install(&site, "omr");
    let before = site.tree();
    let program = |dry_run: &str| {
        format!(
            "import json\nfrom lapsed_omr import cleanup_old_jobs, cleanup_temp_output_dirs\n\
             one = cleanup_old_jobs('omr_jobs', 'uploads', retention_days=7, dry_run={dry_run})\n\
             two = cleanup_temp_output_dirs('.', ['omr_output_*'], 7, {dry_run})\n\
             print(json.dumps([one, two]))\n"
        )
    };
    let said: Value = serde_json::from_str(&shell.python(&program("True"))).unwrap();
    site.assert_same(&before);
    let again: Value = serde_json::from_str(&shell.python(&program("False"))).unwrap();
    assert_eq!(said, again, "a dry run predicts");
    assert_eq!(said[0]["space_freed_mb"], 4.1, "{said}");
    assert_eq!(said[0]["errors"], json!([]));
    let dirs = json!([{"dir": "omr_output_audiveris", "files_removed": 29}]);
    assert_eq!(said[1]["dirs_cleaned"], dirs);
    assert!(
        has_temporary(&site, "omr_pipeline_test"),
        "not of that pattern"
    );
    assert!(!site.exists("uploads/job1") && site.exists("uploads/job3"));
    // Without uploads, and with a directory that is not the application's.
    let said = shell.python(
        "from lapsed_omr import *\nprint(cleanup_old_jobs('omr_jobs', None, 0, True)['upload_dirs_removed'])\n\
         try:\n    cleanup_old_jobs('/etc', None, 0)\nexcept ValueError as error:\n    print(error)\n",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "[]");
    assert!(
        lines[1].starts_with("/etc is not the directory of jobs ("),
        "{said}"
    );
}

#[test]
fn jobs_in_memory_are_told_and_dropped_once_they_are_forgotten() {
    let site = site();
    let mut shell = Shell::install(&site, "omr");
    let daemon = shell.serve();
    let said = shell.python(
        "import datetime, json, lapsed_omr\n\
         old = datetime.datetime.now() - datetime.timedelta(days=8)\n\
         jobs = {'a b': {'status': 'completed', 'created_at': old.isoformat()},\n\
                 'job1': {'status': 'processing', 'created_at': old},\n\
                 '-x': {'status': 'failed', 'created_at': old.timestamp()},\n\
                 'new': {'status': 'completed', 'created_at': datetime.datetime.now()}}\n\
         lapsed_omr.attach(jobs)\n\
         one = lapsed_omr.cleanup_old_jobs('omr_jobs', 'uploads', dry_run=True)\n\
         two = lapsed_omr.cleanup_old_jobs('omr_jobs', 'uploads')\n\
         for _ in range(500):\n    lapsed_omr.sync()\n    if len(jobs) == 2:\n        break\n\
         print(json.dumps([sorted(jobs), one['memory_jobs_removed'], two['memory_jobs_removed']]))\n",
    );
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said, json!([["job1", "new"], 2, 2]));
    assert!(site.exists("omr_jobs/job1"), "its job runs");
    assert!(!site.exists("omr_jobs/job2"));
    wait_until("the daemon knows the rest", || {
        known(&daemon) == ["job1", "new"]
    });
}

#[test]
fn errors_are_in_the_answer_and_in_the_exit_status() {
    let site = site();
    let shell = Shell::install(&site, "omr");
    // A root that is missing.
    std::fs::remove_dir_all(site.path("uploads")).unwrap();
    let output = shell.run_in("", "python omr_cleanup.py --json");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}{}", errors(&output));
    let text = said["errors"][0].as_str().unwrap();
    assert!(text.contains("uploads"), "{said}");
    for (line, code) in [
        ("python omr_cleanup.py --retention-days x", 2),
        ("python omr_cleanup.py --retention-days -1", 2),
        ("python omr_cleanup.py --no-such-flag", 2),
        ("python omr_cleanup.py --help", 0),
    ] {
        let output = shell.run_in("", line);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{line}: {}",
            errors(&output)
        );
    }
}

#[test]
fn hostile_parameters_change_nothing_but_their_own_field() {
    let site = site();
    let mut shell = Shell::install(&site, "omr");
    let daemon = shell.serve();
    let before = site.tree();
    let long = "x".repeat(1 << 20);
    for value in [
        "{{ 7 * 7 }}",
        "7\"}, \"dry_run\": true, \"x\": {\"",
        "7\n8",
        "{% raw %}",
        &long,
    ] {
        let body = json!({"retention_days": value}).to_string();
        let answer = daemon.send(&Request::new("POST", "/api/omr/cleanup").json(&body));
        let (status, body) = answer.pair();
        assert!(status == 400 || status == 413, "{status}: {body}");
        assert!(body.to_string().len() < 4096, "{status}");
        assert!(!body.to_string().contains("49"), "{body}");
    }
    for target in [
        "/api/omr/cleanup?retention_days=%7B%7B7*7%7D%7D",
        "/api/omr/cleanup?dry_run=maybe",
        "/api/omr/cleanup?dry_run=true&dry_run=false",
        "/api/omr/cleanup?release=true",
    ] {
        let (status, body) = daemon.send(&Request::new("POST", target)).pair();
        assert_eq!(status, 400, "{target}: {body}");
        assert!(body["error"].is_string(), "{body}");
    }
    let (status, _) = daemon.send(&Request::get("/api/omr/cleanup")).pair();
    assert_eq!(status, 405);
    site.assert_same(&before);
}

#[test]
fn a_link_that_is_called_like_temporary_output_is_not_followed() {
    let site = site();
    let shell = Shell::install(&site, "omr");
    std::os::unix::fs::symlink(site.place.path("outside"), site.path("omr_output_link")).unwrap();
    age_tree(&site.place.path("outside"), DAY * 50);
    shell.line("python omr_cleanup.py --retention-days 0");
    assert!(site.place.exists("outside/deep/file") && site.exists("omr_output_link"));
}

#[test]
fn originals_come_back() {
    let site = site();
    let before = site.tree();
    Shell::install(&site, "omr");
    assert!(site.exists("omr_cleanup.py.before-lapsed") && site.exists("lapsed_omr.py"));
    let app = site.path("");
    site.said(&["uninstall", "--shims", app.to_str().unwrap()]);
    site.assert_same(&before);
}

#[test]
fn the_page_is_current() {
    let sources = [
        include_str!("omr_document.rs"),
        include_str!("omr_start.rs"),
        include_str!("omr.rs"),
        include_str!("documents.rs"),
        include_str!("figures.rs"),
    ];
    assert_page("omr", include_str!("items/omr.toml"), &sources);
}
