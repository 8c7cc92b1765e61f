//! Owners of files and directories, asked again at the last moment.

use super::world::{SOURCE, held_by_source, job_rule, key, row};
use super::*;
use crate::core::jobs::{JobLookup, JobRow, Status};
use crate::core::pauses::Pause;
use crate::core::pins::{Pin, PinTarget};
use crate::core::policy::JobFilter;
use crate::core::template::Template;

/// Files lapse when their job has ended; what nobody owns does as well.
fn files() -> Bench {
    let of_jobs = Rule {
        jobs: JobFilter::Standing(vec![Status::Completed]),
        ..rule(Unit::File, Since::Newest, 0)
    };
    let of_nobody = Rule {
        jobs: JobFilter::Nobody,
        ..rule(Unit::File, Since::Newest, 0)
    };
    let mut bench = Bench::jobs(vec![of_jobs, of_nobody]);
    bench.policy.roots.get_mut(&ROOT).unwrap().orphans = Template::parse("{name}/**").ok();
    bench.world.has(row("j1", Status::Completed));
    for name in ["j1/a", "j1/b", "lost/a"] {
        bench.write(name, name);
    }
    bench.world.gives(ROOT, "j1", "j1");
    bench.world.gives(ROOT, "lost", "lost");
    bench
}

fn of_job(bench: &Bench, path: &str) -> Claim {
    Claim {
        rule: RuleId(0),
        ..bench.claim(Unit::File, path)
    }
}

