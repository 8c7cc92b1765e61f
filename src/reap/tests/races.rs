//! Neighbours that swap, take and open things under the reaper's hands.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::core::claim::NewerMember;
use crate::core::policy::{Grouping, KeepLast};

/// Everything that is readable in the root and its quarantine.
fn contents(bench: &Bench) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for dir in ["", ".lapsed"] {
        for entry in std::fs::read_dir(bench.path(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.insert(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_file_that_is_swapped_in_is_never_lost() {
    let mut bench = Bench::files();
    bench.policy.rules[0].since = Since::Mtime;
    bench.policy.rules[0].skip_open = SkipOpen::Never;
    bench.start();
    let stop = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let (path, fresh) = (bench.path("file"), bench.path("fresh"));
        let stop = &stop;
        let swapper = scope.spawn(move || {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) && n < 5_000 {
                std::fs::write(&fresh, format!("young {n}")).unwrap();
                if renameat_with(CWD, &fresh, CWD, &path, RenameFlags::EXCHANGE).is_ok() {
                    // What stood there is kept, whatever it was.
                    let aside = fresh.with_file_name(format!("swapped-{n}"));
                    rustix::fs::rename(&fresh, aside).unwrap();
                    n += 1;
                } else if renameat_with(CWD, &fresh, CWD, &path, RenameFlags::NOREPLACE).is_ok() {
                    n += 1;
                }
            }
            n
        });
        for _ in 0..400 {
            // What stands there is moved aside; an old file takes the place, and its claim races
            // with the swapper.
            let aside = bench.path(&format!("aside-{}", clock::now().boot.as_nanos()));
            let _ = rustix::fs::rename(bench.path("file"), aside);
            let staged = bench.path("staged");
            std::fs::write(&staged, "old").unwrap();
            let file = std::fs::File::options().append(true).open(&staged).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            drop(file);
            let mut claim = bench.claim(Unit::File, "staged");
            claim.path = RelPath::parse(b"file").unwrap();
            claim.due = Timestamp::MIN;
            let taken = bench.path("file");
            let _ = rustix::fs::renameat_with(
                rustix::fs::CWD,
                &staged,
                rustix::fs::CWD,
                &taken,
                rustix::fs::RenameFlags::NOREPLACE,
            );
            bench.reap(&[claim]);
        }
        stop.store(true, Ordering::Relaxed);
        swapper.join().unwrap()
    });
    assert!(made > 10, "only {made} swaps");
    let found = contents(&bench);
    for n in 0..made {
        assert!(
            found.contains(&format!("young {n}")),
            "young {n} of {made} is lost"
        );
    }
}

#[test]
fn an_opener_through_another_name_is_not_cheated() {
    let mut bench = Bench::files();
    bench.policy.rules[0].since = Since::Mtime;
    bench.start();
    let other = bench.base.join("other");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (other, stop) = (&other, &stop);
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let _ = std::fs::File::options()
                    .append(true)
                    .custom_flags(libc::O_NONBLOCK)
                    .open(other);
            }
        });
        let (mut gone, mut kept) = (0, 0);
        for _ in 0..300 {
            bench.write("file", "1");
            let _ = std::fs::remove_file(other);
            std::fs::hard_link(bench.path("file"), other).unwrap();
            let mut claim = bench.claim(Unit::File, "file");
            claim.due = bench.facts("file").mtime.ceil();
            match bench.reap(&[claim]).remove(0) {
                Outcome::Removed(_) => {
                    gone += 1;
                    assert!(!bench.path("file").exists());
                }
                Outcome::Held(Hold::Open { .. }) => {
                    kept += 1;
                    assert_eq!(bench.read("file"), "1");
                }
                strange => panic!("{strange:?}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(gone + kept, 300);
    });
    assert_eq!(bench.quarantined(), Vec::<String>::new());
}

#[test]
fn a_directory_handle_in_a_unit_saves_what_is_put_there_late() {
    let mut bench = Bench::dirs();
    for n in 0..2000 {
        bench.write(&format!("unit/d/{n}"), "1");
    }
    let handle = RootDir::open(&bench.path("unit/d")).unwrap();
    let link = bench.path("late");
    std::fs::write(&link, b"late").unwrap();
    bench.start();
    let claim = bench.claim(Unit::Dir, "unit");
    let outside = RootDir::open(&bench.path("")).unwrap();
    let ledger = bench.ledger.clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // As soon as it is recorded, so that only the sweeper can notice.
            wait(|| ledger.last_at().is_some());
            // The directory may be gone already: then the move fails, and the file stays where it
            // is.
            let _ = outside.top().move_to(b"late", handle.top(), b"late");
        });
        removed(&bench.reap(&[claim]).remove(0));
    });
    if link.exists() {
        assert_eq!(bench.quarantined(), Vec::<String>::new());
    } else {
        let [name] = &bench.quarantined()[..] else {
            panic!("{:?}", bench.quarantined());
        };
        let kept = bench.path(".lapsed").join(name).join("d/late");
        assert_eq!(std::fs::read(kept).unwrap(), b"late");
        assert_eq!(bench.reaper.as_ref().unwrap().displaced(), 1);
    }
}

