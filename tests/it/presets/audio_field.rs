//! audio as it is run: tables of other names, uploads that are called after their session, and names that clients gave.

use serde_json::json;

use super::database::{BOTH, DAY, Database, HOUR, YEAR, ago, utc};
use super::site::Site;
use crate::common::sources::{source, uuid, wait_for_source};
use crate::common::wait_or_tell;

const TABLES: &str = "CREATE TABLE therapy_sessions (id UUID PRIMARY KEY, status VARCHAR(32) NOT NULL, created_at TIMESTAMP NOT NULL, \
     audio_filename TEXT); \
     CREATE TABLE export_jobs (id UUID PRIMARY KEY, status VARCHAR(32) NOT NULL, expires_at TIMESTAMP, file_path TEXT, \
     file_size_bytes BIGINT)";

#[test]
fn audio_that_is_called_after_its_session_is_the_sessions() {
    for kind in BOTH {
        let mut site = Site::new("audio");
        let db = Database::new(kind, &mut site, "audio.db");
        db.run(TABLES);
        let session = |number: u32, status: &str, client: &str| {
            db.run(&format!(
                "INSERT INTO therapy_sessions VALUES('{}', '{status}', '{}', '{client}')",
                uuid(number),
                utc(ago(YEAR))
            ));
            let names = [".m4a", "_processed.mp3"]
                .map(|end| format!("uploads/audio/{}{end}", uuid(number)));
            for name in &names {
                site.aged(name, YEAR);
            }
            names
        };
        let live = [
            session(1, "processing", "Aufnahme 1.m4a"),
            session(2, "pending", "both.m4a"),
            session(3, "transcribed", "a/b/../c.m4a"),
        ];
        let failed = session(4, "failed", "both.m4a");
        let lost = "uploads/audio/lost.m4a";
        site.aged(lost, 25 * HOUR);
        db.run(&format!(
            "INSERT INTO export_jobs VALUES('{}', 'completed', '{}', 'exports/output/a.pdf', 7)",
            uuid(9),
            utc(ago(DAY))
        ));
        site.aged("exports/output/a.pdf", YEAR);
        let before = site.tree();
        let daemon = site.serve();
        for name in ["sessions", "exports"] {
            wait_for_source(&daemon, name, "ready");
        }
        let mut gone: Vec<&str> = failed.iter().map(String::as_str).collect();
        gone.extend([lost, "exports/output/a.pdf"]);
        let left = site.clean_until_gone(&daemon, &[], (&before, &gone));
        site.assert_all_stay(&daemon, &left);
        for name in live.iter().flatten() {
            assert!(site.exists(name), "{name}");
        }
        let row = "SELECT file_path, file_size_bytes FROM export_jobs";
        wait_or_tell(
            "the export's row says that its file is gone",
            || {
                (db.rows(row) == [json!({"file_path": null, "file_size_bytes": null})])
                    .then_some(())
            },
            || format!("{:?} {}", db.rows(row), source(&daemon, "exports")),
        );
    }
}
