//! Quarantines that others have made, and modes and owners.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::common::evidence::{Marks, census, explained, holds, ledger, stays, wait_until_settled};
use crate::common::machine::has_other_users;
use crate::common::{Place, wait_for, wait_or_tell};

/// A quarantine that was there before us, and is not to be trusted until `mend` has mended it.
fn holds_until_mended(make: impl Fn(&Place, &Path), says: &str, mend: impl Fn(&Path)) {
    let place = Place::new();
    let root = place.make_dir("root");
    fs::create_dir(place.path("outside")).unwrap();
    fs::write(place.path("outside/file"), "outside").unwrap();
    let quarantine = root.join(".lapsed");
    make(&place, &quarantine);
    fs::write(root.join("old"), "old").unwrap();
    let marks = |path: &Path| {
        let meta = path.symlink_metadata().unwrap();
        (meta.mode(), meta.uid(), meta.ino())
    };
    let before = (marks(&quarantine), census(&place.path("outside")));
    let daemon = place.serve_ready(&["--watch", &format!("{}=100ms", root.display())]);
    let why = wait_for("it is held", || {
        holds(&daemon).remove("no-quarantine").map(|(_, why)| why)
    });
    assert!(why.contains(says), "{why}");
    let (_, mend_line) = why
        .split_once('\n')
        .expect("a second line says what mends it");
    assert!(!mend_line.is_empty());
    let explained = explained(&place, &root.join("old"));
    assert!(
        explained.contains(says) && explained.contains(mend_line),
        "{explained}"
    );
    daemon.wait_until_said("no-quarantine");
    assert!(root.join("old").exists());
    assert_eq!((marks(&quarantine), census(&place.path("outside"))), before);
    assert_eq!(ledger(&place).len(), 0);

    mend(&quarantine);
    wait_for("it goes on by itself", || {
        (!root.join("old").exists()).then_some(())
    });
    wait_for("the hold is over", || {
        holds(&daemon).is_empty().then_some(())
    });
    assert_eq!(census(&place.path("outside")), before.1);
}

#[test]
fn a_quarantine_that_is_a_link_is_not_used() {
    holds_until_mended(
        |place, path| symlink(place.path("outside"), path).unwrap(),
        "is no directory",
        |path| fs::remove_file(path).unwrap(),
    );
}

#[test]
fn a_quarantine_that_is_a_file_is_not_used() {
    holds_until_mended(
        |_, path| fs::write(path, "mine").unwrap(),
        "is no directory",
        |path| fs::remove_file(path).unwrap(),
    );
}

#[test]
fn a_quarantine_that_others_can_enter_is_not_used() {
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    holds_until_mended(
        |_, path| {
            fs::create_dir(path).unwrap();
            set(path, 0o777);
        },
        "its mode is 0777",
        |path| set(path, 0o700),
    );
}

#[test]
fn a_quarantine_of_another_user_is_not_used() {
    if !has_other_users() {
        return;
    }
    holds_until_mended(
        |_, path| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
        },
        "belongs to user id 65534",
        |path| std::os::unix::fs::chown(path, Some(0), Some(0)).unwrap(),
    );
}

#[test]
fn modes_and_owners_are_never_changed() {
    let place = Place::new();
    let root = place.make_dir("root");
    let units = place.make_dir("units");
    let modes = [
        0o000, 0o400, 0o444, 0o600, 0o640, 0o664, 0o777, 0o4755, 0o2755, 0o1644,
    ];
    let is_root = rustix::process::geteuid().is_root();
    for (dir, dir_mode) in [
        ("plain", 0o755),
        ("shut", 0o711),
        ("sticky", 0o1777),
        ("set", 0o2775),
    ] {
        for kept in ["keep", "go"] {
            let dir = root.join(dir).join(kept);
            fs::create_dir_all(&dir).unwrap();
            for mode in modes {
                let path = dir.join(format!("{mode:04o}"));
                let file = OpenOptions::new()
                    .create_new(true)
                    .write(true)
                    .mode(0o600)
                    .open(&path);
                file.unwrap().write_all(b"old").unwrap();
                if is_root && mode % 3 == 0 {
                    std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
                }
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        fs::set_permissions(root.join(dir), fs::Permissions::from_mode(dir_mode)).unwrap();
        let unit = units.join(dir);
        fs::create_dir_all(unit.join("a")).unwrap();
        for name in ["a/x", "a/x.log", "run.log"] {
            fs::write(unit.join(name), "old").unwrap();
        }
        fs::set_permissions(&unit, fs::Permissions::from_mode(dir_mode)).unwrap();
        fs::set_permissions(unit.join("a"), fs::Permissions::from_mode(dir_mode)).unwrap();
    }
    fs::set_permissions(&root, fs::Permissions::from_mode(0o1775)).unwrap();
    let config = place.config(
        r#"
        [[root]]
        path = "root"
        [[root]]
        path = "units"
        [[rule]]
        root = "root"
        exclude = ["*/keep"]
        # As an unprivileged user one cannot know whether a file is open that one cannot read.
        skip_open = "if-known"
        expire = "300ms"
        [[rule]]
        root = "units"
        unit = "dir"
        keep = ["**/*.log"]
        expire = "300ms"
        "#,
    );
    let marks = |top: &Path| -> BTreeMap<PathBuf, Marks> {
        let mut all = census(top);
        all.retain(|path, _| !path.components().any(|part| part.as_os_str() == ".lapsed"));
        all
    };
    let before = (marks(&root), marks(&units), root.metadata().unwrap().mode());
    let daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let goes = |path: &Path, marks: &Marks| {
        marks.content.is_some() && (path.iter().any(|part| part == "go") || path.ends_with("a/x"))
    };
    // By their names: who opens what is about to go makes it stay.
    let going: Vec<PathBuf> = [&before.0, &before.1]
        .into_iter()
        .flatten()
        .filter(|(path, marks)| goes(path, marks))
        .map(|(path, _)| path.clone())
        .collect();
    wait_or_tell(
        "everything that lapses is gone",
        || (!going.iter().any(|path| path.symlink_metadata().is_ok())).then_some(()),
        || stays(&daemon),
    );
    wait_until_settled(&root);
    wait_until_settled(&units);
    daemon.sync();
    let expected = |before: &BTreeMap<PathBuf, Marks>| -> BTreeMap<PathBuf, Marks> {
        let stays = before.iter().filter(|(path, marks)| !goes(path, marks));
        stays
            .map(|(path, marks)| (path.clone(), marks.clone()))
            .collect()
    };
    assert_eq!(marks(&root), expected(&before.0));
    assert_eq!(marks(&units), expected(&before.1));
    assert_eq!(root.metadata().unwrap().mode(), before.2);
}
