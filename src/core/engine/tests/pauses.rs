//! Pauses: nothing is removed while one holds, and all of it when it has ended.

use std::sync::Mutex;

use super::*;
use crate::core::pauses::{Pause, PausedRoot, Pauses};
use crate::core::principal::Principal;
use crate::core::report::{CleanReport, CleanRequest};

/// A pause of `root` (of all for `None`) from now on, for so many milliseconds.
fn pause(place: &Place, root: Option<&str>, for_ms: i64) -> Pause {
    Pause {
        root: root.map(|name| PausedRoot {
            name: name.to_owned(),
            path: PathBuf::from("/srv/other-name"),
        }),
        who: "ann".to_owned(),
        why: "an audit".to_owned(),
        since: place.now.wall,
        until: place.now.wall.plus_ms(for_ms),
    }
}

fn begin(place: &mut Place, root: Option<&str>, for_ms: i64) -> Pause {
    let pause = pause(place, root, for_ms);
    let (told, now) = (pause.clone(), place.now);
    let ask = move |engine: &mut Engine, _| engine.pause(vec![told], now);
    place.step(Input::Ask(Box::new(ask)));
    pause
}

fn resume(place: &mut Place, pause: &Pause) {
    let (pause, now) = (pause.clone(), place.now);
    let ask = move |engine: &mut Engine, _| engine.resume(&[pause], &Principal::Uid(7), now);
    place.step(Input::Ask(Box::new(ask)));
}

/// Pauses that were told to have ended, with whether that was by themselves.
fn ends(place: &mut Place) -> Vec<bool> {
    let told = std::mem::take(&mut place.told);
    let ends = told.into_iter().filter_map(|event| match event {
        Event::Resumed { by, .. } => Some(by.is_none()),
        _ => None,
    });
    ends.collect()
}

fn clean(place: &mut Place, dry_run: bool) -> CleanReport {
    let report = Arc::<Mutex<Option<CleanReport>>>::default();
    let told = Arc::clone(&report);
    let done = Box::new(move |given| *told.lock().unwrap() = Some(given));
    let request = CleanRequest {
        dry_run,
        ..CleanRequest::due_under(None)
    };
    let policy = place.engine.policy();
    place.step(Input::Clean(policy, request, done));
    place.settle_down();
    report.lock().unwrap().take().expect("it is through")
}

#[test]
fn what_comes_due_in_a_pause_goes_at_its_end_and_not_late() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(OTHER, "x");
    begin(&mut place, None, 3 * HOUR);
    place.pass_until(3 * HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(OTHER, "x"), ["paused"]);
    let held = place.engine.status(place.now).held;
    assert_eq!((held[0].hold.code(), held[0].count), ("paused", 1));
    assert_eq!(place.engine.wake_at(), Some(at(3 * HOUR).wall));
    place.pass_until(3 * HOUR);
    assert_eq!(place.claims[0].due, at(3 * HOUR).wall);
    assert_eq!(place.reap(), ["other/x"]);
    assert_eq!(ends(&mut place), [true]);
    assert_eq!(place.engine.pauses().list(), []);
    assert_eq!(place.engine.wake_at(), None);
}

#[test]
fn a_jump_of_the_clock_ends_no_pause() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(OTHER, "x");
    begin(&mut place, None, 2 * HOUR);
    let jumped = |ms: i64, by: i64| Now {
        wall: at(ms + by).wall,
        boot: at(ms).boot,
    };
    place.now = jumped(HOUR, 100 * HOUR);
    place.step(Input::Tick);
    place.now = jumped(2 * HOUR - 1000, 100 * HOUR);
    place.step(Input::Tick);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(ends(&mut place), [false; 0]);
    place.now = jumped(2 * HOUR + 1000, 100 * HOUR);
    place.step(Input::Tick);
    assert_eq!(ends(&mut place), [true]);
}

#[test]
fn a_clock_that_is_set_back_again_leaves_the_end_where_it_was() {
    let mut place = Place::new(vec![rule("everything")]);
    begin(&mut place, None, 2 * HOUR);
    place.now = Now {
        wall: at(100 * HOUR).wall,
        boot: at(HOUR).boot,
    };
    place.step(Input::Tick);
    place.now = at(HOUR + 1000);
    place.step(Input::Tick);
    place.pass_until(2 * HOUR + 1000);
    assert_eq!(ends(&mut place), [true]);
}

