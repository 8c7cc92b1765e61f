//! Directories that may not be changed.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use super::{
    give_to_nobody, said, serve_unprivileged, set_mode, sleeps, wait_for_hold, wait_until_all_gone,
    wait_until_gone,
};
use crate::common::evidence::{
    explained, quarantine, results, wait_until_recorded, wait_until_settled,
};
use crate::common::machine::{NOBODY, has_other_users, is_root};
use crate::common::{Place, wait_for};

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
    let config = place.config_of_units("300ms", "");
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

#[test]
fn units_in_a_root_that_may_not_be_changed_go_on_when_it_may() {
    let place = Place::new();
    let root = place.make_dir("root");
    let config = place.config_of_units("300ms", "");
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
