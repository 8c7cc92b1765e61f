//! The engine on the reaper's answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::clock_guard::ClockGuard;
use crate::core::engine::Input;
use crate::core::engine::Setup;
use crate::core::facts::{FileKey, Latest, RootId};
use crate::core::observed::{Coverage, Observed, PassCost};
use crate::core::policy::{Globs, Policy, Root, Rule, Schedule, Since, SkipOpen};
use crate::core::report::{Breaker, Mode};
use crate::core::time::FileTime;
use crate::core::time::Timestamp;

const ROOT: RootId = RootId(0);
const TTL_MS: i64 = 10_000;

fn at(ms: i64) -> Now {
    Now {
        wall: Timestamp::from_unix_ms(1_000_000 + ms),
        boot: Duration::from_millis(500_000 + u64::try_from(ms).unwrap()),
    }
}

fn facts(kind: Kind, ino: u64, changed: Now) -> Facts {
    let changed = FileTime::from(changed.wall);
    Facts {
        kind,
        key: FileKey { dev: 1, ino },
        nlink: 1,
        size: 1,
        blocks: 8,
        mtime: changed,
        ctime: changed,
        btime: None,
    }
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

/// An engine that knows `file` and the unit `unit`, both last changed at 0, and both of which the
/// reaper has.
fn engine() -> (Engine, Vec<Claim>) {
    let rule = |glob: &str, unit| Rule {
        name: glob.to_owned(),
        roots: None,
        glob: Some(Globs::compile(&[glob]).unwrap()),
        exclude: None,
        keep: None,
        since: Since::Newest,
        expire_ms: Some(TTL_MS),
        keep_last: None,
        unit,
        limit: None,
        skip_open: SkipOpen::Never,
        disposal: crate::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: crate::core::policy::JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: crate::core::policy::Record::Keep,
    };
    let root = Root {
        name: "root".to_owned(),
        path: PathBuf::from("/root"),
        owner: None,
        limit: None,
        prune_empty_dirs: false,
        alert: crate::core::policy::Alert::default(),
        optional: false,
        source: None,
        orphans: None,
        only: None,
        nested: Vec::new(),
    };
    let policy = Arc::new(Policy {
        sources: std::collections::BTreeMap::new(),
        databases: std::collections::BTreeSet::new(),
        roots: BTreeMap::from([(ROOT, root)]),
        rules: vec![rule("file", Unit::File), rule("unit", Unit::Dir)],
        ..Policy::default()
    });
    let setup = Setup {
        policy,
        breaker: Breaker::default(),
        mode: Mode::Live,
        guard: ClockGuard::new(at(0), None),
        memory: None,
        jobs: std::sync::Arc::default(),
        pins: std::sync::Arc::default(),
        trash: Arc::default(),
        sources: std::collections::BTreeMap::new(),
        pauses: std::sync::Arc::default(),
        recording: std::collections::BTreeSet::new(),
    };
    let mut engine = Engine::new(setup, at(0));
    let key = FileKey { dev: 1, ino: 1 };
    let seen = vec![
        Observed::RootFound { root: ROOT, key },
        Observed::Listing {
            root: ROOT,
            dir: RelPath::root(),
            facts: facts(Kind::Dir, 1, at(0)),
            files: vec![((*b"file").into(), facts(Kind::File, 2, at(0)))],
            dirs: vec![((*b"unit").into(), facts(Kind::Dir, 3, at(0)))],
            discovery: Discovery::Crawl,
            coverage: Coverage::Watched,
        },
        Observed::Reconciled {
            root: ROOT,
            began: at(0).boot,
            cost: PassCost::default(),
        },
    ];
    engine.step(at(1), Input::Observed(seen));
    let claims = engine
        .step(at(TTL_MS), Input::Tick)
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Claim(claims) => Some(claims),
            _ => None,
        })
        .flatten()
        .collect();
    (engine, claims)
}

fn spare(engine: &mut Engine, claims: &[Claim], facts: impl Fn(&Claim) -> Facts, now: Now) {
    let reaped = claims
        .iter()
        .map(|claim| Reaped {
            claim: claim.clone(),
            outcome: Outcome::Changed {
                facts: facts(claim),
            },
        })
        .collect();
    engine.step(now, Input::Reaped(reaped));
}

