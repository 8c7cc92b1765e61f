//! Roots that are missing, vanish, return, and are replaced; directories that cannot be read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::harness::{Bench, Shared, obey_modes, rel};
use crate::core::facts::RootId;
use crate::core::observed::{Absence, Discovery, Observed};
use crate::watch::{Report, Sink, crawl_once};

fn fill(bench: &Bench, dir: &str) {
    fs::create_dir_all(bench.path(dir).join("sub")).unwrap();
    fs::write(bench.path(dir).join("sub/f"), b"x").unwrap();
}

/// Discovery of the last listing of the root's own directory.
fn discovery(bench: &Bench) -> Discovery {
    let model = bench.shared.model.lock();
    let listed = model.log.iter().rev().find_map(|observed| match observed {
        Observed::Listing { dir, discovery, .. } if dir.is_root() => Some(*discovery),
        _ => None,
    });
    listed.unwrap()
}

#[test]
fn a_missing_root_is_waited_for_with_all_its_parents() {
    let mut bench = Bench::new();
    let options = bench.options(&["a/b/c/root"]);
    bench.start(options);
    let model = bench.model(0);
    assert_eq!((model.found, model.lost, model.reconciled), (0, 1, 0));
    assert!(
        model.lost_why.contains("no such file or directory"),
        "{}",
        model.lost_why
    );
    fs::create_dir_all(bench.path("a/b")).unwrap();
    assert_eq!(bench.synced(0).found, 0);
    // A directory that comes with everything in it.
    fill(&bench, "made/root");
    fs::rename(bench.path("made"), bench.path("a/b/c")).unwrap();
    let model = bench.assert_agrees(0, "a/b/c/root");
    assert_eq!((model.found, model.reconciled), (1, 1));
    assert_eq!(model.paths(), ["sub/f"]);
    assert_eq!(discovery(&bench), Discovery::Crawl);
}

/// The last report of the place of the root.
fn absence(bench: &Bench) -> Absence {
    let model = bench.shared.model.lock();
    let report = model.log.iter().rev().find_map(|observed| match observed {
        Observed::RootLost { absence, .. } => Some(*absence),
        Observed::RootUnreachable { .. } => Some(Absence::Doubtful),
        _ => None,
    });
    report.unwrap()
}

#[track_caller]
fn assert_seen(bench: &mut Bench, is: Absence, what: &str) {
    let key = bench.synced(0).key;
    assert_eq!((key, absence(bench)), (None, is), "{what}");
}

#[test]
fn a_root_is_surely_absent_where_the_way_to_it_surely_ends() {
    let mut bench = Bench::watching(&["a/b/root"]);
    fill(&bench, "a/b/root");
    bench.assert_agrees(0, "a/b/root");
    for (at, missing) in ["a/b/root", "a/b", "a"].into_iter().enumerate() {
        fs::rename(bench.path(missing), bench.path("aside")).unwrap();
        assert_seen(&mut bench, Absence::Certain, missing);
        // Other things in the place of what is missing: a file, a link that leads nowhere, one that
        // leads to it.
        fs::write(bench.path(missing), b"x").unwrap();
        assert_seen(&mut bench, Absence::Doubtful, missing);
        fs::remove_file(bench.path(missing)).unwrap();
        assert_seen(&mut bench, Absence::Certain, missing);
        for target in ["nowhere", "aside"] {
            symlink(bench.path(target), bench.path(missing)).unwrap();
            assert_seen(&mut bench, Absence::Doubtful, missing);
            fs::remove_file(bench.path(missing)).unwrap();
            assert_seen(&mut bench, Absence::Certain, missing);
        }
        fs::rename(bench.path("aside"), bench.path(missing)).unwrap();
        assert_eq!(bench.synced(0).found, at + 2);
    }
    fs::remove_dir_all(bench.path("a")).unwrap();
    assert_seen(&mut bench, Absence::Certain, "all");
    for dir in ["a", "a/b"] {
        fs::create_dir(bench.path(dir)).unwrap();
        assert_seen(&mut bench, Absence::Certain, dir);
    }
    fs::create_dir(bench.path("a/b/root")).unwrap();
    assert_eq!(bench.synced(0).found, 5);
}

