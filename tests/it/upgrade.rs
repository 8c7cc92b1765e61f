//! State directory of an earlier build of version 0.1: its ledger and its registry are read as they are.
//!
//! `tests/state-0.1` was written by such a build: by removals of files, of a directory, and of what a
//! job owned, by pins, and by jobs that were put through the API.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::common::commands::said;
use crate::common::evidence::ledger;
use crate::common::trees::write;
use crate::common::{Place, lines, wait_for};
use serde_json::{Value, json};

const STATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/state-0.1");
const SEGMENT: &str = "ledger/00000000000000000002.jsonl";

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o600)).unwrap();
}

#[track_caller]
fn rows(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let rows = said(place, arguments);
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

#[test]
fn the_ledger_and_the_registry_of_an_earlier_build_are_read() {
    let place = Place::new();
    let (state, from) = (place.make_dir("state"), Path::new(STATE));
    place.make_dir("state/ledger");
    for name in [SEGMENT, "ledger/next-id", "registry.db"] {
        copy(&from.join(name), &state.join(name));
    }
    // The pin of a file, whose root was elsewhere.
    let root = place.make_dir("data");
    let kept = root.join("keep");
    write(&kept, 1);
    rusqlite::Connection::open(state.join("registry.db"))
        .unwrap()
        .execute("UPDATE pin SET path = ?1", [kept.as_os_str().as_bytes()])
        .unwrap();
    let config = place.config(
        "[[root]]\nname = \"data\"\npath = \"data\"\nowner = \"{job}/**\"\nsource = \"api\"\n\
         [[rule]]\nname = \"ended\"\njob = \"completed\"\nunit = \"job\"\nsince = \"completed_at\"\nexpire = \"0s\"\n\
         [[rule]]\nname = \"temporary\"\nglob = \"*.tmp\"\nexpire = \"0s\"\n\
         [[rule]]\nname = \"all\"\nexpire = \"0s\"\n",
    );
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);

    let text = std::fs::read_to_string(from.join(SEGMENT)).unwrap();
    let newest_first: Vec<&str> = text.lines().rev().collect();
    let history = ["history", "--limit", "0"];
    let printed = lines(&place.run(&[&history[..], &["--json"]].concat()));
    assert_eq!(printed, newest_first);
    let table = said(&place, &history).join("\n");
    for part in [
        "job j1: /srv/older/data/j1",
        "/srv/older/scratch/top",
        "/srv/older/data/plain.tmp",
        "pinned: pin 1 of root",
    ] {
        assert!(table.contains(part), "{part:?} in {table}");
    }
    let of_job = said(&place, &["history", "--job", "j1", "--rule", "ended"]);
    assert_eq!(of_job.len(), 2, "{of_job:?}");
    let totals = daemon.get("/v1/stats").1["totals"].clone();
    let mut totals = totals.as_array().unwrap().iter();
    let temporary = totals.find(|total| total["rule"] == "temporary").unwrap();
    assert_eq!(temporary["files"], 2);

    let pins = rows(&place, &["pin", "ls", "--json"]);
    assert_eq!(pins.len(), 1);
    assert_eq!(pins[0]["why"], "a fixture");
    let jobs = rows(&place, &["job", "ls", "--json"]);
    let ids: Vec<&Value> = jobs.iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, ["held", "j1"]);
    let (_, job) = daemon.get("/v1/jobs/held");
    assert_eq!(
        (&job["status"], &job["kind"], &job["attributes"]),
        (
            &json!("running"),
            &json!("fixture"),
            &json!({"owner": "ann"})
        )
    );

    // Both are gone on with.
    write(&root.join("new.tmp"), 1);
    let count = newest_first.len() + 1;
    wait_for("it lapses", || {
        (ledger(&place).len() == count).then_some(())
    });
    let last = &rows(&place, &["history", "--json", "--limit", "1"])[0];
    assert_eq!(last["rule"], "temporary");
    assert!(last["id"].as_u64() >= Some(10), "{last}");
    write(&root.join("j1/out"), 1);
    wait_for("what a known job owns lapses with it", || {
        (!root.join("j1").exists()).then_some(())
    });
    assert!(kept.exists(), "the pin holds it");
}
