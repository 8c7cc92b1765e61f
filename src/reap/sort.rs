//! The parts of a unit that are removed, and those that are kept.
//!
//! **Invariant:** a part that is removed never holds what a rule keeps, what an earlier rule
//! governs, or what belongs to a job that does not let it lapse.

use std::collections::BTreeSet;

use super::candidate::{Content, Target};
use super::hooks::Hooks;
use super::parts::Part;
use crate::core::claim::{Claim, Unit};
use crate::core::facts::{Facts, Kind, Latest};
use crate::core::hold::Hold;
use crate::core::jobs::{Job, JobKey, Owner};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Policy, Verdict};
use crate::core::time::Timestamp;
use crate::fs::tree::Tree;

/// Divides a unit into parts, by what policy, owners and pins say about each thing in it.
pub(super) struct UnitPartitioner<'a> {
    policy: &'a Policy,
    hooks: &'a Hooks,
    claim: &'a Claim,
    /// The owner of the unit.
    owner: &'a Owner,
    /// The latest timestamps in the unit.
    latest: Latest,
    now: Timestamp,
    has_pins: bool,
    /// The jobs whose rows say whether the parts lapse.
    pub(super) keys: BTreeSet<JobKey>,
}

impl<'a> UnitPartitioner<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        hooks: &'a Hooks,
        claim: &'a Claim,
        owner: &'a Owner,
        latest: Latest,
        now: Timestamp,
    ) -> Self {
        Self {
            policy,
            hooks,
            claim,
            owner,
            latest,
            now,
            has_pins: !hooks.pins.is_empty(),
            keys: owner.keys().into_iter().collect(),
        }
    }

    /// Returns the parts of a target that are removed: the largest of which nothing is kept.
    ///
    /// # Errors
    /// The hold of the whole unit.
    pub(super) fn parts(&mut self, target: &Target) -> Result<Vec<Part>, Hold> {
        let Content::Dir(tree) = &target.content else {
            let goes = self.goes(target, target.path.as_bytes(), target.facts())?;
            return Ok(if goes {
                vec![target.whole()]
            } else {
                Vec::new()
            });
        };
        // Of each directory: which of its files stay, and whether it stays itself.
        let mut stays: Vec<(Vec<usize>, bool)> = Vec::new();
        stays.resize_with(tree.len() as usize, Default::default);
        let mut end = None;
        let above = target.above();
        let mut full = Vec::new();
        tree.each_path(|at, path| {
            if end.is_some() {
                return;
            }
            full.clear();
            if !above.is_empty() {
                full.extend_from_slice(above);
                full.push(b'/');
            }
            full.extend_from_slice(path);
            match self.stays((target, tree), at, &mut full) {
                Ok(found) => stays[at as usize] = found,
                Err(hold) => end = Some(hold),
            }
        });
        match end {
            Some(hold) => Err(hold),
            None => Ok(largest(tree, &stays)),
        }
    }

    /// Returns the files of the directory `at` that are kept, and whether it is kept itself. `full`
    /// is its path.
    fn stays(
        &mut self,
        (target, tree): (&Target, &Tree),
        at: u32,
        full: &mut Vec<u8>,
    ) -> Result<(Vec<usize>, bool), Hold> {
        let dir = tree.dir(at);
        let stays = !self.goes(target, full, &dir.facts)?;
        full.push(b'/');
        let mut files = Vec::new();
        let len = full.len();
        for (place, (name, facts)) in dir.files.iter().enumerate() {
            full.truncate(len);
            full.extend_from_slice(name);
            if !self.goes(target, full, facts)? {
                files.push(place);
            }
        }
        Ok((files, stays))
    }

    /// Returns whether the thing at `path` is removed with the unit.
    fn goes(&mut self, target: &Target, path: &[u8], facts: &Facts) -> Result<bool, Hold> {
        let owner = (self.hooks.owner)(self.policy, target.root, path);
        let goes = match self.claim.unit {
            Unit::File => false,
            Unit::Dir => self.goes_with_dir(target, path, facts, &owner)?,
            Unit::Job => self.goes_with_job(target, path, facts, &owner),
        };
        if self.has_pins
            && let Some(path) = RelPath::parse(path)
        {
            let pins = &self.hooks.pins;
            let pin = pins.find(self.policy, target.root, &path, &owner, self.now);
            if let Some(pin) = pin {
                return Err(pin.hold());
            }
        }
        if goes
            && owner.jobs().is_empty()
            && let Some(hold) =
                (self.hooks.refused)(self.policy, target.root, path, self.claim.rule)
        {
            return Err(hold);
        }
        if goes && owner != *self.owner {
            self.keys.extend(owner.keys());
        }
        Ok(goes)
    }

    fn goes_with_dir(
        &self,
        target: &Target,
        path: &[u8],
        facts: &Facts,
        owner: &Owner,
    ) -> Result<bool, Hold> {
        let Claim { root, rule, .. } = *self.claim;
        let class = || self.policy.classify(root, path, owner);
        let is_meant = match facts.kind {
            Kind::File => class() == Class::Dir(rule),
            // Rules for files are not meant for links and sockets, also where they take empty
            // directories; a `keep` is.
            Kind::Other | Kind::Mount => {
                self.policy.rule(rule).unit == Unit::Dir && !matches!(class(), Class::Kept(_))
            }
            Kind::Dir => !self.is_kept(path),
        };
        if !is_meant || owner == self.owner {
            return Ok(is_meant);
        }
        // Another owner has a say as well.
        let (name, top) = (self.claim.path.as_bytes(), target.facts());
        match self.policy.dir(root, name, top, self.latest, owner) {
            Verdict::Lapse {
                at,
                basis,
                rule: by,
            } if by == rule => {
                let retention_ms = self.claim.retention_ms;
                Ok(retention_ms.map_or(at, |ms| basis.plus_ms(ms)) <= self.now)
            }
            Verdict::Hold { rule: by, why } if by == rule => Err(why),
            Verdict::Keep | Verdict::Lapse { .. } | Verdict::Hold { .. } => Ok(false),
        }
    }

    fn goes_with_job(&self, target: &Target, path: &[u8], facts: &Facts, owner: &Owner) -> bool {
        let rule = self.claim.rule;
        let Some(ours) = self.owner.jobs().first() else {
            return false;
        };
        let (class, decides) = self.policy.decide(target.root, path, owner);
        if decides.is_none_or(|job| job.key != ours.key) {
            return false;
        }
        let is_meant = match facts.kind {
            Kind::File | Kind::Other | Kind::Mount => class == Class::Job(rule),
            Kind::Dir => !self.is_kept(path) && !self.is_excluded(path),
        };
        let mut others = owner.with_say().filter(|job| job.key != ours.key);
        is_meant && others.all(|job| self.lets_go(job, target, path, facts))
    }

    /// Returns whether another job that owns it too lets it lapse by now.
    fn lets_go(&self, other: &Job, target: &Target, path: &[u8], facts: &Facts) -> bool {
        let owner = Owner::Jobs(vec![other.clone()]);
        let verdict = match self.policy.classify(target.root, path, &owner) {
            Class::File(_) => self
                .policy
                .file(target.root, path, facts, self.latest.any, &owner),
            Class::Job(rule) => self.policy.job(rule, other, self.latest),
            Class::Dir(_) | Class::Kept(_) | Class::Unruled => Verdict::Keep,
        };
        matches!(verdict, Verdict::Lapse { at, .. } if at <= self.now)
    }

    fn is_kept(&self, path: &[u8]) -> bool {
        let keep = self.policy.rule(self.claim.rule).keep.as_ref();
        keep.is_some_and(|keep| keep.matches_within(path))
    }

    fn is_excluded(&self, path: &[u8]) -> bool {
        let exclude = self.policy.rule(self.claim.rule).exclude.as_ref();
        exclude.is_some_and(|exclude| exclude.matches_within(path))
    }
}

/// The largest parts of which nothing is kept.
fn largest(tree: &Tree, stays: &[(Vec<usize>, bool)]) -> Vec<Part> {
    let mut whole = vec![false; stays.len()];
    for at in (0..tree.len()).rev() {
        let (files, dir) = &stays[at as usize];
        let mut children = tree.dir(at).children.clone();
        whole[at as usize] =
            files.is_empty() && !dir && children.all(|child| whole[child as usize]);
    }
    let mut parts = Vec::new();
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        if whole[at as usize] {
            parts.push(Part::Dir(at));
            continue;
        }
        let (kept, _) = &stays[at as usize];
        let files = 0..tree.dir(at).files.len();
        parts.extend(
            files
                .filter(|file| kept.binary_search(file).is_err())
                .map(|file| Part::File { dir: at, file }),
        );
        pending.extend(tree.dir(at).children.clone());
    }
    parts
}
