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

/// Rules that ask everything that can be asked of a directory and of the trees around it.
fn rules_of_every_kind() -> Vec<Rule> {
    let files = |since| Rule {
        since,
        roots: Some(vec![OTHER]),
        ..rule("files")
    };
    vec![
        job_rule(),
        Rule {
            jobs: JobFilter::Nobody,
            roots: Some(vec![RESULTS, UPLOADS]),
            ..rule("orphans")
        },
        files(Since::NewestMtime),
    ]
}

/// Directories of the index that are gone through while a tree of this depth is read, with `files` in
/// each directory, from the top down and then once more.
fn accesses_of_depth(root: RootId, rules: Vec<Rule>, depth: u64, files: u64) -> u64 {
    let mut place = Place::new(rules);
    let dir = |level: u64| facts(Kind::Dir, 10_000 + level, at(0));
    let before = place.engine.index().accesses();
    for _ in 0..2 {
        let mut seen = RelPath::root();
        for level in 0..depth {
            let facts_of_dir = match level {
                0 => facts(Kind::Dir, u64::from(root.0) + 1, at(0)),
                _ => dir(level),
            };
            let file = |number: u64| {
                let name = format!("f{number}").into_bytes().into();
                let ino = 1_000_000 + level * files + number;
                (name, facts(Kind::File, ino, at(0)))
            };
            place.step(Input::Observed(vec![Observed::Listing {
                root,
                dir: seen.clone(),
                facts: facts_of_dir,
                files: (0..files).map(file).collect(),
                dirs: vec![(b"d"[..].into(), dir(level + 1))],
                discovery: Discovery::Crawl,
                coverage: Coverage::Watched,
            }]));
            seen = seen.join(b"d");
        }
    }
    place.engine.index().accesses() - before
}

#[test]
fn a_tree_is_read_in_time_linear_in_its_depth() {
    for root in [RESULTS, UPLOADS, OTHER] {
        for files in [0, 1] {
            let work = |depth| accesses_of_depth(root, rules_of_every_kind(), depth, files);
            let (half, whole) = (work(250), work(500));
            // Twice as much, give or take a tenth.
            assert!(
                (half * 18..=half * 22).contains(&(whole * 10)),
                "{root:?} with {files} files: {half}, then {whole}"
            );
        }
    }
}
