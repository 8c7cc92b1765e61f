//! Removals that can be undone: what was removed comes back as it was, while its window lasts.

mod attributes;
mod displaced;
mod orders;
mod without_daemon;

use std::path::Path;

use serde_json::{Value, json};

use crate::common::trees::{snapshot, write};
use crate::common::{Daemon, Place, lines, wait_for};

/// Directories and files that lapse at once and stay in the trash for so long.
fn config(unit: &str, undo: &str) -> String {
    format!(
        "[[root]]\npath = \"data\"\n[[rule]]\nname = \"old\"\nroot = \"data\"\nunit = \"{unit}\"\n\
         since = \"mtime\"\nexpire = \"0s\"\nundo = \"{undo}\"\n"
    )
}

/// A daemon on a root `data`, whose files or directories go to the trash as soon as they come.
fn begin(unit: &str, undo: &str) -> (Place, Daemon) {
    let place = Place::new();
    place.make_dir("data");
    place.config(&config(unit, undo));
    let daemon = place.serve_again();
    (place, daemon)
}

/// What the trash has, newest first.
#[track_caller]
fn trash(daemon: &Daemon) -> Vec<Value> {
    let (status, trash) = daemon.get("/v1/trash?limit=10000");
    assert_eq!(status, 200, "{trash}");
    trash["things"].as_array().unwrap().clone()
}

/// Writes a file, and waits until it is in the trash. Returns its number.
#[track_caller]
fn trashed(place: &Place, daemon: &Daemon, name: &str) -> u64 {
    write(&place.path(name), 10);
    in_trash(place, daemon, name)
}

/// Waits until what was at `name` is in the trash. Returns its number.
#[track_caller]
fn in_trash(place: &Place, daemon: &Daemon, name: &str) -> u64 {
    let path = json!(place.path(name));
    wait_for(&format!("{name} is in the trash"), || {
        let mut things = trash(daemon).into_iter();
        let id = things.find(|thing| thing["path"] == path)?["id"]
            .as_u64()
            .unwrap();
        // It is listed before it has arrived there.
        kept(place).contains(&id.to_string()).then_some(id)
    })
}

/// `lapsed undo --json`, with its exit status.
#[track_caller]
fn undo(place: &Place, what: &[&str]) -> (Option<i32>, Value) {
    let output = place.run(&[&["undo", "--json"], what].concat());
    let told = lines(&output);
    assert_eq!(told.len(), 1, "{output:?}");
    (
        output.status.code(),
        serde_json::from_str(&told[0]).unwrap(),
    )
}

/// Names directly in the quarantine's trash, of things and manifests.
fn kept(place: &Place) -> Vec<String> {
    let listed = std::fs::read_dir(place.path("data/.lapsed/trash"));
    let mut names: Vec<String> = listed
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What a rename leaves as it is: inode, mode, links, time of the content.
type Unmoved = (u64, u32, u64, i64, i64);

/// All that a rename leaves as it is, by path.
fn content(dir: &Path) -> Vec<(std::path::PathBuf, Unmoved)> {
    let all = snapshot(dir).into_iter();
    let all = all.map(|(path, (ino, mode, nlink, _, mtime, nsec))| {
        let below = path.strip_prefix(dir).unwrap().to_path_buf();
        (below, (ino, mode, nlink, mtime, nsec))
    });
    all.collect()
}
