//! eemt: what surrounds its script: set-up, containers, the class of the module, and what goes wrong.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::database::{DAY, ago};
use super::document::Shell;
use super::eemt::Eemt;
use super::eemt_document::{DOCUMENTED, assert_cleaned, assert_summary, summaries, whole, world};
use crate::common::errors;
use crate::common::sources::uuid;
use crate::install::{CRONTAB, NOTES, stub};

/// Programs that note how they were called, and a crontab in a file.
fn with_stubs(shell: &mut Shell<'_>, eemt: &Eemt) -> PathBuf {
    let bin = eemt.site.place.path("bin");
    for (name, text) in [
        ("crontab", CRONTAB),
        ("systemctl", NOTES),
        ("journalctl", NOTES),
        ("sudo", "#!/bin/sh\nexec \"$@\"\n"),
        (
            "docker",
            "#!/bin/sh\nwhile [ \"$1\" != eemt-web ]; do shift; done\nshift\nexec \"$@\"\n",
        ),
    ] {
        stub(&bin, name, text);
    }
    shell.export("HOME", bin.to_str().unwrap());
    shell.export("DESTDIR", bin.join("dest").to_str().unwrap());
    shell.export("XDG_CONFIG_HOME", "");
    bin
}

#[test]
fn the_set_up_lines_of_the_document_work() {
    let eemt = world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    let bin = with_stubs(&mut shell, &eemt);
    let app = eemt.site.path("").canonicalize().unwrap();
    let log = app.join("cleanup_jobs.log");
    let read = |name: &str| std::fs::read_to_string(bin.join(name)).unwrap();
    std::fs::write(bin.join("crontab.txt"), "5 4 * * * other\n").unwrap();
    // Twice is as once.
    for _ in 0..2 {
        shell.line("./setup_cleanup_cron.sh --user --method cron");
        let lines = read("crontab.txt");
        assert!(lines.starts_with("5 4 * * * other\n"), "{lines}");
        assert_eq!(lines.matches("0 2 * * * ").count(), 1, "{lines}");
    }
    // What it installs works, from any directory.
    let crontab = read("crontab.txt");
    let entry = crontab
        .lines()
        .find_map(|line| line.strip_prefix("0 2 * * * "));
    let entry = entry.unwrap();
    assert!(entry.contains(" run cleanup_jobs >> "), "{entry}");
    let line = format!("cd / && {entry}");
    shell.line(&line);
    assert_cleaned(&eemt);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(
        said.contains("INFO - Cleanup completed successfully\n"),
        "{said}"
    );
    shell.line("sudo ./setup_cleanup_cron.sh --system --method cron");
    let system = read("dest/etc/cron.d/eemt-cleanup");
    assert!(system.contains(&format!(" {entry}\n")), "{system}");
    shell.line("./setup_cleanup_cron.sh --user --method systemd");
    let service = read(".config/systemd/user/eemt-cleanup.service");
    assert!(service.contains(" run cleanup_jobs\n"), "{service}");
    let timer = read(".config/systemd/user/eemt-cleanup.timer");
    assert!(
        timer.contains("OnCalendar=*-*-* 2:0:00\nRandomizedDelaySec=300\nPersistent=true\n"),
        "{timer}"
    );
    shell.line("systemctl --user status eemt-cleanup.timer");
    shell.line("journalctl --user -u eemt-cleanup.service");
    let calls = read("calls.txt");
    assert!(
        calls.contains("systemctl --user enable --now eemt-cleanup.timer\n"),
        "{calls}"
    );
    for line in [
        "./setup_cleanup_cron.sh --method at",
        "./setup_cleanup_cron.sh --everything",
    ] {
        assert_eq!(shell.run_in("", line).status.code(), Some(2), "{line}");
    }
}

#[test]
fn the_entry_of_the_original_goes_on_working_and_is_told() {
    let eemt = world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    let bin = with_stubs(&mut shell, &eemt);
    let app = eemt.site.path("").canonicalize().unwrap();
    let entry =
        "0 2 * * * cd /path/to/web-interface && python3 cleanup_jobs.py >> cleanup_jobs.log 2>&1";
    let entry = entry.replace("/path/to/web-interface", app.to_str().unwrap());
    std::fs::write(bin.join("crontab.txt"), format!("{entry}\n")).unwrap();
    let output = shell.run_in("", "./setup_cleanup_cron.sh --user --method cron");
    assert!(
        errors(&output).contains("crontab -e"),
        "{}",
        errors(&output)
    );
    let crontab = std::fs::read_to_string(bin.join("crontab.txt")).unwrap();
    assert!(crontab.starts_with(&entry), "{crontab}");
    shell.line(entry.strip_prefix("0 2 * * * ").unwrap());
    assert_cleaned(&eemt);
}

#[test]
fn the_lines_for_containers_work() {
    let eemt = world();
    let mut shell = Shell::install(&eemt.site, "eemt");
    with_stubs(&mut shell, &eemt);
    let before = eemt.site.tree();
    shell.line(
        "docker run --rm \\\n  -v $(pwd)/uploads:/app/uploads \\\n  -v $(pwd)/results:/app/results \\\n  -v $(pwd)/jobs.db:/app/jobs.db \\\n  eemt-web python cleanup_jobs.py --dry-run",
    );
    std::fs::remove_file(&summaries(&eemt)[0]).unwrap();
    eemt.site.assert_same(&before);
    shell.line("docker exec eemt-web python cleanup_jobs.py");
    assert_cleaned(&eemt);
}

