//! Daemons in namespaces of their own, where a test may mount what it likes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Daemon, Place};

/// A daemon in a user and mount namespace of its own, for which `mounts` (shell commands) are carried out first.
pub fn serve_in_namespace(place: &Place, mounts: &str, config: &Path) -> Daemon {
    let mut command = Command::new("unshare");
    command
        .args(["-Urm", "sh", "-c"])
        .arg(format!(
            "set -e; {mounts}; exec \"$0\" serve --config \"$1\""
        ))
        .arg(env!("CARGO_BIN_EXE_lapsed"))
        .arg(config)
        .current_dir(place.path(""))
        .env("LAPSED_STATE_DIR", place.path("state"))
        .env("LAPSED_SOCKET", place.socket());
    super::backend().tell(&mut command);
    let daemon = Daemon::start(command, place.socket());
    daemon.wait_until_up();
    daemon.wait_until_ready();
    daemon
}

/// `path` as the daemon in its namespace sees it.
pub fn within(daemon: &Daemon, path: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", daemon.child.id()));
    root.join(path.strip_prefix("/").unwrap())
}

/// Runs a command in the daemon's namespace.
pub fn run_within(daemon: &Daemon, command: &[&str]) {
    let output = Command::new("nsenter")
        .args(["--preserve-credentials", "-U", "-m", "-t"])
        .arg(daemon.child.id().to_string())
        .args(command)
        .output()
        .expect("nsenter of util-linux");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        super::errors(&output)
    );
}

/// Writes until there is no more room.
pub fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}
