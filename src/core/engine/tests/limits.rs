//! State that is kept of many held, refused and vanished files, and how often they are tried.

use super::*;
use crate::core::hold::Recovery;

/// Answers all claims with `hold`; returns how many there were.
fn refuse(place: &mut Place, hold: &Hold) -> usize {
    let claims = std::mem::take(&mut place.claims);
    let reaped = claims.into_iter().map(|claim| Reaped {
        outcome: Outcome::Held(hold.clone()),
        claim,
    });
    let reaped: Vec<Reaped> = reaped.collect();
    let count = reaped.len();
    place.step(Input::Reaped(reaped));
    count
}

fn others() -> Hold {
    Hold::OpenUnknown {
        error: "permission denied".to_owned(),
    }
}

/// A place with so many files of another user that are due.
fn place_of(files: usize) -> Place {
    let mut place = Place::new(vec![rule("everything")]);
    for number in 0..files {
        place.file(OTHER, &format!("f{number:04}"));
    }
    place.pass_until(HOUR);
    place
}

/// Lets time pass, with all tries refused; returns how many there were.
fn tries_until(place: &mut Place, ms: i64) -> usize {
    let mut tries = 0;
    while let Some(wake) = place.engine.wake_at().filter(|wake| *wake <= at(ms).wall) {
        place.pass_until(
            wake.ms_since(at(0).wall)
                .max(place.now.wall.ms_since(at(0).wall)),
        );
        tries += refuse(place, &others());
    }
    tries
}

fn held(place: &Place) -> u64 {
    let held = place.engine.status(place.now).held;
    held.iter().map(|held| held.count).sum()
}

#[test]
fn files_of_others_are_reported_once_and_tried_a_few_at_a_time() {
    let mut place = place_of(500);
    assert_eq!(refuse(&mut place, &others()), 500);
    let told = |place: &Place| {
        let told = place.told.iter();
        told.filter(|event| matches!(event, Event::Held { .. }))
            .count()
    };
    assert_eq!((held(&place), told(&place)), (500, 1));
    let tries = tries_until(&mut place, 25 * HOUR);
    // A dozen times within the first hour, then each hour.
    assert!((64..=40 * 64).contains(&tries), "{tries}");
    assert_eq!((held(&place), told(&place)), (500, 1));
    assert_eq!(place.hold(OTHER, "f0007"), ["open-unknown"]);
}

#[test]
fn when_one_of_them_goes_the_others_are_tried() {
    let mut place = place_of(300);
    refuse(&mut place, &others());
    place.pass_until(HOUR + 2000);
    assert_eq!(place.claims.len(), 64);
    place.reap();
    place.pass_until(HOUR + 3000);
    assert_eq!(place.claims.len(), 300 - 64);
}

#[test]
fn what_something_happened_to_is_tried_at_once() {
    let mut place = place_of(200);
    refuse(&mut place, &others());
    // Its owner has changed.
    let seen = facts(Kind::File, 100 + 10 * 8, at(0));
    place.step(Input::Observed(vec![Observed::Looks {
        root: OTHER,
        dir: RelPath::root(),
        facts: facts(Kind::Dir, 3, at(0)),
        names: vec![(b"f0007".as_slice().into(), Some(seen))],
    }]));
    place.pass_until(HOUR + 1);
    assert_eq!(place.claimed(), ["other/f0007"]);
}

#[test]
fn beyond_the_limit_a_directory_is_held_as_a_whole() {
    let mut place = place_of(1000);
    refuse(&mut place, &others());
    assert!(held(&place) > 0);
    assert_eq!(place.hold(OTHER, "f0999"), ["open-unknown"]);
    // All of them are tried together.
    assert_eq!(tries_until(&mut place, HOUR + 1500), 1000);
    // What is open is held by itself, as far as there is room.
    let mut place = place_of(1000);
    let open = Hold::Open { path: None };
    refuse(&mut place, &open);
    assert_eq!(place.hold(OTHER, "f0001"), ["open"]);
    assert_eq!(place.hold(OTHER, "f0999"), ["open"]);
    place.pass_until(HOUR + 1500);
    assert_eq!(place.reap().len(), 1000);
}

