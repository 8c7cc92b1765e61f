//! All that a job owns, in two roots.

use std::fs::File;

use super::world::{ENDED, UPLOADS, held_by_source, job_rule, key, row};
use super::*;
use crate::core::jobs::{JobLookup, Status};
use crate::core::pins::{Pin, PinTarget};
use crate::core::policy::Record;
use crate::ledger::LineUnit;

/// A job that ended, with a directory in one root and a file in the other.
fn bench(rule: Rule) -> Bench {
    let bench = Bench::jobs(vec![rule]);
    bench.world.has(row("j1", Status::Completed));
    bench.world.gives(ROOT, "out/j1", "j1");
    bench.world.gives(UPLOADS, "in.tif", "j1");
    bench.write("out/j1/a/file", "12");
    bench.write("out/j1/b", "345");
    std::fs::create_dir(bench.path("out/j1/empty")).unwrap();
    bench.write("../uploads/in.tif", "6789");
    bench
}

const PIECES: [(RootId, &str); 2] = [(ROOT, "out/j1"), (UPLOADS, "in.tif")];

#[track_caller]
fn assert_all_there(bench: &Bench) {
    assert_eq!(
        bench.read("out/j1/a/file") + &bench.read("out/j1/b"),
        "12345"
    );
    assert_eq!(bench.read("../uploads/in.tif"), "6789");
    assert!(bench.path("out/j1/empty").exists());
}

fn pin(id: u64, target: PinTarget) -> Pin {
    Pin {
        id,
        target,
        who: "ann".into(),
        why: "looks at it".into(),
        set_at: ENDED,
        until: clock::now().wall.plus_ms(3_600_000),
    }
}

#[test]
fn it_goes_from_both_roots_with_one_line_that_has_its_row() {
    let mut bench = bench(job_rule());
    bench.world.has(crate::core::jobs::JobRow {
        error: Some("none to speak of".into()),
        ..row("j1", Status::Failed)
    });
    let outcome = bench.reap_job("j1", &PIECES);
    let removal = removed(&outcome);
    assert_eq!(
        (removal.files, removal.bytes, removal.partial),
        (3, 9, false)
    );
    assert!(!bench.path("out/j1").exists() && !bench.path("../uploads/in.tif").exists());
    assert!(bench.path("out").exists(), "only what is the job's goes");
    let [line] = &bench.lines()[..] else {
        panic!("{:?}", bench.lines());
    };
    assert_eq!((line.unit, &*line.root), (LineUnit::Job, "results"));
    assert_eq!((line.files, line.bytes, line.basis), (3, 9, ENDED));
    assert_eq!(line.path, bench.path("out/j1").to_str().unwrap());
    let upload = bench.base.join("uploads/in.tif").display().to_string();
    assert_eq!(line.paths, [line.path.clone(), upload]);
    assert_eq!(line.owner.as_deref(), Some("j1"));
    let job = line.job.as_ref().unwrap();
    assert_eq!((&*job.source, &*job.record), ("app", "keep"));
    assert_eq!(job.row.error.as_deref(), Some("none to speak of"));
    assert_eq!(*bench.world.read.lock(), ["j1", "j1"], "once at each look");
    assert_eq!(*bench.world.noted.lock(), []);
    assert_eq!(bench.quarantined(), Vec::<String>::new());
    bench.assert_no_intents();
}

#[test]
fn what_is_kept_or_has_another_owner_too_stays() {
    let mut bench = bench(Rule {
        keep: Some(globs(&["**/*.log"])),
        ..job_rule()
    });
    bench.world.has(row("running", Status::Running));
    // Who keeps it longest decides: of those that have ended that is who ended last.
    let mut over = row("over", Status::Completed);
    over.moments.completed_at = Some(ENDED.plus_ms(-1));
    bench.world.has(over);
    bench.world.gives(ROOT, "out/j1/c/theirs", "running");
    bench.world.gives(ROOT, "out/j1/d/over", "over");
    bench.write("out/j1/run.log", "log");
    bench.write("out/j1/c/theirs", "theirs");
    bench.write("out/j1/d/over", "gone");
    let outcome = bench.reap_job("j1", &PIECES);
    assert_eq!(
        (removed(&outcome).files, removed(&outcome).partial),
        (4, true)
    );
    assert_eq!(bench.read("out/j1/run.log"), "log");
    assert_eq!(bench.read("out/j1/c/theirs"), "theirs");
    for gone in ["out/j1/a", "out/j1/b", "out/j1/d", "out/j1/empty"] {
        assert!(!bench.path(gone).exists(), "{gone}");
    }
    assert!(!bench.world.read.lock().is_empty());
    let read = bench.world.read.lock().clone();
    assert!(
        read.contains(&"over".to_owned()),
        "its row is read as well: {read:?}"
    );
    assert_eq!(bench.reap_job("j1", &PIECES[..1]), Outcome::Kept);
}

