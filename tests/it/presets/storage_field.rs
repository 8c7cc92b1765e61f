//! storage as it is run: uploads have fresh UUIDs of their own, and rows name them as the application's container sees them.

use super::database::{BOTH, DAY, HOUR, Kind, YEAR, ago};
use super::storage::Storage;
use crate::common::evidence::holds;
use crate::common::sources::uuid;
use crate::common::{wait_for, wait_or_tell};

/// The name of an upload, which no id of a job begins.
fn upload(number: u32) -> String {
    format!("{}_take {number}.wav", uuid(1000 + number))
}

/// Uploads of jobs of each kind in `dir`, which the rows call `seen`.
fn lay(storage: &Storage, dir: &str, seen: &str) {
    for (number, status, completed) in [
        (1, "running", None),
        (2, "pending", None),
        (3, "completed", Some(ago(DAY))),
        (4, "completed", Some(ago(31 * DAY))),
        (5, "failed", Some(ago(8 * DAY))),
    ] {
        let name = upload(number);
        storage.site.aged(&format!("{dir}/{name}"), YEAR);
        let path = format!("{seen}/{name}");
        storage.row(&uuid(number), status, completed, Some(&path));
    }
    storage
        .site
        .aged(&format!("{dir}/{}", upload(9)), 25 * HOUR);
}

#[test]
fn uploads_belong_to_the_rows_that_name_them_as_a_container_does() {
    for kind in BOTH {
        for dir in ["data/uploads", "elsewhere/in"] {
            let mut storage = Storage::new(kind);
            let set = storage.site.path(dir);
            storage.site.set("UPLOAD_DIR", set.to_str().unwrap());
            lay(&storage, dir, "/data/uploads");
            let (before, tables) = (storage.site.tree(), storage.tables());
            let daemon = storage.serve();
            let gone = [4, 5, 9].map(|number| format!("{dir}/{}", upload(number)));
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            let left = storage.site.wait_until_gone(&daemon, &before, &gone);
            storage.wait_until_forgotten(&daemon, &tables, &[uuid(4), uuid(5)]);
            // The rows that go make the source unread: an orphan in the quarantine may come back for that time.
            let site = &storage.site;
            site.line_about(&daemon, gone[2], "orphaned uploads");
            storage.site.assert_all_stay(&daemon, &left);
        }
    }
}

#[test]
fn while_rows_name_uploads_in_a_way_that_leads_nowhere_nothing_is_an_orphan() {
    let storage = Storage::new(Kind::Sqlite);
    lay(&storage, "data/uploads", "/mnt/volume/uploads");
    let (before, tables) = (storage.site.tree(), storage.tables());
    let said = storage.site.said(&["check"]);
    assert!(said.contains("5 claims of 5 jobs are refused"), "{said}");
    let daemon = storage.serve();
    wait_or_tell(
        "uploads and rows are held",
        || holds(&daemon).get("claim-refused").map(drop),
        || daemon.get("/v1/status").1.to_string(),
    );
    let file = storage.site.path("data/uploads").join(upload(9));
    let why = storage.site.said(&["explain", file.to_str().unwrap()]);
    assert!(why.contains("path_map"), "{why}");
    storage.site.assert_all_stay(&daemon, &before);
    assert_eq!(storage.tables(), tables);
    // The last job that has not ended ends: an upload that no claim can mean goes.
    storage
        .db
        .run("UPDATE jobs SET status = 'cancelled' WHERE status IN ('running', 'pending')");
    let gone = format!("data/uploads/{}", upload(9));
    let left = storage.site.wait_until_gone(&daemon, &before, &[&gone]);
    storage.site.assert_all_stay(&daemon, &left);
    wait_for("the rows stay", || {
        (storage.db.texts("SELECT id FROM jobs").len() == 5).then_some(())
    });
}
