//! audio: uploads of failed sessions, exports that expire, and files that no session names; only when somebody asks.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::database::{BOTH, DAY, Database, HOUR, Kind, YEAR, ago, quoted, utc};
use super::site::{Site, age_tree};
use crate::common::sources::{source, wait_for_source};
use crate::common::trees::now_ms;
use crate::common::{Daemon, lines, wait_for, wait_or_tell};

const TABLES: &str = "CREATE TABLE sessions (id VARCHAR(255) PRIMARY KEY, status VARCHAR(32) NOT NULL, created_at TIMESTAMP NOT NULL, \
     audio_filename TEXT); \
     CREATE TABLE exports (id VARCHAR(255) PRIMARY KEY, status VARCHAR(32) NOT NULL, expires_at TIMESTAMP, file_path TEXT, \
     file_size_bytes BIGINT)";

pub struct Audio {
    pub site: Site,
    pub db: Database,
}

impl Audio {
    pub fn new(kind: Kind) -> Self {
        let mut site = Site::new("audio");
        let db = Database::new(kind, &mut site, "audio.db");
        db.run(TABLES);
        site.set("AUDIO_SESSIONS_TABLE", "sessions");
        site.set("AUDIO_EXPORTS_TABLE", "exports");
        site.set("AUDIO_EXPORTS_DIR", "exports");
        for name in [
            "uploads/audio/.gitkeep",
            "uploads/other/file.mp3",
            "uploads/loose.mp3",
            "exports/unlisted.pdf",
            "app/services/cleanup.py",
        ] {
            site.aged(name, YEAR);
        }
        Self { site, db }
    }

    pub fn session(&self, id: &str, status: &str, created: i64, file: Option<&str>) {
        self.db.run(&format!(
            "INSERT INTO sessions VALUES({}, '{status}', '{}', {})",
            quoted(Some(id)),
            utc(created),
            quoted(file)
        ));
    }

    pub fn export(&self, id: &str, status: &str, expires: Option<i64>, file: Option<&str>) {
        self.db.run(&format!(
            "INSERT INTO exports VALUES({}, '{status}', {}, {}, 7)",
            quoted(Some(id)),
            quoted(expires.map(utc).as_deref()),
            quoted(file)
        ));
    }

    pub fn serve(&self) -> Daemon {
        let daemon = self.site.serve();
        for name in ["sessions", "exports"] {
            wait_for_source(&daemon, name, "ready");
        }
        daemon
    }

    pub fn sessions(&self) -> Vec<Value> {
        self.db.rows(
            "SELECT id, status, CAST(created_at AS VARCHAR(40)) AS created, audio_filename FROM sessions ORDER BY id",
        )
    }

    pub fn exports(&self) -> Vec<Value> {
        self.db.rows(
            "SELECT id, status, CAST(expires_at AS VARCHAR(40)) AS expires, file_path FROM exports ORDER BY id",
        )
    }

    /// Waits until the exports of `ids`, and no others, have lost their files.
    #[track_caller]
    pub fn wait_until_empty(&self, daemon: &Daemon, before: &[Value], ids: &[&str]) {
        let mut wanted = before.to_vec();
        for row in &mut wanted {
            if ids.contains(&row["id"].as_str().unwrap()) {
                row["file_path"] = Value::Null;
            }
        }
        wait_or_tell(
            &format!("exports {ids:?} have no file"),
            || (self.exports() == wanted).then_some(()),
            || format!("{:#?}\n{}", self.exports(), source(daemon, "exports")),
        );
    }
}

/// What goes of [`every_kind`]: of sessions and exports, and what nobody names.
pub const FAILED: [&str; 2] = ["uploads/audio/old.mp3", "uploads/audio/old_processed.mp3"];
pub const EXPIRED: [&str; 3] = [
    "exports/over.pdf",
    "exports/relative.pdf",
    "exports/absolute.pdf",
];
pub const ORPHANS: [&str; 3] = [
    "uploads/audio/lost.mp3",
    "uploads/audio/lost_processed.mp3",
    "uploads/audio/caf\\xe9.mp3",
];
/// The exports that lose their `file_path`.
pub const EMPTIED: [&str; 4] = ["over", "relative", "absolute", "gone"];

