//! What is due and stays: because it is open, may not be moved, or cannot be recorded. It says why, once, tries again when that
//! can help, and goes on by itself.

mod denials;
mod disks;
mod open;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::common::evidence::{holds, stays};
use crate::common::machine::{NOBODY, is_root};
use crate::common::others::unprivileged;
use crate::common::{Daemon, Place, wait_for, wait_or_tell};

/// Starts a daemon that has no privileges.
fn serve_unprivileged(place: &Place, arguments: &[&str]) -> Daemon {
    let mut command = unprivileged(place);
    command.arg("serve").args(arguments);
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    daemon
}

fn give_to_nobody(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// How many lines of what the daemon said have `text` in them.
fn said(daemon: &Daemon, text: &str) -> usize {
    daemon
        .said()
        .lines()
        .filter(|line| line.contains(text))
        .count()
}

#[track_caller]
fn wait_for_hold(daemon: &Daemon, code: &str, count: u64) -> String {
    wait_or_tell(
        &format!("{count} under the hold {code:?}"),
        || {
            let (held, why) = holds(daemon).remove(code)?;
            (held == count).then_some(why)
        },
        || stays(daemon),
    )
}

#[track_caller]
fn wait_until_gone(daemon: &Daemon, paths: &[PathBuf]) {
    wait_or_tell(
        "they go",
        || (!paths.iter().any(|path| path.symlink_metadata().is_ok())).then_some(()),
        || stays(daemon),
    );
    wait_or_tell(
        "no hold is left",
        || holds(daemon).is_empty().then_some(()),
        || stays(daemon),
    );
}

/// How often the threads of the daemon that are named `name` have slept: one that has nothing to do does not wake.
fn sleeps(daemon: &Daemon, name: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let status = tasks
        .flatten()
        .map(|task| fs::read_to_string(task.path().join("status")).unwrap());
    status
        .filter(|status| status.lines().next() == Some(&format!("Name:\t{name}")))
        .map(|status| -> u64 {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.unwrap().trim().parse().unwrap()
        })
        .sum()
}

#[track_caller]
fn wait_until_all_gone(paths: &[PathBuf]) {
    wait_for("what nothing holds goes", || {
        (!paths.iter().any(|path| path.exists())).then_some(())
    });
}
