//! Rules that keep the newest of each group: what is counted, kept, claimed, and looked at again.

use super::*;
use crate::core::policy::{Grouping, KeepLast};

/// Files of no job that go an hour after their last change, but for the newest of each group.
fn keeping(count: usize, per: Grouping) -> Rule {
    Rule {
        roots: Some(vec![OTHER]),
        since: Since::Mtime,
        keep_last: Some(KeepLast { count, per }),
        ..rule("backups")
    }
}

fn by(template: &str) -> Grouping {
    Grouping::Template(Template::parse(template).unwrap())
}

/// Units that go an hour after the newest change in them, but for the newest of each group.
fn keeping_dirs(count: usize, per: Grouping) -> Rule {
    Rule {
        unit: Unit::Dir,
        since: Since::Newest,
        ..keeping(count, per)
    }
}

/// Files that come one after another, a minute apart.
fn come(place: &mut Place, paths: &[&str]) {
    for path in paths {
        place.file(OTHER, path);
        let ms = place.now.wall.ms_since(at(0).wall);
        place.pass_until(ms + 60_000);
    }
}

/// Somebody removes a file.
fn remove(place: &mut Place, at: &str) {
    let at = path(at);
    let (dir, name) = at.split().unwrap();
    let ino = if dir.is_root() { 3 } else { dir_ino(&dir) };
    place.step(Input::Observed(vec![Observed::Looks {
        root: OTHER,
        facts: facts(Kind::Dir, ino, place.now),
        dir,
        names: vec![(name.into(), None)],
    }]));
}

fn newer(claim: &Claim) -> Vec<String> {
    let newer = claim.newer.iter();
    newer.map(|one| one.path.to_string()).collect()
}

#[test]
fn the_newest_of_a_rule_stay_whatever_their_age_and_the_claims_name_them() {
    let mut place = Place::new(vec![keeping(2, Grouping::Rule)]);
    come(&mut place, &["a", "x/b", "c", "x/d"]);
    place.pass_until(100 * HOUR);
    assert_eq!(newer(&place.claims[0]), ["x/d", "c"]);
    assert_eq!(place.reap(), ["other/a", "other/x/b"]);
    place.pass_until(1000 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(OTHER, "c"), ["kept-last"]);
    let why = place.engine.explain(OTHER, &path("c"), place.now);
    let text = why.holds[0].to_string();
    let expected = "its rule keeps the last 2, and it is number 2 of them; newer: x/d";
    assert_eq!(text, expected);
    let listed = place.engine.holds(place.now);
    let held = listed.of(
        OTHER,
        &path("c"),
        Some(at(HOUR).wall),
        why.basis.unwrap(),
        RuleId(0),
    );
    assert_eq!(held.map(|hold| hold.to_string()).as_deref(), Some(expected));
    assert_eq!(place.engine.status(place.now).held, []);
}

#[test]
fn when_a_newer_one_comes_the_one_that_falls_out_goes_at_once() {
    let mut place = Place::new(vec![keeping(2, Grouping::Rule)]);
    come(&mut place, &["a", "b"]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.engine.wake_at(), None);
    place.file(OTHER, "c");
    place.settle_down();
    assert_eq!(place.claims[0].due, place.now.wall);
    assert_eq!(place.reap(), ["other/a"]);
    // What falls out young goes when its age has come.
    place.file(OTHER, "d");
    place.settle_down();
    assert_eq!(place.reap(), ["other/b"]);
    place.file(OTHER, "e");
    place.pass_until(11 * HOUR - 1);
    assert_eq!(place.claimed(), [""; 0]);
    place.pass_until(11 * HOUR);
    assert_eq!(place.claimed(), ["other/c"]);
}

#[test]
fn what_others_remove_of_the_newest_makes_the_next_ones_newest() {
    let mut place = Place::new(vec![keeping(2, Grouping::Rule)]);
    come(&mut place, &["a", "b", "c"]);
    remove(&mut place, "c");
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    come(&mut place, &["d"]);
    assert_eq!(place.reap(), ["other/a"]);
}

#[test]
fn each_group_has_its_own_newest() {
    let mut place = Place::new(vec![keeping(1, by("{name}-20*"))]);
    come(
        &mut place,
        &[
            "web-2001", "db-2001", "db-2002", "notes", "web-2002", "readme",
        ],
    );
    place.pass_until(10 * HOUR);
    assert_eq!(
        place.claimed(),
        ["other/db-2001", "other/notes", "other/web-2001"]
    );
    let mut place = Place::new(vec![keeping(1, Grouping::Dir)]);
    come(&mut place, &["x/1", "x/2", "y/1", "x/y/1", "x/y/2"]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), ["other/x/1", "other/x/y/1"]);
}

