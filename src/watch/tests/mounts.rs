//! Mounts beneath roots, over roots and above them.

use std::fs;
use std::process::Command;

use super::harness::{Bench, unshared};

fn run(program: &str, args: &[&std::ffi::OsStr]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

fn mount_tmpfs(bench: &Bench, at: &str) {
    let options = ["-t", "tmpfs", "none"].map(std::ffi::OsStr::new);
    let at = bench.path(at);
    run("mount", &[&options[..], &[at.as_os_str()]].concat());
}

fn bind(bench: &Bench, from: &str, to: &str) {
    let (from, to) = (bench.path(from), bench.path(to));
    run(
        "mount",
        &["--bind".as_ref(), from.as_os_str(), to.as_os_str()],
    );
}

fn unmount(bench: &Bench, at: &str) {
    run("umount", &[bench.path(at).as_os_str()]);
}

#[test]
fn what_is_mounted_beneath_a_root_is_not_entered_and_hides_what_it_covers() {
    if !unshared(
        &["--mount"],
        "mounts::what_is_mounted_beneath_a_root_is_not_entered_and_hides_what_it_covers",
    ) {
        return;
    }
    let mut bench = Bench::watching(&["root", "elsewhere"]);
    fs::create_dir_all(bench.path("root/a/on/sub")).unwrap();
    fs::write(bench.path("root/a/on/sub/f"), b"x").unwrap();
    fs::write(bench.path("root/file"), b"x").unwrap();
    fs::write(bench.path("elsewhere/g"), b"x").unwrap();
    assert_eq!(
        bench.assert_agrees(0, "root").paths(),
        ["a/on/sub/f", "file"]
    );
    let watches = bench.watcher().stats().watches;
    for round in ["tmpfs", "bind"] {
        if round == "tmpfs" {
            mount_tmpfs(&bench, "root/a/on");
        } else {
            // Of the same device: it does not show in the device number.
            bind(&bench, "elsewhere", "root/a/on");
        }
        fs::write(bench.path("root/a/on/inside"), b"x").unwrap();
        let model = bench.synced(0);
        assert_eq!(model.paths(), ["file"], "{round}");
        assert_eq!(model.dirs.len(), 1, "{round}");
        assert_eq!(bench.watcher().stats().watches, watches - 2, "{round}");
        unmount(&bench, "root/a/on");
        let model = bench.assert_agrees(0, "root");
        assert_eq!(model.paths(), ["a/on/sub/f", "file"], "{round}");
        assert_eq!(bench.watcher().stats().watches, watches, "{round}");
    }
    fs::write(bench.path("root/a/on/sub/new"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").files.len(), 3);
    // A file can be mounted on as well: then it is not ours.
    bind(&bench, "elsewhere/g", "root/file");
    assert_eq!(bench.synced(0).paths(), ["a/on/sub/f", "a/on/sub/new"]);
    unmount(&bench, "root/file");
    assert_eq!(bench.assert_agrees(0, "root").files.len(), 3);
}

#[test]
fn a_root_that_is_mounted_over_is_another_root() {
    if !unshared(
        &["--mount"],
        "mounts::a_root_that_is_mounted_over_is_another_root",
    ) {
        return;
    }
    let mut bench = Bench::watching(&["in/root"]);
    fs::write(bench.path("in/root/below"), b"x").unwrap();
    let before = bench.assert_agrees(0, "in/root");
    mount_tmpfs(&bench, "in/root");
    fs::write(bench.path("in/root/above"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "in/root").paths(), ["above"]);
    // No descriptor of ours keeps it busy.
    unmount(&bench, "in/root");
    let model = bench.assert_agrees(0, "in/root");
    assert_eq!(
        (model.paths(), model.key),
        (vec!["below".into()], before.key)
    );
    // Above the root.
    mount_tmpfs(&bench, "in");
    assert_eq!(bench.synced(0).key, None);
    unmount(&bench, "in");
    assert_eq!(bench.assert_agrees(0, "in/root").paths(), ["below"]);
}

#[test]
fn a_root_that_is_mounted_in_its_own_place_is_listed_again() {
    if !unshared(
        &["--mount"],
        "mounts::a_root_that_is_mounted_in_its_own_place_is_listed_again",
    ) {
        return;
    }
    let mut bench = Bench::watching(&["root"]);
    fs::create_dir_all(bench.path("root/a/b")).unwrap();
    fs::write(bench.path("root/a/b/f"), b"x").unwrap();
    let before = bench.assert_agrees(0, "root");
    // The same directory: a file system that was away and is back looks no different.
    bind(&bench, "root", "root");
    fs::write(bench.path("root/a/b/g"), b"x").unwrap();
    let after = bench.assert_agrees(0, "root");
    assert_eq!(
        (after.key, after.found, after.reconciled),
        (before.key, before.found, before.reconciled + 1)
    );
    unmount(&bench, "root");
    fs::write(bench.path("root/a/b/h"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").files.len(), 3);
    assert_eq!(bench.watcher().stats().watches, 3);
}

#[test]
fn one_tree_seen_through_two_mounts_is_watched_for_both() {
    if !unshared(
        &["--mount"],
        "mounts::one_tree_seen_through_two_mounts_is_watched_for_both",
    ) {
        return;
    }
    let mut bench = Bench::new();
    fs::create_dir_all(bench.path("real/a")).unwrap();
    fs::create_dir(bench.path("alias")).unwrap();
    bind(&bench, "real", "alias");
    let options = bench.options(&["real", "alias"]);
    bench.start(options);
    fs::write(bench.path("real/a/f"), b"x").unwrap();
    fs::create_dir(bench.path("alias/b")).unwrap();
    fs::write(bench.path("alias/b/g"), b"x").unwrap();
    for (id, name) in [(0, "real"), (1, "alias")] {
        assert_eq!(bench.assert_agrees(id, name).paths(), ["a/f", "b/g"]);
    }
    fs::rename(bench.path("real/a"), bench.path("real/c")).unwrap();
    for (id, name) in [(0, "real"), (1, "alias")] {
        let model = bench.assert_agrees(id, name);
        assert_eq!((model.paths().len(), model.moved), (2, 1));
    }
    // One of the two roots goes: the other one still hears.
    bench.watcher().set_roots(vec![bench.root(1, "alias")]);
    fs::write(bench.path("real/c/h"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(1, "alias").files.len(), 3);
}
