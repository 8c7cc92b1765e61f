//! What is due and stays: because it is open, may not be moved, or cannot be recorded. It says why, once, tries again when that
//! can help, and goes on by itself.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::evidence::{
    explained, holds, ledger, quarantine, results, stays, wait_until_recorded, wait_until_settled,
};
use crate::common::machine::{NOBODY, has_other_users, is_root, note};
use crate::common::namespace::{fill, run_within, serve_in_namespace, within};
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

#[track_caller]
fn wait_until_all_gone(paths: &[PathBuf]) {
    wait_for("what nothing holds goes", || {
        (!paths.iter().any(|path| path.exists())).then_some(())
    });
}

#[test]
fn a_directory_in_which_something_is_open_stays_whole() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "300ms"
        "#,
    );
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
fn a_directory_that_may_not_be_changed_is_told_once_and_goes_on_when_it_may() {
    const FILES: usize = 300;
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        glob = "timer"
        expire = "4s"
        unit = "dir"
        [[rule]]
        expire = "300ms"
        "#,
    );
    let (shut, free) = (root.join("shut"), root.join("free"));
    for dir in [&shut, &free] {
        fs::create_dir(dir).unwrap();
        give_to_nobody(dir);
        for file in 0..FILES {
            let path = dir.join(file.to_string());
            fs::write(&path, "content").unwrap();
            give_to_nobody(&path);
        }
    }
    give_to_nobody(&root);
    set_mode(&shut, 0o555);
    let daemon = serve_unprivileged(&place, &["--config", config.to_str().unwrap()]);
    let why = wait_for_hold(&daemon, "denied", FILES as u64);
    let me = if is_root() {
        NOBODY
    } else {
        rustix::process::geteuid().as_raw()
    };
    let mend = format!("give user id {me} write and search permission");
    assert!(why.contains(&mend) && why.contains("root/shut"), "{why}");
    let explained = explained(&place, &shut.join("7"));
    assert!(explained.contains(&mend), "{explained}");
    wait_for("the others go", || {
        crate::common::walk(&free).is_empty().then_some(())
    });
    assert_eq!(said(&daemon, "hold=\"denied\""), 1);
    assert_eq!(said(&daemon, &mend), 1);
    assert_eq!(crate::common::walk(&shut).len(), FILES);

    // Meanwhile nobody tries again: not one of the threads that could is woken.
    let before = wait_for("the others are through", || {
        let before = sleeps(&daemon, "reap-files");
        daemon.sync();
        let at_rest = quarantine(&root).is_empty() && sleeps(&daemon, "reap-files") == before;
        at_rest.then_some(before)
    });
    let timer = root.join("timer");
    fs::create_dir(&timer).unwrap();
    give_to_nobody(&timer);
    wait_for("time passes", || (!timer.exists()).then_some(()));
    assert_eq!(
        sleeps(&daemon, "reap-files"),
        before,
        "it tries over and over"
    );

    set_mode(&shut, 0o755);
    let all: Vec<PathBuf> = (0..FILES).map(|file| shut.join(file.to_string())).collect();
    wait_until_gone(&daemon, &all);
    assert_eq!(said(&daemon, "hold=\"denied\""), 1);
    let by_path = wait_until_recorded(&place, &all);
    for path in all {
        assert_eq!(results(&by_path, &path), ["removed"], "{}", path.display());
    }
    wait_until_settled(&root);
}

#[test]
fn a_unit_with_a_directory_that_may_not_be_changed_stays_whole() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "300ms"
        "#,
    );
    for dir in ["unit", "unit/free", "unit/shut", "unit/shut/empty"] {
        fs::create_dir(root.join(dir)).unwrap();
        fs::write(root.join(dir).join("file"), "content").unwrap();
        give_to_nobody(&root.join(dir).join("file"));
        give_to_nobody(&root.join(dir));
    }
    give_to_nobody(&root);
    set_mode(&root.join("unit/shut"), 0o555);
    let daemon = serve_unprivileged(&place, &["--config", config.to_str().unwrap()]);
    let why = wait_for_hold(&daemon, "denied", 1);
    assert!(why.contains("unit/shut"), "{why}");
    assert_eq!(crate::common::walk(&root).len(), 4, "all or nothing");
    set_mode(&root.join("unit/shut"), 0o755);
    wait_until_gone(&daemon, &[root.join("unit")]);
    assert_eq!(said(&daemon, "hold=\"denied\""), 1);
}

