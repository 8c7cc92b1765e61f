//! eemt: every command line and every curl line of its document, copied from it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::database::{DAY, HOUR, ago};
use super::document::{Shell, assert_page, wait_until};
use super::eemt::{Eemt, local, of, temp};
use crate::common::errors;
use crate::common::http::Request;
use crate::common::sources::{uuid, wait_for_source};
use crate::notify::receiver::HttpReceiver;

/// The job of the document's example.
pub const DOCUMENTED: &str = "job-20240113-123456";

/// Three jobs that succeeded and two that failed are due, as in the document; and one of each is not.
pub fn world() -> Eemt {
    let eemt = Eemt::new();
    eemt.job(DOCUMENTED, "completed", Some(ago(30 * DAY)));
    eemt.job(&uuid(1), "completed", Some(ago(10 * DAY)));
    eemt.job(&uuid(2), "completed", Some(ago(8 * DAY)));
    eemt.job(&uuid(3), "completed", Some(ago(5 * DAY)));
    eemt.job(&uuid(4), "failed", Some(ago(30 * HOUR)));
    eemt.job(&uuid(5), "failed", Some(ago(20 * HOUR)));
    eemt.job(&uuid(6), "failed", Some(ago(8 * HOUR)));
    eemt.job(&uuid(7), "running", None);
    for name in [
        &format!("results/{DOCUMENTED}/output/global.tif"),
        &format!("uploads/{DOCUMENTED}_dem.tif"),
    ] {
        std::fs::write(eemt.site.path(name), vec![b'x'; 1 << 20]).unwrap();
    }
    eemt.site.write("cleanup_jobs.py");
    eemt.site.write("setup_cleanup_cron.sh");
    eemt
}

/// Ids of jobs that have nothing left but, when it was kept, their row.
pub fn cleaned(eemt: &Eemt, ids: &[&str]) -> bool {
    let is_gone = |id: &&str| {
        let [results, upload] = of(id);
        !eemt.site.exists(&results) && !eemt.site.exists(&upload) && !eemt.site.exists(&temp(id))
    };
    ids.iter().all(is_gone)
}

/// Whether none of these lost anything but its working directory.
pub fn whole(eemt: &Eemt, ids: &[&str]) -> bool {
    let is_whole = |id: &&str| of(id).iter().all(|name| eemt.site.exists(name));
    ids.iter().all(is_whole)
}

/// What the defaults let go happened, and nothing else.
#[track_caller]
pub fn assert_cleaned(eemt: &Eemt) {
    let (one, two, three) = (uuid(1), uuid(2), uuid(3));
    let (four, five, six, seven) = (uuid(4), uuid(5), uuid(6), uuid(7));
    assert!(cleaned(eemt, &[DOCUMENTED, &one, &two, &four, &five]));
    assert!(whole(eemt, &[&three, &six, &seven]));
    assert!(eemt.site.exists(&temp(&seven)), "it runs");
    assert!(!eemt.site.exists(&temp(&three)), "it ended");
    let mut marked = vec![DOCUMENTED.to_owned(), one, two];
    marked.sort();
    assert_eq!(eemt.marked(), marked);
    let left = eemt.db.texts("SELECT id FROM jobs WHERE status = 'failed'");
    assert_eq!(left, [six]);
}

/// Summary files in the base directory that were not there before, in order.
pub fn summaries(eemt: &Eemt) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(eemt.site.path("")).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .filter(|path| !path.ends_with("cleanup_summary_20240120_020001.json"))
        .collect();
    found.sort();
    found
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
pub fn assert_summary(summary: &Value, dry_run: bool) {
    for (name, value) in [
        ("dry_run", json!(dry_run)),
        ("successful_jobs_processed", json!(3)),
        ("failed_jobs_processed", json!(2)),
        ("total_size_freed_mb", json!(2.0)),
        ("configs_preserved", json!(3)),
        ("configs_deleted", json!(2)),
        ("errors", json!([])),
    ] {
        assert_eq!(summary[name], value, "{name}: {summary}");
    }
    let details = summary["job_details"].as_array().unwrap();
    let ids: Vec<&str> = details
        .iter()
        .map(|job| job["job_id"].as_str().unwrap())
        .collect();
    let oldest_first = [DOCUMENTED, &uuid(1), &uuid(2), &uuid(4), &uuid(5)];
    assert_eq!(ids, oldest_first, "{summary}");
    let mut first = details[0].clone();
    let at = first["completed_at"].take();
    assert!(
        local(ago(30 * DAY))[..13] == at.as_str().unwrap()[..13],
        "{at}"
    );
    assert_eq!(
        first,
        json!({
            "job_id": DOCUMENTED,
            "status": "completed",
            "completed_at": null,
            "data_deleted": true,
            "config_preserved": true,
            "size_freed_mb": 2.0,
            "files_deleted": ["uploads/job-20240113-123456_dem.tif"],
            "directories_deleted": ["results/job-20240113-123456"],
        })
    );
    assert_eq!(details[4]["config_preserved"], false);
    for instant in ["start_time", "end_time"] {
        let text = summary[instant].as_str().unwrap();
        assert!(text.parse::<jiff::civil::DateTime>().is_ok(), "{summary}");
    }
}

