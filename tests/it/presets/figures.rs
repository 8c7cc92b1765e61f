//! What operators ask about a preset's removals: figures, history, explanations, one rule alone, and settings that nothing else shows.

use serde_json::Value;

use super::database::Kind;
use super::document::Shell;
use super::site::Site;
use super::{audio_document, eemt_document, omr_document};
use crate::common::http::Request;
use crate::common::sources::uuid;
use crate::common::{Daemon, wait_for};

/// The lines of a command that prints one JSON object a line.
fn lines(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let said = site.said(&[arguments, &["--json"]].concat());
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn one_rule_of_omr_cleans_alone_and_is_counted() {
    let site = omr_document::site();
    let explained = site.said(&["explain", site.path("omr_jobs/job1").to_str().unwrap()]);
    assert!(explained.contains("rule \"old jobs\""), "{explained}");
    assert!(explained.contains("7 days"), "{explained}");
    let temporary = site.path("omr_output_audiveris/0.png");
    let report = site.clean(&["--rule", "old jobs"]);
    assert_eq!(report["files"], 6, "{report}");
    assert!(!site.exists("omr_jobs/job1") && temporary.exists());
    let [totals] = &lines(&site, &["stats", "--by", "day"])[..] else {
        panic!("one object");
    };
    let files = |rule: &str| -> u64 {
        let days = totals["totals"].as_array().unwrap();
        let of = days.iter().filter(|day| day["rule"] == rule);
        of.map(|day| day["files"].as_u64().unwrap()).sum()
    };
    assert_eq!(
        (files("old jobs"), files("temporary output")),
        (6, 0),
        "{totals}"
    );
    site.clean(&["--rule", "temporary output"]);
    omr_document::assert_cleaned(&site);
    assert_eq!(lines(&site, &["history"]).len(), 4 + 75);
}

/// Files that a daemon has removed by `rule`, as Prometheus learns it.
fn files_removed(daemon: &Daemon, rule: &str) -> f64 {
    let metrics = daemon.send(&Request::get("/metrics")).text();
    let label = format!("rule={rule:?}");
    let is_of =
        |line: &&str| line.starts_with("lapsed_removed_files_total{") && line.contains(&label);
    let values = metrics.lines().filter(is_of);
    let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

#[test]
fn removals_of_omr_are_figures_for_prometheus() {
    let site = omr_document::site();
    let daemon = site.serve();
    wait_for("the removals of jobs are counted", || {
        (files_removed(&daemon, "old jobs") > 5.5).then_some(())
    });
}

#[test]
fn removals_of_audio_are_in_the_history_and_in_figures() {
    let audio = audio_document::world(Kind::Sqlite);
    let daemon = audio.serve();
    audio.site.clean(&[]);
    let history = lines(&audio.site, &["history"]);
    let history: Vec<String> = history.iter().map(Value::to_string).collect();
    for name in [&audio_document::ORPHANS[..], &audio_document::FAILED].concat() {
        let is_told = history.iter().any(|line| line.contains(name));
        assert!(is_told, "{name}: {history:?}");
    }
    wait_for("orphans are counted", || {
        (files_removed(&daemon, "orphaned audio") > 1.5).then_some(())
    });
}

/// Values that are in force, by key.
fn value(site: &Site, section: &str, key: &str) -> Value {
    let [shown] = &lines(site, &["config", "show"])[..] else {
        panic!("one object");
    };
    shown[section][key]["value"].clone()
}

#[test]
fn the_performance_section_of_eemt_is_in_force() {
    let eemt = eemt_document::world();
    let site = &eemt.site;
    let values = || {
        ["reap.workers", "ledger.batch_units"].map(|key| {
            let (section, key) = key.split_once('.').unwrap();
            value(site, section, key).as_str().unwrap().to_owned()
        })
    };
    let write = |text: &str| std::fs::write(site.path("cleanup_config.yaml"), text).unwrap();
    assert_eq!(values(), ["2", "100"]);
    write("performance:\n  batch_size: 7\n  parallel_delete: true\n  max_workers: 5\n");
    assert_eq!(values(), ["5", "7"]);
    write("performance:\n  parallel_delete: false\n  max_workers: 5\n");
    assert_eq!(values(), ["2", "100"]);
    write("performance:\n  parallel_delete: true\n");
    assert_eq!(values(), ["4", "100"]);
    // And it still cleans.
    Shell::install(site, "eemt").line("python cleanup_jobs.py");
    eemt_document::assert_cleaned(&eemt);
}

#[test]
fn logs_are_kept_where_the_yaml_file_says_so() {
    let eemt = eemt_document::world();
    let logs = |id: &str| {
        [
            format!("results/{id}/run.err"),
            format!("results/{id}/run.log"),
        ]
    };
    for id in [uuid(4), uuid(1)] {
        for name in logs(&id) {
            eemt.site.write(&name);
        }
    }
    std::fs::write(
        eemt.site.path("cleanup_config.yaml"),
        "retention:\n  successful_jobs:\n    keep_logs: true\n    keep_metadata: true\n  failed_jobs:\n    keep_error_logs: true\n",
    )
    .unwrap();
    Shell::install(&eemt.site, "eemt").line("python cleanup_jobs.py");
    let kept = |id: &str| logs(id).map(|name| eemt.site.exists(&name));
    assert_eq!(kept(&uuid(4)), [true, false], "of a failed job its errors");
    assert_eq!(kept(&uuid(1)), [false, true], "of another its logs");
    // The record of the job whose data went is kept.
    let rows = eemt
        .db
        .texts("SELECT id FROM jobs WHERE status = 'completed'");
    assert!(rows.contains(&uuid(1)), "{rows:?}");
}
