//! Variables of files, and what becomes of them while a daemon runs.

use serde_json::json;

use super::expire_ms;
use crate::common::{Place, errors, lines};

const CONFIG: &str = "variables = [{ file = \".env\", optional = true }, { file = \"cleanup.yaml\", optional = true }]\n\
    [[root]]\nname = \"data\"\npath = \"${UPLOADS:-data}\"\n[[rule]]\nname = \"old\"\nexpire = \"${RETENTION_HOURS:-${retention.hours:-1}}h\"\n";

#[test]
fn a_reload_takes_variables_of_files_and_loses_none() {
    let place = Place::new();
    let file = place.make_dir("data").join("file");
    let env = place.path(".env");
    std::fs::write(&file, b"x").unwrap();
    std::fs::write(place.path("cleanup.yaml"), "retention: {hours: 3}\n").unwrap();
    let config = place.config(CONFIG);
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    assert_eq!(expire_ms(&daemon, &file), Some(3 * 3_600_000));
    let reload = || {
        let reloaded = daemon.post("/v1/reload", "");
        daemon.wait_until_ready();
        reloaded
    };

    std::fs::write(&env, "RETENTION_HOURS=24  # Daily\n").unwrap();
    let (status, reloaded) = reload();
    assert_eq!(
        (status, &reloaded["restart"]),
        (200, &json!([])),
        "{reloaded}"
    );
    assert_eq!(expire_ms(&daemon, &file), Some(24 * 3_600_000));

    // The default is an hour: the file would go at once.
    for lost in ["", "RETENTION=24\n"] {
        std::fs::write(&env, lost).unwrap();
        let (status, refused) = reload();
        assert_eq!(status, 422, "{refused}");
        assert!(
            refused
                .to_string()
                .contains("variable RETENTION_HOURS was in a file"),
            "{refused}"
        );
    }
    std::fs::remove_file(&env).unwrap();
    let (status, refused) = reload();
    assert_eq!(status, 422, "{refused}");
    assert_eq!(
        expire_ms(&daemon, &file),
        Some(24 * 3_600_000),
        "what runs goes on"
    );
    let told = lines(&place.run(&["status"])).join("\n");
    assert!(told.contains("config: the last reload failed"), "{told}");

    place.make_dir("other");
    std::fs::write(&env, "RETENTION_HOURS=2\nUPLOADS=other\n").unwrap();
    let (status, reloaded) = reload();
    assert_eq!(status, 200, "{reloaded}");
    assert_eq!(
        reloaded["restart"],
        json!(["the path of root \"data\" (to \"other\")"])
    );
    assert_eq!(expire_ms(&daemon, &file), Some(2 * 3_600_000));
}

#[test]
fn check_tells_of_the_files_of_variables() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.make_dir("data");
    let env = place.path(".env");
    std::fs::write(&env, "RETENTION_HOUR=24\nSECRET_KEY=hunter2\ntwo words\n").unwrap();
    std::fs::write(
        place.path("cleanup.yaml"),
        "retention: {hours: 3}\nother: 1\n",
    )
    .unwrap();
    let config = place.config(CONFIG);
    let check = ["check", "--config", config.to_str().unwrap()];
    let told = lines(&place.run(&check)).join(" ");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for wanted in [
        "(2 names; used: retention.hours)",
        "(2 names; none is used)",
        "does not use: \"RETENTION_HOUR\"",
        "does not use: \"other\"",
        "not understood, and skipped: line 3",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(
        !told.contains("hunter2") && !told.contains("SECRET_KEY"),
        "{told}"
    );
    std::fs::set_permissions(&env, PermissionsExt::from_mode(0o664)).unwrap();
    let refused = place.run(&check);
    assert_ne!(refused.status.code(), Some(0));
    assert!(
        errors(&refused).contains("chmod go-w"),
        "{}",
        errors(&refused)
    );
}
