//! Real files, real threads: what the reaper removes, and above all what it does not.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests stand in for other people"
)]

mod crashes;
mod denials;
mod half_swept;
mod hostile;
mod jobs;
mod locks;
mod owners;
mod races;
mod single;
mod trash;
mod trash_crashes;
mod units;
mod windows;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use parking_lot::Mutex;

use self::world::{Asked, World};
use super::{Batch, Hooks, Options, Reaper, RootLocation};
use crate::clock;
use crate::common::machine::{Deadline, patience};
use crate::core::claim::{Actor, Claim, Outcome, Piece, Reaped, Removal, Unit};
use crate::core::facts::{Facts, Kind, Latest, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::path::RelPath;
use crate::core::policy::{Globs, Policy, Root, Rule, Schedule, Since, SkipOpen};
use crate::core::time::Timestamp;
use crate::fs::RootDir;
use crate::ledger::{self, Ledger, Line};

const ROOT: RootId = RootId(3);

/// A root, a state directory, and a reaper on them.
struct Bench {
    _scratch: tempfile::TempDir,
    base: PathBuf,
    policy: Policy,
    reaper: Option<Reaper>,
    ledger: Option<Arc<Ledger>>,
    answers: Option<Receiver<Vec<Reaped>>>,
    told: Arc<Mutex<Vec<(&'static str, RelPath)>>>,
    /// Called when a directory is about to be moved.
    before_move: Arc<dyn Fn(&Path) + Send + Sync>,
    /// Called between the first look at a thing and its move, among others.
    asked: Asked,
    /// Jobs, their source, and what they own.
    world: Arc<World>,
}

fn rule(unit: Unit, since: Since, expire_ms: i64) -> Rule {
    Rule {
        name: "old".into(),
        roots: None,
        glob: None,
        exclude: None,
        keep: None,
        since,
        expire_ms: Some(expire_ms),
        keep_last: None,
        unit,
        limit: None,
        skip_open: SkipOpen::Always,
        disposal: crate::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: crate::core::policy::JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: crate::core::policy::Record::Keep,
    }
}

impl Bench {
    fn new(rules: Vec<Rule>) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("root")).unwrap();
        std::fs::create_dir(base.join("state")).unwrap();
        let root = Root {
            name: "results".into(),
            path: base.join("root"),
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
        Self {
            _scratch: scratch,
            base,
            policy: Policy {
                sources: std::collections::BTreeMap::new(),
                databases: std::collections::BTreeSet::new(),
                roots: BTreeMap::from([(ROOT, root)]),
                rules,
                ..Policy::default()
            },
            reaper: None,
            ledger: None,
            answers: None,
            told: Arc::default(),
            before_move: Arc::new(|_| {}),
            asked: Arc::new(|_, _, _| {}),
            world: Arc::default(),
        }
    }

    /// Everything lapses at once, as a file.
    fn files() -> Self {
        Self::new(vec![rule(Unit::File, Since::Newest, 0)])
    }

    /// Every top-level directory lapses at once.
    fn dirs() -> Self {
        Self::new(vec![rule(Unit::Dir, Since::Newest, 0)])
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base.join("root").join(path)
    }

    /// Names in the quarantines.
    /// Names in the quarantines, without those of notes on displaced things.
    fn quarantined(&self) -> Vec<String> {
        let dirs = [".lapsed", "../uploads/.lapsed"].into_iter();
        let listed = dirs.filter_map(|dir| std::fs::read_dir(self.path(dir)).ok());
        let mut names: Vec<String> = listed
            .flatten()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !name.ends_with(".origin"))
            .collect();
        names.sort();
        names
    }

    fn write(&self, path: &str, content: &str) {
        std::fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::fs::write(self.path(path), content).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    fn facts(&self, path: &str) -> Facts {
        let root = RootDir::open(&self.base.join("root")).unwrap();
        let path = RelPath::parse(path.as_bytes()).unwrap();
        let (parent, name) = path.split().unwrap();
        root.dir(&parent).unwrap().look(name).unwrap().unwrap()
    }

    fn claim(&self, unit: Unit, path: &str) -> Claim {
        let rule = self.policy.rules.len() - 1;
        let facts = self.facts(path);
        let since = self.policy.rules[rule].since;
        let known = match unit {
            Unit::Job => unreachable!("no claim of a job here"),
            Unit::File => since.of(&facts, facts.newest(), None),
            Unit::Dir => since.of_tree(&facts, self.latest(path), None),
        };
        Claim {
            root: ROOT,
            path: RelPath::parse(path.as_bytes()).unwrap(),
            unit,
            key: facts.key,
            rule: RuleId(u16::try_from(rule).unwrap()),
            known: known.unwrap(),
            owners: self.world.owner(ROOT, path.as_bytes()).keys(),
            pieces: Vec::new(),
            retention_ms: None,
            limit: None,
            newer: Vec::new(),
            due: clock::now().wall,
            actor: Actor::default(),
        }
    }

    /// The newest timestamp in a tree, as an engine that missed nothing knows it.
    fn newest(&self, path: &str) -> Timestamp {
        self.latest(path).any
    }

    fn latest(&self, path: &str) -> Latest {
        let root = RootDir::open(&self.base.join("root")).unwrap();
        let mut latest = self.facts(path).latest();
        let mut open = vec![RelPath::parse(path.as_bytes()).unwrap()];
        while let Some(dir) = open.pop() {
            // What cannot be read has told the engine nothing either.
            let Ok(listed) = root.dir(&dir) else { continue };
            let _ = listed.list(|name, facts| {
                latest = latest.max(facts.latest());
                if facts.kind == Kind::Dir {
                    open.push(dir.join(name));
                }
            });
        }
        latest
    }

    fn place(&self) -> RootLocation {
        self.place_of("root")
    }

    fn place_of(&self, dir: &str) -> RootLocation {
        let path = self.base.join(dir);
        let key = RootDir::open(&path).unwrap().key();
        RootLocation { path, key }
    }

    /// Starts a reaper on the root as it is, as after a crash.
    fn start(&mut self) {
        self.reaper = None;
        self.ledger = None;
        let ledger = Ledger::open(&self.base.join("ledger"), ledger::Options::default()).unwrap();
        let ledger = Arc::new(ledger);
        let (sender, answers) = channel();
        let (before, back) = (self.told.clone(), self.told.clone());
        let (hook, root) = (self.before_move.clone(), self.base.join("root"));
        let hooks = Hooks {
            before_move: Arc::new(move |_, path| {
                before.lock().push(("before", path.clone()));
                hook(&path.below(&root));
            }),
            put_back: Arc::new(move |_, path| back.lock().push(("back", path.clone()))),
            ..self.world.hooks(
                move |reaped| drop(sender.send(reaped)),
                Arc::clone(&self.asked),
            )
        };
        let options = Options::new(self.base.join("state"));
        let reaper = Reaper::start(&options, ledger.clone(), hooks).unwrap();
        reaper.set_place(ROOT, Some(self.place()));
        if self.base.join("uploads").exists() {
            reaper.set_place(world::UPLOADS, Some(self.place_of("uploads")));
        }
        self.reaper = Some(reaper);
        self.ledger = Some(ledger);
        self.answers = Some(answers);
    }

    fn reap(&mut self, claims: &[Claim]) -> Vec<Outcome> {
        if self.reaper.is_none() {
            self.start();
        }
        // File times are as coarse as the timer's tick, and rounded up.
        let newest = claims.iter().map(|claim| claim.due).max();
        while clock::now().wall <= newest.unwrap_or_default().plus_ms(20) {
            std::thread::yield_now();
        }
        let batch = Batch {
            policy: Arc::new(std::mem::take(&mut self.policy)),
            claims: claims.to_vec(),
        };
        let policy = batch.policy.clone();
        let reaper = self.reaper.as_ref().unwrap();
        reaper.submit(batch);
        let mut done = Vec::new();
        while done.len() < claims.len() {
            done.extend(
                self.answers
                    .as_ref()
                    .unwrap()
                    .recv_timeout(patience())
                    .unwrap(),
            );
        }
        // The answer leaves before the work is dropped.
        wait(|| Arc::strong_count(&policy) == 1);
        self.policy = Arc::try_unwrap(policy).ok().unwrap();
        claims
            .iter()
            .map(|claim| {
                let at = done
                    .iter()
                    .position(|reaped| reaped.claim == *claim)
                    .unwrap();
                done.swap_remove(at).outcome
            })
            .collect()
    }

    fn reap_one(&mut self, unit: Unit, path: &str) -> Outcome {
        let claim = self.claim(unit, path);
        self.reap(&[claim]).remove(0)
    }

    /// Oldest first.
    fn lines(&self) -> Vec<Line> {
        let ledger = self.ledger.as_ref().unwrap();
        let mut lines: Vec<Line> = ledger.newest_first(None).map(Result::unwrap).collect();
        lines.reverse();
        lines
    }

    /// Waits until recovery is through.
    fn settle(&mut self) {
        // A claim of something that is not there is answered after recovery, and after what went
        // before it.
        let claim = Claim {
            root: ROOT,
            path: RelPath::parse(b"surely/not-there").unwrap(),
            unit: Unit::File,
            key: self.place().key,
            rule: RuleId(0),
            known: Timestamp::MIN,
            owners: Vec::new(),
            pieces: Vec::new(),
            retention_ms: None,
            limit: None,
            newer: Vec::new(),
            due: Timestamp::MIN,
            actor: Actor::default(),
        };
        assert_eq!(self.reap(&[claim]), [Outcome::Gone]);
    }
}

fn removed(outcome: &Outcome) -> &Removal {
    match outcome {
        Outcome::Removed(removal) => removal,
        other => panic!("not removed: {other:?}"),
    }
}

fn held(outcome: &Outcome) -> &Hold {
    match outcome {
        Outcome::Held(hold) => hold,
        other => panic!("not held: {other:?}"),
    }
}

fn globs(patterns: &[&str]) -> Globs {
    Globs::compile(patterns).unwrap()
}

/// Waits until `done`.
fn wait(done: impl Fn() -> bool) {
    let deadline = Deadline::new();
    while !done() {
        assert!(!deadline.is_over(), "waited too long");
        std::thread::yield_now();
    }
}
