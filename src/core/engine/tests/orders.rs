//! Jobs and ordered removals are judged after everything that was reported before.

use std::sync::Mutex;

use super::*;
use crate::core::report::{CleanReport, CleanRequest};
use crate::core::run::Run;

type Reports = Arc<Mutex<Option<CleanReport>>>;

const C: &str = "cccccccc-0000-4000-8000-000000000003";

/// An orphan's name that a job claims.
fn claimed_name() -> String {
    format!("{B}_in.tif")
}

fn orphan_rule() -> Rule {
    Rule {
        since: Since::Mtime,
        jobs: JobFilter::Nobody,
        roots: Some(vec![UPLOADS]),
        expire_ms: Some(1000 * HOUR),
        ..rule("orphans")
    }
}

/// Its upload was taken for an orphan before its row was read.
fn owner_of_an_upload() -> JobRow {
    JobRow {
        files: vec![claimed_name()],
        ..completed(A, 0)
    }
}

fn order(place: &mut Place, policy: &Arc<Policy>) -> Reports {
    let told = Reports::default();
    let report = Arc::clone(&told);
    let done = Box::new(move |given| *report.lock().unwrap() = Some(given));
    let request = CleanRequest {
        dry_run: true,
        ..CleanRequest::due_under(None)
    };
    place.step(Input::Clean(Arc::clone(policy), request, done));
    told
}

