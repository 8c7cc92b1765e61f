//! Jobs and ordered removals are judged after everything that was reported before.

use std::sync::Mutex;

use super::*;
use crate::core::report::{CleanReport, CleanRequest};

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
