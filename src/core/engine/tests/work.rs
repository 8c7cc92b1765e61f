//! Work that must not grow with the square of what there is: it is counted, not timed.

use super::*;

/// Accesses to directories of the index while `units` directories lapse together, for each of them.
fn accesses_per_unit(units: u64) -> u64 {
    let mut place = Place::new(vec![Rule {
        unit: Unit::Dir,
        ..rule("directories")
    }]);
    let dir = |number: u64| {
        let name = format!("d{number}").into_bytes().into();
        (name, facts(Kind::Dir, 1000 + number, at(0)))
    };
    place.step(Input::Observed(vec![Observed::Listing {
        root: OTHER,
        dir: RelPath::root(),
        facts: facts(Kind::Dir, 3, at(0)),
        files: Vec::new(),
        dirs: (0..units).map(dir).collect(),
        discovery: Discovery::Crawl,
        coverage: Coverage::Watched,
    }]));
    let before = place.engine.index().accesses();
    place.pass_until(HOUR);
    assert_eq!(place.reap().len() as u64, units);
    assert!(place.claimed().is_empty());
    (place.engine.index().accesses() - before) / units
}

#[test]
fn the_removal_of_a_directory_costs_the_same_beside_many_others() {
    let (few, many) = (accesses_per_unit(100), accesses_per_unit(2_000));
    assert!(many <= few * 2, "{few} accesses each, then {many}");
}