#[test]
fn the_class_of_the_document_works() {
    let eemt = world();
    let shell = Shell::install(&eemt.site, "eemt");
    let said = shell.python(
        "import json\nfrom pathlib import Path\nfrom cleanup_jobs import JobCleanupManager\n\
         m = JobCleanupManager(base_dir=Path('./'), dry_run=True)\n\
         assert (m.db_path, m.results_dir, m.uploads_dir) == (Path('jobs.db'), Path('results'), Path('uploads'))\n\
         assert (m.success_retention_days, m.failed_retention_hours) == (7, 12)\n\
         good, bad = m.get_jobs_for_cleanup()\n\
         dry = m.run_cleanup()\n\
         size = m._get_directory_size_mb(m.results_dir / good[0]['id'])\n\
         m = JobCleanupManager(Path('./'))\n\
         one = m.cleanup_job_data(good[0])\n\
         try:\n    m.cleanup_job_data(bad[0])\nexcept ValueError as error:\n    refused = str(error)\n\
         two = m.cleanup_job_data(bad[0], keep_job_config=False)\n\
         m.failed_retention_hours = 0\n\
         rest = m.run_cleanup()\n\
         print(json.dumps([good, bad, dry, size, one, refused, two, rest]))\n",
    );
    let said: Value = serde_json::from_str(&said).unwrap();
    let ids = |list: &Value| -> Vec<String> {
        let jobs = list.as_array().unwrap().iter();
        jobs.map(|job| job["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&said[0]), [DOCUMENTED.to_owned(), uuid(1), uuid(2)]);
    assert_eq!(ids(&said[1]), [uuid(4), uuid(5)]);
    assert_eq!(said[0][0]["workflow_type"], "sol");
    assert_eq!(said[0][0]["dem_filename"], "job-20240113-123456_dem.tif");
    assert_summary(&said[2], true);
    assert!(said[3].as_f64().unwrap() > 1.0, "{said}");
    assert_eq!(
        said[4]["directories_deleted"],
        json!(["results/job-20240113-123456"])
    );
    assert!(
        said[5].as_str().unwrap().contains("removes the record"),
        "{said}"
    );
    assert_eq!(said[6]["job_id"], *uuid(4));
    assert_eq!(said[7]["failed_jobs_processed"], 2, "zero is zero: {said}");
    assert_eq!(said[7]["successful_jobs_processed"], 2, "{said}");
}

#[test]
fn the_monitoring_query_of_the_document_counts_what_was_cleaned() {
    let eemt = world();
    let shell = Shell::install(&eemt.site, "eemt");
    shell.line("python cleanup_jobs.py");
    let rows = eemt.db.rows(
        "SELECT \n    DATE(completed_at) as date,\n    COUNT(*) as jobs_completed,\n    COUNT(CASE WHEN data_cleaned_at IS NOT NULL THEN 1 END) as jobs_cleaned,\n    \
         SUM(CASE WHEN data_cleaned_at IS NOT NULL THEN 1 ELSE 0 END) * 100.0 / COUNT(*) as cleanup_rate\nFROM jobs\n\
         WHERE completed_at >= date('now', '-30 days')\nGROUP BY DATE(completed_at)\nORDER BY date DESC",
    );
    let sum: i64 = rows
        .iter()
        .map(|row| row["jobs_cleaned"].as_i64().unwrap())
        .sum();
    assert!(sum >= 2, "{rows:?}");
}

#[test]
fn errors_are_in_the_summary_and_in_the_exit_status() {
    let eemt = world();
    let shell = Shell::install(&eemt.site, "eemt");
    let db = eemt.db.path().to_path_buf();
    std::fs::rename(&db, eemt.site.place.path("bin/aside.db")).unwrap();
    let output = shell.run_in("", "python cleanup_jobs.py");
    let code = output.status.code();
    assert!(matches!(code, Some(1 | 2)), "{code:?} {}", errors(&output));
    assert!(
        errors(&output).contains("jobs.db") || errors(&output).contains("eemt"),
        "{}",
        errors(&output)
    );
    assert!(whole(&eemt, &[DOCUMENTED, &uuid(4)]));
}

#[test]
fn rows_from_outside_reach_nothing_by_the_script() {
    let eemt = world();
    let shell = Shell::install(&eemt.site, "eemt");
    for (id, dem) in [
        ("..", None),
        ("job-20240113-123456\n", None),
        ("job-20240113-999999", Some("../../etc/passwd")),
    ] {
        eemt.row(id, "failed", Some(ago(30 * DAY)), dem);
    }
    shell.run_in("", "python cleanup_jobs.py --failed-retention-hours 0");
    assert!(eemt.site.exists("etc/passwd") && eemt.site.place.exists("etc/passwd"));
    assert!(
        eemt.site.exists("app.py") && eemt.site.exists("results") && eemt.site.exists("jobs.db")
    );
}
