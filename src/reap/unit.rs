//! The first look at a unit, a directory or all that a job owns: whether it may be removed as a
//! whole, and which parts of it.
//!
//! **Invariant:** a target is the very thing that the claim names, on the root's own mount, and
//! neither holds nor is in another root, our state directory or a quarantine.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::abort::{Abort, unreadable};
use super::back::closed;
use super::candidate::{Content, Snapshot, Target};
use super::judge::{Due, Recheck, judge};
use super::look::{Handles, Look};
use super::parts::{Part, UNIT_NAMES_MAX};
use super::rows::{JobLookupCache, is_of};
use super::sort::UnitPartitioner;
use super::source_dirs::SourceDirs;
use crate::core::claim::{Claim, Outcome, Piece, Unit};
use crate::core::facts::{Kind, Latest, RootId};
use crate::core::hold::{Hold, Recovery};
use crate::core::jobs::{JobKey, JobTimestamps, Owner};
use crate::core::path::RelPath;
use crate::core::policy::{Record, SkipOpen, Verdict};
use crate::fs::tree::Tree;
use crate::fs::{FsError, RootDir};

/// Directories that are known not to be ours.
type Clear = BTreeSet<(RootId, RelPath)>;

impl Look<'_> {
    /// Looks at the whole unit in its place.
    pub(super) fn look_at_unit(
        &self,
        claim: &Claim,
        rows: &mut JobLookupCache<'_>,
        handles: &mut Handles,
    ) -> Result<Snapshot, Abort> {
        if let Some(hold) = self.pinned(claim).or_else(|| self.linked(claim)) {
            return Err(hold.into());
        }
        let mut targets = Vec::new();
        let mut clear = Clear::new();
        for piece in pieces(claim) {
            targets.extend(self.target(claim, piece, &mut clear, &mut handles.dirs)?);
        }
        if targets.is_empty() && !self.has_record(claim) {
            return Err(Outcome::Gone.into());
        }
        let mut seen = Snapshot {
            owner: Owner::Nobody,
            targets,
            due: Due::default(),
            keys: BTreeSet::new(),
            share: None,
            is_lean: false,
        };
        let owner = self.owner_of_unit(claim, rows);
        seen.owner = owner.map_err(|abort| abort.or(seen.changed()))?;
        seen.due = self.due(claim, &seen)?;
        seen.keys = self.sort(claim, &mut seen)?;
        let has_parts = seen.targets.iter().any(|target| !target.parts.is_empty());
        if !has_parts && !self.has_record(claim) {
            return Err(Outcome::Kept.into());
        }
        rows.agree(&seen.keys)?;
        self.ask_about(claim, &mut seen, handles)?;
        Ok(seen)
    }

    /// Checks that everything in the unit is closed. In its place as well: a unit in use must not
    /// vanish for an instant.
    fn ask_about(
        &self,
        claim: &Claim,
        seen: &mut Snapshot,
        handles: &mut Handles,
    ) -> Result<(), Abort> {
        let (skip_open, stop) = (self.skip_open(claim), || self.looks.is_stopping());
        for target in &seen.targets {
            let root = self.root(target.root)?;
            if let Some(outcome) = locked(root, target) {
                return Err(outcome.into());
            }
            for part in &target.parts {
                let home = handles.home_of(root, target, *part);
                let home = home.map_err(|error| Abort::from(error).or(target.changed()))?;
                let leases = &mut handles.leases;
                let asked = leases.ask_about(skip_open, (target, *part), &home.dir, &stop);
                asked.map_err(|abort| abort.or(target.changed()))?;
            }
        }
        let is_file = |target: &Target| matches!(target.content, Content::File(..));
        if !seen.targets.iter().all(is_file) {
            return Ok(());
        }
        for target in &mut seen.targets {
            let Content::File(facts, lease) = &mut target.content else {
                continue;
            };
            *lease = handles.leases.get(facts.key);
            if lease.is_none() && skip_open != SkipOpen::Never && !target.parts.is_empty() {
                return Ok(());
            }
        }
        handles.leases.need();
        seen.is_lean = true;
        Ok(())
    }

    /// As [`Look::confirm`].
    pub(super) fn confirm_unit(
        &self,
        claim: &Claim,
        seen: &mut Snapshot,
        rows: &mut JobLookupCache<'_>,
    ) -> Result<(), Abort> {
        if let Some(hold) = self.pinned(claim) {
            return Err(hold.into());
        }
        let owner = self.owner_of_unit(claim, rows);
        let owner = owner.map_err(|abort| abort.or(seen.changed()))?;
        let again = || self.judge_unit(claim, &seen.targets, &owner);
        if !self.is_still_due(seen, &owner, again) {
            return Err(seen.changed().into());
        }
        seen.owner = owner;
        // Without sources and owners nothing can have changed its owner.
        if seen.keys.is_empty() && self.policy.sources.is_empty() {
            return Ok(());
        }
        let parts = |seen: &Snapshot| -> Vec<Vec<Part>> {
            seen.targets
                .iter()
                .map(|target| target.parts.clone())
                .collect()
        };
        let before = parts(seen);
        let keys = self.sort(claim, seen);
        let is_same = parts(seen) == before;
        // The numbers are those of the parts that were moved.
        for (target, parts) in seen.targets.iter_mut().zip(before) {
            target.parts = parts;
        }
        if keys? != seen.keys || !is_same {
            return Err(seen.changed().into());
        }
        // Nor has any of it changed meanwhile.
        rows.agree(&seen.keys)?;
        Ok(())
    }

    /// Returns true if the job's record at its source is to be marked or deleted.
    pub(super) fn has_record(&self, claim: &Claim) -> bool {
        claim.unit == Unit::Job && self.policy.rule(claim.rule).record != Record::Keep
    }

    /// Returns the hold of a record at its source, if a file of its job may not be where its claim
    /// seems to lead.
    fn linked(&self, claim: &Claim) -> Option<Hold> {
        let has_record = self.has_record(claim);
        has_record.then(|| (self.looks.hooks.linked)(self.policy, claim))?
    }

    /// Returns what withholds the unit, or the pin that holds it or anything in it by its path.
    pub(super) fn pinned(&self, claim: &Claim) -> Option<Hold> {
        let hooks = &self.looks.hooks;
        if let Some(hold) = self.withheld(claim) {
            return Some(hold);
        }
        if hooks.pins.is_empty() {
            return None;
        }
        let now = self.clock.now();
        let of_job = |key: &JobKey| {
            let source = &self.policy.sources.get(&key.source)?.name;
            hooks.pins.of_job(source, &key.id, now)
        };
        let at = |piece: &Piece| {
            let (root, path) = (piece.root, &piece.path);
            let owner = (hooks.owner)(self.policy, root, path.as_bytes());
            hooks.pins.find(self.policy, root, path, &owner, now)
        };
        let pin = claim.owners.iter().find_map(of_job);
        let pin = pin.or_else(|| pieces(claim).iter().find_map(at))?;
        Some(pin.hold())
    }

    /// Returns the owner of the unit; [`Abort::Changed`] if it is not the one of the claim.
    fn owner_of_unit(&self, claim: &Claim, rows: &JobLookupCache<'_>) -> Result<Owner, Abort> {
        match claim.unit {
            Unit::File | Unit::Dir => {
                let path = claim.path.as_bytes();
                let owner = (self.looks.hooks.owner)(self.policy, claim.root, path);
                if is_of(&owner, claim) {
                    Ok(owner)
                } else {
                    Err(Abort::Changed)
                }
            }
            Unit::Job => {
                let key = claim.owners.first().ok_or(Hold::RecheckMismatch)?;
                let job = rows.job(key).ok_or_else(|| rows.changed(key))?;
                Ok(Owner::Jobs(vec![job]))
            }
        }
    }

    /// One thing of the claim in its place; `None` when there is nothing.
    fn target(
        &self,
        claim: &Claim,
        piece: Piece,
        clear: &mut Clear,
        dirs: &mut SourceDirs,
    ) -> Result<Option<Target>, Abort> {
        let root = self.root(piece.root)?;
        let Some((above, name)) = piece.path.parent_and_name() else {
            return Err(Hold::RecheckMismatch.into());
        };
        if piece.path.is_in_quarantine() {
            return Err(Hold::RecheckMismatch.into());
        }
        let home = match dirs.open((piece.root, root), above) {
            Ok(home) => home,
            Err(error) => return not_reached(&error).map_or(Ok(None), |end| Err(end.into())),
        };
        let facts = match home.dir.look(name) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Ok(None),
            Err(error) => return Err(unreadable(&error).into()),
        };
        if facts.kind == Kind::Mount {
            let path = piece.path.to_string();
            return Err(Hold::MountInside { path }.into());
        }
        let kind = if piece.is_dir { Kind::Dir } else { Kind::File };
        if (facts.kind, facts.key) != (kind, piece.key) {
            return Err(Outcome::Changed { facts }.into());
        }
        self.is_alone(&piece)?;
        self.is_not_ours((piece.root, root), above, clear)?;
        let content = if piece.is_dir {
            let stop = || self.looks.is_stopping();
            let tree = Tree::walk(&home.dir, name, facts, UNIT_NAMES_MAX, &stop);
            let changed = Outcome::Changed { facts };
            Content::Dir(tree.map_err(|error| Abort::from(error).or(changed))?)
        } else {
            Content::File(facts, None)
        };
        let target = Target {
            root: piece.root,
            home: home.key,
            home_dir: dirs.has_room_for(piece.root, above).then_some(home),
            content,
            path: piece.path,
            parts: Vec::new(),
        };
        if let (Some(state), Content::Dir(tree)) = (self.looks.state, &target.content)
            && let Some(at) = tree.find(state)
        {
            let path = target.path_of(Part::Dir(at)).to_string();
            return Err(Hold::StateInside { path }.into());
        }
        debug_assert!(claim.unit == Unit::Job || target.above().is_empty());
        Ok(Some(target))
    }

    /// Checks that the piece holds no other root, and is in none.
    fn is_alone(&self, piece: &Piece) -> Result<(), Abort> {
        let nested = &self.policy.roots[&piece.root].nested;
        let touches = |path: &RelPath| path.is_within(&piece.path) || piece.path.is_within(path);
        match nested.iter().find(|(path, _)| touches(path)) {
            None => Ok(()),
            Some((_, other)) => {
                let other = self.policy.roots.get(other);
                let root = other.map_or_else(String::new, |root| root.name.clone());
                Err(Hold::RootInside { root }.into())
            }
        }
    }

    /// Checks that the directory `above` is not in the state directory.
    fn is_not_ours(
        &self,
        (id, root): (RootId, &RootDir),
        above: &[u8],
        clear: &mut Clear,
    ) -> Result<(), Abort> {
        let mut next = RelPath::parse(above);
        while let Some(path) = next.take() {
            let dir = (id, path);
            if clear.contains(&dir) {
                break;
            }
            let key = if dir.1.is_root() {
                root.key()
            } else {
                let facts = root.dir(&dir.1).and_then(|dir| dir.facts());
                facts.map_err(|error| unreadable(&error))?.key
            };
            if Some(key) == self.looks.state {
                let path = dir.1.to_string();
                return Err(Hold::StateInside { path }.into());
            }
            next = dir.1.split().map(|(above, _)| above);
            clear.insert(dir);
        }
        Ok(())
    }

    fn due(&self, claim: &Claim, seen: &Snapshot) -> Result<Due, Abort> {
        match self.judge_unit(claim, &seen.targets, &seen.owner) {
            Recheck::Due(due) => Ok(due),
            Recheck::Hold(hold) => Err(hold.into()),
            Recheck::NotDue => {
                let latest = latest(claim, &seen.targets);
                let since = self.policy.rule(claim.rule).since;
                Err(
                    if since.of_all(latest, &JobTimestamps::default()) > Some(claim.known) {
                        Outcome::NewerContent { latest }.into()
                    } else {
                        seen.changed().into()
                    },
                )
            }
        }
    }

    fn judge_unit(&self, claim: &Claim, targets: &[Target], owner: &Owner) -> Recheck {
        let latest = latest(claim, targets);
        let verdict = match (claim.unit, targets, owner.jobs()) {
            (Unit::Dir, [target], _) => {
                let name = claim.path.as_bytes();
                self.policy
                    .dir(claim.root, name, target.facts(), latest, owner)
            }
            (Unit::Job, _, [job]) => self.policy.job(claim.rule, job, latest),
            (Unit::File | Unit::Dir | Unit::Job, _, _) => Verdict::Keep,
        };
        judge(claim, verdict, self.clock.now())
    }

    /// Finds the parts of all targets that are to be removed; returns all whose rows say so.
    fn sort(&self, claim: &Claim, seen: &mut Snapshot) -> Result<BTreeSet<JobKey>, Hold> {
        let (latest, now) = (latest(claim, &seen.targets), self.clock.now());
        let hooks = &self.looks.hooks;
        let mut partitioner =
            UnitPartitioner::new(self.policy, hooks, claim, &seen.owner, latest, now);
        for target in &mut seen.targets {
            target.parts = partitioner.parts(target)?;
        }
        Ok(partitioner.keys)
    }
}

