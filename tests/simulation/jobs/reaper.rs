//! A reaper in the test's hands: it looks twice, asks the source for every row, and holds each removal against the truth.

use std::collections::BTreeSet;

use super::checks::CHANGED;
use lapsed::core::claim::{Claim, Outcome, Reaped, Removal, Unit};
use lapsed::core::engine::Input;
use lapsed::core::facts::{Kind, Latest, RootId, RuleId};
use lapsed::core::hold::Hold;
use lapsed::core::jobs::{JobKey, JobLookup, JobRow, Owner};
use lapsed::core::path::RelPath;
use lapsed::core::policy::{Class, JobFilter, Record, Verdict};
use lapsed::core::time::Timestamp;

use super::rules::{OTHER, ROOTS};
use super::truth::{UUIDS, is_by_template};
use super::{CAREFUL_ENTRIES, Sim};
use crate::watcher::Rumour;

/// What goes by a claim.
struct Plan {
    deadline: Timestamp,
    going: Vec<(RootId, RelPath)>,
    partial: bool,
    /// The row by which its record is written.
    row: Option<JobRow>,
}

/// What is to become of a job's record.
pub struct Writing {
    pub removal: u64,
    pub row: JobRow,
    pub record: Record,
    /// The engine was told of the removal.
    pub is_ready: bool,
}

impl Sim {
    /// Answers some claims, in any order.
    pub fn reap_some(&mut self) {
        let mut reaped = Vec::new();
        for _ in 0..self.random.usize(..6).min(self.claims.len()) {
            let place = self.random.usize(..self.claims.len());
            let claim = self.claims.swap_remove(place);
            if claim.root == OTHER && !claim.owners.is_empty() {
                self.owned_elsewhere_at = Some(self.truth.now().wall);
            }
            let outcome = self.reap(&claim);
            self.count(&outcome);
            self.last = Some((claim.clone(), outcome.clone()));
            reaped.push(Reaped { claim, outcome });
        }
        self.input(Input::Reaped(reaped));
    }

    fn reap(&mut self, claim: &Claim) -> Outcome {
        if let Some(hold) = self.run_into(claim) {
            return Outcome::Held(hold);
        }
        let first = self.judge(claim);
        // Between the first look and the second the world goes on.
        if self.is_lively && self.random.u32(..4) == 0 {
            for _ in 0..self.random.usize(1..4) {
                self.work();
                self.disturb();
            }
        }
        match first.and_then(|_| self.judge(claim)) {
            Ok(plan) => self.carry(claim, plan),
            Err(outcome) => outcome,
        }
    }

    /// What may go by `claim`, on fresh facts.
    fn judge(&mut self, claim: &Claim) -> Result<Plan, Outcome> {
        match claim.unit {
            Unit::File | Unit::Dir => self.judge_place(claim),
            Unit::Job => self.judge_job(claim),
        }
    }