#[test]
fn what_another_job_does_not_let_go_yet_stays() {
    let long = Rule {
        name: "long".into(),
        kinds: Some(vec!["long".into()]),
        expire_ms: Some(i64::from(i32::MAX) * 1000),
        ..job_rule()
    };
    let newest = Rule {
        since: Since::Newest,
        ..job_rule()
    };
    let mut bench = bench(newest);
    bench.policy.rules.insert(0, long);
    let kind = Some("long".to_owned());
    bench.world.has(crate::core::jobs::JobRow {
        kind,
        ..row("slow", Status::Completed)
    });
    bench.world.gives(ROOT, "out/j1/b", "slow");
    let known = bench.newest("out/j1");
    let known = known.max(bench.facts_in(UPLOADS, "in.tif").newest());
    let mut claim = bench.job_claim("j1", &PIECES);
    claim.known = known;
    let outcome = bench.reap(&[claim]).remove(0);
    assert!(removed(&outcome).partial);
    assert_eq!(bench.read("out/j1/b"), "345");
    assert!(!bench.path("out/j1/a").exists());
}

#[test]
fn a_row_that_changes_while_it_is_moved_brings_all_back() {
    let mut bench = bench(job_rule());
    let world = Arc::clone(&bench.world);
    bench.before_move = Arc::new(move |_| world.becomes(row("j1", Status::Running)));
    let outcome = bench.reap_job("j1", &PIECES);
    assert_eq!(
        held_by_source(&outcome),
        "the row of job \"j1\" has changed and is being read"
    );
    assert_all_there(&bench);
    bench.assert_untouched();
    let heard = bench.world.disagreed.lock().clone();
    let running = JobLookup::Row(Box::new(row("j1", Status::Running)));
    assert_eq!(heard, [("j1".to_owned(), running)]);
    assert_eq!(bench.told.lock().last().unwrap().0, "back");
    // When it is known, there is nothing to ask twice about.
    bench.world.has(row("j1", Status::Running));
    let outcome = bench.reap_job("j1", &PIECES);
    assert!(!matches!(outcome, Outcome::Removed(_)), "{outcome:?}");
    assert_all_there(&bench);
}

#[test]
fn a_source_that_cannot_be_asked_holds_everything_in_its_place() {
    let mut bench = bench(job_rule());
    *bench.world.down.lock() = Some("the disk is gone".into());
    let outcome = bench.reap_job("j1", &PIECES);
    assert_eq!(held_by_source(&outcome), "the disk is gone");
    assert!(bench.told.lock().is_empty() && bench.world.disagreed.lock().is_empty());
    *bench.world.down.lock() = None;
    // Or not any more, when all is out of its place.
    let world = Arc::clone(&bench.world);
    bench.before_move = Arc::new(move |_| *world.down.lock() = Some("it went away".into()));
    bench.reaper = None;
    let outcome = bench.reap_job("j1", &PIECES);
    assert_eq!(held_by_source(&outcome), "it went away");
    assert_all_there(&bench);
    bench.assert_untouched();
}

