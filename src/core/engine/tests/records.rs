//! Records of jobs.

use super::*;
use crate::core::engine::item::Item;
use crate::core::facts::RuleId;
use crate::core::report::CleanRequest;

fn session_rule(record: Record) -> Rule {
    Rule {
        since: Since::LastActivity,
        jobs: JobFilter::Anyone,
        roots: None,
        record,
        ..job_rule()
    }
}

fn session(id: &str, ms: i64) -> JobRow {
    JobRow {
        moments: JobTimestamps {
            last_activity: Some(at(ms).wall),
            ..JobTimestamps::default()
        },
        ..JobRow::new(id, Status::Completed)
    }
}

#[test]
fn a_row_that_owns_no_files_goes_by_the_same_wheel() {
    let mut place = Place::new(vec![session_rule(Record::Forget)]);
    place.loaded(vec![session(A, 0), session(B, HOUR / 2)]);
    place.pass_until(HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(HOUR);
    assert_eq!(place.reap(), [format!("job {A}")]);
    assert_eq!(place.recorded, [7]);
    // Its record is being removed: it is not asked for again.
    place.pass_until(HOUR + HOUR / 2 - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(HOUR + HOUR / 2);
    assert_eq!(place.reap(), [format!("job {B}")]);
    // Both are gone, as was wanted: that is no sudden loss.
    place.step(Input::Forgotten(DB));
    place.step(Input::Forgotten(DB));
    place.report(vec![
        JobChange::Gone(vec![A.to_owned(), B.to_owned()]),
        JobChange::Loaded { jobs: 0 },
    ]);
    assert_eq!(place.engine.status(place.now).sources[0].trip, None);
}

#[test]
fn a_job_that_comes_back_is_not_forgotten() {
    let mut place = Place::new(vec![session_rule(Record::Forget)]);
    place.loaded(vec![session(A, 0)]);
    place.pass_until(HOUR - 1);
    place.report(vec![JobChange::Rows(vec![session(A, HOUR - 1)])]);
    place.pass_until(2 * HOUR - 2);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(2 * HOUR - 1);
    assert_eq!(place.claimed(), [format!("job {A}")]);
}

#[test]
fn a_record_that_is_kept_is_no_reason_to_claim_a_job_without_files() {
    let mut place = Place::new(vec![session_rule(Record::Keep)]);
    place.loaded(vec![session(A, 0)]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn a_job_is_marked_once_and_again_only_when_its_row_has_changed() {
    let mut place = Place::new(vec![Rule {
        record: Record::Mark,
        ..job_rule()
    }]);
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR);
    assert_eq!(place.reap(), [format!("results/{A}")]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    place.report(vec![JobChange::Rows(vec![completed(A, 9 * HOUR)])]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [format!("job {A}")]);
}

#[test]
fn a_job_that_owns_something_more_is_claimed_anew_before_its_row_goes() {
    let shared = |row: JobRow| JobRow {
        files: vec!["shared.tif".to_owned()],
        ..row
    };
    let changes: [(JobRow, Vec<JobRow>, JobChange); 2] = [
        // Another job lets go of a file.
        (
            shared(session(A, 0)),
            vec![shared(running(B))],
            JobChange::Gone(vec![B.to_owned()]),
        ),
        // The job itself claims one more.
        (
            session(A, 0),
            Vec::new(),
            JobChange::Rows(vec![shared(session(A, 0))]),
        ),
    ];
    for (row, others, change) in changes {
        let mut place = Place::new(vec![session_rule(Record::Forget)]);
        let own = format!("{A}_in.tif");
        place.file(UPLOADS, &own);
        place.file(UPLOADS, "shared.tif");
        place.loaded([vec![row], others].concat());
        place.pass_until(HOUR);
        let claim = place.claims.remove(0);
        assert_eq!(paths_of(&claim), [format!("uploads/{own}")]);
        let key = claim.owners[0].clone();
        let fresh = JobLookup::Row(Box::new(shared(session(A, 0))));
        place.report(vec![change, JobChange::Loaded { jobs: 1 }]);
        assert!(!place.engine.jobs().agrees(&key, &fresh));
        let (source, why) = ("db".to_owned(), "it has changed".to_owned());
        let outcome = Outcome::Held(Hold::SourceDown { source, why });
        place.step(Input::Reaped(vec![Reaped { claim, outcome }]));
        place.pass_until(HOUR + 1000);
        assert!(place.engine.jobs().agrees(&key, &fresh));
        let both = [format!("uploads/{own}"), "uploads/shared.tif".to_owned()];
        assert_eq!(place.reap(), both);
    }
}

#[test]
fn an_order_leaves_a_job_that_is_not_as_it_was_by_its_turn() {
    let mut place = Place::new(vec![session_rule(Record::Forget)]);
    let files = vec!["shared.tif".to_owned()];
    place.file(UPLOADS, "shared.tif");
    place.loaded(vec![JobRow {
        files,
        ..session(A, 0)
    }]);
    place.pass_until(HOUR);
    let claim = place.claims.remove(0);
    // Not under way any more.
    let outcome = Outcome::Held(Hold::RecheckMismatch);
    let reaped = Reaped {
        claim: claim.clone(),
        outcome,
    };
    place.step(Input::Reaped(vec![reaped]));
    let no = place.engine.jobs().number(&claim.owners[0]).unwrap();
    let item = Item::Job(claim.owners[0].source, no, claim.rule);
    let hold = |place: &Place, claim: &Claim| place.engine.hold_of_queued(&item, claim, place.now);
    assert_eq!(hold(&place, &claim), None);
    let less = Claim {
        pieces: Vec::new(),
        ..claim.clone()
    };
    assert_eq!(hold(&place, &less), Some(Hold::Reconciling));
    let why = "it does not answer".to_owned();
    place.report(vec![JobChange::Down { why }]);
    assert!(matches!(
        hold(&place, &claim),
        Some(Hold::SourceDown { .. })
    ));
}

#[test]
fn a_row_stays_while_a_directory_that_may_hold_its_files_cannot_be_read() {
    let mut place = Place::new(vec![session_rule(Record::Forget)]);
    place.loaded(vec![
        JobRow {
            files: vec!["/srv/other/sub/x".to_owned()],
            ..session(A, 0)
        },
        session(B, 0),
    ]);
    let unreadable = |dir: &str| {
        Input::Observed(vec![Observed::Unreadable {
            root: OTHER,
            dir: path(dir),
            error: "too many open files".to_owned(),
        }])
    };
    place.file(OTHER, "sub/y");
    place.file(OTHER, "elsewhere/y");
    place.step(unreadable("sub"));
    place.step(unreadable("elsewhere"));
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), [format!("job {B}")]);
    let held = place.engine.status(place.now).held;
    assert_eq!(held[0].hold.code(), "unreadable");
    // It ends when the directory is read, not with the next try.
    let dir = facts(Kind::Dir, 9, at(0));
    let file = facts(Kind::File, 10, at(0));
    place.step(Input::Observed(vec![Observed::Listing {
        root: OTHER,
        dir: path("sub"),
        facts: dir,
        files: vec![(b"x".as_slice().into(), file)],
        dirs: Vec::new(),
        discovery: Discovery::Event,
        coverage: Coverage::Watched,
    }]));
    place.settle_down();
    assert_eq!(place.claimed(), ["other/sub/x"]);
}

/// Another reading of the same rows, for what is in `other`.
pub(super) const WORKING: SourceId = SourceId(DB.0 + 1);

/// The rows of `db` are forgotten by one rule; by the other, things in `other` go only because of
/// them.
pub(super) fn two_readings(schedule: &Schedule, mode: Mode) -> Place {
    let working = Rule {
        schedule: schedule.clone(),
        unit: Unit::Dir,
        roots: Some(vec![OTHER]),
        record: Record::Keep,
        ..job_rule()
    };
    let forgets = Rule {
        schedule: schedule.clone(),
        record: Record::Forget,
        ..job_rule()
    };
    let mut policy = policy(vec![working, forgets]);
    let mut other = root("other", Some("{job}/**"), None);
    other.source = Some(WORKING);
    policy.roots.insert(OTHER, other);
    let db = policy.sources.get_mut(&DB).unwrap();
    db.same_rows = vec![WORKING];
    let reading = Source {
        name: "working".to_owned(),
        id_pattern: None,
        files_root: None,
        base_dir: db.base_dir.clone(),
        path_map: Vec::new(),
        links: Vec::new(),
        derived: Vec::new(),
        claims: false,
        required: true,
        is_listed: false,
        same_rows: vec![DB],
        is_told: false,
    };
    policy.sources.insert(WORKING, reading);
    let mut place = Place::with_policy(policy, BTreeMap::new(), mode);
    place.file(RESULTS, &format!("{A}/x"));
    place.file(OTHER, &format!("{A}/scratch"));
    place
}

pub(super) fn loaded(row: JobRow) -> Vec<JobChange> {
    vec![JobChange::Rows(vec![row]), JobChange::Loaded { jobs: 1 }]
}

#[test]
fn a_row_stays_until_all_that_goes_because_of_it_is_gone() {
    let mut place = two_readings(&Schedule::AtDeadline, Mode::Live);
    place.loaded(vec![completed(A, 0)]);
    // The other reading has not come: what it would say is not known.
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    place.report_of(WORKING, loaded(running(A)));
    place.pass_until(HOUR + 600_000);
    // It says that the job runs.
    assert_eq!(place.claimed(), [""; 0]);
    let held = place.engine.status(place.now).held;
    assert_eq!(held[0].hold.code(), "row-needed");
    place.report_of(WORKING, loaded(completed(A, 0)));
    place.pass_until(2 * HOUR);
    assert_eq!(place.reap(), [format!("other/{A}")]);
    place.pass_until(2 * HOUR + 60_000);
    assert_eq!(place.reap(), [format!("results/{A}")]);
    assert_eq!(place.recorded.len(), 1);
}

#[test]
fn a_clean_forgets_a_row_after_what_it_removes_by_it_and_not_without() {
    let clean = |place: &mut Place, rules: Option<Vec<RuleId>>, dry_run| {
        let (sender, report) = std::sync::mpsc::channel();
        let request = CleanRequest {
            dry_run,
            rules,
            ..CleanRequest::default()
        };
        let done = Box::new(move |report| sender.send(report).unwrap());
        let policy = place.engine.policy();
        place.step(Input::Clean(policy, request, done));
        let mut gone = Vec::new();
        loop {
            let reaped = place.reap();
            if reaped.is_empty() {
                break;
            }
            gone.extend(reaped);
        }
        let report = report.try_recv().unwrap();
        (gone, report.removed.len(), report.held.len())
    };
    for is_whole in [true, false] {
        let mut place = two_readings(&Schedule::Manual, Mode::Live);
        place.report_of(WORKING, loaded(completed(A, 0)));
        place.loaded(vec![completed(A, 0)]);
        place.pass_until(HOUR);
        let rules = (!is_whole).then(|| vec![RuleId(1)]);
        let foretold = clean(&mut place, rules.clone(), true);
        let (gone, removed, held) = clean(&mut place, rules, false);
        assert_eq!((removed, held), (foretold.1, foretold.2));
        if is_whole {
            assert_eq!(gone, [format!("other/{A}"), format!("results/{A}")]);
        } else {
            assert_eq!((gone.len(), held), (0, 1));
        }
    }
}