/// The lines of a log without their time.
pub fn texts(log: &str) -> Vec<String> {
    log.lines()
        .map(|line| {
            line.split_at_checked(20)
                .map_or(line, |(_, rest)| rest)
                .to_owned()
        })
        .collect()
}

#[test]
fn the_lines_for_preview_and_for_production_work() {
    let eemt = world();
    let shell = Shell::install(&eemt.site, "eemt");
    let before = eemt.site.tree();
    let rows = eemt.rows();
    shell.line("python cleanup_jobs.py --dry-run");
    let written = summaries(&eemt);
    assert_eq!(written.len(), 1, "a dry run writes its summary");
    assert_summary(&read(&written[0]), true);
    std::fs::remove_file(&written[0]).unwrap();
    eemt.site.assert_same(&before);
    assert_eq!(eemt.rows(), rows);
    let output = shell.run_in("", "python cleanup_jobs.py");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_cleaned(&eemt);
    assert_summary(&read(&summaries(&eemt)[0]), false);
    let log = errors(&output);
    let base = eemt.site.path("").display().to_string();
    let time = log.get(..19).unwrap();
    assert!(time.parse::<jiff::civil::DateTime>().is_ok(), "{log}");
    let lines = texts(&log);
    let begin = [
        "INFO - Cleanup manager initialized:".to_owned(),
        format!("INFO -   Base directory: {}", base.trim_end_matches('/')),
        "INFO -   Success retention: 7 days".to_owned(),
        "INFO -   Failed retention: 12 hours".to_owned(),
        "INFO - Starting EEMT job data cleanup process".to_owned(),
        "INFO - Found 3 successful jobs for data cleanup".to_owned(),
        "INFO - Found 2 failed jobs for complete deletion".to_owned(),
    ];
    assert_eq!(lines[..7], begin, "{log}");
    let end = [
        "INFO - === CLEANUP SUMMARY ===",
        "INFO - Successful jobs processed: 3",
        "INFO - Failed jobs processed: 2",
        "INFO - Total disk space freed: 2.0 MB",
        "INFO - Job configs preserved: 3",
        "INFO - Job configs deleted: 2",
        "INFO - Cleanup completed successfully",
    ];
    assert_eq!(lines[lines.len() - 7..], end, "{log}");
    let job = lines
        .iter()
        .position(|line| line.contains("Processing job job-20240113-123456 (completed, "));
    let job = job.expect("the documented job is processed");
    assert_eq!(
        lines[job + 1..job + 3],
        [
            "INFO - Deleted results directory: results/job-20240113-123456 (1.0 MB)",
            "INFO - Deleted uploaded DEM: uploads/job-20240113-123456_dem.tif (1.0 MB)",
        ],
        "{log}"
    );
}

#[test]
fn the_lines_for_verbose_output_and_debugging_work() {
    let eemt = world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    shell.export("EEMT_CLEANUP_LOG_LEVEL", "DEBUG");
    let before = eemt.site.tree();
    let output = shell.run_in("", "python cleanup_jobs.py --verbose --dry-run");
    let log = errors(&output);
    for text in [
        "DEBUG - SQL (eemt): SELECT id, status",
        "DEBUG - Examined results/job-20240113-123456 (1.0 MB)",
        "DEBUG - Job job-20240113-123456 (completed): ",
        "INFO - === DRY RUN MODE - NO CHANGES WILL BE MADE ===",
        "INFO - [DRY RUN] Would delete results directory: results/job-20240113-123456 (1.0 MB)",
    ] {
        assert!(log.contains(text), "{text}: {log}");
    }
    for path in summaries(&eemt) {
        std::fs::remove_file(path).unwrap();
    }
    eemt.site.assert_same(&before);
    let output = shell.run_in("", "python cleanup_jobs.py --verbose");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_cleaned(&eemt);
}

