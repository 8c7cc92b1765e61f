//! The first look at a unit, in its place: whether it may go as a whole, and which parts of it.
//!
//! **Invariant:** a piece is the very thing that the claim names, on the root's own mount, and neither holds nor lies in
//! another root, our state directory or a quarantine.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::back::closed;
use super::found::{End, not_walked, unreadable};
use super::judge::{Due, Judgement, Since, judge};
use super::openers::Openers;
use super::parts::{Body, Part, Seen};
use super::place::Looks;
use super::rows::{Rows, is_of};
use super::sort::Sorter;
use crate::core::claim::{Claim, Outcome, Piece, Unit};
use crate::core::facts::{Facts, Kind, Latest, RootId};
use crate::core::hold::{Ends, Hold};
use crate::core::jobs::{JobKey, Moments, Owner};
use crate::core::path::RelPath;
use crate::core::pins::PinTarget;
use crate::core::policy::{Policy, Record, Verdict};
use crate::fs::tree::Tree;
use crate::fs::{FsError, QUARANTINE, RootDir};

/// Directories that are known not to be ours.
type Clear = BTreeSet<(RootId, RelPath)>;

/// What a look at units needs.
pub(super) struct UnitLook<'a> {
    pub(super) looks: &'a Looks,
    pub(super) policy: &'a Policy,
    /// A root, opened; or what it means for every claim that it cannot be.
    pub(super) root_of: &'a dyn Fn(RootId) -> Result<&'a RootDir, Outcome>,
    pub(super) since: Since,
}

