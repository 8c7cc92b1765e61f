//! Files and directories that come, change, move and go.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::BACKEND_NAME;
use super::harness::{Bench, rel};
use crate::core::facts::RootId;
use crate::core::observed::{Discovery, Observed};
use crate::core::path::RelPath;
use crate::fs::QUARANTINE;
use crate::watch::WatchRoot;

/// Both times at the Unix epoch: setting one alone is no change of attributes to the kernel.
fn epoch() -> fs::FileTimes {
    let epoch = std::time::UNIX_EPOCH;
    fs::FileTimes::new().set_modified(epoch).set_accessed(epoch)
}

#[test]
fn the_first_crawl_tells_what_is_there_and_ends() {
    let mut bench = Bench::new();
    fs::create_dir_all(bench.path("root/a/b")).unwrap();
    fs::write(bench.path("root/top"), b"1").unwrap();
    fs::write(bench.path("root/a/b/deep"), b"22").unwrap();
    let options = bench.options(&["root"]);
    bench.start(options);
    let model = bench.assert_agrees(0, "root");
    assert_eq!(model.paths(), ["a/b/deep", "top"]);
    assert_eq!(
        (model.found, model.reconciled, model.crawled, model.listed),
        (1, 1, 3, 3)
    );
    let stats = bench.watcher().stats();
    assert_eq!(
        (stats.backend, stats.watches, stats.missing, stats.overflows),
        (BACKEND_NAME, 3, 0, 0)
    );
}

#[test]
fn files_are_seen_when_they_come_change_and_go() {
    let mut bench = Bench::watching(&["root"]);
    fs::write(bench.path("root/a"), b"1").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["a"]);
    fs::write(bench.path("root/a"), b"1234").unwrap();
    bench.assert_agrees(0, "root");
    let times = epoch();
    fs::File::open(bench.path("root/a"))
        .unwrap()
        .set_times(times)
        .unwrap();
    bench.assert_agrees(0, "root");
    fs::rename(bench.path("root/a"), bench.path("root/b")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["b"]);
    fs::hard_link(bench.path("root/b"), bench.path("root/c")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["b", "c"]);
    fs::remove_file(bench.path("root/b")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["c"]);
}

