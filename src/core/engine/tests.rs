//! The engine on jobs. Each invariant of the design that speaks of jobs has a test named after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Input, Setup};
use crate::core::claim::{Claim, Outcome, Reaped, Removal, Unit};
use crate::core::clock_guard::ClockGuard;
use crate::core::effect::{Effect, Event, JOBS};
use crate::core::facts::{Facts, FileKey, Kind, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{
    JobChange, JobLookup, JobRow, JobTimestamps, SourceId, SourceUpdate, Status,
};
use crate::core::observed::{Absence, Coverage, Discovery, Observed, PassCost};
use crate::core::path::RelPath;
use crate::core::pins::{Pin, PinTarget};
use crate::core::policy::{
    Derived, JobFilter, Policy, Record, Root, Rule, Schedule, Since, SkipOpen, Source,
};
use crate::core::report::{Breaker, Mode, SavedSource, SourcePhase};
use crate::core::shadow::ShadowEvent;
use crate::core::template::Template;
use crate::core::time::{FileTime, Now, Timestamp};

mod holding;
mod job_breaker;
mod keep_last;
mod limits;
mod low_marks;
mod orders;
mod orphans;
mod pauses;
mod records;
mod refused;
mod shadow;
mod sharing;
mod trash;
mod volumes;
mod work;

/// `{job}/**`
const RESULTS: RootId = RootId(0);
/// `{job}_{name}`, where claims of bare names lead
const UPLOADS: RootId = RootId(1);
/// Nobody's: no template, no source.
const OTHER: RootId = RootId(2);
const DB: SourceId = SourceId(0);
const HOUR: i64 = 3_600_000;

const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";

fn at(ms: i64) -> Now {
    Now {
        wall: Timestamp::from_unix_ms(1_000_000_000 + ms),
        boot: Duration::from_millis(500_000_000 + u64::try_from(ms).unwrap()),
    }
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
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

fn root(name: &str, owner: Option<&str>, orphans: Option<&str>) -> Root {
    let parse = |text: &str| Template::parse(text).unwrap();
    Root {
        name: name.to_owned(),
        path: format!("/srv/{name}").into(),
        owner: owner.map(parse),
        limit: None,
        prune_empty_dirs: false,
        alert: crate::core::policy::Alert::default(),
        optional: name == "uploads",
        source: owner.map(|_| DB),
        orphans: orphans.map(parse),
        only: None,
        nested: Vec::new(),
    }
}

/// A rule that lets everything go an hour after its newest timestamp.
fn rule(name: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        roots: None,
        glob: None,
        exclude: None,
        keep: None,
        since: Since::Newest,
        expire_ms: Some(HOUR),
        keep_last: None,
        unit: Unit::File,
        limit: None,
        skip_open: SkipOpen::Never,
        disposal: crate::core::policy::Disposal::Delete,
        schedule: Schedule::AtDeadline,
        jobs: JobFilter::Anyone,
        kinds: None,
        sources: None,
        record: Record::Keep,
    }
}

/// All that a completed job owns goes an hour after its end.
fn job_rule() -> Rule {
    Rule {
        since: Since::CompletedAt,
        unit: Unit::Job,
        jobs: JobFilter::Standing(vec![Status::Completed]),
        roots: Some(vec![RESULTS, UPLOADS]),
        ..rule("completed")
    }
}

/// `results` and `uploads` of the jobs of one database, and a root of nobody.
fn policy(rules: Vec<Rule>) -> Policy {
    let source = Source {
        name: "db".to_owned(),
        id_pattern: None,
        files_root: Some(PathBuf::from("/srv/uploads")),
        base_dir: PathBuf::from("/srv"),
        path_map: Vec::new(),
        links: Vec::new(),
        derived: vec![Derived {
            pattern: "{stem}_processed.mp3".to_owned(),
        }],
        claims: true,
        required: true,
        is_listed: true,
        same_rows: Vec::new(),
        is_told: false,
    };
    Policy {
        roots: BTreeMap::from([
            (
                RESULTS,
                root("results", Some("{job}/**"), Some("{uuid}/**")),
            ),
            (
                UPLOADS,
                root("uploads", Some("{job}_{name}"), Some("{uuid}_{name}")),
            ),
            (OTHER, root("other", None, None)),
        ]),
        rules,
        sources: BTreeMap::from([(DB, source)]),
        ..Policy::default()
    }
}

/// An engine, the reaper's place taken by the test.
struct Place {
    engine: Engine,
    now: Now,
    told: Vec<Event>,
    remembered: Vec<SavedSource>,
    recorded: Vec<u64>,
    relisted: BTreeSet<(RootId, RelPath)>,
    claims: Vec<Claim>,
    purges: Vec<crate::core::trash::PurgeOrder>,
    shadow: Vec<ShadowEvent>,
    next_ino: u64,
    /// Roots whose file systems were asked for their space.
    volumes: Vec<RootId>,
    /// True if no barrier comes through.
    is_deaf: bool,
}

impl Place {
    fn new(rules: Vec<Rule>) -> Self {
        Self::with_memory(rules, BTreeMap::new())
    }

    fn with_memory(rules: Vec<Rule>, sources: BTreeMap<SourceId, SavedSource>) -> Self {
        Self::with_policy(policy(rules), sources, Mode::Live)
    }

    fn with_policy(policy: Policy, sources: BTreeMap<SourceId, SavedSource>, mode: Mode) -> Self {
        let setup = Setup {
            policy: Arc::new(policy),
            breaker: Breaker::default(),
            mode,
            guard: ClockGuard::new(at(0), None),
            memory: None,
            jobs: Arc::default(),
            pins: Arc::default(),
            pauses: Arc::default(),
            trash: Arc::default(),
            sources,
            recording: BTreeSet::new(),
        };
        let mut place = Self {
            engine: Engine::new(setup, at(0)),
            now: at(0),
            told: Vec::new(),
            remembered: Vec::new(),
            recorded: Vec::new(),
            relisted: BTreeSet::new(),
            claims: Vec::new(),
            purges: Vec::new(),
            shadow: Vec::new(),
            next_ino: 100,
            volumes: Vec::new(),
            is_deaf: false,
        };
        for (root, ino) in [(RESULTS, 1), (UPLOADS, 2), (OTHER, 3)] {
            let key = FileKey { dev: 1, ino };
            place.step(Input::Observed(vec![
                Observed::RootFound { root, key },
                Observed::Listing {
                    root,
                    dir: RelPath::root(),
                    facts: facts(Kind::Dir, ino, at(0)),
                    files: Vec::new(),
                    dirs: Vec::new(),
                    discovery: Discovery::Crawl,
                    coverage: Coverage::Watched,
                },
                Observed::Reconciled {
                    root,
                    began: at(0).boot,
                    cost: PassCost::default(),
                },
            ]));
        }
        place
    }

    fn step(&mut self, input: Input) {
        let mut is_asked = false;
        let mut previewed = Vec::new();
        for effect in self.engine.step(self.now, input) {
            match effect {
                Effect::Barrier => is_asked = true,
                Effect::AskSpace(root) => self.volumes.push(root),
                Effect::Claim(claims) => self.claims.extend(claims),
                Effect::Purge(order) => self.purges.push(order),
                Effect::Preview(claims) => {
                    previewed.extend(claims.into_iter().map(|claim| Reaped {
                        outcome: Outcome::Removed(Removal {
                            at: self.now.wall,
                            deadline: claim.due,
                            files: claim.pieces.len().max(1) as u64,
                            bytes: 0,
                            id: 0,
                            pruned: Vec::new(),
                            partial: false,
                            share: None,
                            trashed: None,
                        }),
                        claim,
                    }));
                }
                Effect::Tell(event) => self.told.push(event),
                Effect::Shadow(event) => self.shadow.push(event),
                Effect::Source(_, memory) => self.remembered.push(memory),
                Effect::Recorded(id) => self.recorded.push(id),
                Effect::Relist(root, dir) => drop(self.relisted.insert((root, dir))),
                Effect::Remember(..)
                | Effect::Changed { .. }
                | Effect::Ruled
                | Effect::PauseEnded(_)
                | Effect::Placed(..)
                | Effect::Synced(_) => {}
            }
        }
        if !previewed.is_empty() {
            self.step(Input::Previewed(previewed));
        }
        // Whatever happened before is known here at once.
        if is_asked && !self.is_deaf {
            self.step(Input::Synced(JOBS));
        }
    }

    /// Time passes, with all ticks that are asked for.
    fn pass_until(&mut self, ms: i64) {
        let end = at(ms);
        let mut steps = 0;
        while let Some(wake) = self.engine.wake_at().filter(|wake| *wake <= end.wall) {
            let ms = wake.max(self.now.wall).ms_since(at(0).wall);
            self.now = at(ms);
            self.step(Input::Tick);
            steps += 1;
            assert!(steps < 10_000, "it ticks without an end");
        }
        self.now = end;
        self.step(Input::Tick);
    }

    /// A file is there, of now. A directory around it, too.
    fn file(&mut self, root: RootId, at: &str) {
        let at = path(at);
        let (dir, name) = at.split().unwrap();
        self.next_ino += 10;
        let ino = self.next_ino;
        let mut seen = Vec::new();
        let mut above = RelPath::root();
        for name in dir.components() {
            let dir = facts(Kind::Dir, dir_ino(&above.join(name)), self.now);
            seen.push(Observed::Looks {
                root,
                dir: above.clone(),
                facts: facts(
                    Kind::Dir,
                    if above.is_root() {
                        u64::from(root.0) + 1
                    } else {
                        dir_ino(&above)
                    },
                    self.now,
                ),
                names: vec![(name.into(), Some(dir))],
            });
            above = above.join(name);
        }
        seen.push(Observed::Looks {
            root,
            dir: dir.clone(),
            facts: facts(
                Kind::Dir,
                if dir.is_root() {
                    u64::from(root.0) + 1
                } else {
                    dir_ino(&dir)
                },
                self.now,
            ),
            names: vec![(name.into(), Some(facts(Kind::File, ino, self.now)))],
        });
        self.step(Input::Observed(seen));
    }

    fn report(&mut self, news: Vec<JobChange>) {
        self.report_of(DB, news);
    }

    fn report_of(&mut self, source: SourceId, news: Vec<JobChange>) {
        self.step(Input::Jobs(SourceUpdate {
            source,
            news,
            more: false,
        }));
    }

    /// The source was read, and has these jobs.
    fn loaded(&mut self, rows: Vec<JobRow>) {
        let jobs = rows.len() as u64;
        self.report(vec![JobChange::Rows(rows), JobChange::Loaded { jobs }]);
        self.settle_down();
    }

    fn settle_down(&mut self) {
        let ms = self.now.wall.ms_since(at(0).wall);
        self.pass_until(ms);
    }

    /// The paths of all claims that were given out since the last asking, pieces of jobs one by
    /// one.
    fn claimed(&mut self) -> Vec<String> {
        let claims = std::mem::take(&mut self.claims);
        let mut paths: Vec<String> = claims.iter().flat_map(paths_of).collect();
        paths.sort();
        paths
    }

    /// The reaper removes what was claimed.
    fn reap(&mut self) -> Vec<String> {
        let claims = std::mem::take(&mut self.claims);
        let paths = claims.iter().flat_map(paths_of).collect();
        let reaped = claims.into_iter().zip(7..).map(|(claim, id)| Reaped {
            outcome: Outcome::Removed(Removal {
                at: self.now.wall,
                deadline: claim.due,
                files: 1,
                bytes: 1,
                id,
                pruned: Vec::new(),
                partial: false,
                share: None,
                trashed: None,
            }),
            claim,
        });
        let reaped = reaped.collect();
        self.step(Input::Reaped(reaped));
        paths
    }

    fn hold(&self, root: RootId, at: &str) -> Vec<&'static str> {
        let why = self.engine.explain(root, &path(at), self.now);
        why.holds.iter().map(Hold::code).collect()
    }

    fn phase(&self) -> SourcePhase {
        self.engine.status(self.now).sources[0].phase.clone()
    }
}

fn dir_ino(dir: &RelPath) -> u64 {
    let sum: u64 = dir.as_bytes().iter().map(|&byte| u64::from(byte)).sum();
    1_000_000 + sum
}

fn paths_of(claim: &Claim) -> Vec<String> {
    let name = |root: RootId| ["results", "uploads", "other"].get(usize::from(root.0));
    let full =
        |root: RootId, path: &RelPath| format!("{}/{path}", name(root).copied().unwrap_or("-"));
    match claim.unit {
        Unit::File | Unit::Dir => vec![full(claim.root, &claim.path)],
        Unit::Job if claim.pieces.is_empty() => vec![format!("job {}", claim.owners[0].id)],
        Unit::Job => {
            let pieces = claim.pieces.iter();
            pieces.map(|piece| full(piece.root, &piece.path)).collect()
        }
    }
}

/// A job that ended at `ms`.
fn completed(id: &str, ms: i64) -> JobRow {
    JobRow {
        moments: JobTimestamps {
            created_at: Some(at(0).wall),
            completed_at: Some(at(ms).wall),
            ..JobTimestamps::default()
        },
        ..JobRow::new(id, Status::Completed)
    }
}

fn running(id: &str) -> JobRow {
    JobRow::new(id, Status::Running)
}
