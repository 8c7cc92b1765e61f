//! Whole top-level directories.

use std::fs::File;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use std::time::Duration;

use super::*;
use crate::core::time::Now;
use crate::ledger::{LineUnit, Mark};
use crate::reap::context::ClaimBatch;
use crate::reap::judge::BoundedClock;

#[test]
fn a_directory_goes_as_a_whole_with_one_line() {
    let mut bench = Bench::dirs();
    bench.write("unit/a/b", "12");
    bench.write("unit/c", "345");
    bench.write("unit/\u{7f}odd\n", "");
    std::os::unix::fs::symlink("/etc", bench.path("unit/link")).unwrap();
    std::fs::create_dir(bench.path("unit/empty")).unwrap();
    let outcome = bench.reap_one(Unit::Dir, "unit");
    let removal = removed(&outcome);
    assert_eq!(
        (removal.files, removal.bytes, removal.partial),
        (3, 5, false)
    );
    assert!(!bench.path("unit").exists() && std::path::Path::new("/etc").exists());
    let lines = bench.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].unit, lines[0].files), (LineUnit::Dir, 3));
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    assert_eq!(
        *bench.told.lock(),
        [("before", RelPath::parse(b"unit").unwrap())]
    );
    assert_eq!(
        std::fs::read(bench.base.join("state/intents")).unwrap(),
        b""
    );
}

#[test]
fn the_newest_thing_anywhere_in_it_decides() {
    let mut bench = Bench::new(vec![rule(Unit::Dir, Since::Newest, 3_600_000)]);
    bench.write("unit/deep/file", "1");
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(matches!(outcome, Outcome::Changed { .. }));
    bench.policy.rules[0].since = Since::Mtime;
    std::process::Command::new("touch")
        .args(["-d", "2 days ago"])
        .arg(bench.path("unit"))
        .status()
        .unwrap();
    removed(&bench.reap_one(Unit::Dir, "unit"));
}

#[test]
fn by_the_latest_change_of_contents_a_deep_write_counts_and_a_rename_does_not() {
    let mut bench = Bench::new(vec![rule(Unit::Dir, Since::NewestMtime, 3_600_000)]);
    bench.write("unit/deep/file", "1");
    let age = |bench: &Bench, names: &[&str]| {
        for name in names {
            let touched = std::process::Command::new("touch")
                .args(["-d", "2 days ago"])
                .arg(bench.path(name))
                .status();
            assert!(touched.unwrap().success());
        }
    };
    age(&bench, &["unit/deep", "unit"]);
    let known = bench.latest("unit");
    let stale = Claim {
        known: bench.facts("unit").mtime.ceil(),
        ..bench.claim(Unit::Dir, "unit")
    };
    assert_eq!(
        bench.reap(&[stale]),
        [Outcome::NewerContent { latest: known }],
        "what was written deep in it counts, though its own time is old"
    );
    age(&bench, &["unit/deep/file", "unit/deep", "unit"]);
    removed(&bench.reap_one(Unit::Dir, "unit"));
}

#[test]
fn what_is_kept_or_governed_by_an_earlier_rule_stays_where_it_is() {
    let earlier = Rule {
        name: "first".into(),
        glob: Some(globs(&["**/*.precious"])),
        expire_ms: None,
        ..rule(Unit::File, Since::Newest, 0)
    };
    let dirs = Rule {
        keep: Some(globs(&["**/*.log", "unit/kept"])),
        ..rule(Unit::Dir, Since::Newest, 0)
    };
    let mut bench = Bench::new(vec![earlier, dirs]);
    let stay = ["unit/run.log", "unit/a/b/x.precious", "unit/kept/file"];
    let go = [
        "unit/data",
        "unit/a/data",
        "unit/a/b/data",
        "unit/c/d/data",
        "unit/e/data",
    ];
    for name in stay.iter().chain(&go) {
        bench.write(name, name);
    }
    let inode = bench.facts("unit/a/b/x.precious").key;
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(removed(&outcome).partial);
    assert_eq!(removed(&outcome).files, 5);
    for name in stay {
        assert_eq!(bench.read(name), name);
    }
    assert_eq!(bench.facts("unit/a/b/x.precious").key, inode);
    for name in [
        "unit/data",
        "unit/a/data",
        "unit/a/b/data",
        "unit/c",
        "unit/e",
    ] {
        assert!(!bench.path(name).exists(), "{name}");
    }
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    assert_eq!(bench.lines().len(), 1);
    assert_eq!(bench.reap_one(Unit::Dir, "unit"), Outcome::Kept);
}

