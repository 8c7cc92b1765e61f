//! File systems that are full or read-only, and immutable files.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{said, wait_for_hold, wait_until_gone};
use crate::common::evidence::{explained, holds, ledger, quarantine, stays};
use crate::common::machine::note;
use crate::common::namespace::{fill, run_within, serve_in_namespace, within};
use crate::common::{Place, wait_for, wait_or_tell};

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
