//! The daemon under `strace`, which counts its system calls or has them fail.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Daemon, Place};

/// Starts the daemon with `config` under `strace` with these arguments.
pub fn traced(place: &Place, arguments: &[&str], config: &Path) -> Daemon {
    let is_there = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    is_there.expect("strace is needed: install the package of this name");
    let lapsed = place.lapsed();
    let mut command = Command::new("strace");
    for (name, value) in lapsed.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.args(["-f", "-qq"]).args(arguments);
    command
        .arg(lapsed.get_program())
        .arg("serve")
        .arg("--config")
        .arg(config);
    command.current_dir(place.dir.path());
    Daemon::start(command, place.socket())
}

/// Ends a daemon under `strace`, and waits for both.
pub fn end_traced(daemon: &mut Daemon) {
    let pid = child_of(daemon.child.id());
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    daemon.wait();
}

/// The only child of a process.
fn child_of(pid: u32) -> rustix::process::Pid {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap();
    rustix::process::Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}
