//! Work that must not grow with the square of what there is: it is counted, not timed.

use super::*;
use crate::core::index::UNPACKED;

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

/// Directories of the index that are gone through while a tree of this depth is read, with `files`
/// in each directory, from the top down and then once more.
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

/// Sums of what lapses with jobs by `until`: parts, files, and bytes.
fn sums_of_jobs(place: &Place, until: Now) -> (u64, u64, u64) {
    let (index, policy) = (place.engine.index(), place.engine.policy());
    let mut sums = (0, 0, 0);
    place
        .engine
        .jobs()
        .each_deadline((index, &policy), until.wall, |_, part| {
            sums = (sums.0 + 1, sums.1 + part.files, sums.2 + part.bytes);
        });
    sums
}

#[test]
fn what_is_due_of_a_job_is_summed_up_by_directory() {
    let mut place = Place::new(vec![job_rule()]);
    place.loaded(vec![completed(A, 0), running(B)]);
    for job in [A, B] {
        for number in 0..50 {
            place.file(RESULTS, &format!("{job}/out/{number}"));
        }
    }
    place.file(UPLOADS, &format!("{A}_photo"));
    assert_eq!(sums_of_jobs(&place, at(HOUR - 1)), (0, 0, 0));
    // One directory, and one entry whose name tells the job.
    assert_eq!(sums_of_jobs(&place, at(HOUR)), (2, 51, 51));
    // Where a job claims anything, each path is asked.
    place.report(vec![JobChange::Rows(vec![JobRow {
        files: vec![format!("/srv/results/{A}/out/7")],
        ..running(B)
    }])]);
    assert_eq!(sums_of_jobs(&place, at(HOUR)), (50, 50, 50));
}

#[test]
fn sums_of_what_is_due_unpack_no_page_that_is_due_as_a_whole() {
    let mut place = Place::new(vec![rule("files")]);
    for dir in 0..20 {
        place.file(OTHER, &format!("d{dir}/file"));
    }
    let before = UNPACKED.get();
    let due = place.engine.index().forecast(None, at(HOUR).wall);
    assert_eq!(due.iter().map(|part| part.files).sum::<u64>(), 20);
    assert_eq!(UNPACKED.get(), before);
    assert!(
        place
            .engine
            .index()
            .forecast(None, at(HOUR - 1).wall)
            .is_empty()
    );
}