#[test]
fn what_the_engine_could_not_know_of_a_unit_is_reported() {
    let mut bench = Bench::dirs();
    bench.write("unit/a/file", "1");
    let known = bench.claim(Unit::Dir, "unit");
    // The kernel stamps files by a clock that ticks every few milliseconds.
    wait(|| {
        bench.write("unit/a/b/file", "1");
        bench.newest("unit") > known.known
    });
    // A link changes without its directory: nothing that is an entry tells of it.
    std::os::unix::fs::symlink("/etc", bench.path("unit/a/link")).unwrap();
    let latest = bench.latest("unit");
    assert!(latest.any > known.known);
    assert_eq!(bench.reap(&[known]), [Outcome::NewerContent { latest }]);
    removed(&bench.reap_one(Unit::Dir, "unit"));
}

#[test]
fn a_unit_in_use_does_not_move() {
    let mut bench = Bench::dirs();
    bench.write("unit/a/file", "1");
    let open = File::open(bench.path("unit/a/file")).unwrap();
    let outcome = bench.reap_one(Unit::Dir, "unit");
    let path = bench.path("unit/a/file").display().to_string();
    assert_eq!(*held(&outcome), Hold::Open { path: Some(path) });
    assert_eq!(*bench.told.lock(), []);
    drop(open);
    removed(&bench.reap_one(Unit::Dir, "unit"));
}

#[test]
fn a_change_before_the_move_brings_all_back() {
    let mut bench = Bench::new(vec![Rule {
        keep: Some(globs(&["**/*.log"])),
        ..rule(Unit::Dir, Since::Newest, 0)
    }]);
    bench.before_move = Arc::new(|path| std::fs::write(path.join("late"), b"late").unwrap());
    bench.write("unit/run.log", "log");
    bench.write("unit/a/file", "1");
    bench.write("unit/single", "1");
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    assert_eq!(bench.read("unit/a/late"), "late");
    assert_eq!(bench.read("unit/a/file") + &bench.read("unit/single"), "11");
    assert_eq!(bench.told.lock().last().unwrap().0, "back");
    assert_eq!((bench.quarantined(), bench.lines()), (vec![], vec![]));
}

#[test]
fn a_name_that_was_taken_meanwhile_leaves_it_displaced() {
    let mut bench = Bench::dirs();
    // The directory is replaced under the reaper's hands: what was seen is not what is moved.
    bench.before_move = Arc::new(|path| std::fs::write(path.join("late"), b"late").unwrap());
    bench.write("unit/file", "1");
    // So many that the look at what was moved takes a while, in which the name is free.
    for file in 0..3000 {
        bench.write(&format!("unit/more/{file}"), "");
    }
    bench.start();
    let reaper_sees = bench.path("unit");
    // Who sleeps until it is moved is quicker than who looks again and again, on a busy machine.
    let moves = inotify::init(CreateFlags::CLOEXEC).unwrap();
    let root = reaper_sees.parent().unwrap();
    inotify::add_watch(&moves, root, WatchFlags::MOVED_FROM).unwrap();
    std::thread::scope(|scope| {
        let squatter = scope.spawn(|| {
            let mut events = [0; 4096];
            while rustix::io::read(&moves, &mut events).is_ok() {
                if std::fs::create_dir(&reaper_sees).is_ok() {
                    return;
                }
            }
        });
        // Repeat until the squatter was quick enough.
        while bench.reaper.as_ref().unwrap().displaced() == 0 && !squatter.is_finished() {
            let _ = bench.reap_one(Unit::Dir, "unit");
        }
    });
    let displaced = bench.quarantined();
    if let [name] = &displaced[..] {
        assert!(
            name.starts_with("displaced-") && name.ends_with("-unit"),
            "{name}"
        );
        let kept = bench.path(".lapsed").join(name);
        assert_eq!(std::fs::read(kept.join("file")).unwrap(), b"1");
        assert_eq!(bench.lines().last().unwrap().result, Mark::Displaced);
    } else {
        panic!("{displaced:?}");
    }
}

