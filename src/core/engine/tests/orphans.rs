//! Orphans: files that no job owns.

use super::*;

fn orphan_rules() -> Vec<Rule> {
    vec![Rule {
        jobs: JobFilter::Nobody,
        ..rule("orphans")
    }]
}

fn orphans(place: &mut Place) {
    place.file(RESULTS, &format!("{A}/x"));
    place.file(UPLOADS, &format!("{A}_x"));
    place.file(UPLOADS, ".gitkeep");
    place.file(UPLOADS, "not-a-uuid_x");
    place.file(OTHER, &format!("{A}_x"));
}

fn both() -> [String; 2] {
    [format!("results/{A}/x"), format!("uploads/{A}_x")]
}

#[test]
fn orphans_go_after_their_grace_and_only_names_that_may_be_orphans() {
    let mut place = Place::new(orphan_rules());
    orphans(&mut place);
    place.loaded(vec![running(B)]);
    place.pass_until(HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), both());
    assert_eq!(place.engine.status(place.now).sources[0].trip, None);
}

#[test]
fn a_job_that_appears_in_time_saves_its_files() {
    let mut place = Place::new(orphan_rules());
    orphans(&mut place);
    place.loaded(vec![running(B)]);
    place.pass_until(HOUR - 1);
    place.report(vec![JobChange::Rows(vec![running(A)])]);
    place.pass_until(100 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn an_unreachable_loading_or_stale_source_makes_no_orphans() {
    let mut place = Place::new(orphan_rules());
    orphans(&mut place);
    place.pass_until(10 * HOUR);
    assert_eq!(place.phase(), SourcePhase::Loading);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(UPLOADS, &format!("{A}_x")), ["source-down"]);
    let why = "no route".to_owned();
    place.report(vec![JobChange::Down { why }]);
    place.pass_until(20 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    place.report(vec![JobChange::Stale]);
    place.loaded(vec![running(B)]);
    assert_eq!(place.reap(), both());
    place.file(RESULTS, &format!("{A}/y"));
    place.report(vec![JobChange::Stale]);
    place.pass_until(40 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    place.report(vec![JobChange::Loaded { jobs: 1 }]);
    assert_eq!(place.claimed(), [format!("results/{A}/y")]);
}

#[test]
fn an_empty_source_trips_the_breaker_and_only_a_person_releases_it() {
    let mut place = Place::new(orphan_rules());
    orphans(&mut place);
    place.loaded(Vec::new());
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(UPLOADS, &format!("{A}_x")), ["breaker"]);
    let tripped = |event: &Event| matches!(event, Event::OrphansTripped { .. });
    assert_eq!(place.told.iter().filter(|event| tripped(event)).count(), 1);
    // It fills: the breaker stays.
    place.report(vec![
        JobChange::Rows(vec![running(B)]),
        JobChange::Loaded { jobs: 1 },
    ]);
    place.pass_until(20 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert!(place.remembered.last().unwrap().trip.is_some());
    let released =
        place
            .engine
            .release(None, &crate::core::principal::Principal::Uid(0), place.now);
    assert_eq!(released, [RESULTS, UPLOADS]);
    place.step(Input::Tick);
    assert_eq!(place.claimed(), both());
}

#[test]
fn a_source_that_suddenly_has_much_less_trips_the_breaker_also_over_a_restart() {
    let ids: Vec<String> = (0..10)
        .map(|at| format!("{at:08}-0000-4000-8000-000000000000"))
        .collect();
    let mut place = Place::new(orphan_rules());
    place.file(UPLOADS, &format!("{}_x", ids[3]));
    place.loaded(ids.iter().map(|id| running(id)).collect());
    place.report(vec![JobChange::Gone(ids[1..].to_vec())]);
    place.pass_until(5 * HOUR);
    assert_eq!(
        place.claimed(),
        [""; 0],
        "nobody has said yet how many are left"
    );
    place.report(vec![JobChange::Loaded { jobs: 1 }]);
    place.pass_until(50 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    // The next process begins with what was remembered.
    for memory in [
        place.remembered.last().unwrap().clone(),
        SavedSource {
            jobs: 10,
            trip: None,
            read_at: None,
        },
    ] {
        let mut place = Place::with_memory(orphan_rules(), BTreeMap::from([(DB, memory)]));
        place.file(UPLOADS, &format!("{}_x", ids[3]));
        place.loaded(vec![running(&ids[0])]);
        place.pass_until(50 * HOUR);
        assert_eq!(place.claimed(), [""; 0]);
    }
    // One of ten is nothing out of the ordinary.
    let mut place = Place::new(orphan_rules());
    place.file(UPLOADS, &format!("{}_x", ids[3]));
    place.loaded(ids.iter().map(|id| running(id)).collect());
    place.report(vec![
        JobChange::Gone(vec![ids[3].clone()]),
        JobChange::Loaded { jobs: 9 },
    ]);
    place.pass_until(50 * HOUR);
    assert_eq!(place.claimed(), [format!("uploads/{}_x", ids[3])]);
}

#[test]
fn more_orphans_within_an_hour_than_the_ceiling_trip_the_breaker() {
    let mut place = Place::new(orphan_rules());
    place.engine.breaker.orphan_entries = 2;
    for at in 0..5 {
        place.file(UPLOADS, &format!("{A}_{at}"));
    }
    place.loaded(vec![running(B)]);
    place.pass_until(HOUR);
    assert_eq!(place.reap().len(), 2);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0], "it never releases itself");
    assert_eq!(
        place
            .engine
            .release(None, &crate::core::principal::Principal::Uid(0), place.now),
        [UPLOADS]
    );
    place.step(Input::Tick);
    assert_eq!(place.claimed().len(), 2);
}

#[test]
fn a_source_that_is_down_holds_what_its_jobs_may_own_and_nothing_else() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(RESULTS, "stray");
    place.file(UPLOADS, "x");
    place.file(OTHER, "x");
    let why = "locked".to_owned();
    place.report(vec![JobChange::Down { why }]);
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), ["other/x"]);
    place.loaded(vec![running(B)]);
    assert_eq!(place.claimed(), ["results/stray", "uploads/x"]);
}

#[test]
fn an_empty_orphan_directory_goes_after_its_grace_too() {
    let mut place = Place::new(orphan_rules());
    place.loaded(vec![running(B)]);
    let mut look = |name: &str, ino| {
        place.step(Input::Observed(vec![Observed::Looks {
            root: RESULTS,
            dir: RelPath::root(),
            facts: facts(Kind::Dir, 1, at(0)),
            names: vec![(name.as_bytes().into(), Some(facts(Kind::Dir, ino, at(0))))],
        }]));
    };
    look(A, 71);
    look(B, 72);
    look("not-a-uuid", 73);
    place.pass_until(HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), [format!("results/{A}")]);
}

#[test]
fn a_source_that_has_changed_is_waited_for_until_it_is_read_or_cannot_be() {
    let mut place = Place::new(vec![rule("old")]);
    assert!(place.engine.is_reading_sources());
    place.loaded(vec![running(A)]);
    assert!(!place.engine.is_reading_sources());
    place.report(vec![JobChange::Stale]);
    assert!(place.engine.is_reading_sources());
    place.report(vec![JobChange::Loaded { jobs: 1 }]);
    assert!(!place.engine.is_reading_sources());
    let why = "it does not answer".to_owned();
    place.report(vec![JobChange::Stale, JobChange::Down { why }]);
    assert!(!place.engine.is_reading_sources());
}