pub fn every_kind(audio: &Audio) {
    let site = &audio.site;
    for (id, status, age) in [
        ("old", "failed", 8 * DAY),
        ("young", "failed", 6 * DAY),
        ("done", "processed", YEAR),
        ("busy", "processing", YEAR),
        ("new", "pending", YEAR),
        ("odd", "reviewed by somebody", YEAR),
    ] {
        audio.session(id, status, ago(age), Some(&format!("{id}.mp3")));
        site.aged(&format!("uploads/audio/{id}.mp3"), YEAR);
        site.aged(&format!("uploads/audio/{id}_processed.mp3"), YEAR);
    }
    // Two sessions of one file: the other one needs it.
    audio.session("shared", "failed", ago(YEAR), Some("done.mp3"));
    audio.session("silent", "failed", ago(YEAR), None);
    audio.session("missing", "failed", ago(YEAR), Some("missing.mp3"));
    for name in ["lost.mp3", "lost_processed.mp3"] {
        site.aged(&format!("uploads/audio/{name}"), 25 * HOUR);
    }
    let strange = std::ffi::OsStr::from_bytes(b"uploads/audio/caf\xe9.mp3");
    let strange = site.path("").join(strange);
    std::fs::write(&strange, b"x").unwrap();
    age_tree(&strange, YEAR);
    site.aged("uploads/audio/fresh.mp3", 23 * HOUR);
    site.aged("uploads/audio/deep/file.mp3", YEAR);
    let past = Some(ago(HOUR));
    let absolute = site.path("exports/absolute.pdf");
    for (id, status, expires, file) in [
        ("over", "completed", past, Some("over.pdf")),
        ("relative", "completed", past, Some("exports/relative.pdf")),
        ("absolute", "completed", past, absolute.to_str()),
        ("gone", "completed", past, Some("exports/gone.pdf")),
        (
            "later",
            "completed",
            Some(now_ms() + 3_600_000),
            Some("later.pdf"),
        ),
        ("never", "completed", None, Some("never.pdf")),
        ("pending", "pending", past, Some("pending.pdf")),
        ("failed", "failed", past, Some("failed.pdf")),
        ("empty", "completed", past, None),
    ] {
        audio.export(id, status, expires, file);
        if id != "gone" && id != "empty" {
            site.aged(&format!("exports/{id}.pdf"), YEAR);
        }
    }
}

#[test]
fn nothing_goes_by_itself_and_what_is_asked_for_goes() {
    for kind in BOTH {
        let audio = Audio::new(kind);
        every_kind(&audio);
        let (before, sessions, exports) = (audio.site.tree(), audio.sessions(), audio.exports());
        let daemon = audio.serve();
        let report = audio.site.clean(&["--dry-run"]);
        let told: Vec<&Value> = report["removed"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["path"].is_string())
            .collect();
        assert!(report["dry_run"] == true && told.len() >= 6, "{report}");
        let output = audio.site.run(&["clean", "--dry-run"]);
        let said = lines(&output).join("\n");
        assert!(said.contains("would remove"), "{said}");
        assert!(said.contains("lost.mp3"), "{said}");
        assert_eq!(audio.site.tree(), before);
        assert_eq!(audio.exports(), exports);

        let orphans = (&before, &ORPHANS[..]);
        let left = audio
            .site
            .clean_until_gone(&daemon, &["--orphans-only"], orphans);
        assert_eq!(audio.exports(), exports);

        let gone = [&FAILED[..], &EXPIRED].concat();
        let left = audio.site.clean_until_gone(&daemon, &[], (&left, &gone));
        audio.wait_until_empty(&daemon, &exports, &EMPTIED);
        // The rows of sessions are kept, as they are.
        assert_eq!(audio.sessions(), sessions);
        audio.site.assert_all_stay(&daemon, &left);
        audio.wait_until_empty(&daemon, &exports, &EMPTIED);
        audio.site.line_about(&daemon, FAILED[0], "failed sessions");
        audio
            .site
            .line_about(&daemon, EXPIRED[0], "exports that are over");
        audio.site.line_about(&daemon, ORPHANS[0], "orphaned audio");
        audio.site.assert_never_early();
    }
}

