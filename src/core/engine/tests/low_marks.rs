//! Limits: what is claimed because there is too much, in which order, and where it ends.

use std::ops::Range;

use super::*;
use crate::core::claim::LimitKey;
use crate::core::facts::BLOCK_BYTES;
use crate::core::policy::{Limit, Order, Per};
use crate::core::report::LimitPhase;

const BLOCK: u64 = 8 * BLOCK_BYTES;
const C: &str = "cccccccc-0000-4000-8000-000000000003";

/// A rule for `other` that removes nothing by age, with a limit.
fn limited(limit: Limit) -> Rule {
    Rule {
        roots: Some(vec![OTHER]),
        expire_ms: None,
        limit: Some(limit),
        ..rule("cache")
    }
}

/// So many files of one block of 4 KiB, and down to so many.
fn blocks(most: u64, low: u64) -> Limit {
    Limit {
        max_size: Some(most * BLOCK),
        down_to: Some(low * BLOCK),
        ..Limit::default()
    }
}

impl Place {
    /// Files come, each a millisecond after the one before.
    fn files(&mut self, root: RootId, dir: &str, numbers: Range<u32>) {
        for number in numbers {
            let ms = self.now.wall.ms_since(at(0).wall);
            self.now = at(ms + 1);
            self.file(root, &format!("{dir}f{number}"));
        }
    }
}

fn names(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers
        .into_iter()
        .map(|number| format!("other/f{number}"))
        .collect()
}

#[test]
fn a_limit_removes_the_oldest_down_to_its_low_mark_and_not_one_more() {
    let mut place = Place::new(vec![limited(blocks(10, 7))]);
    place.files(OTHER, "", 0..10);
    assert_eq!(place.claimed(), names([]));
    place.files(OTHER, "", 10..11);
    let claims = place.claims.clone();
    assert_eq!(place.reap(), names(0..4));
    assert!(
        claims
            .iter()
            .all(|claim| claim.limit.unwrap().key == LimitKey::MaxSize)
    );
    place.settle_down();
    assert_eq!(place.claimed(), names([]));
    // What is on its way out counts: more files bring no more than they have to.
    place.files(OTHER, "", 11..15);
    assert_eq!(place.claims.len(), 4);
    place.files(OTHER, "", 15..17);
    assert_eq!(place.claims.len(), 6);
    assert_eq!(place.reap(), names(4..10));
}

#[test]
fn a_number_of_files_is_a_limit_too_and_the_largest_may_be_the_first() {
    let limit = Limit {
        max_files: Some(3),
        order: Order::Largest,
        ..Limit::default()
    };
    let mut place = Place::new(vec![limited(limit)]);
    place.files(OTHER, "", 0..3);
    let name = |name: &str, blocks, ms| {
        let facts = Facts {
            blocks,
            ..facts(Kind::File, 900 + blocks, at(ms))
        };
        (name.as_bytes().into(), Some(facts))
    };
    place.step(Input::Observed(vec![Observed::Looks {
        root: OTHER,
        dir: RelPath::root(),
        facts: facts(Kind::Dir, 3, at(0)),
        names: vec![
            name("small", 1, 2),
            name("huge", 500, 2),
            name("large", 100, 1),
        ],
    }]));
    assert_eq!(place.reap(), ["other/huge", "other/large", "other/f0"]);
}

#[test]
fn pins_and_jobs_that_run_are_passed_over_and_orphans_are_not_hurried() {
    let limit = Limit {
        max_files: Some(2),
        ..Limit::default()
    };
    let orphans = Rule {
        jobs: JobFilter::Nobody,
        roots: Some(vec![RESULTS]),
        ..rule("orphans")
    };
    let mut with = policy(vec![orphans, rule("all")]);
    with.roots.get_mut(&RESULTS).unwrap().limit = Some(limit);
    let mut place = Place::with_policy(with, BTreeMap::new(), Mode::Live);
    let rows = vec![JobRow::new(A, Status::Running), completed(B, 0)];
    place.loaded(rows);
    place.files(RESULTS, &format!("{C}/"), 0..1);
    place.files(RESULTS, &format!("{A}/"), 0..3);
    place.files(RESULTS, &format!("{B}/"), 0..3);
    place.pass_until(1_000);
    // Seven names are too many; only what is B's may go.
    assert_eq!(place.reap(), [0, 1, 2].map(|n| format!("results/{B}/f{n}")));
    place.settle_down();
    assert_eq!(place.claimed(), names([]));
    let status = place.engine.limit_status();
    assert_eq!(status[0].files, 4);
    let LimitPhase::Unmet { passed } = &status[0].phase else {
        panic!("{status:?}");
    };
    assert_eq!(passed.get("running"), Some(&3));
    // The job ends, and a pin comes.
    place.engine.pin(
        Pin {
            id: 1,
            target: PinTarget::Path(PathBuf::from(format!("/srv/results/{A}/f1"))),
            who: "me".to_owned(),
            why: "mine".to_owned(),
            set_at: place.now.wall,
            until: at(10 * HOUR).wall,
        },
        place.now,
    );
    place.report(vec![JobChange::Rows(vec![completed(A, 5)])]);
    place.pass_until(120_000);
    assert_eq!(place.reap(), [0, 2].map(|n| format!("results/{A}/f{n}")));
}