#[test]
fn the_line_with_all_arguments_works() {
    let eemt = world();
    let shell = Shell::install(&eemt.site, "eemt");
    let before = eemt.site.tree();
    let line = "python cleanup_jobs.py \\\n    --success-retention-days 14 \\\n    --failed-retention-hours 24 \\\n    --base-dir /custom/path \\\n    --dry-run \\\n    --verbose";
    let app = eemt.site.path("").display().to_string();
    let output = shell.run_in("", &line.replace("/custom/path", &app));
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let summary = read(&summaries(&eemt)[0]);
    assert_eq!(summary["successful_jobs_processed"], 1, "{summary}");
    assert_eq!(summary["failed_jobs_processed"], 1, "{summary}");
    let log = errors(&output);
    assert!(log.contains("Success retention: 14 days\n"), "{log}");
    for path in summaries(&eemt) {
        std::fs::remove_file(path).unwrap();
    }
    eemt.site.assert_same(&before);
    // What is not understood does nothing.
    for line in [
        "python cleanup_jobs.py --failed-retention-hours soon",
        "python cleanup_jobs.py --no-such-flag",
        "python cleanup_jobs.py --base-dir /nowhere/at/all",
    ] {
        let output = shell.run_in("", line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", errors(&output));
    }
    eemt.site.assert_same(&before);
}

#[test]
fn every_curl_line_of_the_document_works() {
    let eemt = world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    let daemon = shell.serve();
    wait_for_source(&daemon, "eemt", "ready");
    wait_for_source(&daemon, "working", "ready");
    let before = eemt.site.tree();
    let dry = shell.json("curl -X POST http://localhost:5000/api/cleanup?dry_run=true");
    assert_eq!(dry["success"], true);
    assert!(dry["timestamp"].is_string(), "{dry}");
    assert_summary(&dry["summary"], true);
    eemt.site.assert_same(&before);
    let done = shell.json("curl -X POST http://localhost:5000/api/cleanup");
    assert_summary(&done["summary"], false);
    eemt.wait_until_marked(&daemon, &[DOCUMENTED, &uuid(1), &uuid(2)]);
    eemt.wait_until_forgotten(&daemon, &[&uuid(4), &uuid(5)]);
    assert_cleaned(&eemt);
    let shorter = shell.json(
        "curl -X POST http://localhost:5000/api/cleanup \\\n  -H \"Content-Type: application/json\" \\\n  -d '{\n    \"success_retention_days\": 3,\n    \"failed_retention_hours\": 6\n  }'",
    );
    assert_eq!(
        shorter["summary"]["successful_jobs_processed"], 1,
        "{shorter}"
    );
    assert_eq!(shorter["summary"]["failed_jobs_processed"], 1, "{shorter}");
    assert!(cleaned(&eemt, &[&uuid(3), &uuid(6)]));
    // What a row that is gone said is still known.
    let facts = || daemon.get(&format!("/v1/jobs/{}", uuid(4))).1;
    // Between the two the source may be read again, and cannot be asked.
    wait_until("it is forgotten, and its error is known", || {
        let facts = facts();
        facts["forgotten"] == true && facts["error"] == "no space left"
    });
    assert!(summaries(&eemt).is_empty(), "the endpoint writes no files");
}

#[test]
fn zero_hours_are_zero_in_query_and_body() {
    for (target, body) in [
        (
            "/api/cleanup?failed_retention_hours=0&success_retention_days=0",
            "",
        ),
        (
            "/api/cleanup",
            r#"{"failed_retention_hours": 0, "success_retention_days": 0}"#,
        ),
    ] {
        let eemt = world();
        let mut shell = Shell::install(&eemt.site, "eemt");
        let daemon = shell.serve();
        wait_for_source(&daemon, "eemt", "ready");
        let request = Request::new("POST", target);
        let request = if body.is_empty() {
            request
        } else {
            request.json(body)
        };
        let (status, answer) = daemon.send(&request).pair();
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            answer["summary"]["successful_jobs_processed"], 4,
            "{answer}"
        );
        assert_eq!(answer["summary"]["failed_jobs_processed"], 3, "{answer}");
        assert!(whole(&eemt, &[&uuid(7)]), "it runs");
    }
}

