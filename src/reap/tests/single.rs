//! Single files.

use std::fs::OpenOptions;

use super::*;
use crate::common::immutable::Immutable;
use crate::ledger::{LineUnit, Mark};

#[test]
fn due_files_go_and_the_ledger_tells_why() {
    let mut bench = Bench::files();
    let names = ["a", "sub/b", "sub/\u{1}\"hostile\n", "c"];
    for name in names {
        bench.write(name, "12345");
        bench.world.gives(ROOT, name, &format!("job of {name}"));
    }
    let mut claims: Vec<Claim> = names.iter().map(|n| bench.claim(Unit::File, n)).collect();
    claims[3].actor = Actor {
        principal: crate::core::principal::Principal::Uid(1000),
        request: Some(0),
        run: Some(7),
    };
    let outcomes = bench.reap(&claims);
    let lines = bench.lines();
    for ((outcome, claim), name) in outcomes.iter().zip(&claims).zip(names) {
        let removal = removed(outcome);
        assert!(!bench.path(name).exists());
        assert!(removal.at >= removal.deadline);
        assert_eq!((removal.files, removal.bytes), (1, 5));
        let line = lines.iter().find(|line| line.id == removal.id).unwrap();
        assert_eq!(line.path, bench.path(name).to_str().unwrap());
        assert_eq!(line.owner, Some(format!("job of {name}")));
        assert_eq!(line.job, None, "nobody knows such a job");
        assert_eq!((line.at, line.deadline), (removal.at, removal.deadline));
        assert_eq!(line.late_ms, line.at.ms_since(claim.due));
        assert_eq!(
            (&*line.rule, &*line.since, line.unit),
            ("old", "newest", LineUnit::File)
        );
        assert_eq!(line.result, Mark::Removed);
    }
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().any(
        |line| line.by == crate::core::principal::Principal::Uid(1000) && line.run == Some(7)
    ));
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    assert_eq!(
        std::fs::read(bench.base.join("state/intents")).unwrap(),
        b""
    );
}

#[test]
fn what_is_not_due_or_not_the_same_stays() {
    let mut bench = Bench::files();
    for name in ["young", "swapped", "dir", "gone", "other-rule"] {
        bench.write(name, "1");
    }
    bench.policy.rules[0].expire_ms = Some(3_600_000);
    let young = bench.reap_one(Unit::File, "young");
    assert!(matches!(young, Outcome::Changed { facts } if facts == bench.facts("young")));
    bench.policy.rules[0].expire_ms = Some(0);

    let swapped = bench.claim(Unit::File, "swapped");
    std::fs::hard_link(bench.path("swapped"), bench.path("keeps-the-inode")).unwrap();
    bench.write("new", "2");
    std::process::Command::new("mv")
        .args([bench.path("new"), bench.path("swapped")])
        .status()
        .unwrap();
    let dir = Claim {
        key: bench.facts("dir").key,
        ..bench.claim(Unit::File, "dir")
    };
    let gone = Claim {
        path: RelPath::parse(b"never/was").unwrap(),
        ..dir.clone()
    };
    let other = Claim {
        known: clock::now().wall.plus_ms(3_600_000),
        ..bench.claim(Unit::File, "other-rule")
    };
    let outcomes = bench.reap(&[swapped, gone, other]);
    assert!(matches!(outcomes[0], Outcome::Changed { .. }));
    assert_eq!(outcomes[1], Outcome::Gone);
    assert!(
        matches!(outcomes[2], Outcome::Changed { .. }),
        "an arrival that is not old enough"
    );
    assert_eq!(bench.read("swapped"), "2");
    assert_eq!(bench.lines(), []);
}

#[test]
fn a_retention_of_its_own_counts_from_the_same_timestamp() {
    let mut bench = Bench::files();
    bench.policy.rules[0].expire_ms = Some(3_600_000);
    bench.write("file", "1");
    let claim = Claim {
        retention_ms: Some(0),
        ..bench.claim(Unit::File, "file")
    };
    let outcome = bench.reap(&[claim]).remove(0);
    assert!(removed(&outcome).deadline <= removed(&outcome).at);
}

