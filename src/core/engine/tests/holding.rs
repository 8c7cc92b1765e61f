//! Holds by jobs, claims and pins, and their ends.

use super::*;

#[test]
fn running_and_pending_jobs_lose_nothing() {
    for status in [Status::Pending, Status::Running] {
        let mut place = Place::new(vec![job_rule(), rule("everything")]);
        place.loaded(vec![JobRow::new(A, status)]);
        place.file(RESULTS, &format!("{A}/out/x"));
        place.file(UPLOADS, &format!("{A}_in.tif"));
        place.file(OTHER, "x");
        place.pass_until(10 * 365 * 24 * HOUR);
        assert_eq!(place.claimed(), ["other/x"], "{status}");
        assert_eq!(place.hold(UPLOADS, &format!("{A}_in.tif")), ["running"]);
        // It ends, and has been over for long.
        place.report(vec![JobChange::Rows(vec![completed(A, 5)])]);
        let all = [format!("results/{A}"), format!("uploads/{A}_in.tif")];
        assert_eq!(place.claimed(), all, "{status}");
    }
}

#[test]
fn all_that_a_job_owns_goes_as_one_unit_at_its_deadline_and_never_before() {
    let mut place = Place::new(vec![job_rule()]);
    place.file(RESULTS, &format!("{A}/out/x"));
    place.file(RESULTS, &format!("{B}/y"));
    place.file(UPLOADS, &format!("{A}_in.tif"));
    place.file(UPLOADS, "in.mp3");
    place.file(UPLOADS, "in_processed.mp3");
    place.loaded(vec![
        JobRow {
            files: vec!["in.mp3".to_owned()],
            ..completed(A, 1000)
        },
        running(B),
    ]);
    place.pass_until(1000 + HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(1000 + HOUR);
    assert_eq!(place.claims.len(), 1);
    assert_eq!(place.claims[0].due, at(1000 + HOUR).wall);
    let all = [
        format!("results/{A}"),
        format!("uploads/{A}_in.tif"),
        "uploads/in.mp3".to_owned(),
        "uploads/in_processed.mp3".to_owned(),
    ];
    let mut gone = place.reap();
    gone.sort();
    assert_eq!(gone, all);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn scratch_goes_in_the_very_step_that_hears_of_the_completion() {
    let mut place = Place::new(vec![Rule {
        expire_ms: Some(0),
        ..job_rule()
    }]);
    place.loaded(vec![running(A)]);
    place.file(RESULTS, &format!("{A}/scratch"));
    place.pass_until(500);
    place.report(vec![JobChange::Rows(vec![completed(A, 500)])]);
    assert_eq!(place.claimed(), [format!("results/{A}")]);
}

#[test]
fn an_empty_directory_goes_with_its_job() {
    let mut place = Place::new(vec![job_rule()]);
    place.loaded(vec![completed(A, 0)]);
    let dir = path(A);
    place.step(Input::Observed(vec![Observed::Looks {
        root: RESULTS,
        dir: RelPath::root(),
        facts: facts(Kind::Dir, 1, at(0)),
        names: vec![(dir.as_bytes().into(), Some(facts(Kind::Dir, 77, at(0))))],
    }]));
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), [format!("results/{A}")]);
}

#[test]
fn jobs_without_the_timestamp_that_the_rule_needs_lose_nothing() {
    let mut place = Place::new(vec![
        job_rule(),
        Rule {
            since: Since::CompletedAt,
            jobs: JobFilter::Standing(vec![Status::Failed]),
            ..rule("failed files")
        },
    ]);
    place.file(RESULTS, &format!("{A}/x"));
    place.file(RESULTS, &format!("{B}/y"));
    place.loaded(vec![
        JobRow::new(A, Status::Completed),
        JobRow::new(B, Status::Failed),
    ]);
    place.pass_until(1000 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(RESULTS, &format!("{B}/y")), ["no-timestamp"]);
}

