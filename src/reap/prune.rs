//! Directories that removals emptied (`prune_empty_dirs`): each is a candidate with one part, and
//! goes the same way.
//!
//! **Invariant:** only a directory from which this round removed something is removed, and only
//! while it is empty: `rmdir(2)` decides.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Candidate, Content, Snapshot, Target};
use super::judge::{Due, line};
use super::parts::Part;
use super::pipeline::{Pipeline, Round};
use super::rows::JobLookupCache;
use crate::clock;
use crate::core::claim::{Claim, Outcome, Unit};
use crate::core::facts::Kind;
use crate::core::jobs::Owner;
use crate::core::path::RelPath;
use crate::fs::FsError;
use crate::fs::tree::Tree;
use crate::ledger::LineUnit;

impl Pipeline<'_> {
    /// Removes the directories that the removals of the round emptied, and lists them in their
    /// answers.
    pub(super) fn prune(&self, round: &mut Round) {
        let is_wanted = |claim: &Claim| {
            claim.unit == Unit::File && self.policy.roots[&claim.root].prune_empty_dirs
        };
        // The last removal of each directory stands for it.
        let mut level: BTreeMap<RelPath, usize> = BTreeMap::new();
        for (at, reaped) in round.done.iter().enumerate() {
            if let (Outcome::Removed(_), Some((parent, _))) =
                (&reaped.outcome, reaped.claim.path.split())
                && is_wanted(&reaped.claim)
            {
                level.insert(parent, at);
            }
        }
        let mut rows = JobLookupCache::new(self.lane, self.policy);
        let mut emptied = Vec::new();
        // A directory is asked about again when one that it holds has left.
        while !level.is_empty() {
            let mut candidates = Vec::new();
            for (path, answer) in level.iter().rev() {
                match self.look_at_emptied(path, *answer, &mut rows, round) {
                    Ok(one) => candidates.extend(one),
                    Err(error) => tracing::debug!(%error, "an empty directory is left"),
                }
            }
            let moved = self.quarantine(candidates, round);
            let above = |one: &Candidate| Some((one.claim.path.split()?.0, one.emptied_by?));
            level = moved.iter().filter_map(|one| above(one)).collect();
            emptied.extend(moved);
        }
        self.record(emptied, round);
    }

    /// Returns true if neither a pin nor a job that has not ended needs the directory of the claim.
    pub(super) fn may_prune(&self, claim: &Claim, rows: &mut JobLookupCache<'_>) -> bool {
        let (hooks, root, path) = (&self.lane.hooks, claim.root, &claim.path);
        let owner = (hooks.owner)(self.policy, root, path.as_bytes());
        let now = clock::now().wall;
        let pin = hooks.pins.find(self.policy, root, path, &owner, now);
        pin.is_none()
            && rows.agree(&owner.keys()).is_ok()
            && owner
                .jobs()
                .iter()
                .all(|job| self.policy.held_by(job).is_none())
    }

    /// The directory at `path`, if it is empty and no root of its own.
    fn look_at_emptied(
        &self,
        path: &RelPath,
        answer: usize,
        rows: &mut JobLookupCache<'_>,
        round: &mut Round,
    ) -> Result<Option<Box<Candidate>>, FsError> {
        let because = &round.done[answer];
        let Some((parent, name)) = path.parent_and_name() else {
            return Ok(None);
        };
        let (Outcome::Removed(removal), Ok(opened)) =
            (&because.outcome, self.roots.get(because.claim.root))
        else {
            return Ok(None);
        };
        let nested = &self.policy.roots[&opened.id].nested;
        let home = round.handles.dirs.open((opened.id, &opened.root), parent)?;
        let Some(facts) = home.dir.look(name)? else {
            return Ok(None);
        };
        let claim = Claim {
            path: path.clone(),
            key: facts.key,
            owners: Vec::new(),
            ..because.claim.clone()
        };
        if facts.kind != Kind::Dir
            || nested.iter().any(|(other, _)| other == path)
            || !self.may_prune(&claim, rows)
            || !home.dir.open_beneath(name)?.is_empty()?
        {
            return Ok(None);
        }
        let expire_ms = claim
            .retention_ms
            .or(self.policy.rule(claim.rule).expire_ms)
            .unwrap_or_default();
        let due = Due {
            deadline: removal.deadline,
            basis: removal.deadline.plus_ms(-expire_ms),
        };
        let id = self.lane.ledger.next_id();
        let (place, unit) = (Some((claim.root, path)), LineUnit::EmptyDir);
        let line = line(self.policy, &claim, None, id, due, place, unit);
        let target = Target {
            root: claim.root,
            path: path.clone(),
            home: home.key,
            content: Content::Dir(Tree::of_dir(name, facts)),
            home_dir: Some(home),
            parts: vec![Part::Dir(0)],
        };
        Ok(Some(Box::new(Candidate {
            claim,
            seen: Snapshot {
                share: None,
                targets: vec![target],
                due,
                owner: Owner::Nobody,
                keys: BTreeSet::new(),
                is_lean: true,
            },
            line,
            emptied_by: Some(answer),
        })))
    }
}
