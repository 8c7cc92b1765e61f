//! The first look at what a claim names, in its place, and the question asked once more when all of
//! it is in the quarantine.
//!
//! **Invariant:** a look moves and records nothing: a dry run takes it as well.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::abort::{Abort, not_looked_at};
use super::candidate::{Content, Snapshot, Target};
use super::context::LookContext;
use super::judge::{BoundedClock, Recheck, judge};
use super::leases::{FirstLook, LeaseSet};
use super::parts::Part;
use super::rows::{JobLookupCache, is_of};
use super::source_dirs::{SourceDir, SourceDirs};
use crate::core::claim::{Claim, Outcome, Unit};
use crate::core::facts::{Facts, Kind, RootId};
use crate::core::hold::Hold;
use crate::core::jobs::{Job, Owner};
use crate::core::policy::{Policy, SkipOpen};
use crate::fs::{FsError, RootDir};

/// Context of a look.
pub(super) struct Look<'a> {
    pub(super) looks: &'a LookContext,
    pub(super) policy: &'a Policy,
    /// A root, opened; or the answer for every claim of a root that cannot be.
    pub(super) root_of: &'a dyn Fn(RootId) -> Result<&'a RootDir, Outcome>,
    pub(super) clock: BoundedClock,
}

/// Descriptors that the looks of one round hold open.
pub(super) struct Handles {
    pub(super) leases: LeaseSet,
    pub(super) dirs: SourceDirs,
}

impl Handles {
    /// Nothing yet. With `may_wait` the first lease may be waited for.
    pub(super) fn new(may_wait: bool) -> Self {
        Self {
            leases: LeaseSet::new(may_wait),
            dirs: SourceDirs::new(),
        }
    }

    /// Opens the directory that a part of a target is in.
    pub(super) fn home_of(
        &mut self,
        root: &RootDir,
        target: &Target,
        part: Part,
    ) -> Result<Rc<SourceDir>, FsError> {
        match &target.home_dir {
            Some(home) if part == target.whole() => Ok(Rc::clone(home)),
            _ => {
                let path = target.path_of(part);
                let above = path.parent_and_name().map_or(&[][..], |(above, _)| above);
                self.dirs.open((target.root, root), above)
            }
        }
    }
}

