//! eemt: every variable of its document, and databases and directories that other hands have made.

use serde_json::json;

use super::database::{DAY, Database, HOUR, YEAR, ago};
use super::eemt::{Eemt, TABLE, all_of, borrowed, local, of, temp};
use super::eemt_kinds::every_kind;
use super::tree::Tree;
use crate::common::sources::uuid;

#[test]
fn the_retentions_are_taken_from_the_environment_and_zero_is_zero() {
    type Case = (&'static str, &'static str, fn(&str) -> bool);
    let cases: [Case; 6] = [
        ("EEMT_FAILED_RETENTION_HOURS", "0", |job| {
            job.starts_with('f')
        }),
        ("EEMT_FAILED_RETENTION_HOURS", "24", |_| false),
        ("EEMT_FAILED_RETENTION_HOURS", "1.5", |job| job == "f 2h"),
        ("EEMT_SUCCESS_RETENTION_DAYS", "0", |job| {
            job.starts_with('c')
        }),
        ("EEMT_SUCCESS_RETENTION_DAYS", "1", |job| job == "c 2d"),
        ("EEMT_SUCCESS_RETENTION_DAYS", "14", |_| false),
    ];
    for (variable, value, is_due) in cases {
        let mut eemt = Eemt::new();
        eemt.site.set(variable, value);
        let jobs = [
            ("f 1h", "failed", HOUR),
            ("f 2h", "failed", 2 * HOUR),
            ("c 1h", "completed", HOUR),
            ("c 2d", "completed", 2 * DAY),
            ("r", "running", YEAR),
        ];
        let mut due = Vec::new();
        let (mut marked, mut forgotten) = (Vec::new(), Vec::new());
        for (number, (name, status, age)) in (1..).zip(jobs) {
            let id = uuid(number);
            eemt.job(&id, status, Some(ago(age)));
            if is_due(name) {
                due.extend(of(&id));
                if status == "failed" {
                    forgotten.push(id.clone());
                } else {
                    marked.push(id.clone());
                }
            }
            // A failed job's, too: its row, by which it is known, goes after it.
            if status != "running" {
                due.push(temp(&id));
            }
        }
        let before = eemt.site.tree();
        let daemon = eemt.serve();
        let left = eemt.site.wait_until_gone(&daemon, &before, &borrowed(&due));
        eemt.wait_until_marked(&daemon, &borrowed(&marked));
        eemt.wait_until_forgotten(&daemon, &borrowed(&forgotten));
        eemt.site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn a_dry_run_by_the_variable_removes_nothing() {
    for word in ["True", "1", "true", "yes"] {
        let mut eemt = Eemt::new();
        let kinds = every_kind(&eemt);
        let before = eemt.site.tree();
        let columns = eemt.db.rows("SELECT * FROM pragma_table_info('jobs')");
        eemt.site.set("EEMT_DRY_RUN", word);
        let mut daemon = eemt.serve();
        eemt.site.assert_dry(&daemon, &before);
        assert_eq!(
            eemt.db.rows("SELECT * FROM pragma_table_info('jobs')"),
            columns
        );
        assert!(daemon.stop().success());
        // What a dry run left overdue is few enough to go without a question.
        eemt.site.set("EEMT_DRY_RUN", "False");
        let daemon = eemt.serve();
        eemt.site
            .wait_until_gone(&daemon, &before, &borrowed(&kinds.due));
    }
}

#[test]
fn without_automatic_cleaning_everything_waits_to_be_asked() {
    let mut eemt = Eemt::new();
    let kinds = every_kind(&eemt);
    let before = eemt.site.tree();
    eemt.site.set("EEMT_ENABLE_AUTO_CLEANUP", "false");
    let daemon = eemt.serve();
    let report = eemt.site.clean(&["--dry-run"]);
    assert!(report["files"].as_u64().unwrap() > 0, "{report}");
    // Something that comes and is known tells that what was due before had its chance.
    eemt.site.write(&format!("results/{}/file", uuid(98)));
    daemon.sync();
    let before = {
        let now = eemt.site.tree();
        assert_eq!(now.0.len(), before.0.len() + 2);
        now
    };
    let left = eemt
        .site
        .clean_until_gone(&daemon, &[], (&before, &borrowed(&kinds.due)));
    eemt.wait_until_marked(&daemon, &borrowed(&kinds.marked));
    eemt.site.assert_all_stay(&daemon, &left);
    drop(daemon);
    // The other word.
    let id = uuid(50);
    eemt.job(&id, "completed", Some(ago(8 * DAY)));
    let before = eemt.site.tree();
    eemt.site.set("EEMT_ENABLE_AUTO_CLEANUP", "true");
    let daemon = eemt.serve();
    eemt.site
        .wait_until_gone(&daemon, &before, &borrowed(&all_of(&id)));
}

#[test]
fn directories_elsewhere_are_taken_from_the_environment() {
    let mut eemt = Eemt::new();
    let site = &mut eemt.site;
    let base = site.path("elsewhere/web-interface");
    site.set("EEMT_BASE_DIR", base.to_str().unwrap());
    let results = site.path("volumes/results");
    site.set("EEMT_RESULTS_DIR", results.to_str().unwrap());
    // Relative ones are below the base directory.
    site.set("EEMT_UPLOADS_DIR", "incoming");
    site.set_apart("app/elsewhere/web-interface/jobs.db");
    let db = Database::open(&base.join("jobs.db"), "WAL");
    db.run(TABLE);
    let (here, there) = (uuid(1), uuid(2));
    eemt.job(&here, "completed", Some(ago(YEAR)));
    let eemt = Eemt { db, ..eemt };
    let own = [
        format!("volumes/results/{there}"),
        format!("elsewhere/web-interface/incoming/{there}_dem.tif"),
        "elsewhere/web-interface/incoming/valley.tif".to_owned(),
        format!("elsewhere/web-interface/temp/{there}"),
    ];
    eemt.site.write(&format!("{}/out.tif", own[0]));
    eemt.site.write(&own[1]);
    eemt.site.write(&own[2]);
    eemt.site.write(&format!("{}/part", own[3]));
    eemt.site
        .write(&format!("elsewhere/web-interface/results/{there}/out.tif"));
    eemt.site
        .write("elsewhere/web-interface/uploads/valley.tif");
    eemt.row(&there, "completed", Some(ago(YEAR)), Some("valley.tif"));
    let before = eemt.site.tree();
    let daemon = eemt.serve();
    let left = eemt.site.wait_until_gone(&daemon, &before, &borrowed(&own));
    eemt.wait_until_marked(&daemon, &[&there]);
    eemt.site.assert_all_stay(&daemon, &left);
}

#[test]
fn the_level_of_the_log_is_taken_from_the_environment() {
    let said_at = |level: &str| {
        let mut eemt = Eemt::new();
        eemt.job(&uuid(1), "completed", Some(ago(8 * DAY)));
        let before = eemt.site.tree();
        eemt.site.set("EEMT_CLEANUP_LOG_LEVEL", level);
        // What one removal's record costs must not hang on it.
        eemt.site.set("EEMT_CLEANUP_BATCH_SIZE", "1");
        let mut daemon = eemt.serve();
        eemt.site
            .wait_until_gone(&daemon, &before, &borrowed(&all_of(&uuid(1))));
        eemt.wait_until_marked(&daemon, &[&uuid(1)]);
        assert!(daemon.stop().success());
        daemon.said()
    };
    let (info, debug, error) = (said_at("INFO"), said_at("DEBUG"), said_at("ERROR"));
    assert!(info.contains("lapsed: \"/"), "{info}");
    assert!(!info.contains("DEBUG"), "{info}");
    assert!(debug.contains("lapsed: \"/"), "{debug}");
    assert!(debug.contains("DEBUG due path="), "{debug}");
    assert!(debug.contains("DEBUG rule rule=\"failed jobs\""), "{debug}");
    assert!(!error.contains("INFO"), "{error}");
}

#[test]
fn batches_of_any_size_remove_the_same() {
    for size in ["1", "100", "5000"] {
        let mut eemt = Eemt::new();
        eemt.site.set("EEMT_CLEANUP_BATCH_SIZE", size);
        let ids: Vec<String> = (0..30).map(uuid).collect();
        let mut due = Vec::new();
        for id in &ids {
            eemt.job(id, "completed", Some(ago(8 * DAY)));
            due.extend(all_of(id));
        }
        eemt.job(&uuid(40), "running", None);
        let before = eemt.site.tree();
        let daemon = eemt.serve();
        let left: Tree = eemt.site.wait_until_gone(&daemon, &before, &borrowed(&due));
        eemt.wait_until_marked(&daemon, &borrowed(&ids));
        eemt.site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn directories_that_are_missing_hold_nothing_and_are_taken_up_when_they_come() {
    let eemt = Eemt::new();
    for dir in ["temp", "uploads"] {
        std::fs::remove_dir_all(eemt.site.path(dir)).unwrap();
    }
    let first = uuid(1);
    eemt.site.aged(&format!("results/{first}/out.tif"), YEAR);
    eemt.row(&first, "completed", Some(ago(8 * DAY)), Some("gone.tif"));
    let before = eemt.site.tree();
    let daemon = eemt.serve();
    eemt.site
        .wait_until_gone(&daemon, &before, &[&format!("results/{first}")]);
    eemt.wait_until_marked(&daemon, &[&first]);
    let second = uuid(2);
    eemt.files(&second);
    let before = eemt.site.tree();
    eemt.row(&second, "failed", Some(ago(DAY)), None);
    eemt.site
        .wait_until_gone(&daemon, &before, &borrowed(&all_of(&second)));
    eemt.wait_until_forgotten(&daemon, &[&second]);
    eemt.wait_until_marked(&daemon, &[&first]);
}

#[test]
fn a_table_with_the_columns_of_the_document_is_marked_as_it_is() {
    let eemt = Eemt::new();
    eemt.db.run(
        "ALTER TABLE jobs ADD COLUMN data_cleaned_at TIMESTAMP; ALTER TABLE jobs ADD COLUMN cleanup_summary TEXT",
    );
    let (fresh, cleaned) = (uuid(1), uuid(2));
    eemt.job(&fresh, "completed", Some(ago(8 * DAY)));
    // The old script has cleaned it; what was written there since is somebody's.
    eemt.job(&cleaned, "completed", Some(ago(9 * DAY)));
    let at = local(ago(DAY));
    eemt.db.run(&format!(
        "UPDATE jobs SET data_cleaned_at = '{at}', cleanup_summary = 'by hand' WHERE id = '{cleaned}'"
    ));
    let (before, columns) = (
        eemt.site.tree(),
        eemt.db.rows("SELECT * FROM pragma_table_info('jobs')"),
    );
    let daemon = eemt.serve();
    let mut due = all_of(&fresh).to_vec();
    due.push(temp(&cleaned));
    let left = eemt.site.wait_until_gone(&daemon, &before, &borrowed(&due));
    eemt.wait_until_marked(&daemon, &[&fresh, &cleaned]);
    eemt.site.assert_all_stay(&daemon, &left);
    let kept = eemt.db.rows(&format!(
        "SELECT data_cleaned_at AS at, cleanup_summary AS summary FROM jobs WHERE id = '{cleaned}'"
    ));
    assert_eq!(kept, [json!({"at": at, "summary": "by hand"})]);
    assert_eq!(
        eemt.db.rows("SELECT * FROM pragma_table_info('jobs')"),
        columns
    );
}