#[test]
fn a_jobs_row_is_read_once_for_all_of_its_files_at_each_look() {
    let mut bench = files();
    let claims = ["j1/a", "j1/b"].map(|path| of_job(&bench, path));
    let orphan = bench.claim(Unit::File, "lost/a");
    assert_eq!(
        (&claims[0].owners, &orphan.owners),
        (&vec![key("j1")], &vec![key("lost")])
    );
    for outcome in bench.reap(&[claims.to_vec(), vec![orphan]].concat()) {
        removed(&outcome);
    }
    assert_eq!(*bench.world.read.lock(), ["j1", "lost", "j1", "lost"]);
    for line in bench.lines() {
        match line.owner.as_deref() {
            Some("j1") => {
                let job = line.job.unwrap();
                assert_eq!(
                    (&*job.source, &*job.record, &*job.row.id),
                    ("app", "keep", "j1")
                );
            }
            Some("lost") => assert_eq!(line.job, None),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_orphan_whose_job_turns_out_to_exist_stays() {
    let mut bench = files();
    let orphan = bench.claim(Unit::File, "lost/a");
    bench.world.becomes(row("lost", Status::Running));
    let outcome = bench.reap(std::slice::from_ref(&orphan)).remove(0);
    assert_eq!(
        held_by_source(&outcome),
        "the row of job \"lost\" has changed and is being read"
    );
    let heard = bench.world.disagreed.lock().clone();
    let running = JobLookup::Row(Box::new(row("lost", Status::Running)));
    assert_eq!(heard, [("lost".to_owned(), running)]);
    // It is known by now; the claim is from before.
    bench.world.has(row("lost", Status::Completed));
    let outcome = bench.reap(&[orphan]).remove(0);
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    assert_eq!(bench.read("lost/a"), "lost/a");
}

#[test]
fn a_source_that_is_down_or_tells_news_holds_files() {
    let mut bench = files();
    let claims = || ["j1/a", "j1/b"];
    *bench.world.down.lock() = Some("no route".into());
    let all = claims().map(|path| of_job(&bench, path));
    for outcome in bench.reap(&all) {
        assert_eq!(held_by_source(&outcome), "no route");
    }
    *bench.world.down.lock() = None;
    // Its row changes when the files are out of their places: the second reading tells.
    let world = Arc::clone(&bench.world);
    bench.asked = Arc::new(move |_, _, _| {
        world.becomes(JobRow {
            kind: Some("other".into()),
            ..row("j1", Status::Completed)
        });
    });
    bench.reaper = None;
    let all = claims().map(|path| of_job(&bench, path));
    for outcome in bench.reap(&all) {
        held_by_source(&outcome);
    }
    assert_eq!(bench.world.disagreed.lock().len(), 1, "one word is enough");
    assert_eq!(bench.read("j1/a") + &bench.read("j1/b"), "j1/aj1/b");
    bench.assert_untouched();
}

#[test]
fn a_file_that_has_other_owners_than_the_engine_knew_stays() {
    let mut bench = files();
    let claim = of_job(&bench, "j1/a");
    bench.world.has(row("second", Status::Completed));
    bench.world.gives(ROOT, "j1/a", "second");
    let outcome = bench.reap(&[claim]).remove(0);
    assert!(matches!(outcome, Outcome::Changed { .. }), "{outcome:?}");
    let both = of_job(&bench, "j1/a");
    assert_eq!(both.owners.len(), 2);
    // Between the looks: one of them comes back to life.
    let world = Arc::clone(&bench.world);
    bench.asked = Arc::new(move |_, _, _| world.becomes(row("second", Status::Running)));
    bench.reaper = None;
    held_by_source(&bench.reap(&[both])[0]);
    assert_eq!(bench.read("j1/a"), "j1/a");
    bench.assert_untouched();
}

#[test]
fn pins_hold_files_before_and_after_they_moved() {
    let mut bench = files();
    let pin = |target| Pin {
        id: 3,
        target,
        who: "ann".into(),
        why: "looks at it".into(),
        set_at: Timestamp::MIN,
        until: clock::now().wall.plus_ms(3_600_000),
    };
    bench.world.pins.set(pin(PinTarget::Path(bench.path("j1"))));
    let claim = of_job(&bench, "j1/a");
    let outcome = bench.reap(std::slice::from_ref(&claim)).remove(0);
    assert!(matches!(held(&outcome), Hold::Pinned { pin: 3, .. }));
    bench.world.pins.remove(3);
    // Its job, in the last moment: when the owner is asked for the second time.
    let (pins, times) = (Arc::clone(&bench.world.pins), Mutex::new(0));
    let of_job = PinTarget::Job {
        source: "app".into(),
        id: "j1".into(),
    };
    let late = pin(of_job);
    bench.asked = Arc::new(move |_, _, _| {
        *times.lock() += 1;
        if *times.lock() == 2 {
            pins.set(late.clone());
        }
    });
    bench.reaper = None;
    let outcome = bench.reap(&[claim]).remove(0);
    assert!(
        matches!(held(&outcome), Hold::Pinned { pin: 3, .. }),
        "{outcome:?}"
    );
    assert_eq!(bench.read("j1/a"), "j1/a");
    bench.assert_untouched();
}

#[test]
fn a_pause_holds_files_and_units_before_and_after_they_moved() {
    let dirs = Rule {
        jobs: JobFilter::Anyone,
        ..rule(Unit::Dir, Since::Newest, 0)
    };
    for (mut bench, unit, name) in [
        (files(), Unit::File, "j1/a"),
        (Bench::jobs(vec![dirs]), Unit::Dir, "unit"),
    ] {
        let kept = if unit == Unit::Dir { "unit/b" } else { name };
        bench.write(kept, "kept");
        let pause = Pause {
            root: None,
            who: "ann".into(),
            why: "an audit".into(),
            since: Timestamp::MIN,
            until: Timestamp::MAX,
        };
        bench.world.pauses.set(pause.clone());
        let held_by_pause = |outcome: &Outcome| {
            let hold = held(outcome);
            assert!(matches!(hold, Hold::Paused { .. }), "{outcome:?}");
        };
        let claim = match unit {
            Unit::File => of_job(&bench, name),
            Unit::Dir | Unit::Job => bench.claim(unit, name),
        };
        held_by_pause(&bench.reap(std::slice::from_ref(&claim))[0]);
        bench.assert_untouched();
        bench.world.pauses.remove(&pause);
        // In the last moment: when the owner is asked for the second time.
        let (pauses, times) = (Arc::clone(&bench.world.pauses), Mutex::new(0));
        bench.asked = Arc::new(move |_, _, _| {
            *times.lock() += 1;
            if *times.lock() == 2 {
                pauses.set(pause.clone());
            }
        });
        bench.reaper = None;
        held_by_pause(&bench.reap(&[claim])[0]);
        assert_eq!(bench.read(kept), "kept");
        bench.assert_untouched();
    }
}

#[test]
fn a_directory_goes_only_when_all_who_own_something_in_it_let_it_go() {
    let dirs = Rule {
        jobs: JobFilter::Anyone,
        ..rule(Unit::Dir, Since::Newest, 0)
    };
    let mut bench = Bench::jobs(vec![dirs]);
    bench.world.has(row("j1", Status::Completed));
    bench.world.has(row("other", Status::Running));
    bench.world.gives(ROOT, "unit", "j1");
    bench.world.gives(ROOT, "unit/a/theirs", "other");
    bench.write("unit/a/theirs", "theirs");
    bench.write("unit/b", "b");
    let running = Hold::Running {
        job: "other".into(),
    };
    assert_eq!(*held(&bench.reap_one(Unit::Dir, "unit")), running);
    assert!(bench.told.lock().is_empty());
    bench.world.has(row("other", Status::Completed));
    // The row of who owns only a part of it is read as well.
    bench.world.becomes(row("other", Status::Running));
    held_by_source(&bench.reap_one(Unit::Dir, "unit"));
    bench.world.has(row("other", Status::Completed));
    let world = Arc::clone(&bench.world);
    bench.before_move = Arc::new(move |_| world.becomes(row("other", Status::Running)));
    bench.reaper = None;
    held_by_source(&bench.reap_one(Unit::Dir, "unit"));
    assert_eq!(
        bench.read("unit/a/theirs") + &bench.read("unit/b"),
        "theirsb"
    );
    bench.assert_untouched();
    bench.before_move = Arc::new(|_| {});
    bench.reaper = None;
    bench.world.has(row("other", Status::Completed));
    removed(&bench.reap_one(Unit::Dir, "unit"));
    let line = bench.lines().remove(0);
    assert_eq!(line.owner.as_deref(), Some("j1"));
    assert_eq!(line.job.unwrap().row, row("j1", Status::Completed));
}

#[test]
fn a_directory_in_which_something_is_pinned_is_not_pruned() {
    let mut bench = files();
    bench.policy.roots.get_mut(&ROOT).unwrap().prune_empty_dirs = true;
    bench.write("lost/work/file", "1");
    bench.write("j1/deep/file", "1");
    let pin = Pin {
        id: 3,
        target: PinTarget::Path(bench.path("lost/work/later")),
        who: "ann".into(),
        why: "wants to put it there".into(),
        set_at: Timestamp::MIN,
        until: clock::now().wall.plus_ms(3_600_000),
    };
    bench.world.pins.set(pin);
    removed(&bench.reap_one(Unit::File, "lost/work/file"));
    assert!(bench.path("lost/work").exists());
    let claim = of_job(&bench, "j1/deep/file");
    let outcome = bench.reap(&[claim]).remove(0);
    assert_eq!(removed(&outcome).pruned.len(), 1);
    assert!(!bench.path("j1/deep").exists());
}

#[test]
fn a_running_job_loses_nothing_by_a_rule_for_units_either() {
    let mut bench = Bench::jobs(vec![job_rule()]);
    bench.world.has(row("j1", Status::Running));
    bench.world.gives(ROOT, "j1", "j1");
    bench.write("j1/a", "1");
    let outcome = bench.reap_job("j1", &[(ROOT, "j1")]);
    assert!(!matches!(outcome, Outcome::Removed(_)), "{outcome:?}");
    bench.policy.rules[0].jobs = JobFilter::Anyone;
    bench.policy.rules[0].since = Since::Newest;
    let mut claim = bench.job_claim("j1", &[(ROOT, "j1")]);
    claim.known = bench.newest("j1");
    let outcome = bench.reap(&[claim]).remove(0);
    assert_eq!(*held(&outcome), Hold::Running { job: "j1".into() });
    assert_eq!(bench.policy.roots[&ROOT].source, Some(SOURCE));
    bench.assert_untouched();
}
