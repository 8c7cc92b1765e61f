//! Names that are more, or less, than a file: hard links, symbolic links, and bytes that are no text.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::Duration;

use crate::common::trees::{
    assert_agrees, configured, instant_ms, newest_ms, now_ms, removals, set_age, snapshot, write,
};
use crate::common::{Place, lines, wait_for};

#[test]
fn each_name_of_a_file_is_an_entry_of_its_own() {
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = configured(
        &place,
        r#"
        [[root]]
        path = "root"
        [[rule]]
        glob = "short/**"
        expire = "1s"
        [[rule]]
        expire = "1h"
        "#,
    );
    write(&root.join("short/a"), 9);
    place.make_dir("root/long");
    fs::hard_link(root.join("short/a"), root.join("short/b")).unwrap();
    fs::hard_link(root.join("short/a"), root.join("long/c")).unwrap();
    fs::hard_link(root.join("short/a"), place.path("outside")).unwrap();
    assert_eq!(assert_agrees(&daemon, &root, "three names").len(), 3);
    wait_for("the names that are due go", || {
        (fs::read_dir(root.join("short")).unwrap().count() == 0).then_some(())
    });
    // Gone from their places, and after that for good.
    wait_for("two names are left", || {
        (place.path("outside").metadata().unwrap().nlink() == 2).then_some(())
    });
    assert_eq!(fs::read(root.join("long/c")).unwrap().len(), 9);
    assert_eq!(assert_agrees(&daemon, &root, "one name is left").len(), 1);
    let told = removals(&daemon);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn a_file_that_is_written_through_a_name_elsewhere_does_not_go_early() {
    const TTL_MS: i64 = 700;
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = place.serve_ready(&["--watch", &format!("{}=700ms", root.display())]);
    let (inside, outside) = (root.join("inside"), place.path("outside"));
    write(&outside, 1);
    fs::hard_link(&outside, &inside).unwrap();
    daemon.sync();
    let first = instant_ms(&daemon.files("")[&inside]["deadline"]);
    // Nobody tells the daemon of this. The last write is well after the first deadline.
    let mut newest = 0;
    wait_for("deadlines pass unnoticed", || {
        assert!(inside.exists(), "it went while it was being written");
        fs::write(&outside, b"more").unwrap();
        newest = newest_ms(&outside.metadata().unwrap());
        (newest > first + 2 * TTL_MS).then_some(())
    });
    wait_for("it goes", || (!inside.exists()).then_some(()));
    assert!(now_ms() >= newest + TTL_MS);
    assert_eq!(fs::read(&outside).unwrap(), b"more");
}

#[test]
fn names_that_are_not_utf_8_are_listed_explained_and_removed() {
    let place = Place::new();
    let root = place.make_dir("root");
    let daemon = configured(
        &place,
        r#"
        [[root]]
        path = "root"
        [[rule]]
        name = "odd"
        glob = "odd*/**"
        expire = "3s"
        [[rule]]
        name = "rest"
        expire = "1h"
        "#,
    );
    let names: [&[u8]; 5] = [
        b"odd\xff\xfe/\xc3\x28",
        b"odd\xff\xfe/new\nline \"quoted\" \\ \x1b[31m",
        b"odd/\x80",
        b"\xf0\x9f\xa6\x80/crab \xff",
        b" / leading and trailing ",
    ];
    let paths = names.map(|name| root.join(OsStr::from_bytes(name)));
    for path in &paths {
        write(path, 3);
    }
    assert_eq!(
        assert_agrees(&daemon, &root, "odd names").len(),
        paths.len()
    );
    for (path, entry) in daemon.files("") {
        let is_text = path.to_str().is_some();
        assert_eq!(entry.get("path_b64").is_none(), is_text, "{entry}");
        let mut explain = place.lapsed();
        let output = explain
            .args(["explain", "--json"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(crate::common::path_of(&told), path);
        assert_eq!(told["rule"], entry["rule"], "{told}");
    }
    // For people, nothing that would play with their terminal.
    let table = place.run(&["ls"]);
    assert!(table.status.success());
    assert!(!table.stdout.contains(&0x1b), "{:?}", lines(&table));
    wait_for("the odd ones lapse", || {
        paths[..3].iter().all(|path| !path.exists()).then_some(())
    });
    assert!(paths[3..].iter().all(|path| path.exists()));
    let told = wait_for("the ledger tells", || {
        let told = removals(&daemon);
        (told.len() == 3).then_some(told)
    });
    for (path, line) in told {
        assert!(paths[..3].contains(&path), "{line}");
    }
}

#[test]
fn symbolic_links_are_neither_followed_nor_removed_by_rules_for_files() {
    let place = Place::new();
    let root = place.make_dir("root");
    let precious = place.make_dir("precious");
    write(&precious.join("sub/file"), 4);
    set_age(&precious.join("sub/file"), Duration::from_hours(5)).unwrap();
    let before = snapshot(&precious);
    let daemon = configured(
        &place,
        r#"
        [[root]]
        path = "root"
        [[rule]]
        name = "dirs"
        unit = "dir"
        glob = "unit*"
        expire = "1s"
        [[rule]]
        name = "files"
        expire = "1s"
        "#,
    );
    write(&root.join("inner/file"), 4);
    let links = [
        ("inner/to-file", precious.join("sub/file")),
        ("inner/to-dir", precious.clone()),
        ("inner/to-neighbour", "file".into()),
        ("to-inner", "inner".into()),
        ("dangling", "nowhere".into()),
        ("to-itself", "to-itself".into()),
        ("unit-link", precious.clone()),
    ];
    for (name, target) in &links {
        symlink(target, root.join(name)).unwrap();
    }
    place.make_dir("root/unit/deep");
    symlink(&precious, root.join("unit/deep/to-dir")).unwrap();
    symlink(precious.join("sub/file"), root.join("unit/to-file")).unwrap();
    write(&root.join("unit/own"), 1);
    daemon.sync();
    let known: Vec<_> = daemon.files("").into_keys().collect();
    assert_eq!(known, [root.join("inner/file"), root.join("unit/own")]);
    wait_for("file and unit go", || {
        let gone = !root.join("inner/file").exists() && !root.join("unit").exists();
        gone.then_some(())
    });
    for (name, target) in &links {
        assert_eq!(fs::read_link(root.join(name)).unwrap(), *target, "{name}");
    }
    // A link in the place of a directory that is known: what is behind it is not ours.
    write(&root.join("turned/sub/file"), 4);
    daemon.sync();
    fs::rename(root.join("turned"), place.path("aside")).unwrap();
    symlink(&precious, root.join("turned")).unwrap();
    daemon.sync();
    assert!(daemon.files("").is_empty());
    // A neighbour that lapses later has seen all deadlines pass.
    write(&root.join("late"), 1);
    wait_for("the last one goes", || {
        (!root.join("late").exists()).then_some(())
    });
    assert_eq!(snapshot(&precious), before);
    assert!(place.path("aside/sub/file").exists());
    let told = wait_for("the ledger tells of the last one", || {
        let told = removals(&daemon);
        let last = told.iter().any(|(path, _)| *path == root.join("late"));
        last.then_some(told)
    });
    assert_eq!(told.len(), 3, "{told:?}");
}
