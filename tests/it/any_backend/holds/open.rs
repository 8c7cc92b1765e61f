//! Files that are open.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{said, wait_for_hold, wait_until_all_gone, wait_until_gone};
use crate::common::evidence::{explained, ledger, results, wait_until_recorded};
use crate::common::{Place, wait_for};

/// Another program that has a file open until it is dropped.
struct Holder(Child);

impl Holder {
    /// A shell that opens `path` with the redirection `how`.
    fn shell(how: &str, path: &Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec 3{how}\"$0\"; echo ready; read line")])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self(child)
    }

    /// A program that runs: mapped into memory, with no descriptor.
    fn program(path: &Path) -> Self {
        let sleep = ["/bin/sleep", "/usr/bin/sleep"].map(Path::new);
        let sleep = sleep.iter().find(|path| path.exists()).unwrap();
        fs::copy(sleep.canonicalize().unwrap(), path).unwrap();
        // Some systems have one program for many commands, which goes by its name.
        let child = Command::new(path)
            .arg0("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        wait_for("it runs", || {
            let runs = fs::read_link(format!("/proc/{}/exe", child.id())).ok()?;
            (runs == path).then_some(())
        });
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_somebody_has_open_is_held_as_the_rule_says() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        glob = "always/*"
        expire = "300ms"
        [[rule]]
        glob = "known/*"
        expire = "300ms"
        skip_open = "if-known"
        [[rule]]
        glob = "never/*"
        expire = "300ms"
        skip_open = false
        "#,
    );
    let names = ["read", "written", "run", "linked", "closed"];
    let mut holders = Vec::new();
    for dir in ["always", "known", "never"] {
        let dir = root.join(dir);
        fs::create_dir(&dir).unwrap();
        for name in ["read", "written", "linked", "closed"] {
            fs::write(dir.join(name), "content").unwrap();
        }
        let link = place.path(&format!("{}-link", dir.file_name().unwrap().display()));
        fs::hard_link(dir.join("linked"), &link).unwrap();
        holders.push(Holder::shell("<", &dir.join("read")));
        holders.push(Holder::shell(">>", &dir.join("written")));
        holders.push(Holder::shell("<>", &link));
        holders.push(Holder::program(&dir.join("run")));
    }
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let path = |dir: &str, name: &str| root.join(dir).join(name);
    wait_until_all_gone(&names.map(|name| path("never", name)));
    wait_until_all_gone(&["always", "known"].map(|dir| path(dir, "closed")));
    let why = wait_for_hold(&daemon, "open", 8);
    assert!(why.contains("somebody has it open"), "{why}");
    for dir in ["always", "known"] {
        for name in ["read", "written", "run", "linked"] {
            let path = path(dir, name);
            assert!(path.exists());
            assert_eq!(
                daemon.files("")[&path]["hold"],
                "open",
                "{}",
                path.display()
            );
            let explained = explained(&place, &path);
            assert!(explained.contains("somebody has it open"), "{explained}");
        }
    }
    drop(holders);
    let left: Vec<PathBuf> = ["always", "known"]
        .iter()
        .flat_map(|dir| names.map(|name| path(dir, name)))
        .collect();
    wait_until_gone(&daemon, &left);
    let by_path = wait_until_recorded(&place, &left);
    for path in left {
        assert_eq!(results(&by_path, &path), ["removed"], "{}", path.display());
    }
    assert_eq!(said(&daemon, "hold=\"open\""), 8, "each is said once");
}

#[test]
fn a_directory_in_which_something_is_open_stays_whole() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config_of_units("300ms", "");
    for dir in ["used/a", "used/b", "free/a"] {
        fs::create_dir_all(root.join(dir)).unwrap();
        fs::write(root.join(dir).join("file"), "content").unwrap();
    }
    let holder = Holder::shell("<", &root.join("used/b/file"));
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let why = wait_for_hold(&daemon, "open", 1);
    assert!(why.contains("used/b/file"), "{why}");
    wait_until_all_gone(&[root.join("free")]);
    assert_eq!(crate::common::walk(&root.join("used")).len(), 2);
    let explained = explained(&place, &root.join("used/a/file"));
    assert!(explained.contains("used/b/file"), "{explained}");
    drop(holder);
    wait_until_gone(&daemon, &[root.join("used")]);
}

#[test]
fn an_open_file_that_is_written_to_under_its_hold_gets_a_new_deadline() {
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = place.serve_ready(&["--watch", &format!("{}=500ms", root.display())]);
    let path = root.join("log");
    let mut log = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(&path)
        .unwrap();
    for _ in 0..3 {
        log.write_all(b"line\n").unwrap();
        wait_for_hold(&daemon, "open", 1);
    }
    log.write_all(b"last\n").unwrap();
    let newest = crate::common::evidence::newest_ms(&log.metadata().unwrap());
    drop(log);
    wait_until_gone(&daemon, std::slice::from_ref(&path));
    wait_until_recorded(&place, &[path]);
    let lines = ledger(&place);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["bytes"], 20);
    assert!(
        crate::common::evidence::ms(&lines[0]["at"]) >= newest + 500,
        "{}",
        lines[0]
    );
}