#[test]
fn what_is_too_young_waits_for_its_age_and_goes_then() {
    let limit = Limit {
        max_files: Some(1),
        min_age_ms: 10_000,
        ..Limit::default()
    };
    let mut place = Place::new(vec![limited(limit)]);
    place.files(OTHER, "", 0..3);
    place.pass_until(9_000);
    assert_eq!(place.claimed(), names([]));
    place.pass_until(10_100);
    assert_eq!(place.reap(), names(0..2));
}

#[test]
fn nothing_goes_while_a_root_is_read_and_what_others_removed_counts() {
    let mut place = Place::new(vec![limited(blocks(4, 2))]);
    place.step(Input::Observed(vec![Observed::Doubted {
        root: OTHER,
        why: "too many events".to_owned(),
    }]));
    place.files(OTHER, "", 0..8);
    assert_eq!(place.claimed(), names([]));
    // Somebody else has made room meanwhile.
    place.is_deaf = true;
    place.step(Input::Observed(vec![Observed::Reconciled {
        root: OTHER,
        began: place.now.boot,
        cost: PassCost::default(),
    }]));
    assert_eq!(place.claimed(), names([]), "not before a barrier");
    let gone = (0..5u32).map(|n| (format!("f{n}").into_bytes().into(), None));
    place.step(Input::Observed(vec![Observed::Looks {
        root: OTHER,
        dir: RelPath::root(),
        facts: facts(Kind::Dir, 3, at(0)),
        names: gone.collect(),
    }]));
    place.is_deaf = false;
    place.step(Input::Synced(JOBS));
    place.settle_down();
    assert_eq!(place.claimed(), names([]));
    place.files(OTHER, "", 8..10);
    assert_eq!(place.reap(), names(5..8));
}

#[test]
fn what_the_reaper_holds_is_passed_over_and_the_next_goes() {
    let mut place = Place::new(vec![limited(blocks(4, 4))]);
    place.files(OTHER, "", 0..5);
    let claim = place.claims.remove(0);
    assert_eq!(claim.path.to_string(), "f0");
    let outcome = Outcome::Held(Hold::Open { path: None });
    place.step(Input::Reaped(vec![Reaped { claim, outcome }]));
    assert_eq!(place.reap(), names([1]));
    place.settle_down();
    assert_eq!(place.claimed(), names([]));
}

#[test]
fn each_owner_has_a_limit_of_its_own() {
    let limit = Limit {
        max_files: Some(2),
        per: Per::Owner,
        ..Limit::default()
    };
    let everything = Rule {
        limit: Some(limit),
        roots: Some(vec![UPLOADS]),
        ..rule("uploads")
    };
    let mut place = Place::new(vec![everything]);
    place.loaded(vec![completed(A, 0), completed(B, 0)]);
    for number in 0..4 {
        place.files(UPLOADS, &format!("{A}_"), number..number + 1);
        if number < 2 {
            place.files(UPLOADS, &format!("{B}_"), number..number + 1);
        }
    }
    assert_eq!(place.reap(), [0, 1].map(|n| format!("uploads/{A}_f{n}")));
    let status = place.engine.limit_status();
    let owners: Vec<_> = status
        .iter()
        .map(|of| (of.owner.clone(), of.files))
        .collect();
    assert_eq!(
        owners,
        [
            (Some(A.as_bytes().into()), 2),
            (Some(B.as_bytes().into()), 2)
        ]
    );
}