#[test]
fn files_that_are_moved_over_names_in_the_quarantine_are_kept() {
    const FILES: usize = 1000;
    let names = || (0..FILES).map(|n| format!("{n:04}"));
    // Old files are moved over one another.
    for is_old in [false, true, true, true, true, true] {
        let mut bench = Bench::dirs();
        let late = bench.base.join("late");
        std::fs::create_dir(&late).unwrap();
        for name in names() {
            let path = format!("unit/d/{name}");
            bench.write(&path, "1");
            std::fs::write(late.join(&name), &name).unwrap();
            if is_old {
                make_old(&bench.path(&path));
            }
        }
        let handle = RootDir::open(&bench.path("unit/d")).unwrap();
        bench.start();
        let claim = bench.claim(Unit::Dir, "unit");
        let ledger = bench.ledger.clone().unwrap();
        let opened = PathBuf::from(format!("/proc/self/fd/{}", handle.top().fd().as_raw_fd()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                wait(|| ledger.last_at().is_some());
                for name in names() {
                    // The directory may be gone already: then the file stays where it is.
                    let _ = std::fs::rename(late.join(&name), opened.join(&name));
                }
            });
            removed(&bench.reap(&[claim]).remove(0));
        });
        let quarantined = bench.quarantined();
        let kept = quarantined
            .iter()
            .map(|name| bench.path(&format!(".lapsed/{name}/d")));
        let kept: Vec<_> = kept.chain([late]).collect();
        for name in names() {
            let is_here = |dir: &PathBuf| std::fs::read_to_string(dir.join(&name)).ok();
            let content = kept.iter().find_map(is_here);
            assert_eq!(content, Some(name), "{quarantined:?}");
        }
    }
}

