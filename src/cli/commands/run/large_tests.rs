//! A large report, through a preset.

use std::path::Path;
use std::sync::Arc;

use crate::adapter::{Facts, LogLevel, LogProgress};
use crate::cli::commands::init::presets;
use crate::config::{Environment, Overrides, load_text};
use crate::core::jobs::Status;
use crate::core::run::RunStatus;
use crate::daemon::describe;
use crate::types::{JobRecord, JsonPath, Report, ReportJob, ReportThing, RuleTotals};

/// Jobs of the report, and things that go with each: 100,000 removals.
const JOBS: u64 = 5000;
const THINGS: u64 = 20;

fn job(number: u64, rule: &str) -> ReportJob {
    let thing = |thing: u64| ReportThing {
        path: JsonPath {
            path: format!("/srv/app/uploads/{number}_{thing}.tif"),
            path_b64: None,
        },
        root: "uploads".to_owned(),
        files: 1,
        bytes: 1 << 20,
    };
    let at = Some("2024-01-20T02:00:01Z".to_owned());
    ReportJob {
        id: format!("job-20240120-{number:06}"),
        source: "db".to_owned(),
        kind: None,
        status: Status::Completed,
        rule: rule.to_owned(),
        created_at: at.clone(),
        started_at: None,
        completed_at: at,
        error: None,
        columns: None,
        files: (0..THINGS).map(thing).collect(),
        directories: Vec::new(),
        file_count: THINGS,
        bytes: THINGS << 20,
        record: JobRecord::Marked,
        hold: None,
        why: None,
    }
}

/// The log, the output, the file and the answer of a hundred thousand removals fit into the limits
/// of templates, and take time that grows with them and not with their square.
#[test]
fn a_preset_renders_a_hundred_thousand_removals() {
    let preset = presets::ALL.iter().find(|preset| {
        let is_of_jobs = preset.text.contains("\"successful jobs\"");
        is_of_jobs && preset.text.contains("on = \"item\"")
    });
    let preset = preset.unwrap();
    let settings = load_text(
        Path::new("/srv/app/lapsed.toml"),
        preset.text,
        &Overrides::default(),
        &Environment::new(),
    )
    .unwrap();
    let adapter = Arc::clone(&settings.adapter);
    let rule = "successful jobs";
    let (files, bytes) = (JOBS * THINGS, (JOBS * THINGS) << 20);
    let report = Report {
        run: Some(1),
        dry_run: false,
        status: RunStatus::Done,
        started: "2024-01-20T02:00:01Z".to_owned(),
        finished: "2024-01-20T02:00:05Z".to_owned(),
        files,
        bytes,
        roots: Vec::new(),
        rules: vec![RuleTotals {
            rule: rule.to_owned(),
            files,
            directories: 0,
            units: JOBS,
            jobs: JOBS,
            bytes,
        }],
        removed: Vec::new(),
        held: Vec::new(),
        holds: Vec::new(),
        errors: Vec::new(),
        notes: Vec::new(),
        jobs: (0..JOBS).map(|number| job(number, rule)).collect(),
        breaker: crate::types::Breaker::default(),
    };
    let facts = Facts {
        settings: describe(&settings),
        started: report.started.clone(),
        finished: report.finished.clone(),
        report: Some(Arc::new(report)),
        ..Facts::default()
    };
    let command = adapter
        .commands
        .values()
        .find(|command| !command.log.is_empty());
    let told = LogProgress::default();
    let rendered = adapter.render(command.unwrap(), LogLevel::Info, true, &facts, &told);
    let rendered = rendered.unwrap();
    let deleted = rendered
        .log
        .iter()
        .filter(|line| line.text.contains("Deleted "));
    assert_eq!(u64::try_from(deleted.count()).unwrap(), JOBS * THINGS);
    assert_eq!(rendered.files.len(), 1);
    let summary: serde_json::Value = serde_json::from_str(&rendered.output.unwrap()).unwrap();
    let jobs = summary["job_details"].as_array().unwrap();
    assert_eq!(jobs.len(), 5000);
    assert!(
        jobs.iter()
            .all(|job| job["files_deleted"].as_array().unwrap().len() == 20)
    );
    let answer = adapter.answer(&adapter.endpoints[0], &facts).unwrap();
    assert!(answer.matches(".tif").count() == 100_000);
}