    fn judge_place(&mut self, claim: &Claim) -> Result<Plan, Outcome> {
        let (root, path) = (claim.root, &claim.path);
        let Some(facts) = self.truth.world(root).facts(path) else {
            return Err(Outcome::Gone);
        };
        let changed = Outcome::Changed { facts };
        let is_dir = claim.unit == Unit::Dir;
        if (facts.kind == Kind::Dir) != is_dir || facts.key != claim.key {
            return Err(changed);
        }
        for key in &claim.owners {
            self.ask(key)?;
        }
        let owner = self.fresh_owner(root, path)?;
        if owner.jobs().is_empty() {
            self.check_refused(root, path, claim.rule)?;
        }
        let policy = self.engine.policy();
        let inside = self.truth.world(root).beneath(path);
        let verdict = if is_dir {
            let latest = self.latest(root, &inside).max(Latest::at(claim.known));
            policy.dir(root, path.as_bytes(), &facts, latest, &owner)
        } else {
            policy.file(root, path.as_bytes(), &facts, claim.known, &owner)
        };
        let now = self.truth.now().wall;
        let deadline = match verdict {
            Verdict::Lapse { rule, basis, .. }
                if is_dir && rule == claim.rule && basis > claim.known =>
            {
                return Err(Outcome::NewerContent {
                    latest: Latest::at(basis),
                });
            }
            Verdict::Lapse { at, rule, basis }
                if at <= now && rule == claim.rule && basis == claim.known =>
            {
                at
            }
            Verdict::Hold { rule, why } if rule == claim.rule => return Err(Outcome::Held(why)),
            Verdict::Lapse { .. } | Verdict::Keep | Verdict::Hold { .. } => return Err(changed),
        };
        let mut going = vec![(root, path.clone())];
        let mut partial = false;
        if is_dir {
            let mut files = Vec::new();
            for path in &inside {
                if self.truth.world(root).nodes[path].kind != Kind::File {
                    continue;
                }
                let owner = self.fresh_owner(root, path)?;
                let rules = self.engine.policy();
                let free = owner.jobs().iter().all(|job| rules.held_by(job).is_none());
                let class = policy.classify(root, path.as_bytes(), &owner);
                if free && class == Class::Dir(claim.rule) {
                    files.push((root, path.clone()));
                } else {
                    partial = true;
                }
            }
            if partial {
                going = files;
            }
            if going.is_empty() {
                return Err(Outcome::Kept);
            }
        }
        Ok(Plan {
            deadline,
            going,
            partial,
            row: None,
        })
    }

    fn judge_job(&mut self, claim: &Claim) -> Result<Plan, Outcome> {
        let key = &claim.owners[0];
        let top = self.truth.world(OTHER).facts(&RelPath::root()).unwrap();
        let changed = Outcome::Changed { facts: top };
        let Some(row) = self.ask(key)? else {
            return Err(changed);
        };
        let policy = self.engine.policy();
        let Some(job) = self.engine.jobs().job(key) else {
            return Err(changed);
        };
        if let Some(hold) = policy.held_by(&job) {
            return Err(Outcome::Held(hold));
        }
        let now = self.truth.now().wall;
        // The job itself may be pinned: it owns no path that could be.
        let own = Owner::Jobs(vec![job.clone()]);
        let nowhere = RootId(u16::MAX);
        if let Some(pin) = self
            .engine
            .pins()
            .find(&policy, nowhere, &RelPath::root(), &own, now)
        {
            return Err(Outcome::Held(pin.hold()));
        }
        let (mut going, mut partial, mut any) = (Vec::new(), false, false);
        let mut latest = Latest::NONE;
        for piece in &claim.pieces {
            let root = piece.root;
            let Some(facts) = self.truth.world(root).facts(&piece.path) else {
                continue;
            };
            if facts.key != piece.key || (facts.kind == Kind::Dir) != piece.is_dir {
                return Err(changed);
            }
            any = true;
            let (mut files, mut some_stay) = (Vec::new(), false);
            let inside = self.truth.world(root).beneath(&piece.path);
            for path in &inside {
                if self.truth.world(root).nodes[path].kind != Kind::File {
                    latest = latest.max(self.latest(root, std::slice::from_ref(path)));
                    continue;
                }
                let owner = self.fresh_owner(root, path)?;
                let (class, decides) = policy.decide(root, path.as_bytes(), &owner);
                let own = self.latest(root, std::slice::from_ref(path)).any;
                let agreed = policy.consent(root, path.as_bytes(), own, &owner);
                let all_agree = matches!(agreed, Verdict::Lapse { at, .. } if at <= now);
                if class == Class::Job(claim.rule)
                    && decides.is_some_and(|one| one.key == *key)
                    && (all_agree || owner.jobs().len() == 1)
                {
                    latest = latest.max(self.latest(root, std::slice::from_ref(path)));
                    files.push((root, path.clone()));
                } else {
                    some_stay = true;
                }
            }
            if some_stay {
                partial = true;
                going.append(&mut files);
            } else {
                going.push((root, piece.path.clone()));
            }
        }
        if !any && !claim.pieces.is_empty() {
            return Err(Outcome::Gone);
        }
        if going.is_empty() && !claim.pieces.is_empty() {
            return Err(Outcome::Kept);
        }
        match policy.job(claim.rule, &job, latest.max(Latest::at(claim.known))) {
            Verdict::Lapse { basis, .. } if basis > claim.known => Err(Outcome::NewerContent {
                latest: Latest::at(basis),
            }),
            Verdict::Lapse { at, basis, .. } if at <= now && basis == claim.known => Ok(Plan {
                deadline: at,
                going,
                partial,
                row: Some(row),
            }),
            Verdict::Hold { why, .. } => Err(Outcome::Held(why)),
            Verdict::Lapse { .. } | Verdict::Keep => Err(changed),
        }
    }