#[test]
fn a_file_that_is_opened_in_the_quarantine_is_kept() {
    let mut bench = Bench::dirs();
    bench.write("unit/d/a", "1");
    bench.write("unit/d/b", "2");
    let handle = RootDir::open(&bench.path("unit/d")).unwrap();
    let fd = handle.top().fd().as_raw_fd();
    let name = format!("/proc/self/fd/{fd}/b");
    bench.start();
    let claim = bench.claim(Unit::Dir, "unit");
    let ledger = bench.ledger.clone().unwrap();
    let opened = std::thread::scope(|scope| {
        let opener = scope.spawn(|| {
            wait(|| ledger.last_at().is_some());
            std::fs::File::options()
                .append(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(name)
        });
        removed(&bench.reap(&[claim]).remove(0));
        opener.join().unwrap()
    });
    // Refused, because the lease is held, or gone: never opened and removed nevertheless.
    if opened.is_ok() {
        assert_eq!(bench.quarantined().len(), 1);
    }
}

/// Has a file be changed an hour ago.
fn make_old(path: &Path) {
    let file = std::fs::File::options().append(true).open(path).unwrap();
    let hour = std::time::Duration::from_hours(1);
    file.set_modified(std::time::SystemTime::now() - hour)
        .unwrap();
}

/// Everything below `dir`, as paths from there; sorted.
fn names(dir: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(dir).unwrap().display().to_string());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_is_in_a_directory_that_is_carried_out_of_the_root_stays_in_it() {
    let mut bench = Bench::files();
    bench.asked = Arc::new(|policy, root, path| {
        if path.starts_with(b"out/") {
            let root = &policy.roots[&root].path;
            let _ = std::fs::rename(root.join("out"), root.with_file_name("elsewhere"));
        }
    });
    for name in ["out/a", "out/b", "stays/a"] {
        bench.write(name, name);
    }
    let claims = ["out/a", "out/b", "stays/a"].map(|name| bench.claim(Unit::File, name));
    let outcomes = bench.reap(&claims);
    assert_eq!(outcomes[..2], [Outcome::Gone, Outcome::Gone]);
    removed(&outcomes[2]);
    assert_eq!(names(&bench.base.join("elsewhere")), ["a", "b"]);
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    assert_eq!(bench.lines().len(), 1);
}

#[test]
fn what_is_in_a_root_that_is_carried_away_stays_in_it() {
    for (unit, mut bench) in [(Unit::File, Bench::files()), (Unit::Dir, Bench::dirs())] {
        bench.asked = Arc::new(|policy, root, _| {
            let root = &policy.roots[&root].path;
            let _ = std::fs::rename(root, root.with_file_name("elsewhere"));
        });
        let name = match unit {
            Unit::Job => unreachable!("no claim of a job here"),
            Unit::File => "thing",
            Unit::Dir => "thing/x",
        };
        bench.write(name, "1");
        let outcome = bench.reap_one(unit, "thing");
        assert!(!matches!(outcome, Outcome::Removed(_)), "{outcome:?}");
        let elsewhere = bench.base.join("elsewhere");
        assert_eq!(std::fs::read(elsewhere.join(name)).unwrap(), b"1");
        assert_eq!(names(&elsewhere.join(".lapsed")), Vec::<String>::new());
        assert_eq!(bench.lines().len(), 0);
    }
}

#[test]
fn a_part_of_a_unit_that_is_carried_out_of_the_root_stays_where_it_is() {
    let mut bench = Bench::dirs();
    bench.policy.rules[0].keep = Some(Globs::compile(&["**/*.log"]).unwrap());
    for name in [
        "unit/a/d/x",
        "unit/a/e/x",
        "unit/a/f",
        "unit/a/run.log",
        "unit/g",
    ] {
        bench.write(name, "1");
    }
    let base = bench.base.clone();
    bench.before_move = Arc::new(move |path| {
        if path.ends_with("a/d") {
            let _ = std::fs::rename(base.join("root/unit/a"), base.join("elsewhere"));
        }
    });
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    let kept = ["d", "d/x", "e", "e/x", "f", "run.log"];
    assert_eq!(names(&bench.base.join("elsewhere")), kept);
    assert_eq!(bench.read("unit/g"), "1");
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    assert_eq!(bench.lines().len(), 0);
}

/// A file or directory that goes while something newer of its group is there.
fn counted(bench: &Bench, unit: Unit, name: &str, newer: &[&str]) -> Claim {
    let known = bench.claim(unit, name);
    let newer = newer.iter().map(|newer| {
        let claim = bench.claim(unit, newer);
        NewerMember {
            path: claim.path,
            key: claim.key,
            known: claim.known,
        }
    });
    Claim {
        newer: newer.collect(),
        ..known
    }
}

#[test]
fn the_newest_of_a_group_are_looked_for_before_and_after_the_move() {
    for unit in [Unit::File, Unit::Dir] {
        let keep = KeepLast {
            count: 2,
            per: Grouping::Rule,
        };
        let counting = Rule {
            keep_last: Some(keep),
            skip_open: SkipOpen::Never,
            ..rule(unit, Since::NewestMtime, 0)
        };
        let mut bench = Bench::new(vec![counting]);
        let names = ["a", "b", "c"];
        for name in names {
            let file = if unit == Unit::Dir { "/x" } else { "" };
            bench.write(&format!("{name}{file}"), name);
        }
        // Too few are named, or one of them is another thing by now, or gone.
        let claim = counted(&bench, unit, "a", &["b"]);
        let mismatch = Outcome::Held(Hold::RecheckMismatch);
        assert_eq!(bench.reap(&[claim]), std::slice::from_ref(&mismatch));
        let claim = counted(&bench, unit, "a", &["b", "c"]);
        bench.rename("c", "d");
        assert_eq!(bench.reap(std::slice::from_ref(&claim))[0], mismatch);
        bench.rename("b", "c");
        assert_eq!(bench.reap(std::slice::from_ref(&claim))[0], mismatch);
        // In the last moment: when it is out of its place.
        bench.rename("c", "b");
        bench.rename("d", "c");
        let [a, from, to] = ["a", "b", "gone"].map(|name| bench.path(name));
        bench.asked = Arc::new(move |_, _, _| {
            if !a.exists() && from.exists() {
                std::fs::rename(&from, &to).unwrap();
            }
        });
        bench.reaper = None;
        assert_eq!(bench.reap(std::slice::from_ref(&claim))[0], mismatch);
        assert!(bench.path("a").exists());
        bench.assert_untouched();
        bench.asked = Arc::new(|_, _, _| {});
        bench.reaper = None;
        bench.rename("gone", "b");
        assert!(matches!(bench.reap(&[claim])[0], Outcome::Removed(_)));
    }
}

#[test]
fn a_newer_file_that_was_made_older_does_not_count() {
    let keep = KeepLast {
        count: 1,
        per: Grouping::Rule,
    };
    let mut bench = Bench::new(vec![Rule {
        keep_last: Some(keep),
        ..rule(Unit::File, Since::Mtime, 0)
    }]);
    for name in ["a", "b"] {
        bench.write(name, name);
    }
    let claim = counted(&bench, Unit::File, "a", &["b"]);
    let file = std::fs::File::options()
        .append(true)
        .open(bench.path("b"))
        .unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    drop(file);
    assert_eq!(
        bench.reap(&[claim])[0],
        Outcome::Held(Hold::RecheckMismatch)
    );
    bench.assert_untouched();
}