#[test]
fn a_job_is_not_judged_by_a_barrier_that_began_before_its_files_were_known_as_its() {
    let mut place = Place::new(vec![job_rule(), orphan_rule()]);
    place.file(UPLOADS, &claimed_name());
    place.pass_until(2 * HOUR);
    place.is_deaf = true;
    // A part of the table is known, and makes the job due.
    place.report(vec![JobChange::Rows(vec![owner_of_an_upload()])]);
    place.file(RESULTS, &format!("{A}/out/x"));
    place.step(Input::Synced(JOBS));
    place.relisted.clear();
    place.report(vec![JobChange::Loaded { jobs: 1 }]);
    place.settle_down();
    assert_eq!(place.relisted.len(), 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.step(Input::Synced(JOBS));
    let all = [
        format!("results/{A}"),
        format!("uploads/{}", claimed_name()),
    ];
    assert_eq!(place.claimed(), all);
}

#[test]
fn an_order_waits_for_what_was_reported_before_it() {
    let mut place = Place::new(vec![
        Rule {
            schedule: Schedule::Manual,
            ..job_rule()
        },
        orphan_rule(),
    ]);
    place.file(UPLOADS, &claimed_name());
    place.file(RESULTS, &format!("{A}/out/x"));
    place.pass_until(2 * HOUR);
    place.loaded(vec![running(C)]);
    place.is_deaf = true;
    let policy = place.engine.policy();
    place.report(vec![JobChange::Rows(vec![owner_of_an_upload()])]);
    let report = order(&mut place, &policy);
    assert_eq!(*report.lock().unwrap(), None);
    place.step(Input::Synced(JOBS));
    let report = report.lock().unwrap().take().unwrap();
    assert_eq!(report.removed.len(), 1, "{report:?}");
    assert_eq!(report.removed[0].files, 2, "{report:?}");

    // A job that there was news of since the barrier began is held.
    let report = order(&mut place, &policy);
    place.report(vec![JobChange::Rows(vec![JobRow {
        files: Vec::new(),
        ..completed(A, 1)
    }])]);
    place.step(Input::Synced(JOBS));
    let report = report.lock().unwrap().take().unwrap();
    assert_eq!(report.removed, []);
    assert_eq!(report.held[0].hold, Some(Hold::Reconciling));
}

#[test]
fn an_order_that_is_hurried_holds_the_jobs_whose_files_may_not_be_known() {
    let manual = Rule {
        schedule: Schedule::Manual,
        ..job_rule()
    };
    let mut place = Place::new(vec![manual]);
    place.file(RESULTS, &format!("{A}/x"));
    place.pass_until(2 * HOUR);
    place.is_deaf = true;
    place.loaded(vec![completed(A, 0)]);
    let policy = place.engine.policy();
    let report = order(&mut place, &policy);
    assert!(place.engine.hurry_orders());
    place.step(Input::Tick);
    let report = report.lock().unwrap().take().unwrap();
    assert_eq!(report.removed, []);
    assert_eq!(report.held[0].hold, Some(Hold::Reconciling));
    assert!(!place.engine.hurry_orders());
}

#[test]
fn an_order_is_not_carried_out_under_other_rules() {
    let mut place = Place::new(vec![job_rule()]);
    place.loaded(vec![running(C)]);
    place.is_deaf = true;
    let given = place.engine.policy();
    let report = order(&mut place, &given);
    let other = Arc::new(policy(vec![job_rule()]));
    place.step(Input::Reload(other, Breaker::default()));
    assert_eq!(Arc::strong_count(&report), 1, "it was dropped");
    // Nor one that comes after the reload.
    let report = order(&mut place, &given);
    place.step(Input::Synced(JOBS));
    assert_eq!(
        (Arc::strong_count(&report), report.lock().unwrap().take()),
        (1, None)
    );
}

#[test]
fn a_limit_tries_the_oldest_first_and_another_for_each_that_is_not_removed() {
    let manual = Rule {
        schedule: Schedule::Manual,
        since: Since::Mtime,
        roots: Some(vec![OTHER]),
        ..rule("files")
    };
    let mut place = Place::new(vec![manual]);
    for (ms, name) in [(1, "d/3"), (2, "d/0"), (3, "d/2"), (4, "d/1")] {
        place.pass_until(ms);
        place.file(OTHER, name);
    }
    place.pass_until(100 * HOUR);
    place.claimed();
    let (run, told) = (Run::new(1), Reports::default());
    let report = Arc::clone(&told);
    let done = Box::new(move |given| *report.lock().unwrap() = Some(given));
    let request = CleanRequest {
        limit: Some(2),
        run: Some(run.clone()),
        ..CleanRequest::due_under(None)
    };
    let policy = place.engine.policy();
    place.step(Input::Clean(policy, request, done));
    assert_eq!(place.claims.len(), 2, "{:?}", place.claims);
    let progress = || (run.progress().due, run.progress().settled);
    assert_eq!(progress(), (2, 0));
    let first = place.claims.remove(0);
    assert_eq!(paths_of(&first), ["other/d/3"]);
    place.step(Input::Reaped(vec![Reaped {
        claim: first,
        outcome: Outcome::Held(Hold::Open { path: None }),
    }]));
    assert_eq!(place.claims.len(), 2, "another one is tried");
    assert_eq!(progress(), (3, 1));
    assert_eq!(place.reap(), ["other/d/0", "other/d/2"]);
    assert_eq!(progress(), (3, 3));
    assert_eq!(place.claims, [], "one is left for the next run");
    let report = told.lock().unwrap().take().unwrap();
    assert_eq!((report.removed.len(), report.held.len()), (2, 1));
}

#[test]
fn jobs_wait_for_files_and_directories() {
    let manual = |rule: Rule| Rule {
        schedule: Schedule::Manual,
        ..rule
    };
    let loose = Rule {
        roots: Some(vec![OTHER]),
        ..rule("loose")
    };
    let mut place = Place::new(vec![manual(job_rule()), manual(loose)]);
    place.file(RESULTS, &format!("{A}/x"));
    place.file(OTHER, "loose");
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(2 * HOUR);
    let policy = place.engine.policy();
    let request = CleanRequest::due_under(None);
    place.step(Input::Clean(policy, request, Box::new(|_| {})));
    assert_eq!(place.reap(), ["other/loose"]);
    assert_eq!(place.claimed(), [format!("results/{A}")]);
}
