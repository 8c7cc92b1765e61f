//! Roots that vanish, return or are replaced.

use std::fs;
use std::os::unix::fs::symlink;

use super::{BY_MTIME, assert_works, wait_until_gone, wait_until_phase, write_old};
use crate::common::Place;
use crate::common::trees::{assert_agrees, configured, root_status, snapshot, write};

#[test]
fn a_root_that_is_deleted_and_made_again_is_taken_up_again() {
    let place = Place::new();
    let root = place.make_dir("in/root");
    write(&root.join("a/young"), 1);
    let daemon = configured(&place, BY_MTIME);
    for round in 0..3 {
        assert_works(&daemon, &root, "before");
        fs::remove_dir_all(&root).unwrap();
        wait_until_phase(&daemon, "root", "missing");
        assert!(daemon.files("").is_empty());
        assert_eq!(root_status(&daemon, "root")["entries"], 0);
        let (_, health) = daemon.get("/v1/health");
        assert_eq!(
            health["status"], "holding",
            "a missing root is nothing to be calm about"
        );
        assert!(!root.exists(), "it makes no roots while it runs");
        if round == 1 {
            fs::remove_dir(place.path("in")).unwrap();
        }
        place.make_dir("in/root/x/y");
        wait_until_phase(&daemon, "root", "ready");
    }
    // Deleted and made again faster than anybody looks.
    for round in 0..20 {
        // Nothing appears in it meanwhile: nothing is due.
        fs::remove_dir_all(&root).unwrap();
        write(&root.join(format!("a/b/{round}")), round);
    }
    assert_eq!(assert_agrees(&daemon, &root, "after quick rounds").len(), 1);
    assert_works(&daemon, &root, "after quick rounds");
}

#[test]
fn another_directory_in_the_roots_place_is_another_root() {
    let place = Place::new();
    let root = place.make_dir("in/root");
    write(&root.join("mine/young"), 1);
    let other = place.make_dir("other");
    write(&other.join("theirs/young"), 22);
    write_old(&other.join("theirs/old"));
    let daemon = configured(&place, BY_MTIME);
    fs::rename(&root, place.path("aside")).unwrap();
    fs::rename(&other, &root).unwrap();
    wait_until_gone(&root.join("theirs/old"));
    let files = assert_agrees(&daemon, &root, "the other directory");
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        [&root.join("theirs/young")]
    );
    // What has been the root is of no concern any more, whatever is written there.
    write_old(&place.path("aside/mine/old"));
    assert_works(&daemon, &root, "the other directory");
    assert!(place.path("aside/mine/old").exists());
    // In exchange, in one step.
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    let here = rustix::fs::CWD;
    rustix::fs::renameat_with(here, &root, here, place.path("aside"), flags).unwrap();
    wait_until_gone(&root.join("mine/old"));
    assert_works(&daemon, &root, "the first directory again");
    assert!(place.path("aside/theirs/young").exists());
}

#[test]
fn a_symbolic_link_in_the_roots_place_leads_nowhere() {
    let place = Place::new();
    let root = place.make_dir("in/root");
    let elsewhere = place.make_dir("elsewhere");
    write_old(&elsewhere.join("root/sub/old"));
    write_old(&elsewhere.join("old"));
    let before = snapshot(&elsewhere);
    let daemon = configured(&place, BY_MTIME);
    write(&root.join("young"), 1);
    // The root itself, then a directory above it.
    for (from, target) in [
        (root.clone(), elsewhere.join("root")),
        (place.path("in"), elsewhere.clone()),
    ] {
        fs::rename(&from, place.path("aside")).unwrap();
        symlink(&target, &from).unwrap();
        wait_until_phase(&daemon, "root", "missing");
        daemon.sync();
        assert!(daemon.files("").is_empty());
        let (status, _) = daemon.post("/v1/clean", r#"{"dry_run": false}"#);
        assert!(status == 200 || status == 409, "{status}");
        fs::remove_file(&from).unwrap();
        fs::rename(place.path("aside"), &from).unwrap();
        assert_works(&daemon, &root, "the root is back");
        assert_eq!(snapshot(&elsewhere), before);
    }
    // Back and forth, while there is work to do.
    for _ in 0..30 {
        write_old(&root.join("sub/old"));
        fs::rename(&root, place.path("aside")).unwrap();
        symlink(elsewhere.join("root"), &root).unwrap();
        fs::remove_file(&root).unwrap();
        fs::rename(place.path("aside"), &root).unwrap();
    }
    wait_until_gone(&root.join("sub/old"));
    assert_eq!(snapshot(&elsewhere), before);
}

#[test]
fn a_root_that_is_not_there_at_the_start_is_waited_for() {
    let place = Place::new();
    let config = r#"
        [[root]]
        name = "root"
        path = "not/yet/in/root"
        [[root]]
        name = "here"
        path = "here"
        [[rule]]
        since = "mtime"
        expire = "1h"
    "#;
    place.make_dir("here");
    let daemon = configured(&place, config);
    let line = root_status(&daemon, "root");
    assert_eq!(line["phase"], "missing");
    assert!(
        line["why"]
            .as_str()
            .is_some_and(|why| why.contains("no such file")),
        "{line}"
    );
    assert_works(&daemon, &place.path("here"), "the other root");
    // Its parents come one by one, one of them from elsewhere and already with something in it.
    place.make_dir("not/yet");
    place.make_dir("made/root/sub");
    write_old(&place.path("made/root/sub/old"));
    write(&place.path("made/root/sub/young"), 3);
    daemon.sync();
    assert_eq!(root_status(&daemon, "root")["phase"], "missing");
    fs::rename(place.path("made"), place.path("not/yet/in")).unwrap();
    let root = place.path("not/yet/in/root");
    wait_until_gone(&root.join("sub/old"));
    assert_works(&daemon, &root, "the root came");
    // And all of them go again.
    fs::remove_dir_all(place.path("not")).unwrap();
    wait_until_phase(&daemon, "root", "missing");
    assert_works(&daemon, &place.path("here"), "the other root");
    // A file in its place is no root.
    place.make_dir("not/yet/in");
    fs::write(&root, b"a file").unwrap();
    daemon.sync();
    assert_eq!(root_status(&daemon, "root")["phase"], "missing");
    fs::remove_file(&root).unwrap();
    place.make_dir("not/yet/in/root");
    assert_works(&daemon, &root, "the root came again");
}