#[test]
fn a_root_behind_a_directory_that_may_not_be_entered_is_not_surely_absent() {
    let test = || {
        obey_modes();
        let mut bench = Bench::new();
        fs::create_dir_all(bench.path("a/b")).unwrap();
        let options = bench.options(&["a/b/c/root"]);
        bench.start(options);
        bench.sync();
        assert_eq!(absence(&bench), Absence::Certain);
        for (dir, mode, is) in [
            ("a/b", 0o300, Absence::Doubtful),
            ("a/b", 0o400, Absence::Doubtful),
            ("a/b", 0, Absence::Doubtful),
            ("a", 0o400, Absence::Doubtful),
            ("a", 0, Absence::Doubtful),
            // The way leads through it, and what comes next can be read.
            ("a", 0o300, Absence::Certain),
        ] {
            set_mode(&bench.path(dir), mode);
            assert_seen(&mut bench, is, &format!("{dir} {mode:o}"));
            set_mode(&bench.path(dir), 0o700);
            assert_seen(&mut bench, Absence::Certain, dir);
        }
    };
    std::thread::spawn(test).join().unwrap();
}

#[test]
fn a_root_that_cannot_be_opened_keeps_what_is_known_and_is_looked_over_when_it_can() {
    let test = || {
        obey_modes();
        let mut bench = Bench::watching(&["in/root"]);
        fill(&bench, "in/root");
        let before = bench.assert_agrees(0, "in/root");
        for round in 1..3 {
            set_mode(&bench.path("in"), 0);
            let model = bench.synced(0);
            assert_eq!((model.unreachable, model.lost), (round, 0));
            assert_eq!(model.paths(), before.paths());
            // Said once, however often it is tried.
            assert_eq!(bench.synced(0).unreachable, round);
            set_mode(&bench.path("in"), 0o700);
            fs::write(bench.path("in/root/sub/f"), b"xx").unwrap();
            let model = bench.assert_agrees(0, "in/root");
            assert_eq!(model.reconciled, before.reconciled + round);
            assert_eq!((model.found, model.lost), (before.found, 0));
        }
    };
    std::thread::spawn(test).join().unwrap();
}

#[test]
fn a_root_that_is_removed_and_made_again_is_noticed() {
    let mut bench = Bench::watching(&["in/root"]);
    for round in 1..20 {
        fill(&bench, "in/root");
        assert_eq!(bench.assert_agrees(0, "in/root").paths(), ["sub/f"]);
        fs::remove_dir_all(bench.path("in")).unwrap();
        let model = bench.synced(0);
        assert_eq!((model.files.len(), model.lost), (0, round));
        assert_eq!(bench.watcher().stats().watches, 0);
    }
}

#[test]
fn a_root_whose_place_is_taken_by_another_directory_is_noticed() {
    let mut bench = Bench::watching(&["in/root"]);
    fill(&bench, "in/root");
    bench.assert_agrees(0, "in/root");
    for round in 0..50 {
        fs::rename(bench.path("in/root"), bench.path(&format!("old{round}"))).unwrap();
        fs::create_dir(bench.path("in/root")).unwrap();
        fs::write(bench.path(&format!("in/root/{round}")), b"x").unwrap();
    }
    let model = bench.assert_agrees(0, "in/root");
    assert_eq!(model.paths(), ["49"]);
    assert_eq!(discovery(&bench), Discovery::Crawl);
    // What is written to the old ones is no concern of ours.
    fs::write(bench.path("old0/f"), b"x").unwrap();
    bench.assert_agrees(0, "in/root");
    assert_eq!(bench.watcher().stats().watches, 1);
}

#[test]
fn a_root_that_goes_with_its_parents_and_returns_is_known() {
    let mut bench = Bench::watching(&["far/in/root"]);
    fill(&bench, "far/in/root");
    let before = bench.assert_agrees(0, "far/in/root");
    fs::rename(bench.path("far"), bench.path("away")).unwrap();
    let model = bench.synced(0);
    assert_eq!((model.files.len(), model.lost), (0, 1));
    fs::write(bench.path("away/in/root/new"), b"x").unwrap();
    fs::rename(bench.path("away"), bench.path("far")).unwrap();
    let after = bench.assert_agrees(0, "far/in/root");
    assert_eq!(after.key, before.key);
    assert_eq!(after.found, 2);
    // It was known: what is new in it has arrived while we watched.
    assert_eq!(discovery(&bench), Discovery::Event);
}

#[test]
fn a_link_or_a_file_in_the_place_of_a_root_is_no_root() {
    let mut bench = Bench::watching(&["in/root"]);
    fill(&bench, "in/root");
    bench.assert_agrees(0, "in/root");
    fs::rename(bench.path("in/root"), bench.path("real")).unwrap();
    symlink(bench.path("real"), bench.path("in/root")).unwrap();
    let model = bench.synced(0);
    assert_eq!((model.files.len(), model.key), (0, None));
    fs::remove_file(bench.path("in/root")).unwrap();
    fs::write(bench.path("in/root"), b"x").unwrap();
    let model = bench.synced(0);
    assert!(
        model.lost_why.contains("not a directory"),
        "{}",
        model.lost_why
    );
    fs::remove_file(bench.path("in/root")).unwrap();
    fs::rename(bench.path("real"), bench.path("in/root")).unwrap();
    assert_eq!(bench.assert_agrees(0, "in/root").paths(), ["sub/f"]);
    // A link above the root.
    fs::rename(bench.path("in"), bench.path("out")).unwrap();
    symlink(bench.path("out"), bench.path("in")).unwrap();
    assert_eq!(bench.synced(0).key, None);
    fs::remove_file(bench.path("in")).unwrap();
    fs::rename(bench.path("out"), bench.path("in")).unwrap();
    assert_eq!(bench.assert_agrees(0, "in/root").paths(), ["sub/f"]);
}