#[test]
fn of_two_with_one_timestamp_the_greater_path_is_newer() {
    let mut place = Place::new(vec![keeping(1, Grouping::Rule)]);
    for path in ["b", "c", "a"] {
        place.file(OTHER, path);
    }
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), ["other/a", "other/b"]);
}

#[test]
fn directories_are_counted_as_wholes() {
    let mut place = Place::new(vec![keeping_dirs(1, by("{name}-*"))]);
    come(&mut place, &["a-1/x", "a-2/x", "b-1/x"]);
    place.pass_until(10 * HOUR);
    assert_eq!(newer(&place.claims[0]), ["a-2"]);
    assert_eq!(place.reap(), ["other/a-1"]);
    assert_eq!(place.hold(OTHER, "b-1/x"), ["kept-last"]);
    // The older of two is written to, and is the newer one then.
    let mut place = Place::new(vec![keeping_dirs(1, Grouping::Rule)]);
    come(&mut place, &["a/x", "b/x", "a/y"]);
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), ["other/b"]);
}

#[test]
fn a_directory_that_is_moved_takes_its_files_to_other_groups() {
    let mut place = Place::new(vec![keeping(1, Grouping::Dir)]);
    come(&mut place, &["x/1", "y/2", "y/3"]);
    place.step(Input::Observed(vec![Observed::Moved {
        root: OTHER,
        from: path("x"),
        to: path("y/x"),
    }]));
    place.pass_until(10 * HOUR);
    assert_eq!(place.reap(), ["other/y/2"]);
    place.step(Input::Observed(vec![Observed::Gone {
        root: OTHER,
        dir: path("y"),
    }]));
    come(&mut place, &["y/1"]);
    place.pass_until(20 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
}

#[test]
fn a_clean_keeps_the_newest_too_under_any_other_time_to_live() {
    use crate::core::report::CleanRequest;
    let mut place = Place::new(vec![keeping(2, Grouping::Rule)]);
    come(&mut place, &["a", "b", "c"]);
    let request = CleanRequest {
        retention_ms: [(RuleId(0), 0)].into_iter().collect(),
        ..CleanRequest::due_under(None)
    };
    let policy = place.engine.policy();
    place.step(Input::Clean(policy, request, Box::new(|_| {})));
    place.settle_down();
    assert_eq!(place.claimed(), ["other/a"]);
}

#[test]
fn what_is_not_known_as_a_whole_is_not_counted() {
    let mut place = Place::new(vec![keeping(1, Grouping::Rule)]);
    come(&mut place, &["a", "x/b", "c"]);
    place.step(Input::Observed(vec![Observed::Unreadable {
        root: OTHER,
        dir: path("x"),
        error: "permission denied".to_owned(),
    }]));
    place.pass_until(10 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(OTHER, "a")[0], "unreadable");
    let now = place.now;
    let reconciled = move |ms: i64| Observed::Reconciled {
        root: OTHER,
        began: at(ms).boot,
        cost: PassCost::default(),
    };
    place.step(Input::Observed(vec![Observed::Doubted {
        root: OTHER,
        why: "events were lost".to_owned(),
    }]));
    place.step(Input::Observed(vec![Observed::Listing {
        root: OTHER,
        dir: path("x"),
        facts: facts(Kind::Dir, dir_ino(&path("x")), now),
        files: Vec::new(),
        dirs: Vec::new(),
        discovery: Discovery::Crawl,
        coverage: Coverage::Watched,
    }]));
    place.settle_down();
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(place.hold(OTHER, "a")[0], "reconciling");
    place.step(Input::Observed(vec![reconciled(11 * HOUR)]));
    place.settle_down();
    assert_eq!(place.claimed(), ["other/a"]);
}

#[test]
fn when_the_reaper_misses_a_newer_one_its_directory_is_listed_and_nothing_else_goes() {
    let mut place = Place::new(vec![keeping(1, Grouping::Rule)]);
    come(&mut place, &["a", "x/b"]);
    place.pass_until(10 * HOUR);
    let claims = std::mem::take(&mut place.claims);
    place.relisted.clear();
    let answer = |claim| Reaped {
        claim,
        outcome: Outcome::Held(Hold::RecheckMismatch),
    };
    place.step(Input::Reaped(claims.into_iter().map(answer).collect()));
    assert!(place.relisted.contains(&(OTHER, path("x"))));
    // It is gone indeed.
    remove(&mut place, "x/b");
    place.pass_until(20 * HOUR);
    assert_eq!(place.claimed(), [""; 0]);
    assert!(place.hold(OTHER, "a").contains(&"kept-last"));
}

#[test]
fn a_smaller_number_is_a_change_of_facts_and_what_is_kept_is_not_due() {
    let limits = |count| {
        let mut policy = policy(vec![keeping(count, Grouping::Dir)]);
        policy.sources.clear();
        Arc::new(policy)
    };
    let mut place = Place::new(vec![keeping(2, Grouping::Dir)]);
    let breaker = Breaker {
        entries: 3,
        share: 0.1,
        ..Breaker::default()
    };
    for dir in 0..5 {
        come(&mut place, &[&format!("{dir}/a"), &format!("{dir}/b")]);
    }
    place.pass_until(10 * HOUR);
    for (count, is_tripped) in [(2, false), (1, true)] {
        let files = place.engine.index().snapshot();
        place.step(Input::Reload(limits(count), breaker));
        let mut seen = Vec::new();
        for (_, page) in files {
            let (_, dir) = place.engine.index().dir_path(page.dir()).unwrap();
            let file = |(name, record): (&[u8], crate::core::index::Record)| {
                let ms = record.mtime.ms_since(at(0).wall);
                (name.into(), facts(Kind::File, record.ino, at(ms)))
            };
            seen.push(Observed::Listing {
                root: OTHER,
                facts: facts(Kind::Dir, dir_ino(&dir), place.now),
                dir,
                files: page.entries().map(file).collect(),
                dirs: Vec::new(),
                discovery: Discovery::Crawl,
                coverage: Coverage::Watched,
            });
        }
        seen.push(Observed::Reconciled {
            root: OTHER,
            began: place.now.boot,
            cost: PassCost::default(),
        });
        place.step(Input::Observed(seen));
        place.settle_down();
        assert_eq!(place.claimed(), [""; 0]);
        let trips = place.engine.status(place.now).roots;
        let trip = trips.iter().find(|of| of.root == OTHER).unwrap().trip;
        assert_eq!(
            trip.map(|trip| trip.due),
            is_tripped.then_some(5),
            "{count}"
        );
    }
}

/// A naive model: all files, each with its timestamp.
#[derive(Default)]
struct Model {
    files: BTreeMap<String, Now>,
}

impl Model {
    /// The files that may go at `now`.
    fn due(&self, keep: &KeepLast, now: Now) -> BTreeSet<String> {
        let mut groups: BTreeMap<Vec<u8>, Vec<(Timestamp, &String)>> = BTreeMap::new();
        for (path, of) in &self.files {
            let group = keep.group(path.as_bytes(), Unit::File).into_owned();
            groups.entry(group).or_default().push((of.wall, path));
        }
        let mut due = BTreeSet::new();
        for members in groups.values_mut() {
            members.sort();
            let old = members.len().saturating_sub(keep.count);
            let old = members[..old].iter();
            due.extend(
                old.filter(|(of, _)| of.plus_ms(HOUR) <= now.wall)
                    .map(|(_, path)| (*path).clone()),
            );
        }
        due
    }
}

#[test]
fn the_engine_claims_what_a_naive_model_lets_go_whatever_happens() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let per = match random.u32(..3) {
            0 => Grouping::Rule,
            1 => Grouping::Dir,
            _ => by("**/{name}-*"),
        };
        let rule = keeping(random.usize(1..4), per);
        let keep = rule.keep_last.clone().unwrap();
        let mut place = Place::new(vec![rule]);
        let mut model = Model::default();
        for _ in 0..120 {
            let dir = ["", "x/", "x/y/", "z/"][random.usize(..4)];
            let name = format!("{dir}{}-{}", ["a", "b"][random.usize(..2)], random.u32(..6));
            match random.u32(..6) {
                0..3 => {
                    place.file(OTHER, &name);
                    model.files.insert(name, place.now);
                }
                3 => {
                    if model.files.remove(&name).is_some() {
                        remove(&mut place, &name);
                    }
                }
                _ => {
                    let ms = place.now.wall.ms_since(at(0).wall);
                    place.pass_until(ms + random.i64(0..HOUR));
                }
            }
            place.settle_down();
            let due = model.due(&keep, place.now);
            let claims: BTreeSet<String> = place
                .claims
                .iter()
                .map(|claim| claim.path.to_string())
                .collect();
            assert_eq!(claims, due, "seed {seed}");
            for claim in &place.claims {
                let newer: BTreeSet<String> = newer(claim).into_iter().collect();
                assert_eq!(newer.len(), keep.count, "seed {seed}");
                assert!(newer.is_disjoint(&due), "seed {seed}");
                assert!(newer.iter().all(|one| model.files.contains_key(one)));
            }
            for path in due {
                model.files.remove(&path);
            }
            place.reap();
            place.settle_down();
        }
    }
}
