//! audio: every variable of its document.

use super::audio::{Audio, EMPTIED, EXPIRED, FAILED, ORPHANS, every_kind};
use super::database::{BOTH, DAY, HOUR, Kind, YEAR, ago};

#[test]
fn the_retentions_are_taken_from_the_environment_and_zero_is_zero() {
    for (variable, value, gone) in [
        (
            "FAILED_SESSION_RETENTION_DAYS",
            "0",
            vec!["uploads/audio/hour.mp3", "uploads/audio/days.mp3"],
        ),
        (
            "FAILED_SESSION_RETENTION_DAYS",
            "1",
            vec!["uploads/audio/days.mp3"],
        ),
        ("FAILED_SESSION_RETENTION_DAYS", "7", vec![]),
        (
            "ORPHANED_FILE_RETENTION_HOURS",
            "0",
            vec!["uploads/audio/lost.mp3", "uploads/audio/losing.mp3"],
        ),
        (
            "ORPHANED_FILE_RETENTION_HOURS",
            "12",
            vec!["uploads/audio/lost.mp3"],
        ),
        ("ORPHANED_FILE_RETENTION_HOURS", "48", vec![]),
    ] {
        let mut audio = Audio::new(Kind::Sqlite);
        audio.site.set(variable, value);
        audio.session("hour", "failed", ago(HOUR), Some("hour.mp3"));
        audio.session("days", "failed", ago(2 * DAY), Some("days.mp3"));
        audio.session("busy", "processing", ago(YEAR), Some("busy.mp3"));
        for (name, age) in [
            ("hour", YEAR),
            ("days", YEAR),
            ("busy", YEAR),
            ("lost", 13 * HOUR),
            ("losing", HOUR),
        ] {
            audio.site.aged(&format!("uploads/audio/{name}.mp3"), age);
        }
        let before = audio.site.tree();
        let daemon = audio.serve();
        let left = audio.site.clean_until_gone(&daemon, &[], (&before, &gone));
        audio.site.assert_all_stay(&daemon, &left);
    }
}

#[test]
fn cleaning_at_the_start_is_a_choice_of_the_environment() {
    for kind in BOTH {
        let mut audio = Audio::new(kind);
        every_kind(&audio);
        let (before, exports) = (audio.site.tree(), audio.exports());
        audio.site.set("AUTO_CLEANUP_ON_STARTUP", "true");
        let daemon = audio.serve();
        let gone = [&FAILED[..], &EXPIRED, &ORPHANS].concat();
        audio.site.wait_until_gone(&daemon, &before, &gone);
        audio.wait_until_empty(&daemon, &exports, &EMPTIED);
        // Once: what comes later waits to be asked.
        audio.site.aged("uploads/audio/later.mp3", YEAR);
        daemon.sync();
        let with_later = audio.site.tree();
        daemon.sync();
        assert_eq!(audio.site.tree(), with_later);
        let gone = ["uploads/audio/later.mp3"];
        audio
            .site
            .clean_until_gone(&daemon, &[], (&with_later, &gone));
    }
}

#[test]
fn an_hour_of_the_night_is_a_choice_too() {
    let mut audio = Audio::new(Kind::Sqlite);
    // The document's .env sets the hour, which is reserved for the future: it alone starts nothing.
    audio.site.set("CLEANUP_SCHEDULE_HOUR", "3");
    let told = audio.site.said(&["check"]);
    let off = "schedule \"nightly\" is switched off (enabled = false)";
    assert!(told.contains(off), "{told}");
    audio.site.set("CLEANUP_SCHEDULE_ENABLED", "true");
    let told = audio.site.said(&["check"]);
    assert!(
        told.contains("at \"0 3 * * *\"") && !told.contains(off),
        "{told}"
    );
    audio.site.set("CLEANUP_SCHEDULE_HOUR", "14");
    let told = audio.site.said(&["check"]);
    assert!(told.contains("at \"0 14 * * *\""), "{told}");
    audio.site.set("CLEANUP_SCHEDULE_HOUR", "25");
    let refused = audio.site.run(&["check"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}