    /// Whose `path` is, when the source agrees, and no pin holds it.
    fn fresh_owner(&mut self, root: RootId, path: &RelPath) -> Result<Owner, Outcome> {
        let policy = self.engine.policy();
        let owner = self.engine.jobs().owner(&policy, root, path.as_bytes());
        for key in self.engine.jobs().readings(&policy, root, path.as_bytes()) {
            self.ask(&key)?;
        }
        let now = self.truth.now().wall;
        match self.engine.pins().find(&policy, root, path, &owner, now) {
            Some(pin) => Err(Outcome::Held(pin.hold())),
            None => Ok(owner),
        }
    }

    /// What nobody owns, as far as is known, may be what a refused claim means.
    fn check_refused(&self, root: RootId, path: &RelPath, rule: RuleId) -> Result<(), Outcome> {
        let policy = self.engine.policy();
        let jobs = self.engine.jobs();
        match jobs.refused_hold(&policy, root, path.as_bytes(), rule) {
            Some(hold) => Err(Outcome::Held(hold)),
            None => Ok(()),
        }
    }

    /// The row of a job when it is as the engine knows it. If it is another, the engine hears of that.
    fn ask(&mut self, key: &JobKey) -> Result<Option<JobRow>, Outcome> {
        let fresh = self.source.fresh(&self.truth, &key.id);
        let agrees = self.engine.jobs().agrees(key, &fresh);
        match fresh {
            JobLookup::Unknown(why) => {
                let source = "db".to_owned();
                return Err(Outcome::Held(Hold::SourceDown { source, why }));
            }
            JobLookup::Row(row) if agrees => return Ok(Some(*row)),
            JobLookup::Gone if agrees => return Ok(None),
            JobLookup::Row(_) | JobLookup::Gone => {}
        }
        // The source is asked to read: its news come in their order.
        self.disagreed += 1;
        self.source.doubt(&key.id);
        self.source.read(&self.truth, &mut self.random);
        let (source, why) = ("db".to_owned(), CHANGED.to_owned());
        Err(Outcome::Held(Hold::SourceDown { source, why }))
    }

    fn latest(&self, root: RootId, paths: &[RelPath]) -> Latest {
        let world = self.truth.world(root);
        let facts = paths.iter().filter_map(|path| world.facts(path));
        facts
            .map(|facts| facts.latest())
            .fold(Latest::NONE, Latest::max)
    }