#[test]
fn names_that_were_are_forgotten() {
    let mut place = Place::new(vec![rule("everything")]);
    for number in 0..50 {
        place.file(UPLOADS, &format!("x{number}_a_b_c_d_e_f_g_h_i_j_k_l"));
    }
    let each = place.engine.owned.len() / 50;
    assert!((1..=8).contains(&each), "{each} for each");
    place.step(Input::Observed(vec![Observed::Listing {
        root: UPLOADS,
        dir: RelPath::root(),
        facts: facts(Kind::Dir, 2, at(0)),
        files: Vec::new(),
        dirs: Vec::new(),
        discovery: Discovery::Crawl,
        coverage: Coverage::Watched,
    }]));
    assert_eq!(place.engine.owned.len(), 0);
}

#[test]
fn a_job_with_many_separators_in_its_id_loses_its_files() {
    let id = "a_b_c_d_e_f_g_h_i_j_k_l";
    let mut place = Place::new(vec![job_rule()]);
    place.file(UPLOADS, &format!("{id}_scan.tif"));
    place.loaded(vec![completed(id, 0)]);
    place.pass_until(HOUR);
    assert_eq!(place.claimed(), [format!("uploads/{id}_scan.tif")]);
}

#[test]
fn a_device_that_does_not_answer_leaves_room_for_the_claims_of_another() {
    let mut place = Place::new(vec![rule("everything")]);
    // Roots on several devices need several sources here: directories do as well.
    let on = |dev: u64, mut facts: Facts| {
        facts.key.dev = dev;
        facts
    };
    let count = [0, 10_000, 10_000, 2];
    let dirs = (1..=3).map(|dev| on(dev, facts(Kind::Dir, 10 + dev, at(0))));
    let listing = |dir: &str, facts, files, dirs| Observed::Listing {
        root: OTHER,
        dir: path(dir),
        facts,
        files,
        dirs,
        discovery: Discovery::Crawl,
        coverage: Coverage::Watched,
    };
    let name = |dev: u64| format!("d{dev}").as_bytes().into();
    let named = dirs.clone().map(|facts| (name(facts.key.dev), facts));
    let top = facts(Kind::Dir, u64::from(OTHER.0) + 1, at(0));
    let top = listing("", top, Vec::new(), named.collect());
    place.step(Input::Observed(vec![top]));
    for dir in dirs {
        let dev = dir.key.dev;
        let file = |n: u64| on(dev, facts(Kind::File, 100 + n, at(0)));
        let files = 0..count[usize::try_from(dev).unwrap()];
        let files = files.map(|n| (format!("f{n}").as_bytes().into(), file(n)));
        let listing = listing(&format!("d{dev}"), dir, files.collect(), Vec::new());
        place.step(Input::Observed(vec![listing]));
    }
    place.pass_until(HOUR);
    let of = |place: &Place, dev| {
        let claims = place.claims.iter();
        claims.filter(|claim| claim.key.dev == dev).count()
    };
    assert_eq!([1, 2, 3].map(|dev| of(&place, dev)), [4096, 2048, 2]);
    // Answers of one device make room on it, and on the others.
    let (answered, others) = std::mem::take(&mut place.claims)
        .into_iter()
        .partition(|claim| claim.key.dev == 1);
    place.claims = answered;
    place.reap();
    assert_eq!([1, 2].map(|dev| of(&place, dev)), [3071, 512]);
    place.claims.extend::<Vec<_>>(others);
    // All of them are removed in the end.
    let mut removed = 4096;
    while !place.claims.is_empty() {
        removed += place.claims.len();
        place.reap();
    }
    assert_eq!(removed, 20_002);
}

#[test]
fn when_the_event_of_a_removal_comes_before_its_answer_the_others_are_tried() {
    let rule = Rule {
        unit: Unit::Dir,
        ..rule("directories")
    };
    let mut place = Place::new(vec![rule]);
    for number in 0..200 {
        place.file(OTHER, &format!("d{number:03}/file"));
    }
    place.pass_until(HOUR);
    let denied = Hold::Denied {
        error: "permission denied".to_owned(),
        ends: Recovery::Event,
    };
    assert_eq!(refuse(&mut place, &denied), 200);
    place.pass_until(2 * HOUR);
    assert_eq!((place.claims.len(), held(&place)), (64, 200));
    let dir = place.claims[0].path.clone();
    place.step(Input::Observed(vec![Observed::Gone { root: OTHER, dir }]));
    place.pass_until(2 * HOUR + 1);
    assert_eq!((place.claims.len(), held(&place)), (200, 0));
}