#[test]
fn a_pin_on_anything_of_it_holds_all() {
    let mut bench = bench(job_rule());
    let of_job = || PinTarget::Job {
        source: "app".into(),
        id: "j1".into(),
    };
    let inside = PinTarget::Path(bench.path("out/j1/a/file"));
    let other = PinTarget::Path(bench.base.join("uploads"));
    for (id, target) in (1..).zip([inside, other, of_job()]) {
        bench.world.pins.set(pin(id, target));
        let outcome = bench.reap_job("j1", &PIECES);
        assert!(matches!(held(&outcome), Hold::Pinned { pin, .. } if *pin == id));
        assert!(bench.told.lock().is_empty());
        bench.world.pins.remove(id);
    }
    // Set while it is moved.
    let pins = Arc::clone(&bench.world.pins);
    bench.before_move = Arc::new(move |_| pins.set(pin(9, of_job())));
    bench.reaper = None;
    let outcome = bench.reap_job("j1", &PIECES);
    assert!(
        matches!(held(&outcome), Hold::Pinned { pin: 9, .. }),
        "{outcome:?}"
    );
    assert_all_there(&bench);
    bench.assert_untouched();
    // A pin of a job without files, too, and none on somebody else's path.
    bench.policy.rules[0].record = Record::Mark;
    let outcome = bench.reap_job("j1", &[]);
    assert!(matches!(held(&outcome), Hold::Pinned { .. }));
    bench.world.pins.remove(9);
    bench
        .world
        .pins
        .set(pin(10, PinTarget::Path("/else".into())));
    removed(&bench.reap_job("j1", &[]));
}

#[test]
fn an_open_file_in_one_piece_leaves_or_brings_back_all() {
    let mut bench = bench(job_rule());
    let upload = bench.path("../uploads/in.tif");
    let open = File::open(&upload).unwrap();
    let outcome = bench.reap_job("j1", &PIECES);
    let path = Some(bench.base.join("uploads/in.tif").display().to_string());
    assert_eq!(*held(&outcome), Hold::Open { path });
    assert!(bench.told.lock().is_empty(), "it did not move");
    drop(open);
    // A change of a piece while another is moved.
    bench.before_move = Arc::new(move |_| std::fs::write(&upload, "more, and other").unwrap());
    bench.policy.rules[0].skip_open = SkipOpen::Never;
    bench.reaper = None;
    let outcome = bench.reap_job("j1", &PIECES);
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    assert_eq!(bench.read("../uploads/in.tif"), "more, and other");
    assert_eq!(bench.read("out/j1/a/file"), "12");
    bench.assert_untouched();
}

#[test]
fn what_is_gone_already_is_skipped() {
    let mut bench = bench(job_rule());
    let claim = bench.job_claim("j1", &PIECES);
    std::fs::remove_dir_all(bench.path("out")).unwrap();
    let outcome = bench.reap(std::slice::from_ref(&claim)).remove(0);
    assert_eq!(removed(&outcome).files, 1);
    let line = &bench.lines()[0];
    assert_eq!((&*line.root, line.paths.len()), ("uploads", 0));
    let again = Claim {
        due: clock::now().wall,
        ..claim
    };
    assert_eq!(bench.reap(&[again]), [Outcome::Gone]);
    assert_eq!(bench.reap_job("j1", &[]), Outcome::Gone);
    assert_eq!(bench.lines().len(), 1);
}

#[test]
fn a_job_without_files_loses_its_record_alone() {
    let mut bench = bench(Rule {
        record: Record::Forget,
        ..job_rule()
    });
    let with_files = bench.job_claim("j1", &PIECES);
    std::fs::remove_dir_all(bench.path("out")).unwrap();
    std::fs::remove_file(bench.path("../uploads/in.tif")).unwrap();
    let without = bench.job_claim("j1", &[]);
    for claim in [without, with_files] {
        let outcome = bench.reap(&[claim]).remove(0);
        let removal = removed(&outcome);
        assert_eq!((removal.files, removal.partial), (0, false));
        let lines = bench.lines();
        let line = lines.last().unwrap();
        assert_eq!((&*line.root, &*line.path, line.id), ("", "", removal.id));
        assert_eq!(line.job.as_ref().unwrap().record, "forget");
        let noted = bench.world.noted.lock().last().cloned();
        assert_eq!(noted, Some((line.id, "j1".into(), "forget")));
    }
    *bench.world.refuses.lock() = Some("no room".into());
    let outcome = bench.reap_job("j1", &[]);
    assert!(matches!(held(&outcome), Hold::LedgerUnavailable { error } if error == "no room"));
    assert_eq!(bench.lines().len(), 2);
    assert!(bench.world.struck.lock().is_empty());
}