impl<'a> UnitLook<'a> {
    fn root(&self, id: RootId) -> Result<&'a RootDir, Outcome> {
        (self.root_of)(id)
    }

    /// The whole unit in its place.
    pub(super) fn look(
        &self,
        claim: &Claim,
        rows: &mut Rows<'_>,
        openers: &mut Openers,
    ) -> Result<Seen, End> {
        rows.agree(&claim.owners)?;
        if let Some(hold) = self.pinned(claim).or_else(|| self.linked(claim)) {
            return Err(hold.into());
        }
        let mut bodies = Vec::new();
        let mut clear = Clear::new();
        for piece in pieces(claim) {
            bodies.extend(self.body(claim, &piece, &mut clear)?);
        }
        if bodies.is_empty() && !self.has_record(claim) {
            return Err(Outcome::Gone.into());
        }
        let owner = self.owner(claim, &bodies, rows)?;
        let due = self.due(claim, &bodies, &owner)?;
        let keys = self.sort(claim, &mut bodies, &owner)?;
        let goes = bodies.iter().any(|body| !body.parts.is_empty());
        if !goes && !self.has_record(claim) {
            return Err(Outcome::Kept.into());
        }
        rows.agree(&keys)?;
        let stop = || self.looks.is_stopping();
        for body in &bodies {
            let root = self.root(body.root)?;
            if let Some(outcome) = locked(root, body) {
                return Err(outcome.into());
            }
            // Asked in its place as well: a unit in use shall not vanish for an instant.
            for part in &body.parts {
                let looked = openers.look_at(root, body, *part, None, &stop);
                looked.map_err(|found| found.end(spared(body)))?;
            }
        }
        Ok(Seen {
            bodies,
            due,
            owner,
            keys,
        })
    }

    /// The look after the unit was taken out of its place, at all but the file system: what the jobs' rows say now, who owns what,
    /// and whether somebody pinned it.
    pub(super) fn confirm(
        &self,
        claim: &Claim,
        seen: &mut Seen,
        rows: &mut Rows<'_>,
    ) -> Result<(), End> {
        // Before anything is judged: what is known from here on is at least as new as what the sources said.
        rows.agree(claim.owners.iter().chain(&seen.keys))?;
        if let Some(hold) = self.pinned(claim) {
            return Err(hold.into());
        }
        let owner = self.owner(claim, &seen.bodies, rows)?;
        if self.judge(claim, &seen.bodies, &owner) != Judgement::Due(seen.due) {
            return Err(all_spared(&seen.bodies).into());
        }
        // Without sources and owners there is nobody whose mind could have changed.
        if !seen.keys.is_empty() || !self.policy.sources.is_empty() {
            let before: Vec<Vec<Part>> = seen.bodies.iter().map(|b| b.parts.clone()).collect();
            let keys = self.sort(claim, &mut seen.bodies, &owner);
            let same = seen
                .bodies
                .iter()
                .zip(&before)
                .all(|(b, before)| b.parts == *before);
            // Their numbers are those of the parts that were moved.
            for (body, parts) in seen.bodies.iter_mut().zip(before) {
                body.parts = parts;
            }
            if keys? != seen.keys || !same {
                return Err(all_spared(&seen.bodies).into());
            }
            // Nor has any of it changed meanwhile.
            rows.agree(&seen.keys)?;
        }
        seen.owner = owner;
        Ok(())
    }

    /// Whether something is to be done about the job's record at its source.
    pub(super) fn has_record(&self, claim: &Claim) -> bool {
        claim.unit == Unit::Job && self.policy.rule(claim.rule).record != Record::Keep
    }

    /// What keeps a record at its source, because a file of its job may not be where its claim seems to lead.
    fn linked(&self, claim: &Claim) -> Option<Hold> {
        let key = claim.owners.first().filter(|_| self.has_record(claim))?;
        (self.looks.hooks.linked)(self.policy, key)
    }

    /// The pin that holds the unit, or anything in it by its path.
    pub(super) fn pinned(&self, claim: &Claim) -> Option<Hold> {
        let hooks = &self.looks.hooks;
        if hooks.pins.is_empty() {
            return None;
        }
        let now = self.since.now();
        let of_job = |key: &JobKey| {
            let name = &self.policy.sources.get(&key.source)?.name;
            let pins = hooks.pins.list().into_iter();
            let mut pins = pins.filter(|pin| pin.until > now);
            pins.find(|pin| match &pin.target {
                PinTarget::Job { source, id } => source == name && *id == key.id,
                PinTarget::Path(_) => false,
            })
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

    /// Whose the unit is now: who it was when the claim was made, or it stays.
    fn owner(&self, claim: &Claim, bodies: &[Body], rows: &Rows<'_>) -> Result<Owner, End> {
        match claim.unit {
            Unit::File | Unit::Dir => {
                let path = claim.path.as_bytes();
                let owner = (self.looks.hooks.owner)(self.policy, claim.root, path);
                if is_of(&owner, claim) {
                    Ok(owner)
                } else {
                    Err(all_spared(bodies).into())
                }
            }
            Unit::Job => {
                let key = claim.owners.first().ok_or(Hold::Unconfirmed)?;
                let job = rows.job(key).ok_or_else(|| rows.changed(key))?;
                Ok(Owner::Jobs(vec![job]))
            }
        }
    }

    /// One piece as it stands in its place; `None`: there is nothing.
    fn body(&self, claim: &Claim, piece: &Piece, clear: &mut Clear) -> Result<Option<Body>, End> {
        let root = self.root(piece.root)?;
        let Some((above, name)) = piece.path.split() else {
            return Err(Hold::Unconfirmed.into());
        };
        if piece.path.top() == Some(QUARANTINE) {
            return Err(Hold::Unconfirmed.into());
        }
        let dir = match root.dir(&above) {
            Ok(dir) => dir,
            Err(error) => return not_reached(&error).map_or(Ok(None), |end| Err(end.into())),
        };
        let facts = match dir.look(name) {
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
            return Err(Outcome::Spared { facts }.into());
        }
        self.is_alone(piece)?;
        self.is_not_ours((piece.root, root), &above, clear)?;
        let home = dir.facts().map_err(|error| unreadable(&error))?;
        let body = |above, tree| Body {
            root: piece.root,
            above,
            home: home.key,
            tree,
            is_dir: piece.is_dir,
            parts: Vec::new(),
        };
        if !piece.is_dir {
            let (above, top) = above.split().unwrap_or_default();
            return Ok(Some(body(above, Tree::of_file(top, home, name, facts))));
        }
        let stop = || self.looks.is_stopping();
        let tree = Tree::walk(&dir, name, facts, &stop)
            .map_err(|error| not_walked(error, Outcome::Spared { facts }))?;
        let body = body(above, tree);
        if let Some(at) = self.looks.state.and_then(|state| body.tree.find(state)) {
            let path = body.path(Part::Dir(at)).to_string();
            return Err(Hold::StateInside { path }.into());
        }
        debug_assert!(claim.unit == Unit::Job || body.above.is_root());
        Ok(Some(body))
    }

    /// Whether the piece holds no other root, and lies in none.
    fn is_alone(&self, piece: &Piece) -> Result<(), End> {
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

    /// Whether the directory `above` does not lie in our own.
    fn is_not_ours(
        &self,
        (id, root): (RootId, &RootDir),
        above: &RelPath,
        clear: &mut Clear,
    ) -> Result<(), End> {
        let mut next = Some(above.clone());
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

    fn due(&self, claim: &Claim, bodies: &[Body], owner: &Owner) -> Result<Due, End> {
        match self.judge(claim, bodies, owner) {
            Judgement::Due(due) => Ok(due),
            Judgement::Hold(hold) => Err(hold.into()),
            Judgement::NotDue => {
                let latest = latest(claim, bodies);
                let since = self.policy.rule(claim.rule).since;
                Err(
                    if since.of_all(latest, &Moments::default()) > Some(claim.known) {
                        Outcome::Younger { latest }.into()
                    } else {
                        all_spared(bodies).into()
                    },
                )
            }
        }
    }

    fn judge(&self, claim: &Claim, bodies: &[Body], owner: &Owner) -> Judgement {
        let latest = latest(claim, bodies);
        let verdict = match (claim.unit, bodies, owner.jobs()) {
            (Unit::Dir, [body], _) => {
                let name = claim.path.as_bytes();
                self.policy
                    .dir(claim.root, name, body.facts(), latest, owner)
            }
            (Unit::Job, _, [job]) => self.policy.job(claim.rule, job, latest),
            (Unit::File | Unit::Dir | Unit::Job, _, _) => Verdict::Keep,
        };
        judge(claim, verdict, self.since.now())
    }

    /// Finds the parts of all pieces that go; all whose rows say so.
    fn sort(
        &self,
        claim: &Claim,
        bodies: &mut [Body],
        owner: &Owner,
    ) -> Result<BTreeSet<JobKey>, Hold> {
        let (latest, now) = (latest(claim, bodies), self.since.now());
        let hooks = &self.looks.hooks;
        let mut sorter = Sorter::new(self.policy, hooks, claim, owner, latest, now);
        for body in bodies {
            body.parts = sorter.parts(body)?;
        }
        Ok(sorter.keys)
    }
}

/// The answer for a unit that does not go, because it is not what it was or not due.
pub(super) fn all_spared(bodies: &[Body]) -> Outcome {
    bodies
        .first()
        .map_or(Outcome::Held(Hold::Unconfirmed), spared)
}

/// The answer when a piece is not what it was.
pub(super) fn spared(body: &Body) -> Outcome {
    let facts: Facts = *body.facts();
    Outcome::Spared { facts }
}

/// What a claim is about, each thing once: what lies in a directory of the claim goes with that.
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
fn latest(claim: &Claim, bodies: &[Body]) -> Latest {
    let known = Latest::at(claim.known);
    bodies.iter().map(Body::latest).fold(known, Latest::max)
}

/// What it means that the directory of a piece cannot be opened; nothing when it is gone, and the piece with it.
fn not_reached(error: &FsError) -> Option<Outcome> {
    match error.errno {
        Errno::NOENT => None,
        Errno::XDEV => Some(Outcome::Held(Hold::MountInside {
            path: error.path.display().to_string(),
        })),
        _ => Some(unreadable(error)),
    }
}

/// What holds the unit when a directory in it would not let its content go: better before than half-way.
fn locked(root: &RootDir, body: &Body) -> Option<Outcome> {
    let tree = &body.tree;
    let full = |at: u32| {
        let dir = tree.dir(at);
        !dir.files.is_empty() || !dir.children.is_empty()
    };
    let at = body
        .parts
        .iter()
        .filter_map(|part| match *part {
            Part::Dir(top) => Some(tree.below(top)),
            Part::File { .. } => None,
        })
        .flatten()
        .find(|&at| !tree.dir(at).may_change && full(at))?;
    let path = body.path(Part::Dir(at)).below(root.path());
    let me = rustix::process::geteuid().as_raw();
    Some(Outcome::Held(Hold::Denied {
        error: format!(
            "{}\ngive user id {me} write and search permission on that directory, or run the service as its owner",
            closed(&path)
        ),
        ends: Ends::Told,
    }))
}