#[test]
fn roots_come_and_go_with_the_configuration() {
    let mut bench = Bench::watching(&["a"]);
    fill(&bench, "a");
    fill(&bench, "b");
    bench
        .watcher()
        .set_roots(vec![bench.root(0, "a"), bench.root(1, "b")]);
    assert_eq!(bench.assert_agrees(1, "b").reconciled, 1);
    assert_eq!(bench.assert_agrees(0, "a").reconciled, 1);
    bench.watcher().set_roots(vec![bench.root(1, "b")]);
    bench.sync();
    assert_eq!(bench.watcher().stats().watches, 2);
    fs::write(bench.path("b/new"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(1, "b").reconciled, 1);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_may_not_be_read_is_reported_once_and_read_when_it_may() {
    let test = || {
        obey_modes();
        let mut bench = Bench::watching(&["in/root"]);
        fill(&bench, "in/root");
        fs::create_dir(bench.path("in/root/shut")).unwrap();
        set_mode(&bench.path("in/root/shut"), 0);
        let model = bench.synced(0);
        assert_eq!(model.unreadable.iter().collect::<Vec<_>>(), [&rel("shut")]);
        // Neither a look nor a reconciliation changes that.
        bench.watcher().recrawl(RootId(0));
        assert_eq!(bench.synced(0).reconciled, 2);
        set_mode(&bench.path("in/root/shut"), 0o700);
        fs::write(bench.path("in/root/shut/f"), b"x").unwrap();
        assert_eq!(
            bench.assert_agrees(0, "in/root").paths(),
            ["shut/f", "sub/f"]
        );
        // Readable, not searchable: there are names, but no facts.
        set_mode(&bench.path("in/root/shut"), 0o400);
        bench.watcher().relist(RootId(0), rel("shut"));
        let model = bench.synced(0);
        assert_eq!(model.unreadable.len(), 1);
        assert_eq!(model.paths(), ["shut/f", "sub/f"]);
        set_mode(&bench.path("in/root/shut"), 0o700);
        assert_eq!(bench.assert_agrees(0, "in/root").unreadable.len(), 0);
        // The root itself, then its parent.
        for dir in ["in/root", "in"] {
            set_mode(&bench.path(dir), 0);
            let model = bench.synced(0);
            // It may be there all the same: nothing of it is forgotten.
            assert_eq!((model.lost, model.files.len()), (0, 2), "{dir}");
            assert!(model.unreachable > 0, "{dir}");
            set_mode(&bench.path(dir), 0o700);
            assert_eq!(bench.assert_agrees(0, "in/root").files.len(), 2, "{dir}");
        }
    };
    std::thread::spawn(test).join().unwrap();
}

#[test]
fn one_crawl_tells_all_and_returns() {
    let bench = Bench::new();
    fill(&bench, "root");
    let shared = Arc::new(Shared::default());
    crawl_once(&bench.options(&["root", "missing"]), &shared.sink()).unwrap();
    let model = shared.model.lock();
    assert_eq!(model.roots[&RootId(0)].paths(), ["sub/f"]);
    assert_eq!(model.roots[&RootId(0)].reconciled, 1);
    assert_eq!(model.roots[&RootId(1)].lost, 1);
}

#[test]
fn a_crawl_ends_while_the_tree_changes_beneath_it() {
    let bench = Bench::new();
    for at in 0..200 {
        fill(&bench, &format!("root/{at}"));
    }
    let seen = Arc::new(Mutex::new(0));
    let (root, counter) = (bench.path("root"), Arc::clone(&seen));
    let sink: Sink = Arc::new(move |report| {
        // Each message finds another directory gone from its place.
        let mut seen = counter.lock();
        let _ = fs::rename(
            root.join(seen.to_string()),
            root.join(format!("moved{seen}")),
        );
        *seen += 1;
        assert!(matches!(report, Report::Observed(_)));
    });
    crawl_once(&bench.options(&["root"]), &sink).unwrap();
    assert!(*seen.lock() > 0);
}