#[test]
fn nothing_goes_before_its_time_however_often_it_is_asked_for() {
    for kind in BOTH {
        let audio = Audio::new(kind);
        audio.session("busy", "processing", ago(YEAR), None);
        let daemon = audio.serve();
        let at = now_ms() + 3000;
        audio.site.write("exports/soon.pdf");
        audio.site.write("uploads/audio/soon.mp3");
        audio.site.write("uploads/audio/lost.mp3");
        super::site::written_at(
            &audio.site.path("uploads/audio/lost.mp3"),
            at - 24 * 3_600_000,
        );
        let before = audio.site.tree();
        audio.export("soon", "completed", Some(at), Some("soon.pdf"));
        audio.session("soon", "failed", at - 7 * 24 * 3_600_000, Some("soon.mp3"));
        let exports = audio.exports();
        let all = [
            ("exports/soon.pdf", "exports that are over"),
            ("uploads/audio/soon.mp3", "failed sessions"),
            ("uploads/audio/lost.mp3", "orphaned audio"),
        ];
        wait_or_tell(
            "they go when they are asked for in time",
            || {
                audio.site.clean(&[]);
                all.iter()
                    .all(|(name, _)| !audio.site.exists(name))
                    .then_some(())
            },
            || source(&daemon, "exports").to_string(),
        );
        for (name, rule) in all {
            audio.site.wait_for_deadline(&daemon, name, rule, at);
        }
        audio
            .site
            .wait_until_gone(&daemon, &before, &all.map(|(name, _)| name));
        audio.wait_until_empty(&daemon, &exports, &["soon"]);
    }
}

#[test]
fn rows_cannot_reach_what_is_not_theirs() {
    for kind in BOTH {
        let audio = Audio::new(kind);
        let site = &audio.site;
        audio.session("busy", "processing", ago(YEAR), Some("busy.mp3"));
        site.aged("uploads/audio/busy.mp3", YEAR);
        site.aged("uploads/audio/busy_processed.mp3", YEAR);
        audio.export("open", "pending", None, Some("open.pdf"));
        site.aged("exports/open.pdf", YEAR);
        for dir in ["uploads/audio", "exports"] {
            symlink(
                site.place.path("outside"),
                site.path(&format!("{dir}/link")),
            )
            .unwrap();
        }
        let at = |name: &str| site.path(name).to_str().unwrap().to_owned();
        let outside = site.place.path("outside/passwd");
        let claims = [
            "../../etc/passwd".to_owned(),
            "../../../etc/passwd".to_owned(),
            "../etc/passwd".to_owned(),
            "../loose.mp3".to_owned(),
            "/etc/passwd".to_owned(),
            outside.to_str().unwrap().to_owned(),
            "link/passwd".to_owned(),
            at("exports/link/passwd"),
            "uploads/loose.mp3".to_owned(),
            "uploads/other/file.mp3".to_owned(),
            at("uploads/audio"),
            at("exports"),
            "exports".to_owned(),
            "exports/".to_owned(),
            at(""),
            at("audio.db"),
            "audio.db".to_owned(),
            "app/services/cleanup.py".to_owned(),
            ".".to_owned(),
            "..".to_owned(),
            "/".to_owned(),
            String::new(),
            " ".to_owned(),
            ".gitkeep".to_owned(),
            at("uploads/audio/.gitkeep"),
            "busy.mp3".to_owned(),
            "busy_processed.mp3".to_owned(),
            at("uploads/audio/busy.mp3"),
            at("exports/open.pdf"),
            "open.pdf".to_owned(),
            "open.pdf\n".to_owned(),
            "_processed.mp3".to_owned(),
        ];
        let mut exports = Vec::new();
        for (number, claim) in claims.iter().enumerate() {
            let id = format!("hostile {number}");
            audio.session(&id, "failed", ago(YEAR), Some(claim));
            audio.export(&id, "completed", Some(ago(YEAR)), Some(claim));
            exports.push(id);
        }
        for id in [
            "../x", "..", "", "/", "busy\n", "busy.mp3", "open\n", ".gitkeep",
        ] {
            audio.session(id, "failed", ago(YEAR), None);
            audio.export(id, "completed", Some(ago(YEAR)), None);
        }
        let (before, sessions) = (site.tree(), audio.sessions());
        let daemon = audio.serve();
        let report = site.clean(&[]);
        assert_eq!(report["files"], 0, "{report}");
        site.assert_all_stay(&daemon, &before);
        assert_eq!(audio.sessions(), sessions);
    }
}