#[test]
fn a_first_look_at_a_limit_asks_the_breaker_and_later_ones_do_not() {
    let mut place = Place::new(vec![limited(blocks(5000, 10))]);
    let many = |numbers: Range<u64>| {
        let files = numbers.map(|n| {
            let changed = at(i64::try_from(n).unwrap());
            let name = format!("f{n:05}").into_bytes().into();
            (name, facts(Kind::File, 100 + n, changed))
        });
        Observed::Listing {
            root: OTHER,
            dir: RelPath::root(),
            facts: facts(Kind::Dir, 3, at(0)),
            files: files.collect(),
            dirs: Vec::new(),
            discovery: Discovery::Crawl,
            coverage: Coverage::Watched,
        }
    };
    place.now = at(100_000);
    place.step(Input::Observed(vec![many(0..5001)]));
    assert_eq!(place.claims.len(), 512, "its normal work, in parts");
    let mut left = 5001;
    while !place.claims.is_empty() {
        left -= place.reap().len();
        place.settle_down();
    }
    assert_eq!(left, 10);
    // An edit of the rules: the next look is a first one again.
    let rules = vec![limited(blocks(4000, 10))];
    place.step(Input::Reload(Arc::new(policy(rules)), Breaker::default()));
    place.step(Input::Observed(vec![
        many(5001..9002),
        Observed::Reconciled {
            root: OTHER,
            began: place.now.boot,
            cost: PassCost::default(),
        },
    ]));
    place.settle_down();
    assert_eq!(place.claimed(), names([]));
    let trip = place.told.iter().find_map(|event| match event {
        Event::Tripped { trip, .. } => Some((trip.due, trip.of)),
        _ => None,
    });
    assert_eq!(trip, Some((3991, 4001)));
    let by = crate::core::principal::Principal::default();
    place.engine.release(Some(OTHER), &by, place.now);
    place.settle_down();
    assert_eq!(place.claims.len(), 512);
}

#[test]
fn directories_are_removed_as_wholes_in_the_order_of_their_ages() {
    let dirs = Rule {
        unit: Unit::Dir,
        ..limited(blocks(6, 4))
    };
    let mut place = Place::new(vec![dirs]);
    for dir in ["old", "new"] {
        place.files(OTHER, &format!("{dir}/"), 0..3);
    }
    assert_eq!(place.claimed(), names([]));
    place.files(OTHER, "new/sub/", 3..4);
    assert_eq!(place.reap(), ["other/old"]);
    place.settle_down();
    assert_eq!(place.claimed(), names([]));
    assert_eq!(place.engine.limit_status()[0].files, 4);
}

#[test]
fn all_that_a_job_owns_is_removed_as_one() {
    let jobs = Rule {
        limit: Some(blocks(5, 3)),
        roots: Some(vec![RESULTS]),
        expire_ms: None,
        ..job_rule()
    };
    let mut place = Place::new(vec![jobs]);
    place.loaded(vec![completed(A, 7), completed(B, 5)]);
    place.files(RESULTS, &format!("{A}/"), 0..3);
    place.files(RESULTS, &format!("{B}/"), 0..3);
    place.settle_down();
    // B ended first.
    assert_eq!(place.reap(), [format!("results/{B}")]);
    place.settle_down();
    assert_eq!(place.claimed(), names([]));
}

#[test]
fn a_file_with_a_name_elsewhere_frees_nothing_and_one_with_two_names_here_goes_with_both() {
    let mut place = Place::new(vec![limited(blocks(3, 2))]);
    let linked = |name: &str, ino: u64, nlink: u32, ms: i64| {
        let facts = Facts {
            nlink,
            ..facts(Kind::File, ino, at(ms))
        };
        (name.as_bytes().into(), Some(facts))
    };
    place.now = at(100);
    let look = |names| Observed::Looks {
        root: OTHER,
        dir: RelPath::root(),
        facts: facts(Kind::Dir, 3, at(0)),
        names,
    };
    // "out" has another name elsewhere; "a" and "b" are one file.
    let names = vec![
        linked("out", 900, 2, 1),
        linked("a", 901, 2, 2),
        linked("b", 901, 2, 3),
        linked("c", 902, 1, 4),
        linked("d", 903, 1, 5),
    ];
    place.step(Input::Observed(vec![look(names)]));
    assert_eq!(place.engine.limit_status()[0].bytes, 3 * BLOCK);
    assert!(place.claims.is_empty());
    place.step(Input::Observed(vec![look(vec![linked("e", 904, 1, 6)])]));
    assert_eq!(place.reap(), ["other/a", "other/b", "other/c"]);
    place.settle_down();
    assert_eq!(place.engine.limit_status()[0].bytes, 2 * BLOCK);
}

#[test]
fn a_dry_run_foretells_what_a_limit_removes_and_no_more() {
    let with = policy(vec![limited(blocks(4, 2))]);
    let mut place = Place::with_policy(with, BTreeMap::new(), Mode::DryRun);
    place.files(OTHER, "", 0..5);
    place.pass_until(HOUR);
    place.files(OTHER, "", 5..6);
    place.pass_until(2 * HOUR);
    let status = place.engine.status(place.now);
    let held: Vec<_> = status
        .held
        .iter()
        .map(|held| (held.hold.code(), held.count))
        .collect();
    assert_eq!(held, [("dry-run", 3)]);
}