#[test]
fn deep_and_large_units_go() {
    let mut bench = Bench::dirs();
    let root = RootDir::open(&bench.path("")).unwrap();
    root.top().make_dir(b"deep").unwrap();
    let mut dir = root.top().open_beneath(b"deep").unwrap();
    for _ in 0..3000 {
        dir.make_dir(b"deeper").unwrap();
        dir = dir.open_beneath(b"deeper").unwrap();
    }
    drop(dir);
    for n in 0..20_000 {
        if n % 500 == 0 {
            std::fs::create_dir_all(bench.path(&format!("large/{}", n / 500))).unwrap();
        }
        std::fs::write(bench.path(&format!("large/{}/{n}", n / 500)), b"1").unwrap();
    }
    let claims = ["deep", "large"].map(|name| bench.claim(Unit::Dir, name));
    let outcomes = bench.reap(&claims);
    assert_eq!(
        (removed(&outcomes[0]).files, removed(&outcomes[1]).files),
        (0, 20_000)
    );
    assert!(!bench.path("deep").exists() && !bench.path("large").exists());
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    assert_eq!(bench.lines().len(), 2);
}

#[test]
fn the_state_directory_inside_holds_it_in_its_place() {
    let mut bench = Bench::dirs();
    bench.write("unit/file", "1");
    std::fs::create_dir(bench.path("unit/deep")).unwrap();
    std::fs::rename(bench.base.join("state"), bench.path("unit/deep/state")).unwrap();
    std::os::unix::fs::symlink(bench.path("unit/deep/state"), bench.base.join("state")).unwrap();
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert_eq!(
        held(&outcome),
        &Hold::StateInside {
            path: "unit/deep/state".into()
        }
    );
    assert_eq!(bench.read("unit/file"), "1");
    assert!(bench.told.lock().is_empty(), "it never left its place");
}

#[test]
fn another_root_inside_holds_it() {
    let mut bench = Bench::dirs();
    bench.write("unit/inner/file", "1");
    let nested = (RelPath::parse(b"unit/inner").unwrap(), RootId(9));
    bench
        .policy
        .roots
        .get_mut(&ROOT)
        .unwrap()
        .nested
        .push(nested);
    let outcome = bench.reap_one(Unit::Dir, "unit");
    assert!(matches!(held(&outcome), Hold::RootInside { .. }));
}

#[test]
fn stopping_in_a_huge_unit_leaves_nothing_half_done() {
    let mut bench = Bench::dirs();
    for n in 0..2500 {
        let path = format!("unit/{}/{n}", n / 50);
        bench.write(&path, "1");
        // The removal of one name moves the change time of the other.
        std::fs::hard_link(bench.path(&path), bench.path(&format!("{path}-twin"))).unwrap();
    }
    bench.start();
    let claim = bench.claim(Unit::Dir, "unit");
    wait(|| clock::now().wall > claim.due.plus_ms(20));
    let policy = Arc::new(std::mem::take(&mut bench.policy));
    bench.reaper.as_ref().unwrap().submit(Batch {
        policy: policy.clone(),
        claims: vec![claim],
    });
    wait(|| !bench.path("unit").exists());
    bench.reaper.as_ref().unwrap().stop();
    let recorded = bench.lines().len();
    bench.start();
    bench.policy = Policy::default();
    bench.settle();
    wait(|| bench.quarantined().is_empty());
    // Recorded: finished by recovery. Stopped before that: back in its place.
    assert_eq!(bench.path("unit").exists(), recorded == 0);
    if recorded == 0 {
        assert_eq!(std::fs::read_dir(bench.path("unit")).unwrap().count(), 50);
    }
}

