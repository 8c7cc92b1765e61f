//! Things that could not go back to their places, listed, restored and deleted.

use super::*;
use crate::common::errors;

/// A daemon whose quarantine had things that nobody knew of.
fn begin_with(things: &[&str]) -> (Place, Daemon) {
    let place = Place::new();
    let (root, quarantine) = (place.make_dir("data"), place.make_dir("data/.lapsed"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(quarantine, mode).unwrap();
    for thing in things {
        write(&root.join(".lapsed").join(thing), 10);
    }
    place.config(&config("file", "1h").replace("0s", "1d"));
    let daemon = place.serve_again();
    (place, daemon)
}

#[test]
fn what_is_displaced_is_listed_restored_and_deleted() {
    let (place, daemon) = begin_with(&["77", "78/deep/file", "79"]);
    let table = place.said(&["displaced", "ls"]);
    for name in ["displaced-77-77", "displaced-78-78", "displaced-79-79"] {
        assert!(table.contains(name), "{table}");
    }
    let listed = place.said(&["displaced", "ls", "--json"]);
    let first: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["bytes"], &first["is_dir"]),
        (&json!(10), &json!(false)),
        "{first}"
    );
    assert!(
        first["why"].as_str().unwrap().contains("nothing is known"),
        "{first}"
    );

    // Where it came from is not known.
    let output = place.run(&["displaced", "restore", "displaced-77-77"]);
    assert!(
        output.status.code() == Some(2) || output.status.code() == Some(1),
        "{output:?}"
    );
    place.said(&[
        "displaced",
        "restore",
        "displaced-77-77",
        "--to",
        "data/sub/report",
    ]);
    assert_eq!(
        std::fs::read(place.path("data/sub/report")).unwrap(),
        b"xxxxxxxxxx"
    );
    place.said(&[
        "displaced",
        "restore",
        "displaced-78-78",
        "--to",
        "data/dir",
    ]);
    assert!(place.exists("data/dir/deep/file"));
    daemon.sync();
    let why = place.said(&["explain", "data/sub/report"]);
    assert!(why.contains("holds it until"), "{why}");

    let told = place.said(&["displaced", "rm", "displaced-79-79"]);
    assert!(told.contains("deleted: 1 file"), "{told}");
    assert_eq!(place.said(&["displaced", "ls"]), "nothing is displaced\n");
    let left: Vec<_> = std::fs::read_dir(place.path("data/.lapsed"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "only the trash: {left:?}");
    wait_for("the trash is empty", || {
        kept(&place).is_empty().then_some(())
    });
    let history = place.said(&["history"]);
    assert!(
        history.contains("(brought back)") && history.contains("(deleted from the trash)"),
        "{history}"
    );
}

#[test]
fn only_what_is_displaced_can_be_named() {
    let (place, daemon) = begin_with(&["77"]);
    write(&place.path("data/file"), 10);
    daemon.sync();
    for name in [
        "file",
        "../file",
        "displaced-../../file",
        "trash",
        "displaced-78-78",
    ] {
        for command in [&["displaced", "restore"][..], &["displaced", "rm", "-y"]] {
            let output = place.run(&[command, &[name]].concat());
            assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
            assert!(
                errors(&output).contains("nothing displaced has the name"),
                "{output:?}"
            );
        }
        let order = json!({"root": "data", "names": [name]}).to_string();
        for path in ["/v1/displaced/restore", "/v1/displaced/remove"] {
            let (status, error) = daemon.post(path, &order);
            assert_eq!(status, 409, "{name}: {error}");
        }
    }
    let order = r#"{"root": "data", "names": ["displaced-77-77"], "to": "/etc/passwd"}"#;
    let (status, error) = daemon.post("/v1/displaced/restore", order);
    assert_eq!(status, 400, "{error}");
    assert!(place.exists("data/file") && place.exists("data/.lapsed/displaced-77-77"));
}
