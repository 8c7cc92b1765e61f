//! audio: the Python module of its document, as cron, Celery and the application call it, a scheduler elsewhere, and its `.env`.

use serde_json::{Value, json};

use super::audio::Audio;
use super::audio_document::{
    ALL_AGAIN, FAILED, ORPHANS, SESSION, answer, assert_left, result, with_token, world,
};
use super::database::{DAY, HOUR, Kind, YEAR, ago};
use super::document::Shell;
use crate::common::{errors, wait_for};

#[test]
fn the_crontab_entry_of_the_document_works() {
    let audio = world(Kind::Sqlite);
    let mut shell = Shell::install(&audio.site, "audio");
    shell.export("PYTHONDONTWRITEBYTECODE", "1");
    let before = audio.site.tree();
    let entry = r#"0 3 * * * cd /path/to/backend && source venv/bin/activate && python -c "import asyncio; from app.services.cleanup import run_scheduled_cleanup; asyncio.run(run_scheduled_cleanup())""#;
    let line = entry.strip_prefix("0 3 * * * ").unwrap();
    let line = line.replace(
        "/path/to/backend",
        &audio.site.path("").display().to_string(),
    );
    assert_eq!(shell.line(&line), "");
    assert_left(&audio, &before, &[&ORPHANS[..], &FAILED].concat());
}

/// As the document has it, and a worker's call of what it adds to the schedule.
const CELERY: &str = r"from celery import Celery
from celery.schedules import crontab

app = Celery('tasks')

@app.on_after_configure.connect
def setup_periodic_tasks(sender, **kwargs):
    # Run cleanup daily at 3 AM
    sender.add_periodic_task(
        crontab(hour=3, minute=0),
        cleanup_task.s(),
    )

@app.task
def cleanup_task():
    import asyncio
    from app.services.cleanup import run_scheduled_cleanup
    asyncio.run(run_scheduled_cleanup())

app.finalize()
[entry] = app.conf.beat_schedule.values()
assert (entry['schedule'].hour, entry['schedule'].minute) == ({3}, {0}), entry
app.tasks[entry['task']].apply(throw=True)
";

#[test]
fn the_celery_task_of_the_document_works() {
    let audio = world(Kind::Sqlite);
    let mut shell = Shell::install(&audio.site, "audio");
    shell.add_celery();
    let before = audio.site.tree();
    shell.python(CELERY);
    assert_left(&audio, &before, &[&ORPHANS[..], &FAILED].concat());
}

#[test]
fn the_module_has_what_the_application_imports_and_logs_what_it_does() {
    let audio = world(Kind::Sqlite);
    audio.export("over", "completed", Some(ago(HOUR)), Some("over.pdf"));
    audio.site.aged("exports/over.pdf", YEAR);
    let shell = Shell::install(&audio.site, "audio");
    let before = audio.site.tree();
    let head = "import asyncio, json, logging, sys\nlogging.basicConfig(level=logging.INFO, stream=sys.stdout, format='%(levelname)s %(message)s')\n\
                from app.services.cleanup import (AudioCleanupService, CleanupConfig, CleanupResult, cleanup_expired_exports,\n\
                \x20   run_scheduled_cleanup, run_startup_cleanup)\n";
    let run = |program: &str| shell.python(&format!("{head}{program}\n"));
    let json_of = |program: &str| -> Value {
        let said = run(&format!("print('RESULT', json.dumps({program}))"));
        let line = said.lines().find_map(|line| line.strip_prefix("RESULT "));
        serde_json::from_str(line.unwrap()).unwrap()
    };
    let service = "AudioCleanupService(None)";
    assert_eq!(
        json_of(&format!(
            "asyncio.run({service}.get_cleanup_status()).to_dict()"
        )),
        result(true, true, 25.4, true)
    );
    assert_eq!(
        json_of(&format!(
            "asyncio.run({service}.cleanup_all(dry_run=True)).to_dict()"
        )),
        result(true, true, 25.4, true)
    );
    // Another retention than the configured one.
    assert_eq!(
        json_of(
            "asyncio.run(AudioCleanupService(None, CleanupConfig(9, 48)).cleanup_all(True)).to_dict()"
        )["failed_sessions_count"],
        0
    );
    let said = run(
        "try:\n    asyncio.run(AudioCleanupService(config=CleanupConfig(upload_dir='/etc')).cleanup_all())\n\
                    except ValueError as error:\n    print(error)",
    );
    assert!(
        said.contains("the upload directory is uploads/audio, not /etc"),
        "{said}"
    );
    // Only where it is wanted.
    assert_eq!(
        json_of("asyncio.run(run_startup_cleanup()).to_dict()"),
        result(false, false, 0.0, false)
    );
    assert_eq!(
        json_of("asyncio.run(CleanupConfig.load()).failed_session_retention_days"),
        7
    );
    assert_left(&audio, &before, &[]);
    let said = run("asyncio.run(AudioCleanupService(None).cleanup_orphaned_files(dry_run=True))");
    assert!(
        said.contains("INFO [DRY RUN] Would delete orphaned file: abc123.mp3 (14.31 MB)\n"),
        "{said}"
    );
    let said = run("asyncio.run(AudioCleanupService(None).cleanup_orphaned_files())");
    assert!(
        said.contains("INFO Deleted orphaned file: abc123.mp3 (14.31 MB)\n"),
        "{said}"
    );
    assert_left(&audio, &before, &ORPHANS);
    let said = run("asyncio.run(AudioCleanupService(None).cleanup_failed_sessions())");
    let line =
        format!("INFO Deleted file from failed session {SESSION}: {SESSION}.m4a (9.54 MB)\n");
    assert!(said.contains(&line), "{said}");
    assert_left(&audio, &before, &[&ORPHANS[..], &FAILED].concat());
    let said = run("asyncio.run(cleanup_expired_exports())");
    assert!(
        said.contains("INFO Deleted expired export over: over.pdf"),
        "{said}"
    );
    assert_left(
        &audio,
        &before,
        &[&ORPHANS[..], &FAILED, &["exports/over.pdf"]].concat(),
    );
    wait_for("the row says so", || {
        (audio.exports()[0]["file_path"] == Value::Null).then_some(())
    });
}

