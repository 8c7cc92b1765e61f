//! What the systems' documents tell people to set has a place in the presets.

use std::process::Stdio;

use super::site::Site;
use crate::common::{Place, errors};

/// By preset, the variables that the system's document shows, or that the system is run with; for omr and math2visual, whose documents
/// show none, what takes the place of a constant and of options of the command line; names of tables and directories.
pub const VARIABLES: &[(&str, &[&str])] = &[
    (
        "omr",
        &[
            "JOB_RETENTION_DAYS",
            "FAILED_JOB_RETENTION_DAYS",
            "OMR_CLEANUP_ON_START",
        ],
    ),
    (
        "eemt",
        &[
            "EEMT_NIGHTLY",
            "EEMT_SUCCESS_RETENTION_DAYS",
            "EEMT_FAILED_RETENTION_HOURS",
            "EEMT_DRY_RUN",
            "EEMT_CLEANUP_LOG_LEVEL",
            "EEMT_CLEANUP_BATCH_SIZE",
            "EEMT_BASE_DIR",
            "EEMT_RESULTS_DIR",
            "EEMT_UPLOADS_DIR",
            "EEMT_ENABLE_AUTO_CLEANUP",
            "EEMT_CLEANUP_ENABLED",
            "EEMT_TIMEZONE",
        ],
    ),
    (
        "storage",
        &[
            "CLEANUP_ENABLED",
            "CLEANUP_INTERVAL_HOURS",
            "RETENTION_COMPLETED_DAYS",
            "RETENTION_FAILED_DAYS",
            "DATABASE_URL",
            "POSTGRES_HOST",
            "POSTGRES_PORT",
            "POSTGRES_DB",
            "POSTGRES_USER",
            "POSTGRES_PASSWORD",
            "UPLOAD_DIR",
            "OUTPUT_DIR",
        ],
    ),
    (
        "audio",
        &[
            "FAILED_SESSION_RETENTION_DAYS",
            "ORPHANED_FILE_RETENTION_HOURS",
            "AUTO_CLEANUP_ON_STARTUP",
            "CLEANUP_SCHEDULE_ENABLED",
            "CLEANUP_SCHEDULE_HOUR",
            "JWT_SECRET_KEY",
            "SECRET_KEY",
            "DATABASE_URL",
            "AUDIO_SESSIONS_TABLE",
            "AUDIO_EXPORTS_TABLE",
            "AUDIO_EXPORTS_DIR",
        ],
    ),
    (
        "math2visual",
        &[
            "AGE_HOURS",
            "TEMP_SVG_AGE_HOURS",
            "INCLUDE_ARCHIVES",
            "TUTOR_SESSION_EXPIRATION_HOURS",
            "VITE_ENABLE_ANALYTICS",
            "DATABASE_URL",
        ],
    ),
];

/// The presets as they are in the repository.
fn texts() -> Vec<(&'static str, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/config/presets");
    let text = |name| std::fs::read_to_string(format!("{dir}/{name}/preset.toml")).unwrap();
    VARIABLES
        .iter()
        .map(|&(name, _)| (name, text(name)))
        .collect()
}

/// Variables of the presets' own making: undo, and the server for the mails that EEMT's document
/// only switches on.
const OWN: [&str; 6] = [
    "LAPSED_UNDO",
    "EEMT_MAIL_FROM",
    "EEMT_SMTP_SERVER",
    "EEMT_SMTP_ENCRYPTION",
    "EEMT_SMTP_USER",
    "EEMT_SMTP_PASSWORD",
];

/// The variables that a text uses: `${NAME…`; entries of nested files, which have dots, are none.
fn used(text: &str) -> Vec<&str> {
    let name = |part: &&'_ str| part.find(['}', ':', '?']).unwrap_or(part.len());
    text.split("${")
        .skip(1)
        .map(|part| &part[..name(&part)])
        .filter(|name| !name.contains('.'))
        .collect()
}

#[test]
fn each_preset_uses_and_lists_every_variable_of_its_document() {
    for ((preset, names), (_, text)) in VARIABLES.iter().zip(texts()) {
        let (comments, rest) = text.split_at(text.find("\n\n").unwrap());
        let head = [comments, rest.split("base_dir").next().unwrap()].concat();
        for name in *names {
            assert!(used(&text).contains(name), "{preset} does not use {name}");
            assert!(
                head.contains(name),
                "{preset} does not name {name} at its top"
            );
        }
        assert!(head.contains("LAPSED_UNDO"), "{preset}");
        for name in used(&text) {
            let is_known = names.contains(&name) || OWN.contains(&name);
            assert!(is_known, "{preset} uses {name}");
            assert!(
                head.contains(name),
                "{preset} does not name {name} at its top"
            );
        }
    }
}

#[test]
fn there_is_no_preset_that_no_test_knows() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/config/presets");
    let mut found: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known: Vec<String> = VARIABLES.iter().map(|&(name, _)| name.to_owned()).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn each_preset_is_sound_in_an_empty_environment_wherever_it_lies() {
    for (name, text) in texts() {
        let place = Place::new();
        let file = place.make_dir("etc").join("lapsed.toml");
        std::fs::write(&file, &text).unwrap();
        let output = place
            .lapsed()
            .env_clear()
            .args(["check", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", errors(&output));
        let site = Site::new(name);
        site.said(&["check"]);
    }
}

#[test]
fn what_is_offered_in_comments_is_sound_too() {
    for (name, text) in texts() {
        let offered: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        // What is offered instead of a line stands below that line.
        let mut chosen: Vec<String> = Vec::new();
        for line in offered {
            let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
            let is_instead = ["schedule", "url", "record"].contains(&&*key(&line))
                && chosen.last().is_some_and(|last| key(last) == key(&line));
            if is_instead {
                chosen.pop();
            }
            chosen.push(line);
        }
        let place = Place::new();
        let file = place.config(&chosen.join("\n"));
        let output = place.run(&["check", "--config", file.to_str().unwrap()]);
        assert!(output.status.success(), "{name}: {}", errors(&output));
    }
}