#[test]
fn a_pause_of_one_root_holds_no_other_one() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(OTHER, "x");
    place.file(UPLOADS, "y");
    place.loaded(vec![running(A)]);
    let paused = begin(&mut place, Some("other"), 5 * HOUR);
    begin(&mut place, Some("results"), 7 * HOUR);
    place.pass_until(2 * HOUR);
    assert_eq!(place.hold(UPLOADS, "y"), [""; 0]);
    assert_eq!(place.claimed(), ["uploads/y"]);
    resume(&mut place, &paused);
    assert_eq!(ends(&mut place), [false]);
    assert_eq!(place.claimed(), ["other/x"]);
    assert_eq!(place.engine.pauses().list().len(), 1);
}

#[test]
fn a_pause_takes_the_place_of_the_one_before_and_is_not_ended_with_it() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(OTHER, "x");
    let first = begin(&mut place, None, 2 * HOUR);
    let second = begin(&mut place, None, 4 * HOUR);
    resume(&mut place, &first);
    place.pass_until(3 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    resume(&mut place, &second);
    assert_eq!(place.claimed(), ["other/x"]);
}

#[test]
fn all_that_a_job_owns_waits_for_a_pause_of_any_root_of_its_rule() {
    let mut place = Place::new(vec![job_rule()]);
    place.file(RESULTS, &format!("{A}/out/x"));
    place.loaded(vec![completed(A, 0), completed(B, 0)]);
    let paused = begin(&mut place, Some("uploads"), 24 * HOUR);
    place.pass_until(20 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(RESULTS, &format!("{A}/out/x")), ["paused"]);
    resume(&mut place, &paused);
    place.settle_down();
    assert_eq!(place.claimed(), [format!("results/{A}")]);
}

#[test]
fn a_clean_in_a_pause_reports_all_of_it_as_held() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(OTHER, "x");
    place.file(OTHER, "y");
    begin(&mut place, None, 5 * HOUR);
    place.pass_until(2 * HOUR);
    for dry_run in [true, false] {
        let report = clean(&mut place, dry_run);
        assert_eq!(report.removed, []);
        let holds = report.held.iter().filter_map(|item| item.hold.as_ref());
        let holds: Vec<&str> = holds.map(Hold::code).collect();
        assert_eq!(holds, ["paused", "paused"]);
    }
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn what_the_reaper_finds_paused_is_tried_when_the_pause_has_ended() {
    let mut place = Place::new(vec![rule("everything")]);
    place.file(OTHER, "x");
    place.pass_until(HOUR);
    let claims = std::mem::take(&mut place.claims);
    let paused = begin(&mut place, None, 5 * HOUR);
    assert_eq!(place.engine.paused_claims(), 1);
    let answer = |claim: Claim| Reaped {
        claim,
        outcome: Outcome::Held(paused.hold()),
    };
    place.step(Input::Reaped(claims.into_iter().map(answer).collect()));
    assert_eq!(place.engine.paused_claims(), 0);
    place.pass_until(2 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    resume(&mut place, &paused);
    assert_eq!(place.claimed(), ["other/x"]);
}

#[test]
fn a_restart_goes_on_with_a_pause_and_ends_one_whose_time_has_come() {
    let mut place = Place::new(vec![rule("everything")]);
    place.now = at(10);
    let pauses = vec![pause(&place, None, -5), pause(&place, Some("other"), HOUR)];
    let setup = Setup {
        policy: place.engine.policy(),
        breaker: Breaker::default(),
        mode: Mode::Live,
        guard: ClockGuard::new(at(10), None),
        memory: None,
        jobs: Arc::default(),
        pins: Arc::default(),
        trash: Arc::default(),
        pauses: Arc::new(Pauses::of(pauses.clone())),
        sources: BTreeMap::new(),
        recording: BTreeSet::new(),
    };
    place.engine = Engine::new(setup, at(10));
    let effects = place.engine.step(at(10), Input::Tick);
    assert!(effects.contains(&Effect::PauseEnded(pauses[0].clone())));
    assert_eq!(place.engine.pauses().list(), pauses[1..]);
    assert_eq!(place.engine.wake_at(), Some(pauses[1].until));
}
