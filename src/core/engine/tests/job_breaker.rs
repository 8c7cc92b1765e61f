//! Jobs that changed facts make due wait for a person; those that time makes due do not.

use super::*;
use crate::core::report::{Counted, Trip};

const JOBS: u8 = 12;

fn id(number: u8) -> String {
    format!("aaaaaaaa-0000-4000-8000-0000000000{number:02x}")
}

/// A place whose breaker trips for more than three, with a file of each job.
fn place(rule: Rule) -> Place {
    let mut place = empty(rule);
    for number in 0..JOBS {
        place.file(RESULTS, &format!("{}/x", id(number)));
    }
    place
}

fn empty(rule: Rule) -> Place {
    let mut place = Place::new(vec![rule]);
    place.engine.breaker = Breaker {
        entries: 3,
        ..Breaker::default()
    };
    place
}

fn all(row: impl Fn(&str) -> JobRow) -> Vec<JobRow> {
    (0..JOBS).map(|number| row(&id(number))).collect()
}

fn trips(place: &Place) -> Vec<(RootId, u64, u64, Counted)> {
    let roots = place.engine.status(place.now).roots.into_iter();
    let tripped = roots.filter_map(|root| Some((root.root, root.trip?)));
    tripped
        .map(|(root, Trip { due, of, what, .. })| (root, due, of, what))
        .collect()
}

const WHOLE: [(RootId, u64, u64, Counted); 1] =
    [(RESULTS, JOBS as u64, JOBS as u64, Counted::Files)];

#[track_caller]
fn held_until_released(place: &mut Place) {
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(trips(place), WHOLE);
    let told = place.told.iter();
    let tripped = told.filter(|event| matches!(event, Event::Tripped { .. }));
    assert_eq!(tripped.count(), 1);
    let now = place.now;
    place
        .engine
        .release(None, &crate::core::principal::Principal::Uid(0), now);
    place.settle_down();
    assert_eq!(place.claimed().len(), usize::from(JOBS));
}

#[test]
fn a_first_reading_that_makes_much_due_asks_first() {
    let mut place = place(job_rule());
    place.pass_until(10 * HOUR);
    place.loaded(all(|id| completed(id, 0)));
    held_until_released(&mut place);
}

#[test]
fn a_rule_that_makes_much_due_asks_first() {
    let week = Rule {
        expire_ms: Some(200 * HOUR),
        ..job_rule()
    };
    let mut place = place(week);
    place.loaded(all(|id| completed(id, 0)));
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    let breaker = place.engine.breaker;
    let other = Arc::new(policy(vec![job_rule()]));
    place.step(Input::Reload(other, breaker));
    place.settle_down();
    for root in [RESULTS, UPLOADS, OTHER] {
        // A crawl that finds what is known.
        let began = place.now.boot;
        let cost = PassCost::default();
        place.step(Input::Observed(vec![Observed::Reconciled {
            root,
            began,
            cost,
        }]));
    }
    let jobs = u64::from(JOBS);
    assert_eq!(place.claimed(), [""; 0]);
    let trips = trips(&place);
    assert_eq!(trips.first(), Some(&(RESULTS, jobs, jobs, Counted::Files)));
}

#[test]
fn rows_that_are_rewritten_to_have_ended_long_ago_ask_first() {
    let mut place = place(job_rule());
    place.loaded(all(running));
    place.pass_until(50 * HOUR);
    let jobs = u64::from(JOBS);
    place.report(vec![JobChange::Loaded { jobs }]);
    place.pass_until(100 * HOUR);
    // A reading of the source comes in parts: nothing goes before it is through.
    for (number, row) in all(|id| completed(id, 0)).into_iter().enumerate() {
        place.step(Input::Jobs(SourceUpdate {
            source: DB,
            news: vec![JobChange::Rows(vec![row])],
            more: number + 1 < usize::from(JOBS),
        }));
        place.settle_down();
    }
    held_until_released(&mut place);
}

#[test]
fn records_without_files_ask_first_too() {
    let mut place = empty(Rule {
        record: Record::Forget,
        ..job_rule()
    });
    place.pass_until(10 * HOUR);
    place.loaded(all(|id| completed(id, 0)));
    assert_eq!(place.claimed(), [""; 0]);
    let jobs = u64::from(JOBS);
    assert_eq!(trips(&place)[0], (RESULTS, jobs, jobs, Counted::Jobs));
}

#[test]
fn jobs_that_end_one_after_the_other_go_at_once() {
    let mut place = place(Rule {
        expire_ms: Some(0),
        record: Record::Mark,
        ..job_rule()
    });
    place.loaded(all(running));
    for number in 0..JOBS {
        let ms = 1000 * (1 + i64::from(number));
        place.pass_until(ms);
        place.report(vec![JobChange::Rows(vec![completed(
            &id(number),
            ms - 500,
        )])]);
        assert_eq!(place.reap(), [format!("results/{}", id(number))]);
    }
    assert_eq!(trips(&place), []);
}

#[test]
fn what_came_due_while_the_source_could_not_be_read_goes_when_it_can() {
    let mut place = place(job_rule());
    place.loaded(all(running));
    place.pass_until(HOUR);
    place.report(vec![JobChange::Loaded {
        jobs: u64::from(JOBS),
    }]);
    place.report(vec![JobChange::Down {
        why: "away".to_owned(),
    }]);
    place.pass_until(10 * HOUR);
    let jobs = u64::from(JOBS);
    place.report(vec![
        JobChange::Rows(all(|id| completed(id, 2 * HOUR))),
        JobChange::Loaded { jobs },
    ]);
    place.settle_down();
    assert_eq!(place.claimed().len(), usize::from(JOBS));
    assert_eq!(trips(&place), []);
}

#[test]
fn a_row_that_was_due_before_and_changes_is_no_new_fact() {
    let mut place = place(job_rule());
    place.loaded(all(|id| completed(id, 0)));
    place.is_deaf = true;
    place.pass_until(5 * HOUR);
    let jobs = u64::from(JOBS);
    place.report(vec![JobChange::Loaded { jobs }]);
    place.pass_until(10 * HOUR);
    place.report(vec![JobChange::Rows(all(|id| completed(id, 1)))]);
    assert_eq!(trips(&place), []);
    for _ in 0..2 {
        place.step(Input::Synced(crate::core::effect::JOBS));
    }
    assert_eq!(place.claimed().len(), usize::from(JOBS));
}