#[test]
fn others_files_in_a_sticky_directory_are_held_with_what_would_mend_it() {
    if !has_other_users() {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        glob = "open-or-not/*"
        expire = "300ms"
        [[rule]]
        expire = "300ms"
        skip_open = false
        "#,
    );
    for dir in ["open-or-not", "sticky"] {
        let dir = root.join(dir);
        fs::create_dir(&dir).unwrap();
        for (name, owner) in [("theirs", 1234), ("theirs-too", 1234), ("ours", NOBODY)] {
            fs::write(dir.join(name), "content").unwrap();
            chown(dir.join(name), Some(owner), Some(owner)).unwrap();
        }
        set_mode(&dir, 0o1777);
    }
    give_to_nobody(&root);
    let daemon = serve_unprivileged(&place, &["--config", config.to_str().unwrap()]);
    wait_until_all_gone(&[root.join("sticky/ours"), root.join("open-or-not/ours")]);
    let why = wait_for_hold(&daemon, "denied", 2);
    assert!(
        why.contains("sticky (mode 1777, owner 0)") && why.contains("CAP_FOWNER"),
        "{why}"
    );
    let why = wait_for_hold(&daemon, "open-unknown", 2);
    assert!(
        why.contains("CAP_LEASE") && why.contains("skip_open"),
        "{why}"
    );
    // However busy the directory is, there is nothing new to say; what is ours goes on going.
    for round in 0..30 {
        let (brief, ours) = (
            root.join("sticky/brief"),
            root.join(format!("sticky/ours-{round}")),
        );
        fs::write(&brief, "content").unwrap();
        fs::write(&ours, "content").unwrap();
        chown(&ours, Some(NOBODY), None).unwrap();
        daemon.sync();
        fs::remove_file(&brief).unwrap();
    }
    wait_for("ours go", || {
        let left = fs::read_dir(root.join("sticky")).unwrap().count();
        (left == 2).then_some(())
    });
    wait_for_hold(&daemon, "denied", 2);
    assert_eq!(said(&daemon, "hold=\"denied\""), 1);

    let theirs = ["theirs", "theirs-too"].map(|name| root.join("sticky").join(name));
    assert!(theirs.iter().all(|path| path.exists()));
    set_mode(&root.join("sticky"), 0o777);
    wait_until_all_gone(&theirs);
    for name in ["theirs", "theirs-too"] {
        chown(root.join("open-or-not").join(name), Some(NOBODY), None).unwrap();
    }
    // They are ours now, so the directory's being sticky is no matter.
    let rest = ["theirs", "theirs-too"].map(|name| root.join("open-or-not").join(name));
    wait_until_gone(&daemon, &rest);
}

/// Returns true for root of the machine with that capability: root of a user namespace has it in vain.
fn may_make_immutable() -> bool {
    let capabilities = rustix::thread::capabilities(None).unwrap();
    let users = fs::read_to_string("/proc/self/uid_map").unwrap();
    let is_machine = users.split_whitespace().nth(2) == Some("4294967295");
    is_machine
        && capabilities
            .effective
            .contains(rustix::thread::CapabilitySet::LINUX_IMMUTABLE)
}

#[test]
fn an_immutable_file_is_held_until_it_is_none() {
    let place = Place::new();
    let root = place.make_dir("root");
    let path = root.join("immutable");
    fs::write(&path, "content").unwrap();
    let attribute = |how: &str| {
        let done = Command::new("chattr")
            .arg(how)
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        done.is_ok_and(|status| status.success())
    };
    if !may_make_immutable() {
        note("it needs root of the machine, with the capability CAP_LINUX_IMMUTABLE");
        return;
    }
    assert!(
        attribute("+i"),
        "this test needs chattr(1) (package e2fsprogs) and, for TMPDIR, a file system that knows immutable files, such as ext4"
    );
    let daemon = place.serve_ready(&["--watch", &format!("{}=300ms", root.display())]);
    let why = wait_or_tell(
        "it is held",
        || holds(&daemon).remove("denied"),
        || {
            attribute("-i");
            stays(&daemon)
        },
    );
    let is_there = path.exists();
    assert!(attribute("-i"));
    assert!(is_there && why.1.contains("lsattr"), "{why:?}");
    wait_until_gone(&daemon, &[path]);
}