#[test]
fn directories_made_in_one_go_lose_no_file_to_the_race() {
    let mut bench = Bench::watching(&["root"]);
    for at in 0..3000 {
        let dir = bench.path(&format!("root/{at}/b/c/d"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("file"), b"x").unwrap();
    }
    let model = bench.assert_agrees(0, "root");
    assert_eq!(model.files.len(), 3000);
    fs::remove_dir_all(bench.path("root")).unwrap();
    fs::create_dir(bench.path("root")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").files.len(), 0);
    assert_eq!(bench.watcher().stats().watches, 1);
}

#[test]
fn a_renamed_directory_takes_its_tree_along_without_being_listed_again() {
    let mut bench = Bench::watching(&["root"]);
    fs::create_dir_all(bench.path("root/a/b/c")).unwrap();
    for at in 0..50 {
        fs::write(bench.path(&format!("root/a/b/{at}")), b"x").unwrap();
        fs::write(bench.path(&format!("root/a/b/c/{at}")), b"x").unwrap();
    }
    fs::create_dir(bench.path("root/to")).unwrap();
    let before = bench.assert_agrees(0, "root");
    fs::rename(bench.path("root/a"), bench.path("root/to/z")).unwrap();
    let after = bench.assert_agrees(0, "root");
    assert_eq!((after.moved, after.listed), (1, before.listed));
    assert_eq!(after.files.len(), 100);
    // Its watches are alive.
    fs::write(bench.path("root/to/z/b/c/new"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").files.len(), 101);
}

#[test]
fn directories_that_change_places_end_where_they_are() {
    let mut bench = Bench::watching(&["root"]);
    for name in ["a", "b"] {
        fs::create_dir_all(bench.path(&format!("root/{name}/sub"))).unwrap();
        fs::write(bench.path(&format!("root/{name}/sub/{name}")), b"x").unwrap();
    }
    bench.assert_agrees(0, "root");
    let exchange = |bench: &Bench| {
        let root = fs::File::open(bench.path("root")).unwrap();
        let flags = rustix::fs::RenameFlags::EXCHANGE;
        rustix::fs::renameat_with(&root, "a", &root, "b", flags).unwrap();
    };
    exchange(&bench);
    assert_eq!(
        bench.assert_agrees(0, "root").paths(),
        ["a/sub/b", "b/sub/a"]
    );
    for _ in 0..101 {
        exchange(&bench);
    }
    assert_eq!(
        bench.assert_agrees(0, "root").paths(),
        ["a/sub/a", "b/sub/b"]
    );
    // A chain of renames over one another's names.
    fs::rename(bench.path("root/a"), bench.path("root/c")).unwrap();
    fs::rename(bench.path("root/b"), bench.path("root/a")).unwrap();
    fs::rename(bench.path("root/c"), bench.path("root/b")).unwrap();
    // An empty directory is replaced by a full one.
    fs::create_dir(bench.path("root/empty")).unwrap();
    fs::rename(bench.path("root/a"), bench.path("root/empty")).unwrap();
    assert_eq!(
        bench.assert_agrees(0, "root").paths(),
        ["b/sub/a", "empty/sub/b"]
    );
    fs::write(bench.path("root/empty/sub/later"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").files.len(), 3);
}

#[test]
fn what_moves_out_is_gone_and_what_moves_in_is_found() {
    let mut bench = Bench::watching(&["root", "other"]);
    fs::create_dir_all(bench.path("outside/dir/sub")).unwrap();
    fs::write(bench.path("outside/dir/sub/f"), b"x").unwrap();
    fs::write(bench.path("outside/file"), b"x").unwrap();
    fs::rename(bench.path("outside/dir"), bench.path("root/dir")).unwrap();
    fs::rename(bench.path("outside/file"), bench.path("root/file")).unwrap();
    assert_eq!(
        bench.assert_agrees(0, "root").paths(),
        ["dir/sub/f", "file"]
    );
    // Between two roots.
    fs::rename(bench.path("root/dir"), bench.path("other/dir")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["file"]);
    assert_eq!(bench.assert_agrees(1, "other").paths(), ["dir/sub/f"]);
    assert_eq!(bench.watcher().stats().watches, 4);
    // Out again: events from there are no concern of ours any more.
    fs::rename(bench.path("other/dir"), bench.path("outside/dir")).unwrap();
    fs::write(bench.path("outside/dir/sub/g"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(1, "other").paths(), [""; 0]);
    assert_eq!(bench.watcher().stats().watches, 2);
}

#[test]
fn a_file_and_a_directory_take_each_others_place() {
    let mut bench = Bench::watching(&["root"]);
    fs::create_dir_all(bench.path("root/x/sub")).unwrap();
    fs::write(bench.path("root/x/sub/f"), b"x").unwrap();
    bench.assert_agrees(0, "root");
    fs::remove_dir_all(bench.path("root/x")).unwrap();
    fs::write(bench.path("root/x"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["x"]);
    fs::remove_file(bench.path("root/x")).unwrap();
    fs::create_dir(bench.path("root/x")).unwrap();
    fs::write(bench.path("root/x/f"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), ["x/f"]);
    // A symbolic link in the place of a directory, then of a file.
    fs::rename(bench.path("root/x"), bench.path("away")).unwrap();
    symlink(bench.path("away"), bench.path("root/x")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), [""; 0]);
    fs::write(bench.path("root/y"), b"x").unwrap();
    bench.assert_agrees(0, "root");
    symlink("elsewhere", bench.path("root/z")).unwrap();
    fs::rename(bench.path("root/z"), bench.path("root/y")).unwrap();
    assert_eq!(bench.assert_agrees(0, "root").paths(), [""; 0]);
}

#[test]
fn names_are_bytes_and_links_are_not_followed() {
    let mut bench = Bench::watching(&["root", "outside"]);
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe \n'");
    fs::create_dir(bench.path("root").join(odd)).unwrap();
    fs::write(bench.path("root").join(odd).join(odd), b"x").unwrap();
    fs::write(bench.path("outside/secret"), b"x").unwrap();
    symlink(bench.path("outside"), bench.path("root/link")).unwrap();
    symlink(bench.path("outside/secret"), bench.path("root/file-link")).unwrap();
    let model = bench.assert_agrees(0, "root");
    let path = RelPath::parse(b"\xff\xfe \n'/\xff\xfe \n'").unwrap();
    assert_eq!(model.files.keys().collect::<Vec<_>>(), [&path]);
    // Writing through the link changes nothing in the root.
    fs::write(bench.path("root/link/more"), b"x").unwrap();
    bench.assert_agrees(0, "root");
    assert_eq!(bench.assert_agrees(1, "outside").files.len(), 2);
}

#[test]
fn the_quarantine_nested_roots_and_skipped_directories_do_not_exist() {
    let mut bench = Bench::new();
    for dir in [
        "root/.lapsed/1",
        "root/in/ner/x",
        "root/state",
        "root/sub/.lapsed",
    ] {
        fs::create_dir_all(bench.path(dir)).unwrap();
        fs::write(bench.path(dir).join("f"), b"x").unwrap();
    }
    let mut options = bench.options(&["root", "root/in/ner"]);
    options.roots[0].nested = vec![rel("in/ner")];
    options.skip = vec![
        crate::fs::RootDir::open(&bench.path("root/state"))
            .unwrap()
            .key(),
    ];
    bench.start(options.clone());
    // Deeper down it is the quarantine of another process' root.
    assert_eq!(bench.model(0).paths(), [""; 0]);
    assert_eq!(bench.model(1).paths(), ["x/f"]);
    for dir in [
        "root/.lapsed",
        "root/in/ner",
        "root/state",
        "root/sub/.lapsed",
    ] {
        fs::write(bench.path(dir).join("new"), b"x").unwrap();
    }
    fs::write(bench.path("root/sub/f"), b"x").unwrap();
    assert_eq!(bench.synced(0).paths(), ["sub/f"]);
    assert_eq!(bench.model(1).paths(), ["new", "x/f"]);
    // Into the quarantine is out of the root.
    fs::rename(bench.path("root/sub"), bench.path("root/.lapsed/2")).unwrap();
    assert_eq!(bench.synced(0).paths(), [""; 0]);
    // A root less: what lay in it belongs to the outer one now. And back.
    let outer = WatchRoot {
        only: None,
        nested: Vec::new(),
        ..options.roots[0].clone()
    };
    bench.watcher().set_roots(vec![outer]);
    assert_eq!(bench.synced(0).paths(), ["in/ner/new", "in/ner/x/f"]);
    bench.watcher().set_roots(options.roots);
    assert_eq!(bench.synced(0).paths(), [""; 0]);
    assert_eq!(bench.model(1).paths(), ["new", "x/f"]);
    assert_eq!(QUARANTINE, b".lapsed");
}

#[test]
fn orders_are_carried_out_before_a_later_barrier() {
    let mut bench = Bench::watching(&["root"]);
    fs::create_dir_all(bench.path("root/a/b")).unwrap();
    fs::write(bench.path("root/a/b/f"), b"x").unwrap();
    let before = bench.assert_agrees(0, "root");
    bench.watcher().relist(RootId(0), rel("a"));
    let after = bench.assert_agrees(0, "root");
    assert_eq!(after.listed, before.listed + 2);
    bench.watcher().recrawl(RootId(0));
    let again = bench.assert_agrees(0, "root");
    assert_eq!(again.listed, after.listed + 3);
    assert_eq!(again.reconciled, after.reconciled + 1);
    assert_eq!(again.crawled, after.crawled);
    // Taken away by the reaper: the files that go with it raise no events.
    bench.watcher().drop_subtree(RootId(0), rel("a"));
    bench.sync();
    assert_eq!(bench.watcher().stats().watches, 1);
    // It stays after all.
    bench.watcher().relist(RootId(0), rel("a"));
    bench.assert_agrees(0, "root");
    assert_eq!(bench.watcher().stats().watches, 3);
    fs::write(bench.path("root/a/b/g"), b"x").unwrap();
    assert_eq!(bench.assert_agrees(0, "root").files.len(), 2);
}

#[test]
fn a_change_of_a_directory_is_reported_with_fresh_facts_of_it() {
    let mut bench = Bench::watching(&["root"]);
    fs::create_dir(bench.path("root/a")).unwrap();
    bench.sync();
    bench.shared.model.lock().log.clear();
    let times = epoch();
    fs::File::open(bench.path("root/a"))
        .unwrap()
        .set_times(times)
        .unwrap();
    bench.sync();
    let is_reported = |bench: &Bench| {
        bench.shared.model.lock().log.iter().any(|observed| {
            matches!(observed, Observed::Looks { dir, facts, names, .. }
                if *dir == rel("a") && facts.mtime.secs == 0 && names.is_empty())
        })
    };
    assert!(is_reported(&bench));
}

#[test]
fn what_comes_after_the_crawl_is_discovered_by_an_event() {
    let mut bench = Bench::watching(&["root"]);
    fs::create_dir(bench.path("root/a")).unwrap();
    bench.sync();
    let model = bench.shared.model.lock();
    assert!(model.log.iter().any(|observed| matches!(
        observed,
        Observed::Listing { dir, discovery: Discovery::Event, .. } if *dir == rel("a")
    )));
}

#[test]
fn a_deep_tree_is_opened_in_linear_time_and_stays_right_when_it_moves() {
    const DEPTH: usize = 600;
    let mut bench = Bench::new();
    let deep = vec!["d"; DEPTH].join("/");
    fs::create_dir_all(bench.path("root/a").join(&deep)).unwrap();
    fs::create_dir(bench.path("root/b")).unwrap();
    fs::create_dir(bench.path("outside")).unwrap();
    bench.start(bench.options(&["root"]));
    // The whole way each time would be 180,000 names.
    let opened = bench.watcher().opened();
    assert!(opened < DEPTH * 16, "{opened}");
    fs::write(bench.path("root/a").join(&deep).join("f"), b"x").unwrap();
    bench.assert_agrees(0, "root");
    // Moved within the root and out of it, while everything is listed.
    for at in 0..20 {
        bench.watcher().recrawl(RootId(0));
        let (from, to) = match at % 4 {
            0 => ("root/a/d", "root/b/d"),
            1 => ("root/b/d", "outside/d"),
            2 => ("outside/d", "root/d"),
            _ => ("root/d", "root/a/d"),
        };
        fs::rename(bench.path(from), bench.path(to)).unwrap();
        bench.assert_agrees(0, "root");
    }
}