#[test]
fn units_that_share_hard_links_do_not_wait_for_one_another() {
    let mut bench = Bench::dirs();
    let units: Vec<String> = (0..200).map(|n| format!("unit-{n:03}")).collect();
    for unit in &units {
        bench.write(&format!("{unit}/own"), "1");
        for file in ["a", "b", "c"] {
            let (first, here) = (format!("{}/{file}", units[0]), format!("{unit}/{file}"));
            if *unit == units[0] {
                bench.write(&first, "12");
            } else {
                std::fs::hard_link(bench.path(&first), bench.path(&here)).unwrap();
            }
            // And once more in the unit itself.
            let twin = bench.path(&format!("{unit}/{file}-twin"));
            std::fs::hard_link(bench.path(&here), twin).unwrap();
        }
    }
    bench.policy.rules[0].since = Since::Mtime;
    let claims: Vec<Claim> = units
        .iter()
        .map(|unit| bench.claim(Unit::Dir, unit))
        .collect();
    // Removing a name moves the change time of the others: such a unit is judged again, as the
    // engine would.
    let mut waiting = claims;
    while !waiting.is_empty() {
        let outcomes = bench.reap(&waiting);
        let (all, done) = (waiting.len(), outcomes.iter());
        let done: Vec<bool> = done.map(|one| matches!(one, Outcome::Removed(_))).collect();
        let mut done = done.into_iter();
        waiting.retain(|_| !done.next().unwrap());
        assert!(waiting.len() < all, "{outcomes:?}");
    }
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    let files: u64 = bench.lines().iter().map(|line| line.files).sum();
    assert_eq!((bench.lines().len(), files), (units.len(), 7 * 200));
}

#[test]
fn units_that_cannot_be_recorded_together_all_go_back() {
    let mut bench = Bench::dirs();
    for n in 0..20 {
        bench.write(&format!("unit-{n}/file"), "1");
    }
    bench.start();
    let claims: Vec<Claim> = (0..20)
        .map(|n| bench.claim(Unit::Dir, &format!("unit-{n}")))
        .collect();
    // Directories in the place of the first segment, whatever its number.
    for id in 0..64 {
        let name = format!("{id:020}.jsonl");
        std::fs::create_dir(bench.base.join("ledger").join(name)).unwrap();
    }
    let outcomes = bench.reap(&claims);
    for (n, outcome) in outcomes.iter().enumerate() {
        assert!(
            matches!(held(outcome), Hold::LedgerUnavailable { .. }),
            "{outcome:?}"
        );
        assert_eq!(bench.read(&format!("unit-{n}/file")), "1");
    }
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    assert_eq!(
        std::fs::read(bench.base.join("state/intents")).unwrap(),
        b""
    );
}

#[test]
fn only_units_that_need_the_same_are_taken_in_by_work_that_waits() {
    let mut bench = Bench::dirs();
    bench.write("unit/file", "x");
    let claim = bench.claim(Unit::Dir, "unit");
    let policy = Arc::new(std::mem::take(&mut bench.policy));
    let since = BoundedClock(clock::now());
    let work = |claims| ClaimBatch {
        policy: Arc::clone(&policy),
        roots: [ROOT].into(),
        unit: Unit::Dir,
        claims: vec![claim.clone(); claims],
        since,
    };
    let mut waiting = work(2);
    assert!(waiting.take_in(work(1), 4).is_none());
    assert_eq!(waiting.claims.len(), 3);
    let others = [
        work(2),
        ClaimBatch {
            policy: Arc::default(),
            ..work(1)
        },
        ClaimBatch {
            roots: [ROOT, world::UPLOADS].into(),
            ..work(1)
        },
        ClaimBatch {
            unit: Unit::Job,
            ..work(1)
        },
    ];
    for other in others {
        let claims = other.claims.len();
        let back = waiting.take_in(other, 4).unwrap();
        assert_eq!((back.claims.len(), waiting.claims.len()), (claims, 3));
    }
    // The clock was set forward meanwhile.
    let ahead = BoundedClock(Now {
        wall: since.0.wall.after(Duration::from_hours(1)),
        ..since.0
    });
    let new = ClaimBatch {
        since: ahead,
        ..work(1)
    };
    assert!(waiting.take_in(new, 4).is_none());
    assert_eq!(waiting.since.0.wall, since.0.wall);
}