#[test]
fn files_of_a_job_follow_its_status_from_rule_to_rule() {
    let of = |name: &str, status, expire_ms| Rule {
        since: Since::CompletedAt,
        jobs: JobFilter::Standing(vec![status]),
        expire_ms: Some(expire_ms),
        ..rule(name)
    };
    let mut place = Place::new(vec![
        of("completed", Status::Completed, 10 * HOUR),
        of("failed", Status::Failed, HOUR),
    ]);
    place.file(UPLOADS, &format!("{A}_in"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(2 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    place.report(vec![JobChange::Rows(vec![JobRow {
        status: Status::Failed,
        ..completed(A, 0)
    }])]);
    assert_eq!(place.claimed(), [format!("uploads/{A}_in")]);
}

#[test]
fn a_job_that_was_cleaned_is_done_and_still_the_owner() {
    let mut place = Place::new(vec![
        Rule {
            record: Record::Mark,
            ..job_rule()
        },
        Rule {
            jobs: JobFilter::Nobody,
            ..rule("orphans")
        },
    ]);
    place.file(RESULTS, &format!("{A}/kept.log"));
    let mut row = completed(A, 0);
    row.moments.cleaned_at = Some(at(10).wall);
    place.loaded(vec![row]);
    place.pass_until(1000 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn a_row_with_a_value_that_cannot_be_read_loses_nothing() {
    let mut place = Place::new(vec![job_rule(), rule("everything")]);
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![JobRow {
        unreadable: Some("column completed_at: \"yesterday\"".to_owned()),
        ..completed(A, 0)
    }]);
    place.pass_until(1000 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    place.report(vec![JobChange::Rows(vec![completed(A, 0)])]);
    assert_eq!(place.claimed(), [format!("results/{A}")]);
}

#[test]
fn a_pin_holds_a_path_and_a_job_until_it_ends_or_is_taken_away() {
    let pin = |id, target, until: i64| Pin {
        id,
        target,
        who: "ada".to_owned(),
        why: "a customer asked".to_owned(),
        set_at: at(0).wall,
        until: at(until).wall,
    };
    let mut place = Place::new(vec![job_rule(), rule("everything")]);
    place.loaded(vec![completed(A, 0), completed(B, 0)]);
    place.file(RESULTS, &format!("{A}/deep/x"));
    place.file(RESULTS, &format!("{B}/x"));
    place.file(OTHER, "dir/x");
    let now = place.now;
    let inside = PinTarget::Path(PathBuf::from(format!("/srv/results/{A}/deep/x")));
    place.engine.pin(pin(1, inside, 5 * HOUR), now);
    let job = PinTarget::Job {
        source: "db".to_owned(),
        id: B.to_owned(),
    };
    place.engine.pin(pin(2, job, 100 * HOUR), now);
    let dir = PinTarget::Path(PathBuf::from("/srv/other/dir"));
    place.engine.pin(pin(3, dir, 100 * HOUR), now);
    place.pass_until(5 * HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(OTHER, "dir/x"), ["pinned"]);
    place.pass_until(5 * HOUR);
    assert_eq!(place.reap(), [format!("results/{A}")]);
    let now = place.now;
    assert!(place.engine.unpin(2, now).is_some());
    assert!(place.engine.unpin(3, now).is_some());
    place.step(Input::Tick);
    assert_eq!(
        place.claimed(),
        ["other/dir/x".to_owned(), format!("results/{B}")]
    );
}

#[test]
fn a_job_that_came_back_to_life_keeps_everything() {
    let mut place = Place::new(vec![job_rule()]);
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR - 1);
    place.report(vec![JobChange::Rows(vec![running(A)])]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn an_id_that_is_none_by_the_pattern_holds_what_its_row_may_own() {
    let mut place = Place::new(vec![job_rule(), rule("everything")]);
    let mut policy = Arc::into_inner(std::mem::take(&mut place.engine.policy));
    if let Some(source) = policy
        .as_mut()
        .and_then(|policy| policy.sources.get_mut(&DB))
    {
        source.id_pattern = Some(regex::Regex::new(r"\A(?:[0-9a-f-]{36})\z").unwrap());
    }
    place.engine.policy = Arc::new(policy.expect("nobody else has it"));
    place.file(RESULTS, "evil/x");
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![completed("evil", 0), completed(A, 0)]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), [format!("results/{A}")]);
    assert_eq!(place.hold(RESULTS, "evil/x"), ["unreadable-job"]);
}

#[test]
fn a_job_that_runs_again_is_not_asked_over_and_over() {
    let mut place = Place::new(vec![Rule {
        jobs: JobFilter::Anyone,
        ..job_rule()
    }]);
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![completed(A, 0)]);
    // The timer that the end of the job had set is still there.
    place.report(vec![JobChange::Rows(vec![JobRow {
        status: Status::Running,
        ..completed(A, 0)
    }])]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.engine.wake_at(), None);
    place.report(vec![JobChange::Rows(vec![completed(A, 0)])]);
    assert_eq!(place.claimed(), [format!("results/{A}")]);
}

#[test]
fn a_job_that_gets_the_number_of_one_that_is_being_reaped_goes_in_its_turn() {
    let mut place = Place::new(vec![job_rule()]);
    place.file(RESULTS, &format!("{A}/x"));
    place.file(RESULTS, &format!("{B}/x"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR);
    // Its row goes while the reaper has it.
    place.report(vec![
        JobChange::Gone(vec![A.to_owned()]),
        JobChange::Rows(vec![completed(B, 0)]),
    ]);
    place.reap();
    place.pass_until(2 * HOUR);
    place.reap();
    let left = place
        .engine
        .index()
        .find(RESULTS, format!("{B}/x").as_bytes());
    assert!(left.is_none());
}

#[test]
fn a_file_that_is_still_on_its_way_when_its_job_ends_goes_with_it() {
    let mut place = Place::new(vec![Rule {
        expire_ms: Some(0),
        record: Record::Mark,
        ..job_rule()
    }]);
    place.loaded(vec![running(A)]);
    place.file(RESULTS, &format!("{A}/x"));
    place.is_deaf = true;
    place.report(vec![JobChange::Rows(vec![completed(A, 0)])]);
    assert_eq!(place.claimed(), [""; 0]);
    // The watchers hand it in, and then the barrier.
    place.file(UPLOADS, &format!("{A}_in.tif"));
    place.is_deaf = false;
    place.step(Input::Synced(JOBS));
    let all = [format!("results/{A}"), format!("uploads/{A}_in.tif")];
    assert_eq!(place.claimed(), all);
}

#[test]
fn an_optional_root_that_is_surely_absent_holds_no_job() {
    let lost = |root, absence| {
        Input::Observed(vec![Observed::RootLost {
            root,
            why: "it is away".to_owned(),
            absence,
        }])
    };
    // The other root is not optional.
    let mut place = Place::new(vec![job_rule()]);
    place.file(UPLOADS, &format!("{A}_in.tif"));
    place.step(lost(RESULTS, Absence::Certain));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(
        place.hold(UPLOADS, &format!("{A}_in.tif")),
        ["root-missing"]
    );

    let mut place = Place::new(vec![job_rule()]);
    place.file(RESULTS, &format!("{A}/x"));
    place.file(UPLOADS, &format!("{A}_in.tif"));
    place.file(RESULTS, &format!("{B}/x"));
    place.loaded(vec![completed(A, 0), completed(B, HOUR)]);
    // Nobody knows what stands there.
    place.step(lost(UPLOADS, Absence::Doubtful));
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(RESULTS, &format!("{A}/x")), ["root-missing"]);
    // Nothing does.
    place.step(lost(UPLOADS, Absence::Certain));
    assert_eq!(place.claimed(), [format!("results/{A}")]);
    // It comes, and is read first.
    let key = FileKey { dev: 1, ino: 9 };
    place.step(Input::Observed(vec![Observed::RootFound {
        root: UPLOADS,
        key,
    }]));
    place.pass_until(2 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(RESULTS, &format!("{B}/x")), ["reconciling"]);
}

#[test]
fn what_waits_for_a_source_is_tried_when_its_owner_lets_go_or_the_source_is_read() {
    let changes: [Vec<JobChange>; 2] = [
        // Nobody owns it any more.
        vec![
            JobChange::Gone(vec![A.to_owned()]),
            JobChange::Rows(vec![running(B)]),
            JobChange::Loaded { jobs: 1 },
        ],
        vec![JobChange::Loaded { jobs: 1 }],
    ];
    for change in changes {
        let mut place = Place::new(vec![rule("everything")]);
        place.file(OTHER, "x");
        place.loaded(vec![JobRow {
            files: vec!["/srv/other/x".to_owned()],
            ..completed(A, 0)
        }]);
        place.pass_until(10 * HOUR);
        assert_eq!(place.claims.len(), 1);
        // It fails a few times, so that the next try by itself would be late.
        for _ in 0..6 {
            let claim = place.claims.pop().unwrap();
            let (source, why) = ("db".to_owned(), "no answer".to_owned());
            let outcome = Outcome::Held(Hold::SourceDown { source, why });
            place.step(Input::Reaped(vec![Reaped { claim, outcome }]));
            let ms = place.now.wall.ms_since(at(0).wall);
            let wake = place.engine.wake_at().unwrap().ms_since(at(0).wall);
            if place.claims.is_empty() && wake - ms < 32_000 {
                place.pass_until(wake);
            }
        }
        assert_eq!(place.claimed(), [""; 0]);
        place.report(change);
        place.settle_down();
        assert_eq!(place.claimed(), ["other/x"]);
    }
}