#[test]
fn open_files_are_held_as_the_rule_says() {
    let mut bench = Bench::files();
    bench.write("file", "1");
    let open = OpenOptions::new()
        .append(true)
        .open(bench.path("file"))
        .unwrap();
    let outcome = bench.reap_one(Unit::File, "file");
    assert_eq!(*held(&outcome), Hold::Open { path: None });
    bench.policy.rules[0].skip_open = SkipOpen::IfKnown;
    assert_eq!(
        *held(&bench.reap_one(Unit::File, "file")),
        Hold::Open { path: None }
    );
    bench.policy.rules[0].skip_open = SkipOpen::Never;
    removed(&bench.reap_one(Unit::File, "file"));
    drop(open);
    assert_eq!(bench.lines().len(), 1);
}

/// A file with the names `a`, `b` and `c`.
fn three_names() -> (Bench, [Claim; 3]) {
    let bench = Bench::files();
    bench.write("a", "1");
    for other in ["b", "c"] {
        std::fs::hard_link(bench.path("a"), bench.path(other)).unwrap();
    }
    let claims = ["a", "b", "c"].map(|name| bench.claim(Unit::File, name));
    (bench, claims)
}

#[test]
fn all_names_of_one_file_go_in_one_batch() {
    let (mut bench, claims) = three_names();
    for outcome in bench.reap(&claims) {
        removed(&outcome);
    }
    // Each removal moved the change time of the others: they were judged by what was before.
    let lines = bench.lines();
    assert!(lines.iter().all(|line| line.basis == claims[0].known));
    assert_eq!(lines.len(), 3);
}

#[test]
fn names_of_one_file_that_are_claimed_one_after_the_other_all_go() {
    let (mut bench, claims) = three_names();
    for claim in claims {
        let outcome = bench.reap(std::slice::from_ref(&claim)).remove(0);
        removed(&outcome);
        assert_eq!(bench.lines().last().unwrap().basis, claim.known);
    }
}

#[test]
fn a_file_that_changes_when_one_of_its_names_is_gone_keeps_the_others() {
    let changes: [fn(&Bench); 3] = [
        |bench| std::fs::hard_link(bench.path("b"), bench.path("new")).unwrap(),
        |bench| std::fs::write(bench.path("b"), "2").unwrap(),
        |bench| {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(bench.path("b"), mode).unwrap();
        },
    ];
    for change in changes {
        let (mut bench, [first, second, third]) = three_names();
        removed(&bench.reap(&[first]).remove(0));
        let left = bench.facts("b");
        wait(|| {
            // File systems keep times as coarsely as the timer ticks: change until it shows.
            let _ = std::fs::remove_file(bench.path("new"));
            change(&bench);
            bench.facts("b").ctime > left.ctime
        });
        for outcome in bench.reap(&[second, third]) {
            assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
        }
        assert!(bench.path("b").exists() && bench.path("c").exists());
    }
}

#[test]
fn a_name_that_is_not_due_outlives_the_others() {
    let (mut bench, [first, second, third]) = three_names();
    let kept = Claim {
        known: third.known.plus_ms(3_600_000),
        ..third
    };
    let outcomes = bench.reap(&[first, kept, second]);
    removed(&outcomes[0]);
    assert!(
        matches!(outcomes[1], Outcome::Changed { .. }),
        "{outcomes:?}"
    );
    removed(&outcomes[2]);
    assert_eq!(bench.read("c"), "1");
}