#[test]
fn without_room_for_the_record_nothing_goes() {
    let place = Place::new();
    // The cache has room: what it cannot save would be held for that reason.
    let (root, state) = (place.make_dir("root"), place.make_dir("state/ledger"));
    let config = place.config("[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"700ms\"\n");
    let mount = format!("mount -t tmpfs -o size=512k none {}", state.display());
    let daemon = serve_in_namespace(&place, &mount, &config);
    fs::write(root.join("before"), "content").unwrap();
    wait_until_gone(&daemon, &[root.join("before")]);

    let filler = within(&daemon, &state).join("filler");
    fill(&filler);
    // The last block of a file may have room for a few records: such removals are recorded.
    let files: Vec<PathBuf> = (0..200).map(|file| root.join(file.to_string())).collect();
    for path in &files {
        fs::write(path, "content").unwrap();
    }
    let left = || -> Vec<&PathBuf> { files.iter().filter(|path| path.exists()).collect() };
    let why = wait_or_tell(
        "all that is left is held",
        || {
            let (held, why) = holds(&daemon).remove("ledger-unavailable")?;
            (held == left().len() as u64).then_some(why)
        },
        || stays(&daemon),
    );
    assert!(why.contains("no space left on device"), "{why}");
    let left = left();
    assert!(left.len() >= 50, "{left:?}");
    let explained = explained(&place, left[7]);
    assert!(
        explained.contains("the removal cannot be recorded"),
        "{explained}"
    );
    // Not while all of them are tried again.
    wait_for("the hold is said", || {
        (daemon.get("/v1/health").1["status"] == "holding").then_some(())
    });
    let mut contents = left.iter().map(|path| fs::read_to_string(path).unwrap());
    assert!(contents.all(|content| content == "content"));
    assert_eq!(quarantine(&root), [""; 0]);
    // Each record that fits ends the hold until the next one.
    let recorded = files.len() - left.len();
    let said = said(&daemon, "hold=\"ledger-unavailable\"");
    assert!((1..=1 + recorded).contains(&said), "{said}, {recorded}");

    fs::remove_file(filler).unwrap();
    wait_until_gone(&daemon, &files);
    let output = place.run(&["history", "--json", "-n", "0"]);
    assert_eq!(
        crate::common::lines(&output).len(),
        201,
        "{}",
        crate::common::errors(&output)
    );
}

#[test]
fn a_root_that_has_run_full_is_emptied() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config("[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"700ms\"\n");
    let mount = format!("mount -t tmpfs -o size=256k none {}", root.display());
    let daemon = serve_in_namespace(&place, &mount, &config);
    let inside = within(&daemon, &root);
    for round in 0..2 {
        fill(&inside.join(format!("filler-{round}")));
        let full = fs::write(inside.join("one-more"), vec![b'x'; 4096]);
        assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        wait_or_tell(
            "all of it goes",
            || crate::common::walk(&inside).is_empty().then_some(()),
            || stays(&daemon),
        );
    }
    wait_for("all of it is recorded", || {
        (ledger(&place).len() == 4).then_some(())
    });
}

#[test]
fn on_a_read_only_file_system_things_are_held_until_it_is_none() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config("[[root]]\npath = \"root\"\n[[rule]]\nexpire = \"700ms\"\n");
    // Once with a quarantine that cannot be made, since it is read-only before the root is found; once with one that is there.
    let mount = format!(
        "mount -t tmpfs none {0} && mkdir {0}/first && (cd {0}/first && seq 0 29 | xargs touch) && mount --options-mode ignore -o remount,ro {0}",
        root.display()
    );
    let daemon = serve_in_namespace(&place, &mount, &config);
    let inside = within(&daemon, &root);
    let remount = |how: &str| {
        // Not with the options of the mount, in which the user's id is that outside of the namespace.
        let mount = ["mount", "--options-mode", "ignore", "-o", how];
        run_within(&daemon, &[&mount[..], &[root.to_str().unwrap()]].concat());
    };
    for (code, dir) in [("no-quarantine", "first"), ("denied", "second")] {
        let files: Vec<PathBuf> = (0..30)
            .map(|file| inside.join(dir).join(file.to_string()))
            .collect();
        if code == "denied" {
            fs::create_dir(inside.join(dir)).unwrap();
            for path in &files {
                fs::write(path, "content").unwrap();
            }
            remount("remount,ro");
        }
        let why = wait_for_hold(&daemon, code, 30);
        assert!(
            why.contains("mount") && why.contains("for writing"),
            "{why}"
        );
        assert!(files.iter().all(|path| path.exists()));
        // The log comes through a pipe of its own.
        daemon.wait_until_said(&format!("hold=\"{code}\""));
        assert_eq!(said(&daemon, &format!("hold=\"{code}\"")), 1);
        remount("remount,rw");
        // Nothing else changes there: no event tells of it.
        wait_until_gone(&daemon, &files);
    }
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

#[test]
fn units_in_a_root_that_may_not_be_changed_go_on_when_it_may() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "300ms"
        "#,
    );
    give_to_nobody(&root);
    let daemon = serve_unprivileged(&place, &["--config", config.to_str().unwrap()]);
    let make = |name: &str| {
        let unit = root.join(name);
        fs::create_dir(&unit).unwrap();
        fs::write(unit.join("file"), "content").unwrap();
        give_to_nobody(&unit.join("file"));
        give_to_nobody(&unit);
        unit
    };
    wait_until_gone(&daemon, &[make("before")]);
    let units = ["one", "two", "three"].map(make);
    set_mode(&root, 0o555);
    let why = wait_for_hold(&daemon, "denied", 3);
    assert!(why.contains("write and search permission"), "{why}");
    set_mode(&root, 0o755);
    wait_until_gone(&daemon, &units);
}