#[test]
fn the_start_of_the_application_cleans_up_where_it_is_wanted() {
    let mut audio = world(Kind::Sqlite);
    audio.site.set("AUTO_CLEANUP_ON_STARTUP", "true");
    let shell = Shell::install(&audio.site, "audio");
    let before = audio.site.tree();
    shell.python("import asyncio\nfrom app.services.cleanup import run_startup_cleanup\nasyncio.run(run_startup_cleanup())\n");
    assert_left(&audio, &before, &[&ORPHANS[..], &FAILED].concat());
}

#[test]
fn a_missing_upload_directory_is_a_warning() {
    let audio = world(Kind::Sqlite);
    std::fs::remove_dir_all(audio.site.path("uploads/audio")).unwrap();
    let mut shell = Shell::install(&audio.site, "audio");
    let program = "import asyncio, json\nfrom app.services.cleanup import run_scheduled_cleanup\n\
                   print(json.dumps(asyncio.run(run_scheduled_cleanup()).to_dict()))\n";
    let file = audio.site.place.path("bin/program.py");
    std::fs::write(&file, program).unwrap();
    shell.export("PYTHONPATH", ".");
    shell.export("PYTHONDONTWRITEBYTECODE", "1");
    let output = shell.run_in("", &format!("python {}", file.display()));
    assert!(output.status.success(), "{}", errors(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said, result(false, false, 0.0, false));
    assert_eq!(
        errors(&output).trim(),
        "Upload directory does not exist: uploads/audio"
    );
    let _daemon = shell.serve_to("none");
    let done = shell.json(&with_token(ALL_AGAIN));
    assert_eq!(
        done,
        answer("Full cleanup completed", &result(false, false, 0.0, false))
    );
    shell.line("mkdir -p uploads/audio");
}

#[test]
fn the_env_files_of_the_document_count() {
    for (text, days, hours, at_start) in [
        (
            "# How long to keep failed sessions (default: 7 days)\nFAILED_SESSION_RETENTION_DAYS=7\n\n\
             # How long to keep orphaned files (default: 24 hours)\nORPHANED_FILE_RETENTION_HOURS=24\n\n\
             # Run cleanup automatically on server startup (default: false)\nAUTO_CLEANUP_ON_STARTUP=false\n\n\
             # Reserved for future scheduled cleanup (default: 3 AM)\nCLEANUP_SCHEDULE_HOUR=3\n",
            7,
            24,
            false,
        ),
        (
            "FAILED_SESSION_RETENTION_DAYS=1\nORPHANED_FILE_RETENTION_HOURS=12\nAUTO_CLEANUP_ON_STARTUP=false\n",
            1,
            12,
            false,
        ),
        (
            "FAILED_SESSION_RETENTION_DAYS=7\nORPHANED_FILE_RETENTION_HOURS=24\nAUTO_CLEANUP_ON_STARTUP=true\n",
            7,
            24,
            true,
        ),
    ] {
        let audio = world(Kind::Sqlite);
        std::fs::write(audio.site.path(".env"), text).unwrap();
        let told: Value =
            serde_json::from_str(
                &audio
                    .site
                    .said(&["run", "audio_config", "--output", "json"]),
            )
            .unwrap();
        let expected = json!({
            "failed_session_retention_days": days,
            "orphaned_file_retention_hours": hours,
            "upload_dir": "uploads/audio",
            "auto_cleanup_on_startup": at_start,
            "cleanup_schedule_hour": 3,
        });
        assert_eq!(told, expected);
        // The reserved hour starts nothing.
        let said = audio.site.said(&["check"]);
        let off = "schedule \"nightly\" is switched off (enabled = false)";
        assert!(said.contains(off), "{said}");
    }
}

#[test]
fn instants_of_rows_are_in_utc_wherever_the_host_is() {
    for zone in ["Pacific/Auckland", "America/Phoenix"] {
        let mut audio = Audio::new(Kind::Sqlite);
        audio.site.set("TZ", zone);
        for (id, age) in [("gone", 7 * DAY + HOUR), ("stays", 6 * DAY + 23 * HOUR)] {
            audio.session(id, "failed", ago(age), None);
            audio.site.aged(&format!("uploads/audio/{id}.mp3"), YEAR);
        }
        let before = audio.site.tree();
        audio.site.said(&["run", "audio_cleanup"]);
        assert_left(&audio, &before, &["uploads/audio/gone.mp3"]);
    }
}

#[test]
fn a_scheduler_has_a_token_of_its_own() {
    let audio = world(Kind::Sqlite);
    let mut shell = Shell::install(&audio.site, "audio");
    let _daemon = shell.serve_to("none");
    let made: Value = serde_json::from_str(&audio.site.said(&[
        "--json",
        "token",
        "new",
        "--role",
        "operator",
        "--name",
        "scheduler",
    ]))
    .unwrap();
    let line = ALL_AGAIN.replace("YOUR_ACCESS_TOKEN", made["token"].as_str().unwrap());
    assert_eq!(
        shell.json(&line),
        answer("Full cleanup completed", &result(true, true, 25.4, false))
    );
}