#[test]
fn what_cannot_be_recorded_comes_back() {
    let mut bench = bench(Rule {
        record: Record::Mark,
        ..job_rule()
    });
    *bench.world.refuses.lock() = Some("no room".into());
    let outcome = bench.reap_job("j1", &PIECES);
    assert!(matches!(held(&outcome), Hold::LedgerUnavailable { error } if error == "no room"));
    assert_all_there(&bench);
    bench.assert_untouched();
    *bench.world.refuses.lock() = None;
    // Directories in the place of the first segment, whatever its number.
    for id in 0..64 {
        let name = format!("{id:020}.jsonl");
        std::fs::create_dir(bench.base.join("ledger").join(name)).unwrap();
    }
    let outcome = bench.reap_job("j1", &PIECES);
    assert!(
        matches!(held(&outcome), Hold::LedgerUnavailable { .. }),
        "{outcome:?}"
    );
    assert_all_there(&bench);
    let noted: Vec<u64> = bench.world.noted.lock().iter().map(|one| one.0).collect();
    assert_eq!((noted.len(), &*bench.world.struck.lock()), (1, &noted));
    bench.assert_no_intents();
}

#[test]
fn a_job_whose_files_are_all_kept_loses_its_record_nevertheless() {
    let mut bench = bench(Rule {
        record: Record::Mark,
        keep: Some(globs(&["**"])),
        ..job_rule()
    });
    let outcome = bench.reap_job("j1", &PIECES);
    assert_eq!(
        (removed(&outcome).files, removed(&outcome).partial),
        (0, true)
    );
    assert_all_there(&bench);
    assert_eq!(bench.lines()[0].path, "");
}

#[test]
fn by_the_newest_of_all_pieces_it_is_not_due_early() {
    let mut bench = bench(Rule {
        since: Since::Newest,
        ..job_rule()
    });
    let newest = bench.newest("out/j1");
    let mut claim = bench.job_claim("j1", &PIECES);
    claim.known = newest;
    wait(|| clock::now().wall > newest.plus_ms(20));
    bench.write("../uploads/in.tif", "6789");
    let outcome = bench.reap(&[claim]).remove(0);
    let Outcome::NewerContent { latest } = outcome else {
        panic!("{outcome:?}");
    };
    let mut claim = bench.job_claim("j1", &PIECES);
    claim.known = latest.any;
    removed(&bench.reap(&[claim])[0]);
}

#[test]
fn other_timestamps_of_the_job_than_the_engine_knew_spare_it() {
    let mut bench = bench(job_rule());
    let mut claim = bench.job_claim("j1", &PIECES);
    claim.known = ENDED.plus_ms(-1);
    let outcome = bench.reap(&[claim]).remove(0);
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    // Nor is another's job enough.
    let mut claim = bench.job_claim("j1", &PIECES);
    claim.owners = vec![key("nobody")];
    let outcome = bench.reap(&[claim]).remove(0);
    held_by_source(&outcome);
    bench.world.has(row("idle", Status::Completed));
    let mut claim = bench.job_claim("j1", &PIECES);
    claim.owners = vec![key("idle")];
    assert_eq!(bench.reap(&[claim]), [Outcome::Kept]);
    assert_all_there(&bench);
    bench.assert_untouched();
}

#[test]
fn a_root_that_is_away_holds_the_job_in_the_others_too() {
    let mut bench = bench(job_rule());
    bench.start();
    let reaper = bench.reaper.as_ref().unwrap();
    reaper.set_place(UPLOADS, None);
    let outcome = bench.reap_job("j1", &PIECES);
    assert_eq!(*held(&outcome), Hold::RootMissing);
    assert_all_there(&bench);
    let place = bench.place_of("uploads");
    let reaper = bench.reaper.as_ref().unwrap();
    reaper.set_place(UPLOADS, Some(place));
    removed(&bench.reap_job("j1", &PIECES));
}