#[test]
fn hostile_parameters_change_nothing_but_their_own_field() {
    let eemt = world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    let daemon = shell.serve();
    let before = eemt.site.tree();
    let long = "x".repeat(1 << 20);
    for value in [
        "{{ 7 * 7 }}",
        "7\"}, \"dry_run\": true, \"x\": {\"",
        "7\n8",
        "{% raw %}",
        &long,
    ] {
        let body = json!({"success_retention_days": value}).to_string();
        let answer = daemon.send(&Request::new("POST", "/api/cleanup").json(&body));
        let (status, body) = answer.pair();
        match status {
            422 => assert_eq!(body["detail"][0]["input"], value, "{status}"),
            status => assert_eq!(status, 413, "{body}"),
        }
    }
    let (status, body) = daemon
        .send(&Request::new("POST", "/api/cleanup?x=1"))
        .pair();
    assert_eq!(status, 422, "{body}");
    eemt.site.assert_same(&before);
}

#[test]
fn the_variables_of_the_document_count_for_the_script() {
    let eemt = world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    let before = eemt.site.tree();
    shell.export("EEMT_DRY_RUN", "true");
    shell.export("EEMT_SUCCESS_RETENTION_DAYS", "3");
    shell.export("EEMT_FAILED_RETENTION_HOURS", "6");
    shell.line("python cleanup_jobs.py");
    let summary = read(&summaries(&eemt)[0]);
    assert_eq!(summary["dry_run"], true);
    assert_eq!(summary["successful_jobs_processed"], 4, "{summary}");
    assert_eq!(summary["failed_jobs_processed"], 3, "{summary}");
    std::fs::remove_file(&summaries(&eemt)[0]).unwrap();
    eemt.site.assert_same(&before);
}

#[test]
fn the_yaml_file_of_the_document_counts() {
    let eemt = world();
    let shell = Shell::install(&eemt.site, "eemt");
    std::fs::write(
        eemt.site.path("cleanup_config.yaml"),
        "# cleanup_config.yaml\nretention:\n  successful_jobs:\n    days: 3\n    keep_metadata: true\n    keep_logs: true\n  \
         failed_jobs:\n    hours: 6\n    keep_error_logs: true\n\nperformance:\n  batch_size: 100\n  parallel_delete: true\n  \
         max_workers: 4\n\nnotifications:\n  enabled: true\n  email_on_error: admin@example.com\n  \
         summary_webhook: https://hooks.slack.com/services/XXX\n",
    )
    .unwrap();
    shell.line("python cleanup_jobs.py");
    let summary = read(&summaries(&eemt)[0]);
    assert_eq!(summary["successful_jobs_processed"], 4, "{summary}");
    assert_eq!(summary["failed_jobs_processed"], 3, "{summary}");
    assert!(
        eemt.site
            .exists(&format!("results/{}/workflow.log", uuid(3))),
        "logs are kept"
    );
    assert!(!eemt.site.exists(&format!("results/{}/output", uuid(3))));
}

#[test]
fn the_notifications_of_the_yaml_file_are_sent() {
    let eemt = world();
    let slack = HttpReceiver::new();
    std::fs::write(
        eemt.site.path("cleanup_config.yaml"),
        format!(
            "notifications:\n  enabled: true\n  email_on_error: admin@example.com\n  summary_webhook: {}\n",
            slack.url()
        ),
    )
    .unwrap();
    let mut shell = Shell::install(&eemt.site, "eemt");
    let daemon = shell.serve();
    wait_for_source(&daemon, "eemt", "ready");
    wait_for_source(&daemon, "working", "ready");
    let done = shell.json("curl -X POST http://localhost:5000/api/cleanup");
    assert_eq!(done["success"], true, "{done}");
    wait_until("the summary is told", || {
        let taken = slack.taken();
        let texts = taken.iter().map(|one| one.json()["text"].to_string());
        texts.into_iter().any(|text| text.contains("run 1 is done"))
    });
    let (_, status) = daemon.get("/v1/status");
    let receivers = status["receivers"].as_array().unwrap();
    let mail = receivers
        .iter()
        .find(|one| one["name"] == "errors")
        .unwrap();
    assert_eq!(mail["destination"], "admin@example.com by localhost");
}

#[test]
fn the_page_is_current() {
    let sources = [
        include_str!("eemt_document.rs"),
        include_str!("eemt_scripts.rs"),
        include_str!("eemt.rs"),
        include_str!("eemt_settings.rs"),
        include_str!("eemt_log.rs"),
        include_str!("eemt_outages.rs"),
        include_str!("documents.rs"),
        include_str!("figures.rs"),
    ];
    assert_page("eemt", include_str!("items/eemt.toml"), &sources);
}
