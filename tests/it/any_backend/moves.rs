//! Files and whole trees are renamed within roots, into them, out of them and between them: the index follows, and so do rules and
//! deadlines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::trees::{
    assert_agrees, configured, instant_ms, newest_ms, now_ms, removals, set_age, write,
};
use crate::common::{Backend, Place, backend, wait_for};

const HOUR_MS: i64 = 3_600_000;

/// Waits until what was made before is older than an arrival may be to count by its change time alone.
fn wait_until_old(path: &Path) {
    let made = newest_ms(&path.symlink_metadata().unwrap());
    wait_for("it is old", || (now_ms() > made + 2500).then_some(()));
}

#[test]
fn renames_of_files_and_trees_are_followed_wherever_they_lead() {
    let place = Place::new();
    let (a, b, out) = (
        place.make_dir("a"),
        place.make_dir("b"),
        place.make_dir("outside"),
    );
    let watch = |root: &Path| format!("{}=1h", root.display());
    let daemon = place.serve_ready(&["--watch", &watch(&a), "--watch", &watch(&b)]);
    let tree = |at: &Path| {
        for (size, name) in ["f", "x/f", "x/y/f", "x/y/z/f", "w/f"].iter().enumerate() {
            write(&at.join(name), size + 1);
        }
        fs::create_dir_all(at.join("empty/er")).unwrap();
    };
    tree(&a.join("t"));
    tree(&out.join("t"));
    write(&a.join("file"), 100);
    let rename = |from: &Path, to: &Path, files_a: usize, files_b: usize| {
        fs::rename(from, to).unwrap();
        let what = format!("after {from:?} became {to:?}");
        assert_eq!(assert_agrees(&daemon, &a, &what).len(), files_a, "{what}");
        assert_eq!(assert_agrees(&daemon, &b, &what).len(), files_b, "{what}");
    };
    // Files: in place, across directories, over another, out, in, between.
    rename(&a.join("file"), &a.join("renamed"), 6, 0);
    rename(&a.join("renamed"), &a.join("t/x/y/file"), 6, 0);
    rename(&a.join("t/x/y/file"), &a.join("t/x/f"), 5, 0);
    rename(&a.join("t/x/f"), &out.join("file"), 4, 0);
    rename(&out.join("file"), &b.join("file"), 4, 1);
    rename(&b.join("file"), &a.join("t/x/f"), 5, 0);
    // Trees: in place, deeper, up, between, out, in, over an empty directory.
    rename(&a.join("t"), &a.join("u"), 5, 0);
    fs::create_dir_all(a.join("deep/er")).unwrap();
    rename(&a.join("u"), &a.join("deep/er/u"), 5, 0);
    rename(&a.join("deep/er/u/x"), &a.join("x"), 5, 0);
    rename(&a.join("deep"), &b.join("deep"), 3, 2);
    rename(&b.join("deep/er"), &out.join("er"), 3, 0);
    rename(&out.join("t"), &a.join("deep"), 8, 0);
    fs::create_dir(b.join("void")).unwrap();
    rename(&a.join("x"), &b.join("void"), 5, 3);
    // What was moved is still heard in its new place.
    write(&b.join("void/y/z/new"), 7);
    assert_eq!(
        assert_agrees(&daemon, &b, "written after the move").len(),
        4
    );
    // Two trees exchanged, one name for another tree, and a chain, without a pause.
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        a.join("deep/x"),
        rustix::fs::CWD,
        b.join("void"),
        rustix::fs::RenameFlags::EXCHANGE,
    )
    .unwrap();
    fs::rename(a.join("deep"), a.join("1")).unwrap();
    fs::rename(out.join("er/u"), a.join("deep")).unwrap();
    fs::rename(a.join("1"), a.join("2")).unwrap();
    fs::rename(a.join("2/x"), a.join("1")).unwrap();
    write(&a.join("1/y/z/last"), 3);
    assert_agrees(&daemon, &a, "after a chain");
    assert_agrees(&daemon, &b, "after an exchange");
}

#[test]
fn an_old_tree_that_moves_in_or_between_roots_arrives_then() {
    let place = Place::new();
    let (a, b, out) = (
        place.make_dir("a"),
        place.make_dir("b"),
        place.make_dir("outside"),
    );
    let watch = |root: &Path| format!("{}=1h", root.display());
    let daemon = place.serve_ready(&["--watch", &watch(&a), "--watch", &watch(&b)]);
    for at in [a.join("within/d"), a.join("between/d"), out.join("into/d")] {
        write(&at.join("f"), 1);
        set_age(&at.join("f"), Duration::from_hours(9)).unwrap();
    }
    daemon.sync();
    let deadline = |path: &Path| instant_ms(&daemon.files("")[path]["deadline"]);
    let before = deadline(&a.join("within/d/f"));
    wait_until_old(&out.join("into/d/f"));
    let moved = now_ms();
    fs::rename(a.join("within"), a.join("renamed")).unwrap();
    fs::rename(a.join("between"), b.join("between")).unwrap();
    fs::rename(out.join("into"), a.join("into")).unwrap();
    daemon.sync();
    let through = now_ms();
    let mut arrived = vec![b.join("between/d/f"), a.join("into/d/f")];
    let renamed = a.join("renamed/d/f");
    match backend() {
        // In its own root it was known all the time: nothing arrives.
        Backend::Inotify | Backend::Notify => assert_eq!(deadline(&renamed), before),
        // Nobody tells that it is the same.
        Backend::Poll => arrived.push(renamed),
    }
    for path in arrived {
        let deadline = deadline(&path);
        assert!(
            (moved + HOUR_MS..=through + HOUR_MS).contains(&deadline),
            "{path:?} lapses at {deadline}, moved at {moved}"
        );
    }
}