/// Returns the things of a claim, each once: those in a directory of the claim are part of it.
fn pieces(claim: &Claim) -> Vec<Piece> {
    match claim.unit {
        Unit::File => Vec::new(),
        Unit::Dir if claim.path.components().count() != 1 => Vec::new(),
        Unit::Dir => vec![Piece {
            root: claim.root,
            path: claim.path.clone(),
            key: claim.key,
            is_dir: true,
        }],
        Unit::Job => {
            let all = || claim.pieces.iter();
            let named: BTreeSet<_> = all().map(|piece| (piece.root, &piece.path)).collect();
            let is_inner = |piece: &&Piece| {
                let above = |path: &RelPath| path.split().map(|(above, _)| above);
                std::iter::successors(above(&piece.path), above)
                    .any(|path| named.contains(&(piece.root, &path)))
            };
            let mut seen = BTreeSet::new();
            all()
                .filter(|piece| !is_inner(piece) && seen.insert((piece.root, &piece.path)))
                .cloned()
                .collect()
        }
    }
}

/// The latest timestamps that are known of the unit.
fn latest(claim: &Claim, targets: &[Target]) -> Latest {
    let known = Latest::at(claim.known);
    targets.iter().map(Target::latest).fold(known, Latest::max)
}

/// Returns the answer when the directory of a piece cannot be opened; `None` if it is gone, and the
/// piece with it.
fn not_reached(error: &FsError) -> Option<Outcome> {
    match error.errno {
        Errno::NOENT => None,
        Errno::XDEV => Some(Outcome::Held(Hold::MountInside {
            path: error.path.display().to_string(),
        })),
        _ => Some(unreadable(error)),
    }
}

/// The hold of a unit with a directory that would not let its content be removed: better before
/// than half-way.
fn locked(root: &RootDir, target: &Target) -> Option<Outcome> {
    let Content::Dir(tree) = &target.content else {
        return None;
    };
    let has_content = |at: u32| {
        let dir = tree.dir(at);
        !dir.files.is_empty() || !dir.children.is_empty()
    };
    let at = target
        .parts
        .iter()
        .filter_map(|part| match *part {
            Part::Dir(top) => Some(tree.below(top)),
            Part::File { .. } => None,
        })
        .flatten()
        .find(|&at| !tree.dir(at).may_change && has_content(at))?;
    let path = target.path_of(Part::Dir(at)).below(root.path());
    let me = rustix::process::geteuid().as_raw();
    Some(Outcome::Held(Hold::Denied {
        error: format!(
            "{}\ngive user id {me} write and search permission on that directory, or run the service as its owner",
            closed(&path)
        ),
        ends: Recovery::Event,
    }))
}
