//! Roots come and go, lie in one another, hold mounts and are mounted over: what is not of a root is never touched.

mod mounts;
mod nested;
mod presence;

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::trees::{assert_agrees, root_status, set_age, write};
use crate::common::{Daemon, wait_for};

/// What is younger than an hour stays, what is older goes at once: a file's own time alone decides.
const BY_MTIME: &str = r#"
    [[root]]
    name = "root"
    path = "in/root"
    [[rule]]
    since = "mtime"
    expire = "1h"
"#;

/// Makes a file that `BY_MTIME` lets go at once: aged before it gets its name, so that it is never seen young.
fn write_old(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"old").unwrap();
    set_age(path, Duration::from_hours(2)).unwrap();
}

fn wait_until_phase(daemon: &Daemon, root: &str, phase: &str) {
    wait_for(&format!("{root} is {phase}"), || {
        (root_status(daemon, root)["phase"] == phase).then_some(())
    });
}

#[track_caller]
fn wait_until_gone(path: &Path) {
    wait_for(&format!("{} goes", path.display()), || {
        path.symlink_metadata().is_err().then_some(())
    });
}

/// The daemon does its work in `root`: what is old goes, what is young is known.
#[track_caller]
fn assert_works(daemon: &Daemon, root: &Path, what: &str) {
    let (old, young) = (root.join("at/work/old"), root.join("at/work/young"));
    write(&young, 2);
    write_old(&old);
    wait_until_gone(&old);
    let files = assert_agrees(daemon, root, what);
    assert!(files.contains_key(&young), "{what}");
}