#[test]
fn a_tree_that_moves_under_another_rule_lives_by_that_rule_from_then_on() {
    let place = Place::new();
    let root = place.make_dir("root");
    for name in [
        "fast/stays/f",
        "fast/saved/f",
        "fast/kept/f",
        "slow/hurried/f",
        "slow/job/f",
    ] {
        write(&root.join(name), 1);
    }
    let daemon = configured(
        &place,
        r#"
        [[root]]
        path = "root"
        [[rule]]
        name = "jobs"
        unit = "dir"
        glob = "job-*"
        expire = "2s"
        [[rule]]
        name = "fast"
        glob = "fast/**"
        expire = "4s"
        [[rule]]
        name = "slow"
        glob = "slow/**"
        expire = "1h"
        "#,
    );
    // Everything is touched, so that nothing was due before the moves.
    for name in [
        "fast/stays/f",
        "fast/saved/f",
        "fast/kept/f",
        "slow/hurried/f",
        "slow/job/f",
    ] {
        write(&root.join(name), 2);
    }
    let touched = newest_ms(&root.join("fast/stays/f").metadata().unwrap());
    fs::rename(root.join("fast/saved"), root.join("slow/saved")).unwrap();
    fs::rename(root.join("fast/kept"), root.join("kept")).unwrap();
    fs::rename(root.join("slow/hurried"), root.join("fast/hurried")).unwrap();
    fs::rename(root.join("slow/job"), root.join("job-1")).unwrap();
    daemon.sync();
    // A tree that has moved is listed again under its new rules after that.
    wait_for("the rules are those of the new places", || {
        let files = daemon.files("");
        let rule = |name: &str| files.get(&root.join(name)).map(|entry| &entry["rule"]);
        let is_slow = rule("slow/saved/f").is_some_and(|rule| rule == "slow");
        let is_kept = rule("kept/f").is_some_and(serde_json::Value::is_null);
        (is_slow && is_kept).then_some(())
    });

    wait_for("what is fast by now lapses, and the job", || {
        let names = ["fast/stays/f", "fast/hurried/f", "job-1"];
        let gone = names.iter().all(|name| !root.join(name).exists());
        gone.then_some(())
    });
    assert!(now_ms() >= touched + 4000);
    for name in ["slow/saved/f", "kept/f"] {
        assert!(root.join(name).exists(), "{name} went by its old rule");
    }
    let told = wait_for("the ledger tells", || {
        let told = removals(&daemon);
        (told.len() >= 3).then_some(told)
    });
    let told: BTreeMap<_, _> = told.into_iter().collect();
    for (name, rule) in [
        ("fast/stays/f", "fast"),
        ("fast/hurried/f", "fast"),
        ("job-1", "jobs"),
    ] {
        assert_eq!(told[&root.join(name)]["rule"], rule, "{name}");
    }
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn trees_that_are_renamed_just_when_they_are_due_go_in_time_or_stay_for_good() {
    const TREES: usize = 60;
    const FILES: usize = 4;
    const TTL_MS: i64 = 1500;
    let place = Place::new();
    let root = place.make_dir("root");
    place.make_dir("root/fast");
    place.make_dir("root/slow");
    let daemon = configured(
        &place,
        r#"
        [[root]]
        path = "root"
        [[rule]]
        name = "fast"
        glob = "fast/**"
        expire = "1500ms"
        [[rule]]
        name = "slow"
        glob = "slow/**"
        expire = "1h"
        "#,
    );
    let mut newest = BTreeMap::new();
    for tree in 0..TREES {
        for file in 0..FILES {
            let name = format!("fast/{tree}/d/{file}");
            write(&root.join(&name), file);
            newest.insert(
                name.clone(),
                newest_ms(&root.join(name).metadata().unwrap()),
            );
        }
    }
    // Each tree is moved around the deadline of its files: a little before, or a little after.
    for tree in 0..TREES {
        let due = newest[&format!("fast/{tree}/d/0")] + TTL_MS;
        let offset = i64::try_from(tree % 21).unwrap() - 10;
        wait_for("the time to move has come", || {
            (now_ms() >= due + offset).then_some(())
        });
        fs::rename(
            root.join(format!("fast/{tree}")),
            root.join(format!("slow/{tree}")),
        )
        .unwrap();
    }
    let told = wait_for("all are accounted for", || {
        daemon.sync();
        let told: BTreeMap<_, _> = removals(&daemon).into_iter().collect();
        let left = crate::common::walk(&root);
        (told.len() + left.len() >= newest.len()).then_some(told)
    });
    let left = crate::common::walk(&root);
    assert_eq!(told.len() + left.len(), newest.len());
    for (name, newest) in &newest {
        let moved = root.join(name.replacen("fast", "slow", 1));
        let line = told.get(&root.join(name)).or_else(|| told.get(&moved));
        match line {
            Some(line) => {
                assert!(instant_ms(&line["at"]) >= newest + TTL_MS, "early: {line}");
                assert_eq!(line["rule"], "fast");
            }
            None => assert!(left.contains_key(&moved), "{name} is lost"),
        }
    }
    assert_agrees(&daemon, &root, "after the race");
    for (path, entry) in daemon.files("") {
        assert_eq!(entry["rule"], "slow", "{path:?}");
    }
}
