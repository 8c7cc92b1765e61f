//! A backup has what must not be lost, and a daemon goes on from it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::commands::{refused, said};
use crate::common::{Place, wait_for, walk};

const CONFIG: &str = "[[root]]\nname = \"data\"\npath = \"data\"\nowner = \"{job}/**\"\nsource = \"api\"\n\
    [[rule]]\nname = \"temporary\"\nglob = \"*.tmp\"\nexpire = \"0s\"\n";

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn assert_private(dir: &Path) {
    assert_eq!(mode(dir), 0o700, "{}", dir.display());
    assert_eq!(mode(&dir.join("ledger")), 0o700);
    for file in walk(dir).keys() {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

#[test]
fn a_daemon_goes_on_from_a_backup_with_its_jobs_pins_and_history() {
    let place = Place::new();
    let root = place.make_dir("data");
    let config = place.config(CONFIG);
    let config = config.to_str().unwrap();
    let mut daemon = place.serve_ready(&["--config", config]);
    std::fs::write(root.join("kept.tmp.no"), b"x").unwrap();
    let job = json!({"status": "running"}).to_string();
    let put = crate::common::http::Request::new("PUT", "/v1/jobs/seven").json(&job);
    assert_eq!(daemon.send(&put).status, 201);
    let kept = root.join("later.tmp");
    let pin = json!({"path": kept, "for": "7d", "why": "wanted"}).to_string();
    assert_eq!(daemon.post("/v1/pins", &pin).0, 201);
    std::fs::write(&kept, b"x").unwrap();
    let gone = root.join("gone.tmp");
    std::fs::write(&gone, b"x").unwrap();
    wait_for("it goes", || (!gone.exists()).then_some(()));
    let history = wait_for("it is told", || {
        let (_, history) = daemon.get("/v1/history?rule=temporary");
        let lines = history["removals"].as_array().unwrap().clone();
        (!lines.is_empty()).then_some(lines)
    });

    let backup = |name: &str| {
        let dir = place.path(name);
        said(
            &place,
            &["backup", dir.to_str().unwrap(), "--config", config],
        );
        assert_private(&dir);
        dir
    };
    let dir = backup("running");
    let again = refused(
        &place,
        &["backup", dir.to_str().unwrap(), "--config", config],
    );
    assert!(again.contains("is not empty"), "{again}");
    daemon.stop();
    drop(daemon);
    place.make_dir("stopped");
    let stopped = backup("stopped");
    let left = std::fs::read_dir(place.path("")).unwrap().flatten();
    let names: Vec<_> = left.map(|entry| entry.file_name()).collect();
    let is_draft = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(".lapsed-backup");
    assert!(!names.iter().any(is_draft), "{names:?}");

    for dir in [dir, stopped] {
        let manifest = std::fs::read(dir.join("manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["configuration"].as_str(), Some(config));
        let text = std::fs::read_to_string(dir.join("lapsed.toml")).unwrap();
        assert_eq!(text, std::fs::read_to_string(config).unwrap());
        // As the README says.
        let _ = std::fs::remove_dir_all(place.path("state"));
        let state = place.make_dir("state");
        place.make_dir("state/ledger");
        copy(&dir.join("registry.db"), &state.join("registry.db"));
        for entry in std::fs::read_dir(dir.join("ledger")).unwrap().flatten() {
            copy(&entry.path(), &state.join("ledger").join(entry.file_name()));
        }
        let daemon = place.serve_ready(&["--config", config]);
        daemon.sync();
        assert_eq!(daemon.get("/v1/jobs/seven").1["status"], "running");
        assert_eq!(daemon.get("/v1/pins").1["pins"][0]["why"], "wanted");
        let (_, after) = daemon.get("/v1/history?rule=temporary");
        assert_eq!(after["removals"].as_array(), Some(&history));
        assert!(kept.exists(), "it is pinned");
    }
}
