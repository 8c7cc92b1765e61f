//! Effects of a configuration on the trees as they are now, by rule and root, with examples: for
//! `lapsed check`.
//!
//! **Invariant:** what would lapse now is counted by the very function that makes plans.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::calendar::Calendar;
use super::limits;
use super::plan::plan_of;
use crate::core::engine::{Engine, Holds};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{Page, Record, UnitState};
use crate::core::jobs::{Job, JobKey, Owner, SourceId};
use crate::core::path::RelPath;
use crate::core::policy::{Class, JobFilter, Policy};
use crate::core::report::{Phase, SourcePhase, SourceStatus, Trip};
use crate::core::time::{Now, Timestamp};
use crate::types::{self, Tally};

/// More examples do not tell more.
const EXAMPLES_MAX: usize = 3;

/// Findings.
#[derive(Debug, Default)]
pub struct Findings {
    /// By rule, in their order.
    pub rules: Vec<RuleFindings>,
    /// By root.
    pub roots: BTreeMap<RootId, RootFindings>,
    /// By source.
    pub sources: BTreeMap<SourceId, SourceFindings>,
    /// Limits that would remove something now.
    pub limits: Vec<types::LimitExcess>,
}

/// Findings about a rule.
#[derive(Debug, Default)]
pub struct RuleFindings {
    /// Files that it is for, those that its `keep` names included.
    pub matched: u64,
    /// Due files, as a plan counts them.
    pub now: Tally,
    /// Number of them that are held.
    pub held: u64,
    /// Jobs that own due files, for rules that remove jobs as a whole.
    pub jobs: BTreeSet<JobKey>,
    /// Examples of due files, earliest deadline first.
    pub examples: BTreeSet<Example>,
    /// Next deadline.
    pub next: Option<Example>,
    /// True if everything that the rule depends on could be read.
    pub is_known: bool,
}

/// One file, or top-level directory that goes as a whole.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Example {
    /// Its deadline.
    pub at: Timestamp,
    /// The root.
    pub root: RootId,
    /// The path in it.
    pub path: RelPath,
}

/// Findings about a root.
#[derive(Debug, Default)]
pub struct RootFindings {
    /// Reason why it is missing.
    pub missing: Option<String>,
    /// All that it holds.
    pub all: Tally,
    /// Files that no rule matches and nothing else keeps.
    pub unmatched: Tally,
    /// Files that a rule keeps forever.
    pub kept: Tally,
    /// Files left of jobs that were cleaned.
    pub left: Tally,
    /// Held files, by the code of the hold.
    pub held: BTreeMap<&'static str, Held>,
    /// Due orphans.
    pub orphans: Tally,
    /// That a start would ask a person first.
    pub trip: Option<Trip>,
    /// Jobs that the paths name and the source knows.
    pub known: BTreeSet<Box<[u8]>>,
    /// Jobs that the paths name and the source does not know.
    pub unknown: BTreeSet<Box<[u8]>>,
}

/// Files under one hold.
#[derive(Debug)]
pub struct Held {
    /// The reason, as the first has it.
    pub hold: Hold,
    /// Number of files.
    pub files: u64,
}

/// Findings about a source.
#[derive(Debug)]
pub struct SourceFindings {
    /// State of the reading.
    pub phase: SourcePhase,
    /// Reason why orphans are held.
    pub trip: Option<String>,
    /// Its jobs.
    pub jobs: u64,
    /// Number of jobs that have not ended.
    pub running: u64,
    /// Their claims that are refused.
    pub refused: Option<types::RefusedClaims>,
}

/// Returns the engine's findings at `now`.
#[must_use]
pub fn survey_of(engine: &Engine, now: Now) -> Findings {
    let policy = engine.policy();
    let status = engine.status(now);
    let sources = status.sources.into_iter();
    let sources: BTreeMap<SourceId, SourceFindings> = sources
        .map(|source| (source.source, of_source(engine, source)))
        .collect();
    let roots = status.roots.into_iter().map(|root| {
        let totals = engine.index().totals(root.root);
        let findings = RootFindings {
            missing: match root.phase {
                Phase::Missing { why } | Phase::Unreachable { why } => Some(why),
                Phase::Crawling | Phase::Reconciling { .. } | Phase::Ready => None,
            },
            all: Tally {
                files: totals.files,
                bytes: totals.bytes,
            },
            trip: root.trip,
            ..RootFindings::default()
        };
        (root.root, findings)
    });
    let mut findings = Findings {
        roots: roots.collect(),
        rules: policy
            .rules
            .iter()
            .map(|_| RuleFindings::default())
            .collect(),
        sources,
        limits: limits::excess(&engine.limit_excess(now), &policy),
    };
    for (rule, found) in policy.rules.iter().zip(&mut findings.rules) {
        let mut roots = findings.roots.iter();
        found.is_known = findings.sources.values().all(SourceFindings::is_ready)
            && roots.all(|(&root, found)| !rule.applies_to(root) || found.missing.is_none());
    }
    count_due(engine, &policy, now, &mut findings);
    let mut walk = Walk {
        engine,
        policy: &policy,
        holds: engine.holds(now),
        now: now.wall,
        findings,
    };
    for (_, page) in engine.index().snapshot() {
        walk.take(&page);
    }
    walk.findings
}