#[test]
fn a_thousand_files_in_a_thousand_directories_go() {
    let mut bench = Bench::files();
    let names: Vec<String> = (0..1000).map(|n| format!("{n}/file")).collect();
    for name in &names {
        bench.write(name, "1");
    }
    let claims: Vec<Claim> = names
        .iter()
        .map(|name| bench.claim(Unit::File, name))
        .collect();
    bench
        .reap(&claims)
        .iter()
        .for_each(|outcome| assert!(removed(outcome).id > 0));
    assert_eq!(bench.lines().len(), 1000);
}

#[test]
fn directories_that_a_removal_emptied_go_too_when_asked() {
    let mut bench = Bench::files();
    bench.policy.roots.get_mut(&ROOT).unwrap().prune_empty_dirs = true;
    bench.write("a/b/c/file", "1");
    bench.write("a/stays/file", "1");
    std::fs::create_dir_all(bench.path("a/was-empty")).unwrap();
    let outcome = bench.reap_one(Unit::File, "a/b/c/file");
    let rel = |path: &str| RelPath::parse(path.as_bytes()).unwrap();
    assert_eq!(removed(&outcome).pruned, [rel("a/b/c"), rel("a/b")]);
    assert!(!bench.path("a/b").exists());
    assert!(bench.path("a/was-empty").exists() && bench.path("a/stays/file").exists());
    assert_eq!(
        *bench.told.lock(),
        [("before", rel("a/b/c")), ("before", rel("a/b"))]
    );
    let units: Vec<LineUnit> = bench.lines().iter().map(|line| line.unit).collect();
    assert_eq!(
        units,
        [LineUnit::File, LineUnit::EmptyDir, LineUnit::EmptyDir]
    );

    bench.write("file", "1");
    removed(&bench.reap_one(Unit::File, "file"));
    assert!(bench.path("").exists(), "a root never goes");
    assert_eq!(bench.quarantined(), Vec::<String>::new());
}

#[test]
fn a_directory_that_is_filled_while_it_is_pruned_comes_back() {
    let mut bench = Bench::files();
    bench.policy.roots.get_mut(&ROOT).unwrap().prune_empty_dirs = true;
    bench.before_move = Arc::new(|path| std::fs::write(path.join("late"), b"late").unwrap());
    bench.write("dir/file", "1");
    let outcome = bench.reap_one(Unit::File, "dir/file");
    assert_eq!(removed(&outcome).pruned, []);
    assert_eq!(bench.read("dir/late"), "late");
    assert_eq!(bench.told.lock().last().unwrap().0, "back");
}

#[test]
fn a_removal_that_an_error_stops_is_tried_again() {
    let mut bench = Bench::files();
    // A lease would tell of the opening by which the attribute is set.
    bench.policy.rules[0].skip_open = SkipOpen::Never;
    bench.write("file", "1");
    bench.start();
    let quarantine = bench.path(".lapsed");
    let stuck: Arc<Mutex<Vec<Immutable>>> = Arc::default();
    let ours = Arc::clone(&stuck);
    bench.ledger.as_ref().unwrap().on_append(Box::new(move || {
        for entry in std::fs::read_dir(&quarantine).unwrap() {
            let path = entry.unwrap().path();
            ours.lock().push(Immutable::set(&quarantine, &path));
        }
    }));
    removed(&bench.reap_one(Unit::File, "file"));
    assert_eq!(
        bench.quarantined().len(),
        1,
        "recorded, and in the quarantine still"
    );
    stuck.lock().drain(..).for_each(Immutable::lift);
    wait(|| bench.quarantined().is_empty());
    assert_eq!(bench.lines().len(), 1, "nothing was displaced");
}

#[test]
fn claims_of_a_root_that_is_not_there_are_held() {
    let mut bench = Bench::files();
    bench.write("file", "1");
    bench.start();
    bench.reaper.as_ref().unwrap().set_place(ROOT, None);
    assert_eq!(
        *held(&bench.reap_one(Unit::File, "file")),
        Hold::RootMissing
    );
    let place = bench.place();
    bench.reaper.as_ref().unwrap().set_place(ROOT, Some(place));
    removed(&bench.reap_one(Unit::File, "file"));
}