impl<'a> Look<'a> {
    pub(super) fn root(&self, id: RootId) -> Result<&'a RootDir, Outcome> {
        (self.root_of)(id)
    }

    /// Takes the first look at a claim whose rows agree.
    pub(super) fn look(
        &self,
        claim: &Claim,
        rows: &mut JobLookupCache<'_>,
        handles: &mut Handles,
    ) -> Result<Snapshot, Abort> {
        let mut seen = match claim.unit {
            Unit::File => self.look_at_file(claim, handles)?,
            Unit::Dir | Unit::Job => self.look_at_unit(claim, rows, handles)?,
        };
        let key = claim.job().filter(|_| claim.actor.request.is_some());
        seen.share = key.map(|key| Box::new(seen.share(rows.facts(key))));
        Ok(seen)
    }

    fn look_at_file(&self, claim: &Claim, handles: &mut Handles) -> Result<Snapshot, Abort> {
        let Handles { leases, dirs } = handles;
        let (parent, name) = claim.path.parent_and_name().ok_or(Outcome::Gone)?;
        let root = self.root(claim.root)?;
        if !dirs.has_room_for(claim.root, parent) {
            return Err(Abort::Full);
        }
        let home = dirs.open((claim.root, root), parent);
        let home = home.map_err(|error| not_looked_at(&error))?;
        let skip_open = self.skip_open(claim);
        // The index says that it is a regular file: one that is opened needs no look by its name.
        let file = leases.open(skip_open, &home.dir, name, claim.key)?;
        let facts = match &file {
            FirstLook::Opened(file) => *file.facts(),
            FirstLook::Shared(_) | FirstLook::Failed(_) | FirstLook::Unasked => {
                let found = home.dir.look(name);
                found
                    .map_err(|error| not_looked_at(&error))?
                    .ok_or(Outcome::Gone)?
            }
        };
        let owner = self.owner_of_file(claim, &facts)?;
        let changed = Outcome::Changed { facts };
        let mut facts = facts;
        let mut judged = self.judge_file(claim, &facts, &owner);
        if judged == Recheck::NotDue
            && let Some(before) = self.looks.removed_links.before(&facts)
        {
            // Only the removal of another name is newer than the engine knows.
            facts = before;
            judged = self.judge_file(claim, &facts, &owner);
        }
        let due = match judged {
            Recheck::Due(due) if facts.kind == Kind::File && facts.key == claim.key => due,
            Recheck::Hold(hold) if facts.key == claim.key => return Err(hold.into()),
            Recheck::Due(_) | Recheck::Hold(_) | Recheck::NotDue => return Err(changed.into()),
        };
        let lease = leases.take(skip_open, file, &facts)?;
        leases.need();
        Ok(Snapshot {
            share: None,
            targets: vec![Target {
                root: claim.root,
                path: claim.path.clone(),
                home: home.key,
                home_dir: Some(home),
                content: Content::File(facts, lease),
                parts: vec![Part::FILE],
            }],
            due,
            owner,
            keys: BTreeSet::new(),
            is_lean: true,
        })
    }

    /// Asks once more, now that all of a claim is out of its place, what the jobs' rows say, who
    /// owns what, and what is pinned.
    pub(super) fn confirm(
        &self,
        claim: &Claim,
        seen: &mut Snapshot,
        rows: &mut JobLookupCache<'_>,
    ) -> Result<(), Abort> {
        // Before anything is judged: what is known from here on is at least as new as what the
        // sources said.
        rows.agree(claim.owners.iter().chain(&seen.keys))?;
        match claim.unit {
            Unit::File => {
                let target = seen.targets.first().ok_or(Hold::RecheckMismatch)?;
                let owner = self.owner_of_file(claim, target.facts())?;
                let again = || self.judge_file(claim, target.facts(), &owner);
                if !self.is_still_due(seen, &owner, again) {
                    return Err(seen.changed().into());
                }
                seen.owner = owner;
                Ok(())
            }
            Unit::Dir | Unit::Job => self.confirm_unit(claim, seen, rows),
        }
    }

    /// Returns true if what was due is still due. Only the owner and the time are judged again: all
    /// else is a constant of the claim.
    pub(super) fn is_still_due(
        &self,
        seen: &Snapshot,
        owner: &Owner,
        judge_again: impl FnOnce() -> Recheck,
    ) -> bool {
        if *owner == seen.owner {
            seen.due.deadline <= self.clock.now()
        } else {
            judge_again() == Recheck::Due(seen.due)
        }
    }

    /// Returns the owner of a file, unless it is not the one that the claim was made about, or the
    /// file is pinned or may be meant by a refused claim.
    fn owner_of_file(&self, claim: &Claim, facts: &Facts) -> Result<Owner, Outcome> {
        let hooks = &self.looks.hooks;
        let path = claim.path.as_bytes();
        let owner = (hooks.owner)(self.policy, claim.root, path);
        if !is_of(&owner, claim) {
            return Err(Outcome::Changed { facts: *facts });
        }
        if let Some(hold) = self.withheld(claim) {
            return Err(Outcome::Held(hold));
        }
        let pins = &hooks.pins;
        let find = || {
            pins.find(
                self.policy,
                claim.root,
                &claim.path,
                &owner,
                self.clock.now(),
            )
        };
        let pin = if pins.is_empty() { None } else { find() };
        let refused = || {
            let is_owned = !owner.jobs().is_empty();
            (!is_owned).then(|| (hooks.refused)(self.policy, claim.root, path, claim.rule))?
        };
        match pin.map(|pin| pin.hold()).or_else(refused) {
            Some(hold) => Err(Outcome::Held(hold)),
            None => Ok(owner),
        }
    }

    /// Returns the pause that holds what the claim names, or that it is among the newest of its
    /// group.
    pub(super) fn withheld(&self, claim: &Claim) -> Option<Hold> {
        let paused = self.looks.hooks.pauses.hold_of_claim(self.policy, claim);
        paused.or_else(|| self.kept_last(claim))
    }

    fn judge_file(&self, claim: &Claim, facts: &Facts, owner: &Owner) -> Recheck {
        let path = claim.path.as_bytes();
        let verdict = self
            .policy
            .file(claim.root, path, facts, claim.known, owner);
        judge(claim, verdict, self.clock.now())
    }

    pub(super) fn skip_open(&self, claim: &Claim) -> SkipOpen {
        self.policy.rule(claim.rule).skip_open
    }

    /// The job by which a claim lapses, of those that own it.
    pub(super) fn deciding_job<'o>(&self, claim: &Claim, owner: &'o Owner) -> Option<&'o Job> {
        match (owner.jobs(), claim.unit) {
            ([], _) => None,
            ([job], _) | ([job, ..], Unit::Job) => Some(job),
            (_, Unit::File) => {
                let path = claim.path.as_bytes();
                self.policy.decide(claim.root, path, owner).1
            }
            (_, Unit::Dir) => {
                let name = claim.path.as_bytes();
                self.policy.dir_rule(claim.root, name, owner)?.1
            }
        }
    }
}
