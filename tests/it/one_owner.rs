//! A root has one owner: of two processes on one root, the second one removes nothing of it and says who has it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::common::trees::{configured, set_age};
use crate::common::{Daemon, Place, wait_for};
use serde_json::Value;

/// A place with a root, and a second state directory and socket for it.
struct Shared {
    place: Place,
    root: PathBuf,
}

impl Shared {
    fn new() -> Self {
        let place = Place::new();
        let root = place.make_dir("root");
        Self { place, root }
    }

    /// The configuration under which everything called `*.{ending}` lapses after an hour.
    fn config(ending: &str) -> String {
        format!(
            "[[root]]\nname = \"root\"\npath = \"root\"\n\
             [[rule]]\nglob = \"**/*.{ending}\"\nsince = \"mtime\"\nexpire = \"1h\"\n"
        )
    }

    /// The command `lapsed` with the second state directory.
    fn second(&self) -> Command {
        let file = self.place.path("second.toml");
        std::fs::write(&file, Self::config("second")).unwrap();
        let mut command = self.place.lapsed();
        command
            .env("LAPSED_STATE_DIR", self.place.path("second-state"))
            .env("LAPSED_SOCKET", self.place.path("second.sock"))
            .env("LAPSED_CONFIG", file);
        command
    }

    fn write_old(&self, name: &str) -> PathBuf {
        let path = self.root.join(name);
        std::fs::write(&path, b"old").unwrap();
        set_age(&path, Duration::from_hours(2)).unwrap();
        path
    }

    /// The first daemon, which has removed something.
    fn first(&self) -> Daemon {
        let daemon = configured(&self.place, &Self::config("first"));
        let path = self.write_old("old.first");
        wait_until_gone(&path);
        daemon
    }
}

#[track_caller]
fn wait_until_gone(path: &Path) {
    wait_for(&format!("{} goes", path.display()), || {
        path.symlink_metadata().is_err().then_some(())
    });
}

/// What `status` says of the root's owner.
fn in_use(daemon: &Daemon) -> Option<Value> {
    let (_, status) = daemon.get("/v1/status");
    let holds = status["holds"].as_array().unwrap();
    let hold = holds.iter().find(|hold| hold["code"] == "root-in-use");
    hold.cloned()
}

#[test]
fn a_second_daemon_removes_nothing_until_the_first_has_ended() {
    let shared = Shared::new();
    let mut first = shared.first();
    let mut command = shared.second();
    command.arg("serve");
    let second = Daemon::start(command, shared.place.path("second.sock"));
    second.wait_until_up();
    second.wait_until_ready();
    // It is said before anything is due.
    let hold = wait_for("the second one says who has the root", || in_use(&second));
    let pid = format!("process {} ", first.child.id());
    assert!(hold["why"].as_str().unwrap().contains(&pid), "{hold}");
    assert_eq!(hold["count"], 0);

    let due = shared.write_old("due.second");
    second.sync();
    wait_for("what is due there is held", || {
        in_use(&second).filter(|hold| hold["count"] == 1)
    });
    assert!(due.exists());
    let path = shared.write_old("more.first");
    wait_until_gone(&path);

    first.kill();
    wait_until_gone(&due);
    wait_for("nothing is held any more", || {
        in_use(&second).is_none().then_some(())
    });
    // One line has told of it, whatever was tried again meanwhile.
    let said = second.said();
    assert_eq!(said.matches("already removes").count(), 1, "{said}");
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", crate::common::errors(output));
    })
}

#[test]
fn a_run_without_a_daemon_keeps_off_a_root_that_a_daemon_has() {
    let shared = Shared::new();
    let mut first = shared.first();
    let due = shared.write_old("due.second");
    let clean = || shared.second().args(["clean", "--json"]).output().unwrap();
    let refused = report(&clean());
    let items: Vec<&Value> = ["held", "errors"]
        .iter()
        .flat_map(|part| refused[*part].as_array().unwrap())
        .collect();
    assert_eq!(items.len(), 1, "{refused}");
    assert_eq!(items[0]["hold"], "root-in-use", "{refused}");
    let pid = format!("process {} ", first.child.id());
    assert!(items[0]["why"].as_str().unwrap().contains(&pid));
    assert!(due.exists());

    first.stop();
    let done = report(&clean());
    assert_eq!(done["files"], 1, "{done}");
    assert!(!due.exists());
}

#[test]
fn who_only_looks_locks_nothing_and_makes_no_quarantine() {
    let shared = Shared::new();
    let due = shared.write_old("due.second");
    let quarantine = shared.root.join(".lapsed");
    for arguments in [&["plan"][..], &["clean", "--dry-run"], &["check"]] {
        let output = shared.second().args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            crate::common::errors(&output)
        );
        assert!(!quarantine.exists(), "{arguments:?}");
    }
    let mut command = shared.second();
    command.args(["serve", "--dry-run"]);
    let dry = Daemon::start(command, shared.place.path("second.sock"));
    dry.wait_until_up();
    dry.wait_until_ready();
    dry.sync();
    assert!(!quarantine.exists());
    // Nor where there is one: another daemon may have the root.
    let first = shared.first();
    assert!(quarantine.exists() && due.exists());
    assert!(in_use(&first).is_none() && in_use(&dry).is_none());
}
