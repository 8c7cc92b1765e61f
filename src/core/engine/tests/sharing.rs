//! Claims, and what several jobs own.

use super::*;

#[test]
fn what_two_jobs_claim_stays_until_both_let_it_go() {
    let shared = || vec!["shared.tif".to_owned()];
    let row = |id, ms| JobRow {
        files: shared(),
        ..completed(id, ms)
    };
    let mut place = Place::new(vec![job_rule()]);
    place.file(UPLOADS, "shared.tif");
    place.loaded(vec![
        row(A, 0),
        JobRow {
            files: shared(),
            ..running(B)
        },
    ]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    place.report(vec![JobChange::Rows(vec![row(B, 20 * HOUR)])]);
    place.pass_until(21 * HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(21 * HOUR);
    assert_eq!(place.claimed(), ["uploads/shared.tif"]);
}

#[test]
fn a_claim_against_the_template_holds_for_both() {
    let mut place = Place::new(vec![job_rule()]);
    let name = format!("{A}_in.tif");
    place.file(UPLOADS, &name);
    place.loaded(vec![
        completed(A, 0),
        JobRow {
            files: vec![name.clone()],
            ..running(B)
        },
    ]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn a_claim_outside_of_every_root_is_refused_and_reported() {
    let mut place = Place::new(vec![job_rule()]);
    let files = ["../../etc/passwd", "/etc/passwd", "/srv/uploads", "a/../b"];
    place.loaded(vec![JobRow {
        files: files.map(str::to_owned).to_vec(),
        ..completed(A, 0)
    }]);
    let refused = |event: &Event| matches!(event, Event::ClaimRefused { .. });
    assert_eq!(place.told.iter().filter(|event| refused(event)).count(), 4);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn a_claim_holds_a_file_that_comes_later() {
    let mut place = Place::new(vec![rule("everything")]);
    place.loaded(vec![JobRow {
        files: vec!["later.tif".to_owned(), "/srv/other/sub/x".to_owned()],
        ..running(A)
    }]);
    place.file(UPLOADS, "later.tif");
    place.file(OTHER, "sub/x");
    place.file(OTHER, "sub/y");
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), ["other/sub/y"]);
}

#[test]
fn a_job_whose_id_holds_the_separator_is_known_by_its_whole_id() {
    let mut place = Place::new(vec![rule("everything")]);
    place.loaded(vec![running("job_1"), completed("job", 0)]);
    place.file(UPLOADS, "job_1_in.tif");
    place.file(UPLOADS, "job_in.tif");
    place.pass_until(10 * HOUR);
    // The first reading names a job that is known.
    let why = place
        .engine
        .jobs()
        .owner(&place.engine.policy(), UPLOADS, b"job_1_in.tif");
    assert_eq!(
        why.jobs().len(),
        2,
        "both readings are jobs: it is contested"
    );
    assert_eq!(place.claimed(), ["uploads/job_in.tif"]);
}

#[test]
fn what_two_jobs_own_under_two_rules_waits_for_the_later_of_both() {
    let failed = Rule {
        since: Since::Newest,
        jobs: JobFilter::Standing(vec![Status::Failed]),
        ..job_rule()
    };
    let files = || vec!["shared.tif".to_owned()];
    let mut place = Place::new(vec![job_rule(), failed]);
    place.file(UPLOADS, "shared.tif");
    place.loaded(vec![
        JobRow {
            files: files(),
            ..completed(A, 20 * HOUR)
        },
        JobRow {
            files: files(),
            status: Status::Failed,
            ..completed(B, 0)
        },
    ]);
    place.pass_until(21 * HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(21 * HOUR);
    assert_eq!(place.claimed(), ["uploads/shared.tif"]);
}

#[test]
fn every_job_that_a_path_can_be_read_to_be_of_is_asked_before_it_goes() {
    let mut place = Place::new(vec![Rule {
        unit: Unit::File,
        ..job_rule()
    }]);
    place.file(UPLOADS, "job_1_in.tif");
    place.loaded(vec![completed("job", 0)]);
    place.pass_until(HOUR);
    let asked: Vec<&str> = place.claims[0]
        .owners
        .iter()
        .map(|key| key.id.as_str())
        .collect();
    assert_eq!(asked, ["job", "job_1"]);
}

#[test]
fn a_file_of_a_job_that_is_known_only_later_follows_its_longer_id() {
    let mut place = Place::new(vec![Rule {
        unit: Unit::File,
        ..job_rule()
    }]);
    place.file(UPLOADS, "job_1_in.tif");
    place.loaded(vec![running("other")]);
    place.report(vec![JobChange::Rows(vec![completed("job_1", 0)])]);
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), ["uploads/job_1_in.tif"]);
}

#[test]
fn what_is_gone_already_is_not_claimed_over_and_over() {
    let mut place = Place::new(vec![job_rule()]);
    place.file(RESULTS, &format!("{A}/x"));
    place.file(UPLOADS, &format!("{A}_x"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR);
    let claims = std::mem::take(&mut place.claims);
    let reaped = claims.into_iter().map(|claim| Reaped {
        claim,
        outcome: Outcome::Gone,
    });
    let reaped = reaped.collect();
    place.step(Input::Reaped(reaped));
    assert_eq!(place.claimed(), [""; 0]);
    assert!(place.relisted.contains(&(RESULTS, path(A))));
}

#[test]
fn what_a_job_that_was_cleaned_shares_goes_when_the_others_let_it_go() {
    let row = |id, ms| JobRow {
        files: vec!["shared.tif".to_owned()],
        ..completed(id, ms)
    };
    let mut place = Place::new(vec![Rule {
        record: Record::Mark,
        ..job_rule()
    }]);
    place.file(UPLOADS, "shared.tif");
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![row(A, 0), row(B, 5 * HOUR)]);
    place.pass_until(HOUR);
    assert_eq!(place.reap(), [format!("results/{A}")]);
    let mut cleaned = row(A, 0);
    cleaned.moments.cleaned_at = Some(at(HOUR).wall);
    place.report(vec![JobChange::Rows(vec![cleaned])]);
    place.pass_until(6 * HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(6 * HOUR);
    assert_eq!(place.claimed(), ["uploads/shared.tif"]);
}