fn of_source(engine: &Engine, source: SourceStatus) -> SourceFindings {
    let jobs = engine.jobs();
    let counts = jobs.counts(source.source);
    let running = crate::core::jobs::Status::ALL
        .iter()
        .zip(counts)
        .filter(|(status, _)| !status.is_over());
    SourceFindings {
        phase: source.phase,
        trip: source.trip,
        jobs: jobs.count(source.source),
        running: running.map(|(_, count)| count).sum(),
        refused: jobs
            .refused_claims(&engine.policy(), source.source)
            .map(Into::into),
    }
}

impl SourceFindings {
    fn is_ready(&self) -> bool {
        self.phase == SourcePhase::Ready
    }
}

fn count_due(engine: &Engine, policy: &Policy, now: Now, findings: &mut Findings) {
    let (index, jobs) = (engine.index(), engine.jobs());
    let calendar = Calendar::new(now.wall);
    let kept = engine.kept().until(now.wall);
    let known = (&**index, &**jobs, &*kept);
    let plan = plan_of(known, policy, &calendar, now.wall, Duration::ZERO);
    for group in &plan.groups {
        let Some(id) = policy.rule_named(&group.rule) else {
            continue;
        };
        if let Some(found) = findings.rules.get_mut(usize::from(id.0)) {
            found.now.add(group.files, group.bytes);
            found.now.add(group.waits.files, group.waits.bytes);
        }
        let root = policy.root_named(&group.root);
        if policy.rule(id).jobs == JobFilter::Nobody
            && let Some(root) = root.and_then(|root| findings.roots.get_mut(&root))
        {
            root.orphans.add(group.files, group.bytes);
            root.orphans.add(group.waits.files, group.waits.bytes);
        }
    }
}

/// Goes through all entries.
struct Walk<'a> {
    engine: &'a Engine,
    policy: &'a Policy,
    holds: Holds,
    now: Timestamp,
    findings: Findings,
}

/// Place of the entries of a page.
struct Around {
    root: RootId,
    dir: RelPath,
    /// The top-level directory that they may go with.
    unit: Option<(RelPath, UnitState)>,
    /// Hold of everything whose owner would have to be known.
    down: Option<Hold>,
}

/// Thing that lapses, with its instant.
struct Lapse<'w> {
    rule: RuleId,
    at: Timestamp,
    basis: Timestamp,
    /// The thing itself: the file, or the directory that goes as a whole.
    path: &'w RelPath,
}

