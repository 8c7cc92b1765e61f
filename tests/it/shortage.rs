//! Descriptors run out, for a moment or for good: nothing is taken for missing, and the work goes on.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::trees::{removals, root_status};
use crate::common::{Daemon, Place, wait_for, wait_or_tell};

/// Directories of the tree, with ten files each.
const DIRS: usize = 100;

/// Starts a daemon that may have `limit` files open, on `root` with files that live for half a second.
fn serve(place: &Place, root: &Path, limit: u32) -> Daemon {
    let lapsed = place.lapsed();
    let mut command = Command::new("sh");
    command
        .current_dir(lapsed.get_current_dir().unwrap())
        .args(["-c", "ulimit -n \"$0\" && exec \"$@\""])
        .arg(limit.to_string())
        .arg(lapsed.get_program())
        .args(["serve", "--watch", &format!("{}=500ms", root.display())]);
    for (name, value) in lapsed.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon
}

fn write_files(root: &Path, round: usize) {
    for dir in 0..DIRS {
        let dir = root.join(dir.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        for file in 0..10 {
            std::fs::write(dir.join(format!("{round}-{file}")), b"x").unwrap();
        }
    }
}

/// Files beneath `root`.
fn left(root: &Path) -> Vec<PathBuf> {
    crate::common::walk(root).into_keys().collect()
}

#[track_caller]
fn wait_until_all_gone(daemon: &Daemon, root: &Path) {
    wait_or_tell(
        "all files go",
        || left(root).is_empty().then_some(()),
        || format!("{} are left; {}", left(root).len(), daemon.said()),
    );
}

#[test]
fn clients_that_take_all_connections_leave_enough_for_the_work() {
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = serve(&place, &root, 128);
    daemon.wait_until_ready();
    let idle: Vec<UnixStream> = (0..120)
        .filter_map(|_| UnixStream::connect(place.socket()).ok())
        .collect();
    assert!(!idle.is_empty());
    for round in 0..3 {
        write_files(&root, round);
    }
    wait_until_all_gone(&daemon, &root);
    drop(idle);
    wait_for("there is room for clients again", || {
        (daemon.get("/v1/health").0 == 200).then_some(())
    });
    let status = root_status(&daemon, "root");
    assert_eq!(status["phase"], "ready", "{status}");
    assert_eq!(removals(&daemon).len(), 3 * DIRS * 10);
}

#[test]
fn with_hardly_any_descriptors_the_work_goes_on() {
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = serve(&place, &root, 64);
    daemon.wait_until_ready();
    for round in 0..3 {
        write_files(&root, round);
    }
    wait_until_all_gone(&daemon, &root);
    assert!(!daemon.said().contains("missing"), "{}", daemon.said());
}