#[test]
fn an_upload_directory_that_is_missing_is_no_failure_and_is_taken_up_later() {
    for missing in ["uploads/audio", "uploads"] {
        let audio = Audio::new(Kind::Sqlite);
        audio.session("old", "failed", ago(8 * DAY), Some("old.mp3"));
        std::fs::remove_dir_all(audio.site.path(missing)).unwrap();
        let before = audio.site.tree();
        let daemon = audio.serve();
        let report = audio.site.clean(&[]);
        assert_eq!(
            (&report["errors"], &report["files"]),
            (&json!([]), &json!(0)),
            "{missing}: {report}"
        );
        assert_eq!(audio.site.tree(), before);
        let (_, health) = daemon.get("/v1/health");
        assert_eq!(health["status"], "ready", "{missing}: {health}");
        audio.site.aged("uploads/audio/old.mp3", YEAR);
        audio.site.aged("uploads/audio/lost.mp3", YEAR);
        let with_files = audio.site.tree();
        let gone = ["uploads/audio/old.mp3", "uploads/audio/lost.mp3"];
        audio
            .site
            .clean_until_gone(&daemon, &[], (&with_files, &gone));
    }
}

#[test]
fn while_the_database_is_away_nothing_is_an_orphan() {
    let mut audio = Audio::new(Kind::Sqlite);
    every_kind(&audio);
    audio.db.rows("PRAGMA journal_mode = DELETE");
    let (db, aside) = (
        audio.db.path().to_path_buf(),
        audio.site.place.path("aside.db"),
    );
    audio.site.set_apart("aside.db");
    let (before, exports) = (audio.site.tree(), audio.exports());
    std::fs::rename(&db, &aside).unwrap();
    let daemon = audio.site.serve();
    wait_for_source(&daemon, "sessions", "down");
    wait_for_source(&daemon, "exports", "down");
    audio.site.assert_all_stay(&daemon, &before);
    std::fs::rename(&aside, &db).unwrap();
    for name in ["sessions", "exports"] {
        wait_for_source(&daemon, name, "ready");
    }
    // Emptied: a person is asked first.
    audio
        .db
        .run("CREATE TABLE kept AS SELECT * FROM sessions; DELETE FROM sessions");
    wait_for("it is read", || {
        (source(&daemon, "sessions")["jobs"] == 0).then_some(())
    });
    audio.site.clean(&["--orphans-only"]);
    assert_eq!(audio.site.tree(), before);
    audio
        .db
        .run("INSERT INTO sessions SELECT * FROM kept; DROP TABLE kept");
    let gone = [&FAILED[..], &EXPIRED].concat();
    // The breaker still asks about orphans.
    let left = audio.site.clean_until_gone(&daemon, &[], (&before, &gone));
    audio.wait_until_empty(&daemon, &exports, &EMPTIED);
    audio.site.said(&["breaker", "release"]);
    audio
        .site
        .clean_until_gone(&daemon, &["--orphans-only"], (&left, &ORPHANS));
}