    fn carry(&mut self, claim: &Claim, plan: Plan) -> Outcome {
        let mut files = 0;
        for (root, path) in &plan.going {
            for path in self.truth.world(*root).beneath(path) {
                if self.truth.world(*root).nodes[&path].kind == Kind::File {
                    self.check_may_go(*root, &path, claim);
                    files += 1;
                }
            }
        }
        if let Some(row) = &plan.row {
            self.check_job_may_go(claim, row);
        }
        for (root, path) in &plan.going {
            self.truth.world_mut(*root).remove(path);
            let rumour = Rumour::Touched(path.clone());
            self.watchers[usize::from(root.0)].hear(rumour, &mut self.random);
        }
        let record = self.engine.policy().rules[usize::from(claim.rule.0)].record;
        if let Some(row) = plan.row.as_ref().filter(|_| record != Record::Keep) {
            self.check_nothing_left(claim, row);
            if self.rewritten.contains(&row.id) {
                // Once, also when a file comes before its record is written.
                self.rewritten_gone.insert(row.id.clone());
            }
            // As many in each of the two roots.
            assert!(
                self.rewritten_gone.len() as u64 <= 2 * CAREFUL_ENTRIES,
                "the breaker lets {:?} go: {:?}",
                self.rewritten_gone,
                self.rewritten
            );
        }
        self.removals += 1;
        self.removed += files;
        let rule = &self.engine.policy().rules[usize::from(claim.rule.0)];
        if let Some(row) = plan.row
            && rule.record != Record::Keep
        {
            self.writings.push(Writing {
                removal: self.removals,
                row,
                record: rule.record,
                is_ready: false,
            });
        }
        Outcome::Removed(Removal {
            at: self.truth.now().wall,
            deadline: plan.deadline,
            files,
            bytes: 0,
            id: self.removals,
            pruned: Vec::new(),
            partial: plan.partial,
            share: None,
            trashed: None,
        })
    }

    /// By the truth at this instant.
    fn check_may_go(&mut self, root: RootId, path: &RelPath, claim: &Claim) {
        let name = ROOTS[usize::from(root.0)].1;
        let policy = self.engine.policy();
        let owner = self.engine.jobs().owner(&policy, root, path.as_bytes());
        let known: BTreeSet<String> = owner.jobs().iter().map(|job| job.key.id.clone()).collect();
        let is_known = |id: &str| known.contains(id);
        let now = self.truth.now().wall;
        let tell = || {
            let (by_template, by_claim) = self.truth.owners(root, path);
            let rows = by_template.union(&by_claim).map(|id| &self.truth.rows[*id]);
            let rows: Vec<_> = rows.collect();
            let node = &self.truth.world(root).nodes[path];
            format!("{name}/{path} at {now}: {node:?}, {rows:#?}, {owner:#?}, {claim:#?}")
        };
        let at = self.truth.may_go_at(root, path, &is_known);
        assert!(
            at.as_ref().is_some_and(|(at, _)| *at <= now),
            "{at:?}: {}",
            tell()
        );
        let pin = self.truth.pinned(root, path, &is_known);
        assert!(pin.is_none(), "{pin:?}: {}", tell());
        if policy.rule(claim.rule).jobs == JobFilter::Nobody {
            assert!(!self.source.is_down, "down: {}", tell());
            // What its claim means is not known: it may be this.
            let mut heard = self.heard.values();
            let refused =
                heard.find(|(row, _)| !row.status.is_over() && self.truth.has_refused(row));
            assert_eq!(refused, None, "a claim is refused: {}", tell());
            let lost = self
                .suddenly_lost
                .iter()
                .find(|id| is_by_template(root, path, id));
            assert_eq!(lost, None, "its table was emptied: {}", tell());
            assert!(
                UUIDS
                    .iter()
                    .any(|uuid| path.as_bytes().starts_with(uuid.as_bytes())),
                "{}",
                tell()
            );
            self.orphans += 1;
        }
    }

    fn check_job_may_go(&self, claim: &Claim, row: &JobRow) {
        assert!(row.status.is_over(), "{row:?} {claim:?}");
        assert!(!self.truth.has_refused(row), "{row:?} {claim:?}");
        assert_eq!(row.moments.cleaned_at, None, "{row:?} {claim:?}");
        assert_eq!(row.unreadable, None, "{row:?} {claim:?}");
        assert_eq!(self.truth.rows.get(&row.id), Some(row), "{claim:?}");
    }
}