impl Walk<'_> {
    fn take(&mut self, page: &Page) {
        let index = self.engine.index();
        let Some((root, dir)) = index.dir_path(page.dir()) else {
            return;
        };
        if !self.findings.roots.contains_key(&root) {
            return;
        }
        let unit = dir.top().and_then(|top| {
            let state = index.unit(index.dir_id(root, top)?)?;
            Some((RelPath::root().join(top), state))
        });
        let around = Around {
            root,
            dir,
            unit,
            down: self.down(root),
        };
        for (name, record) in page.entries() {
            self.take_entry(&around, name, &record);
        }
    }

    /// That the source of `root` cannot tell whose anything is.
    fn down(&self, root: RootId) -> Option<Hold> {
        let id = self.policy.roots.get(&root)?.source?;
        let why = match &self.findings.sources.get(&id)?.phase {
            SourcePhase::Ready => return None,
            SourcePhase::Loading => "it takes long to be read".to_owned(),
            SourcePhase::Down { why } => why.clone(),
        };
        let source = self.policy.sources.get(&id)?.name.clone();
        Some(Hold::SourceDown { source, why })
    }

    fn take_entry(&mut self, around: &Around, name: &[u8], record: &Record) {
        let path = around.dir.join(name);
        let owner = self
            .engine
            .jobs()
            .owner(self.policy, around.root, path.as_bytes());
        self.note_owner(around.root, &path, &owner);
        let running = owner.jobs().iter().find(|job| !job.status.is_over());
        let running = running.map(|job| Hold::Running {
            job: job.key.id.clone(),
        });
        let rule = match record.class {
            Class::Unruled => {
                let hold = running.or_else(|| around.down.clone());
                return self.take_unruled(around.root, record, hold, &owner);
            }
            Class::Kept(rule) => {
                self.rule(rule).matched += 1;
                return self.root(around.root).kept.add(1, record.size);
            }
            Class::File(rule) | Class::Dir(rule) | Class::Job(rule) => rule,
        };
        self.rule(rule).matched += 1;
        let (thing, at, basis) = match (&around.unit, record.class) {
            (Some((top, state)), Class::Dir(_)) => (top, state.deadline, state.basis),
            (_, Class::Job(rule)) => {
                let (jobs, bytes) = (self.engine.jobs(), path.as_bytes());
                let at = jobs.deadline(self.policy, around.root, bytes, rule, record.basis);
                (&path, at, record.basis)
            }
            (_, Class::Unruled | Class::Kept(_) | Class::File(_) | Class::Dir(_)) => {
                (&path, record.deadline(), record.basis)
            }
        };
        let Some(at) = at else {
            let is_kept = self.policy.rule(rule).expire_ms.is_none();
            match running.or((!is_kept).then_some(Hold::NoTimestamp)) {
                Some(hold) => self.hold(around.root, hold),
                None => self.root(around.root).kept.add(1, record.size),
            }
            return;
        };
        let lapse = Lapse {
            rule,
            at,
            basis,
            path: thing,
        };
        self.take_lapse(around.root, &lapse, running, &owner);
    }

    /// Counts a file that no rule matches, or that seems so while its job runs or its owner is
    /// unknown.
    fn take_unruled(&mut self, root: RootId, record: &Record, hold: Option<Hold>, owner: &Owner) {
        if let Some(hold) = hold {
            return self.hold(root, hold);
        }
        let is_cleaned = |job: &Job| job.moments.cleaned_at.is_some();
        let is_left = !owner.jobs().is_empty() && owner.jobs().iter().all(is_cleaned);
        let found = self.root(root);
        let tally = if is_left {
            &mut found.left
        } else {
            &mut found.unmatched
        };
        tally.add(1, record.size);
    }

    fn take_lapse(
        &mut self,
        root: RootId,
        lapse: &Lapse<'_>,
        running: Option<Hold>,
        owner: &Owner,
    ) {
        let is_due = lapse.at <= self.now;
        let hold = running.or_else(|| {
            let at = Some(lapse.at).filter(|_| is_due);
            self.holds.of(root, lapse.path, at, lapse.basis, lapse.rule)
        });
        let example = || Example {
            at: lapse.at,
            root,
            path: lapse.path.clone(),
        };
        let is_held = hold.is_some();
        let is_whole_job = self.policy.rule(lapse.rule).unit == crate::core::claim::Unit::Job;
        let found = self.rule(lapse.rule);
        if is_due {
            found.held += u64::from(is_held);
            if is_whole_job {
                found.jobs.extend(owner.keys());
            }
            found.examples.insert(example());
            if found.examples.len() > EXAMPLES_MAX {
                found.examples.pop_last();
            }
        } else if !is_held && found.next.as_ref().is_none_or(|next| lapse.at < next.at) {
            found.next = Some(example());
        }
        if let Some(hold) = hold {
            self.hold(root, hold);
        }
    }

    /// Jobs that the paths of a root name.
    fn note_owner(&mut self, root: RootId, path: &RelPath, owner: &Owner) {
        let Some(id) = self.policy.owner(root, path.as_bytes()) else {
            return;
        };
        let found = self.findings.roots.entry(root).or_default();
        let ids = match owner {
            Owner::Nobody => return,
            Owner::Unknown { .. } => &mut found.unknown,
            Owner::Jobs(_) => &mut found.known,
        };
        if !ids.contains(id) {
            ids.insert(id.into());
        }
    }

    fn hold(&mut self, root: RootId, hold: Hold) {
        let found = self.root(root).held.entry(hold.code());
        found.or_insert(Held { hold, files: 0 }).files += 1;
    }

    fn root(&mut self, root: RootId) -> &mut RootFindings {
        self.findings.roots.entry(root).or_default()
    }

    fn rule(&mut self, rule: RuleId) -> &mut RuleFindings {
        &mut self.findings.rules[usize::from(rule.0)]
    }
}
