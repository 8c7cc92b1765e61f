//! math2visual: every command line of its document, copied from it.

use serde_json::{Value, json};

use super::database::{HOUR, Kind, YEAR, ago};
use super::document::{Shell, assert_page};
use super::math2visual::{Tutor, lay};
use super::site::Site;
use crate::common::errors;
use crate::common::sources::uuid;

/// A backend with files of every kind, and sessions: two are idle.
fn world() -> (Tutor, Vec<String>) {
    let tutor = Tutor::new(Kind::Sqlite, "TIMESTAMP");
    let due = lay(&tutor.site);
    tutor.site.aged("scripts/cleanup_temp_files.py", YEAR);
    for (id, idle) in [("idle", 3 * HOUR), ("ancient", YEAR), ("used", HOUR)] {
        tutor.session(id, ago(idle), "");
    }
    (tutor, due)
}

fn sessions(tutor: &Tutor) -> Vec<String> {
    let rows = tutor.rows();
    rows.iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Exactly `gone` went.
#[track_caller]
fn assert_gone(site: &Site, before: &super::tree::Tree, gone: &[String]) {
    site.assert_same(&before.but(&borrowed(gone)));
}

#[test]
fn the_default_line_cleans_up_both_directories_and_sessions() {
    let (tutor, due) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    let said = shell.line("python scripts/cleanup_temp_files.py");
    for text in [
        "Output directory statistics:\n  Total files: 4\n",
        "  Old files (>=24h): 3\n",
        "Temp SVG directory statistics:\n  Total files: 3\n",
        "  Old files (>=1h): 2\n",
        "Expired tutor sessions: 2\n",
        "Output files cleaned: 3\n",
        "Temp SVG files cleaned: 2\n",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert_gone(&tutor.site, &before, &due);
    assert_eq!(sessions(&tutor), ["used"]);
}

#[test]
fn rows_of_idle_sessions_go_with_the_script_and_with_a_dry_run_they_stay() {
    let (tutor, _) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    let said = shell.line("python scripts/cleanup_temp_files.py --dry-run");
    assert!(
        said.contains("DRY RUN MODE - no files will be deleted."),
        "{said}"
    );
    let line = said
        .lines()
        .find(|line| line.contains("temp_svgs/icon.svg"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("(age: 1.0h, size: "), "{line}");
    tutor.site.assert_same(&before);
    assert_eq!(sessions(&tutor).len(), 3);
    let rows = tutor
        .db
        .rows("SELECT session_id, last_activity FROM tutor_sessions ORDER BY last_activity DESC");
    assert_eq!(rows.len(), 3);
    shell.line("python scripts/cleanup_temp_files.py");
    assert_eq!(sessions(&tutor), ["used"]);
}

#[test]
fn the_lines_with_other_ages_work() {
    let (tutor, mut due) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    // 23 hours old.
    shell.line("python scripts/cleanup_temp_files.py --age-hours 1");
    due.push(format!("storage/output/formal_{}.svg", uuid(3)));
    assert_gone(&tutor.site, &before, &due);
    // 59 minutes old.
    shell.line("python scripts/cleanup_temp_files.py --temp-svg-age-hours 0.5");
    due.push("storage/temp_svgs/young.svg".to_owned());
    assert_gone(&tutor.site, &before, &due);
}

/// Files in a directory of their own, one of which is due.
fn elsewhere(tutor: &Tutor) -> String {
    let due = format!("elsewhere/formal_{}.svg", uuid(1));
    tutor.site.aged(&due, YEAR);
    tutor.site.aged("elsewhere/mine.svg", YEAR);
    tutor
        .site
        .write(&format!("elsewhere/formal_{}.svg", uuid(2)));
    due
}

#[test]
fn another_output_directory_is_cleaned_in_the_place_of_the_usual_one() {
    let (tutor, usual) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let due = elsewhere(&tutor);
    let before = tutor.site.tree();
    let line = "python scripts/cleanup_temp_files.py --output-dir elsewhere";
    for question in ["--dry-run", "--stats"] {
        let said = shell.line(&format!("{line} {question}"));
        assert!(said.contains("  Old files (>=24h): 1\n"), "{said}");
        tutor.site.assert_same(&before);
    }
    let said = shell.line(line);
    assert!(said.contains("Output files cleaned: 1\n"), "{said}");
    // Icons are where they were.
    let gone = [&usual[3..], &[due]].concat();
    assert_gone(&tutor.site, &before, &gone);
    shell.line("python scripts/cleanup_temp_files.py");
    assert_gone(&tutor.site, &before, &[&gone[..], &usual[..3]].concat());
}

#[test]
fn another_output_directory_is_refused_beside_a_daemon_and_where_it_is_unsafe() {
    let (tutor, due) = world();
    let mut shell = Shell::install(&tutor.site, "math2visual");
    elsewhere(&tutor);
    std::os::unix::fs::symlink("/", tutor.site.path("up")).unwrap();
    let before = tutor.site.tree();
    let line = "python scripts/cleanup_temp_files.py --output-dir";
    for (dir, why) in [
        ("/", "would be removed"),
        ("up", "would be removed"),
        ("/etc", "would be removed"),
        ("nowhere", "does not exist"),
        ("no/../elsewhere", "without \"..\""),
        ("elsewhere/mine.svg", "is not a directory"),
        ("storage/temp_svgs", "is the same directory"),
    ] {
        let output = shell.run_in("", &format!("{line} {dir}"));
        assert_eq!(output.status.code(), Some(2), "{dir}: {}", errors(&output));
        let said = errors(&output);
        assert!(
            said.contains("--output-dir") && said.contains(why),
            "{dir}: {said}"
        );
    }
    tutor.site.assert_same(&before);
    let daemon = shell.serve();
    for question in ["", " --dry-run", " --stats"] {
        let output = shell.run_in("", &format!("{line} elsewhere{question}"));
        assert_eq!(output.status.code(), Some(2), "{question}");
        let said = errors(&output);
        assert!(
            said.contains("a daemon runs") && said.contains("storage/output"),
            "{said}"
        );
    }
    tutor.site.assert_same(&before);
    // It is the daemon's own.
    shell.line(&format!("{line} ./storage/../storage/output"));
    assert_gone(&tutor.site, &before, &due);
    drop(daemon);
}

#[test]
fn statistics_remove_nothing() {
    let (tutor, _) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    let said = shell.line("python scripts/cleanup_temp_files.py --stats");
    assert!(said.contains("  Old files (>=24h): 3\n"), "{said}");
    assert!(!said.contains("cleaned"), "{said}");
    tutor.site.assert_same(&before);
    assert_eq!(sessions(&tutor).len(), 3);
}

#[test]
fn archives_go_only_when_they_are_included() {
    let (tutor, mut due) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    shell.line("python scripts/cleanup_temp_files.py --include-archives");
    for stamp in ["20240120_020001", "1705716001", "2024-01-20-02-00"] {
        due.push(format!("storage/output/formal_{stamp}_{}.svg", uuid(1)));
    }
    due.push(format!(
        "storage/output/intuitive_20240120_020001_{}.svg",
        uuid(1)
    ));
    assert_gone(&tutor.site, &before, &due);
}

#[test]
fn the_crontab_entries_of_the_document_work() {
    for entry in [
        "0 * * * * cd /path/to/math2visual/backend && python scripts/cleanup_temp_files.py >> /var/log/math2visual_cleanup.log 2>&1",
        "0 */6 * * * cd /path/to/math2visual/backend && python scripts/cleanup_temp_files.py --age-hours 24 --temp-svg-age-hours 2 >> /var/log/math2visual_cleanup.log 2>&1",
        "*/30 * * * * cd /path/to/math2visual/backend && python scripts/cleanup_temp_files.py --temp-svg-age-hours 0.5 >> /var/log/math2visual_cleanup.log 2>&1",
    ] {
        let (tutor, due) = world();
        let shell = Shell::install(&tutor.site, "math2visual");
        let app = tutor.site.path("").display().to_string();
        let log = tutor.site.place.path("bin/log");
        let line = &entry[entry.find("cd ").unwrap()..];
        let line = line.replace("/path/to/math2visual/backend", &app);
        shell.line(&line.replace("/var/log/math2visual_cleanup.log", log.to_str().unwrap()));
        let said = std::fs::read_to_string(log).unwrap();
        assert!(said.contains("Output files cleaned: 3\n"), "{said}");
        assert!(!tutor.site.exists(&due[0]));
        let has_icons = tutor.site.exists("storage/temp_svgs/icon.svg");
        assert_eq!(
            has_icons,
            entry.contains("--temp-svg-age-hours 2"),
            "{entry}"
        );
        let has_young = tutor.site.exists("storage/temp_svgs/young.svg");
        assert_eq!(has_young, !entry.contains("0.5"), "{entry}");
    }
}

#[test]
fn the_lines_for_looking_work() {
    let (tutor, _) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    for line in [
        "ls -la storage/output/",
        "ls -la storage/temp_svgs/",
        r#"find storage/output/ -name "*.svg" -type f -exec ls -la {} \;"#,
        r#"find storage/temp_svgs/ -name "*.svg" -type f -exec ls -la {} \;"#,
        "find storage/output/ -size +10M",
        "find storage/temp_svgs/ -size +10M",
    ] {
        shell.line(line);
    }
    shell.line(&"chmod +x backend/scripts/cleanup_temp_files.py".replace("backend/", ""));
    shell.line("./scripts/cleanup_temp_files.py --stats");
}

#[test]
fn a_database_that_is_down_is_a_note() {
    let mut tutor = Tutor::new(Kind::Sqlite, "TIMESTAMP");
    let due = lay(&tutor.site);
    tutor.site.set(
        "DATABASE_URL",
        "postgresql://127.0.0.1:1/math2visual_analytics",
    );
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    let said = shell.line("python scripts/cleanup_temp_files.py");
    assert!(
        said.contains("Could not clean up tutor sessions: "),
        "{said}"
    );
    assert_gone(&tutor.site, &before, &due);
}

#[test]
fn sessions_of_sites_with_analytics_stay() {
    let (mut tutor, due) = world();
    tutor.site.set("VITE_ENABLE_ANALYTICS", "true");
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    let said = shell.line("python scripts/cleanup_temp_files.py");
    assert!(said.contains("Expired tutor sessions: 0\n"), "{said}");
    assert_gone(&tutor.site, &before, &due);
    assert_eq!(sessions(&tutor).len(), 3);
}

#[test]
fn what_is_not_understood_does_nothing() {
    let (tutor, _) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    for line in [
        "python scripts/cleanup_temp_files.py --age-hours old",
        "python scripts/cleanup_temp_files.py --age-hours -1",
        "python scripts/cleanup_temp_files.py --age-hours '{{ 7*7 }}'",
        "python scripts/cleanup_temp_files.py --all",
    ] {
        let output = shell.run_in("", line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", errors(&output));
    }
    tutor.site.assert_same(&before);
}

#[test]
fn the_module_of_the_document_works() {
    let (tutor, due) = world();
    let shell = Shell::install(&tutor.site, "math2visual");
    let before = tutor.site.tree();
    let said = shell.python(
        "import json, sys\nsys.path.insert(0, 'app/utils')\nfrom cleanup import *\n\
         stats = get_storage_stats('storage/temp_svgs', 1)\n\
         m = FileCleanupManager('storage/output', 24)\n\
         one = m.cleanup_old_files()\n\
         two = cleanup_temp_files('storage/temp_svgs', max_age_hours=1)\n\
         three = FileCleanupManager('storage/output', 24, include_archives=True, cleanup_patterns=['formal_1705*.svg']).cleanup_old_files()\n\
         try:\n    cleanup_temp_files('/etc')\nexcept ValueError as error:\n    refused = str(error)\n\
         print(json.dumps([stats, one, two, three, refused]))\n",
    );
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said[0]["old_files"], 2, "{said}");
    assert_eq!(said[1]["files_cleaned"], 3, "{said}");
    assert_eq!(
        (&said[2]["files_cleaned"], &said[2]["errors"]),
        (&json!(2), &json!(0)),
        "{said}"
    );
    let cleaned = said[3]["cleaned_files"].as_array().unwrap();
    assert_eq!(cleaned.len(), 1, "{said}");
    assert!(
        said[4].as_str().unwrap().starts_with("/etc is none of "),
        "{said}"
    );
    let mut gone = due;
    gone.push(format!("storage/output/formal_1705716001_{}.svg", uuid(1)));
    assert_gone(&tutor.site, &before, &gone);
}

#[test]
fn the_page_is_current() {
    let sources = [
        include_str!("math2visual_document.rs"),
        include_str!("math2visual.rs"),
    ];
    assert_page(
        "math2visual",
        include_str!("items/math2visual.toml"),
        &sources,
    );
}
