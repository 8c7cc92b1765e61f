//! Mounts over a root and in it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{BY_MTIME, assert_works, wait_until_gone, wait_until_phase, write_old};
use crate::common::trees::{
    Mounted, alone, assert_agrees, assert_agrees_but, configured, removals, snapshot, write,
};
use crate::common::{Daemon, Place, wait_for};

/// The quarantines that a daemon has open.
fn open_quarantines(daemon: &Daemon) -> Vec<PathBuf> {
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    open.filter(|path| path.ends_with(".lapsed")).collect()
}

#[test]
fn a_root_that_is_mounted_over_is_left_alone_until_it_is_back() {
    if !alone(
        &["--mount"],
        "a_root_that_is_mounted_over_is_left_alone_until_it_is_back",
    ) {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("in/root");
    write(&root.join("below/young"), 1);
    let daemon = configured(&place, BY_MTIME);
    assert_works(&daemon, &root, "before");
    let below = assert_agrees(&daemon, &root, "before");

    let mounted = Mounted::tmpfs(&root);
    assert_works(&daemon, &root, "on the mount");
    assert_eq!(assert_agrees(&daemon, &root, "on the mount").len(), 1);
    // The quarantine there is locked; the lock does not outlast the place.
    drop(mounted);
    assert_eq!(assert_agrees(&daemon, &root, "below again"), below);
    assert_works(&daemon, &root, "below again");
    wait_for("one quarantine is open", || {
        let open = open_quarantines(&daemon);
        (open == [root.join(".lapsed")]).then_some(())
    });

    // Above the root there is another file system now, without the root, then with one.
    let mounted = Mounted::tmpfs(&place.path("in"));
    wait_until_phase(&daemon, "root", "missing");
    place.make_dir("in/root");
    assert_works(&daemon, &root, "in the mount");
    drop(mounted);
    assert_works(&daemon, &root, "below once more");
    assert!(below.keys().all(|path| path.exists()));
}

#[test]
fn mounts_beneath_a_root_are_not_entered_and_nothing_on_them_is_removed() {
    if !alone(
        &["--mount"],
        "mounts_beneath_a_root_are_not_entered_and_nothing_on_them_is_removed",
    ) {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("in/root");
    let elsewhere = place.make_dir("elsewhere");
    write_old(&elsewhere.join("sub/old"));
    place.make_dir("in/root/tmpfs");
    place.make_dir("in/root/a/bind");
    let _tmpfs = Mounted::tmpfs(&root.join("tmpfs"));
    // Of the same device as the root: the device number does not tell.
    let _bind = Mounted::bind(&elsewhere, &root.join("a/bind"));
    write_old(&root.join("tmpfs/sub/old"));
    let before = (snapshot(&elsewhere), snapshot(&root.join("tmpfs")));
    let daemon = configured(&place, BY_MTIME);
    // Later, over directories that are known.
    write(&root.join("b/later/sub/covered"), 5);
    write(&root.join("b/young"), 6);
    daemon.sync();
    assert_eq!(daemon.files("").len(), 2);
    let later = Mounted::bind(&elsewhere, &root.join("b/later"));
    let hidden = ["tmpfs", "a/bind", "b/later"].map(|name| root.join(name));
    assert_agrees_but(&daemon, &root, &hidden, "over a known directory");
    // Changes on the mounts are nobody's business here.
    write_old(&root.join("tmpfs/sub/more"));
    write_old(&root.join("b/later/sub/more"));
    fs::remove_file(root.join("tmpfs/sub/more")).unwrap();
    fs::remove_file(root.join("b/later/sub/more")).unwrap();
    assert_works_but(&daemon, &root, &hidden);
    let (status, report) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
    assert_eq!((status, &report["files"]), (200, &0.into()), "{report}");
    assert!(elsewhere.join("sub/old").exists() && root.join("tmpfs/sub/old").exists());
    assert_eq!(
        (
            snapshot(&elsewhere).len(),
            snapshot(&root.join("tmpfs")).len()
        ),
        (before.0.len(), before.1.len())
    );
    later.unmount();
    assert_agrees_but(
        &daemon,
        &root,
        &hidden[..2],
        "the covered directory is back",
    );
    assert!(
        daemon
            .files("")
            .contains_key(&root.join("b/later/sub/covered"))
    );
    for (path, _) in removals(&daemon) {
        assert!(path.ends_with("at/work/old"), "{path:?}");
    }
}

/// As [`assert_works`], on a root with mounts in it.
#[track_caller]
fn assert_works_but(daemon: &Daemon, root: &Path, hidden: &[PathBuf]) {
    let old = root.join("at/work/old");
    write_old(&old);
    wait_until_gone(&old);
    assert_agrees_but(daemon, root, hidden, "beside mounts");
}

#[test]
fn a_unit_with_a_mount_inside_is_held_and_stays_whole() {
    if !alone(
        &["--mount"],
        "a_unit_with_a_mount_inside_is_held_and_stays_whole",
    ) {
        return;
    }
    let place = Place::new();
    let root = place.make_dir("root");
    let elsewhere = place.make_dir("elsewhere");
    write_old(&elsewhere.join("old"));
    let before = snapshot(&elsewhere);
    for unit in ["tmpfs", "bind", "free"] {
        write(&root.join(unit).join("deep/mount/covered"), 1);
        write(&root.join(unit).join("file"), 1);
    }
    let tmpfs = Mounted::tmpfs(&root.join("tmpfs/deep/mount"));
    let bind = Mounted::bind(&elsewhere, &root.join("bind/deep/mount"));
    write_old(&root.join("tmpfs/deep/mount/old"));
    let config = r#"
        [[root]]
        path = "root"
        [[rule]]
        unit = "dir"
        expire = "100ms"
    "#;
    let daemon = configured(&place, config);
    wait_until_gone(&root.join("free"));
    wait_for("the other units are held", || {
        let (_, status) = daemon.get("/v1/status");
        let holds = status["holds"].as_array().unwrap().clone();
        let held = holds.iter().find(|hold| hold["code"] == "mount-inside")?;
        (held["count"] == 2).then_some(())
    });
    for unit in ["tmpfs", "bind"] {
        assert!(root.join(unit).join("file").exists(), "{unit}");
        assert!(root.join(unit).join("deep/mount/old").exists(), "{unit}");
    }
    assert_eq!(snapshot(&elsewhere), before);
    // When the mount goes, so does the unit: nothing changed in it since.
    tmpfs.unmount();
    bind.unmount();
    wait_until_gone(&root.join("tmpfs"));
    wait_until_gone(&root.join("bind"));
    assert_eq!(snapshot(&elsewhere), before);
}