#[test]
fn what_was_changed_while_the_reaper_had_it_waits_for_its_new_deadline() {
    let (mut engine, claims) = engine();
    assert_eq!(claims.len(), 2);
    // News of the change comes before the reaper's answer.
    let changed = at(TTL_MS + 1);
    let unit = vec![((*b"x").into(), Some(facts(Kind::File, 4, changed)))];
    let file = vec![((*b"file").into(), Some(facts(Kind::File, 2, changed)))];
    let looks = [("", file, 1), ("unit", unit, 3)].map(|(dir, names, ino)| Observed::Looks {
        root: ROOT,
        dir: path(dir),
        facts: facts(Kind::Dir, ino, at(0)),
        names,
    });
    engine.step(at(TTL_MS + 2), Input::Observed(looks.into()));
    let seen = |claim: &Claim| match claim.unit {
        Unit::Job => unreachable!("no claim of a job here"),
        Unit::File => facts(Kind::File, 2, changed),
        Unit::Dir => facts(Kind::Dir, 3, at(0)),
    };
    spare(&mut engine, &claims, seen, at(TTL_MS + 3));
    assert_eq!(engine.status(at(TTL_MS + 3)).held, []);
    assert_eq!(engine.wake_at(), Some(changed.wall.plus_ms(TTL_MS)));
}

#[test]
fn what_the_reaper_spares_for_no_reason_that_is_known_is_looked_at_again_soon() {
    let (mut engine, claims) = engine();
    let seen = |claim: &Claim| match claim.unit {
        Unit::Job => unreachable!("no claim of a job here"),
        Unit::File => facts(Kind::File, 2, at(0)),
        Unit::Dir => facts(Kind::Dir, 3, at(0)),
    };
    let mut now = at(TTL_MS + 3);
    for _ in 0..3 {
        spare(&mut engine, &claims, seen, now);
        let held = engine.status(now).held;
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!((&held[0].hold, held[0].count), (&Hold::RecheckMismatch, 2));
        let again = engine.wake_at().unwrap();
        assert!(
            again > now.wall && again <= now.wall.plus_ms(4000),
            "{again}"
        );
        now = at(again.ms_since(at(0).wall));
        let claimed = engine.step(now, Input::Tick);
        assert!(matches!(&claimed[..], [Effect::Claim(claims)] if claims.len() == 2));
    }
}

fn answer(engine: &mut Engine, claims: &[Claim], outcome: &Outcome, now: Now) -> Vec<Effect> {
    let units = claims.iter().filter(|claim| claim.unit == Unit::Dir);
    let reaped = units.map(|claim| Reaped {
        claim: claim.clone(),
        outcome: outcome.clone(),
    });
    engine.step(now, Input::Reaped(reaped.collect()))
}

#[test]
fn what_the_reaper_saw_in_a_unit_moves_its_deadline() {
    let (mut engine, claims) = engine();
    let newest = at(5000).wall;
    let effects = answer(
        &mut engine,
        &claims,
        &Outcome::NewerContent {
            latest: Latest::at(newest),
        },
        at(TTL_MS + 3),
    );
    assert_eq!(effects[0], Effect::Relist(ROOT, path("unit")));
    assert!(matches!(effects[1..], [Effect::Changed { .. }]));
    assert_eq!(engine.status(at(TTL_MS + 3)).held, []);
    assert_eq!(engine.wake_at(), Some(newest.plus_ms(TTL_MS)));
}

#[test]
fn a_unit_in_which_nothing_goes_has_no_deadline_until_it_changes() {
    let (mut engine, claims) = engine();
    answer(&mut engine, &claims, &Outcome::Kept, at(TTL_MS + 3));
    assert_eq!(engine.status(at(TTL_MS + 3)).held, []);
    assert_eq!(engine.wake_at(), None);
    let changed = at(TTL_MS + 5);
    let looks = Observed::Looks {
        root: ROOT,
        dir: path("unit"),
        facts: facts(Kind::Dir, 3, changed),
        names: Vec::new(),
    };
    engine.step(changed, Input::Observed(vec![looks]));
    assert_eq!(engine.wake_at(), Some(changed.wall.plus_ms(TTL_MS)));
}

#[test]
fn what_a_claim_did_not_find_is_looked_for_once_more() {
    let (mut engine, claims) = engine();
    let gone = |claim: &Claim| Reaped {
        claim: claim.clone(),
        outcome: Outcome::Gone,
    };
    let now = at(TTL_MS + 3);
    let effects = engine.step(now, Input::Reaped(claims.iter().map(gone).collect()));
    let relisted = claims.iter().map(|claim| &claim.path);
    let relisted: Vec<_> = relisted
        .map(|path| Effect::Relist(ROOT, path.clone()))
        .collect();
    assert_eq!(effects[..2], relisted);
    assert!(matches!(effects[2..], [Effect::Changed { .. }]));
    assert_eq!(relisted.len(), 2);
    // Known to be gone: nothing to look for.
    let effects = engine.step(now, Input::Reaped(claims.iter().map(gone).collect()));
    assert_eq!(effects, []);
}
