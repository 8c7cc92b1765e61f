//! Orders to restore, and what becomes of a name that is taken, or of a window that has ended.

use super::*;

#[test]
fn each_way_to_say_what_comes_back_brings_back_just_that() {
    let (place, daemon) = begin("file", "1h");
    let ids =
        ["a", "sub/b", "sub/c", "d"].map(|name| trashed(&place, &daemon, &format!("data/{name}")));
    let table = place.said(&["trash", "ls"]);
    assert!(
        table.starts_with("   ID") || table.contains("ID"),
        "{table}"
    );
    assert!(
        table.contains("data/sub/b") && table.contains("old"),
        "{table}"
    );

    // Shown first, and nothing is changed by that.
    let (code, shown) = undo(&place, &["--since", "1h", "--dry-run"]);
    assert_eq!(
        (code, &shown["things"], &shown["dry_run"]),
        (Some(0), &json!(4), &json!(true))
    );
    assert_eq!(trash(&daemon).len(), 4);

    let (_, undone) = undo(&place, &["--last"]);
    assert_eq!(
        undone["restored"][0]["path"],
        json!(place.path("data/d")),
        "{undone}"
    );
    let (_, undone) = undo(&place, &["--path", "data/sub"]);
    assert_eq!(undone["things"], 2, "{undone}");
    assert!(place.exists("data/sub/b") && place.exists("data/sub/c") && !place.exists("data/a"));
    let (_, undone) = undo(&place, &[&ids[0].to_string(), "--for", "30d"]);
    assert_eq!(
        (&undone["things"], &undone["files"], &undone["bytes"]),
        (&json!(1), &json!(1), &json!(10))
    );
    let (_, pins) = daemon.get("/v1/pins");
    assert_eq!(pins["pins"].as_array().unwrap().len(), 4, "{pins}");

    let output = place.run(&["undo", "--last"]);
    let told = crate::common::errors(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        told.contains("nothing in the trash matches") && told.contains("lapsed trash ls"),
        "{told}"
    );
    let (status, error) = daemon.post("/v1/undo", "{}");
    assert_eq!(status, 400, "{error}");
    let (status, error) = daemon.post("/v1/undo", r#"{"last": true, "run": 7}"#);
    assert_eq!(status, 400, "{error}");
}

#[test]
fn what_a_run_removed_comes_back_together() {
    let place = Place::new();
    let manual =
        config("file", "1h").replace("expire = \"0s\"", "expire = \"0s\"\nschedule = \"manual\"");
    place.config(&manual);
    for name in ["data/a", "data/b", "data/c/d"] {
        write(&place.path(name), 10);
    }
    let daemon = place.serve_again();
    let (status, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!((status, &report["files"]), (200, &json!(3)), "{report}");
    let run = report["run"].to_string();
    let (code, undone) = undo(&place, &["--run", &run]);
    assert_eq!((code, &undone["files"]), (Some(0), &json!(3)), "{undone}");
    assert!(
        ["data/a", "data/b", "data/c/d"]
            .iter()
            .all(|name| place.exists(name))
    );
}

#[test]
fn a_taken_name_is_never_overwritten() {
    let (place, daemon) = begin("file", "1h");
    let id = trashed(&place, &daemon, "data/report");
    place.said(&[
        "pin",
        "add",
        "data/report",
        "--for",
        "1h",
        "--why",
        "the new one",
    ]);
    std::fs::write(place.path("data/report"), "new").unwrap();
    daemon.sync();
    let output = place.run(&["undo", &id.to_string()]);
    let told = crate::common::errors(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("data/report\" is taken") && told.contains("--beside"),
        "{told}"
    );
    assert_eq!(std::fs::read(place.path("data/report")).unwrap(), b"new");
    assert_eq!(trash(&daemon).len(), 1);

    let (code, undone) = undo(&place, &[&id.to_string(), "--beside"]);
    assert_eq!(code, Some(0), "{undone}");
    let beside = place.path(&format!("data/report.restored-{id}"));
    assert_eq!(undone["restored"][0]["path"], json!(beside));
    assert_eq!(std::fs::read(&beside).unwrap(), b"xxxxxxxxxx");
    assert_eq!(std::fs::read(place.path("data/report")).unwrap(), b"new");
}

#[test]
fn a_window_that_ends_is_a_deadline() {
    let (place, daemon) = begin("file", "2s");
    trashed(&place, &daemon, "data/a");
    wait_for("it is deleted", || kept(&place).is_empty().then_some(()));
    wait_for("that is told", || {
        place
            .said(&["history"])
            .contains("(deleted from the trash)")
            .then_some(())
    });
    let (_, stats) = daemon.get("/v1/stats");
    assert_eq!(stats["totals"][0]["bytes"], json!(10), "{stats}");
    let purged = place.said(&["history", "--json"]);
    let line: Value = serde_json::from_str(purged.lines().next().unwrap()).unwrap();
    assert_eq!(line["result"], "purged");
    let (at, until) = (line["at"].as_str(), line["trash"]["until"].as_str());
    assert!(at >= until && until.is_some(), "{line}");
    assert_eq!(place.run(&["undo", "--last"]).status.code(), Some(2));
}

#[test]
fn a_crash_loses_nothing_of_the_trash_and_ends_no_window() {
    let (place, mut daemon) = begin("file", "1h");
    let ids = ["a", "b/c"].map(|name| trashed(&place, &daemon, &format!("data/{name}")));
    daemon.kill();
    let daemon = place.serve_again();
    let found: Vec<u64> = trash(&daemon)
        .iter()
        .map(|thing| thing["id"].as_u64().unwrap())
        .collect();
    assert_eq!(found, [ids[1], ids[0]]);
    assert_eq!(undo(&place, &["--since", "1d"]).0, Some(0));
    assert!(place.exists("data/a") && place.exists("data/b/c"));
}

#[test]
fn the_trash_is_emptied_on_request() {
    let (place, daemon) = begin("file", "1h");
    let ids = ["a", "b", "c"].map(|name| trashed(&place, &daemon, &format!("data/{name}")));
    let (status, error) = daemon.post("/v1/trash/empty", "{}");
    assert_eq!((status, trash(&daemon).len()), (400, 3), "{error}");
    place.said(&["trash", "empty", &ids[1].to_string()]);
    assert_eq!(trash(&daemon).len(), 2);
    let emptied: Value =
        serde_json::from_str(&place.said(&["trash", "empty", "--json", "--root", "data"])).unwrap();
    assert_eq!(
        (&emptied["things"], &emptied["bytes"]),
        (&json!(2), &json!(20)),
        "{emptied}"
    );
    assert_eq!((trash(&daemon), kept(&place)), (vec![], vec![]));
    let history = place.said(&["history"]);
    assert_eq!(
        history.matches("(deleted from the trash)").count(),
        3,
        "{history}"
    );
}
