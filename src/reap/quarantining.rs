//! The way of candidates out of their places, the look at them in the quarantine, and the way back.
//!
//! **Invariant:** what changed, is open, or cannot be known goes back to its place.

use std::collections::BTreeMap;

use super::abort::{Abort, unreadable};
use super::back::{RestoreOutcome, put_back, refused};
use super::candidate::{Candidate, Candidates, Target};
use super::names::quarantine_name;
use super::parts::{Part, number};
use super::pipeline::{Pipeline, Round};
use super::rows::JobLookupCache;
use super::source_dirs::InPlace;
use crate::clock;
use crate::core::claim::{Outcome, Unit};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::ledger::line::pack;
use crate::ledger::{Line, Mark};

impl<'a> Pipeline<'a> {
    /// Moves candidates into the quarantine and returns those that may be removed, after the second
    /// look. The others go back.
    pub(super) fn quarantine(&self, candidates: Candidates, round: &mut Round) -> Candidates {
        let candidates = self.admit_to_trash(candidates, round);
        if candidates.is_empty() {
            return candidates;
        }
        if let Err(error) = self.write_intents(&candidates) {
            let error = self.lane.intents.failed(&error);
            for one in candidates {
                let error = error.clone();
                round.answer(one, Hold::LedgerUnavailable { error }.into());
            }
            return Vec::new();
        }
        let moved = self.move_out(candidates, round);
        // From now on: what was carried away while it was moved is found.
        let mut in_place = BTreeMap::new();
        let moved = self.check(moved, round, |one, round| {
            self.look_again(one, &mut in_place, round)
        });
        let mut rows = JobLookupCache::new(self.lane, self.policy);
        // A source may let us wait: first all rows, then all that is known from memory.
        let agreed = self.check(moved, round, |one, _| {
            let keys = one.claim.owners.iter().chain(&one.seen.keys);
            rows.agree(keys).map_err(Abort::from)
        });
        self.check(agreed, round, |one, _| self.confirm_one(one, &mut rows))
    }

    /// Puts back those candidates that do not pass.
    pub(super) fn check(
        &self,
        candidates: Candidates,
        round: &mut Round,
        mut check: impl FnMut(&mut Candidate, &mut Round) -> Result<(), Abort>,
    ) -> Candidates {
        let mut sound = Vec::with_capacity(candidates.len());
        for mut one in candidates {
            match check(&mut one, round) {
                Ok(()) => sound.push(one),
                Err(abort) => {
                    let all = one.seen.count();
                    self.restore(one, all, abort, round);
                }
            }
        }
        sound
    }

    fn move_out(&self, candidates: Candidates, round: &mut Round) -> Candidates {
        let turn = self
            .roots
            .only()
            .map(|opened| self.lane.lock_quarantine(opened.id));
        let _moving = turn.as_ref().map(|turn| turn.lock());
        let mut moved = Vec::with_capacity(candidates.len());
        for mut one in candidates {
            match self.move_parts(&one, round) {
                Ok(()) => {
                    one.line.at = clock::now().wall;
                    one.line.late_ms = one.line.at.ms_since(one.claim.due);
                    moved.push(one);
                }
                Err((outcome, parts)) => self.restore(one, parts, outcome.into(), round),
            }
        }
        moved
    }

    /// Moves all parts; else tells why not, and how many were moved.
    fn move_parts(&self, one: &Candidate, round: &mut Round) -> Result<(), (Outcome, u32)> {
        for (place, (target, part)) in one.seen.parts().enumerate() {
            let number = number(place);
            let name = quarantine_name(one.line.id, number);
            let moved = self.move_part(one.claim.unit, (target, part), &name, round);
            moved.map_err(|outcome| (outcome, number))?;
        }
        let files = one.seen.parts().filter_map(|(target, part)| match part {
            Part::Dir(_) => None,
            Part::File { .. } => Some(target.facts_of(part)),
        });
        let linked = files.filter(|facts| facts.nlink > 1).map(|facts| facts.key);
        round.handles.leases.moved(linked);
        Ok(())
    }

    fn move_part(
        &self,
        unit: Unit,
        (target, part): (&Target, Part),
        quarantined: &[u8],
        round: &mut Round,
    ) -> Result<(), Outcome> {
        let opened = self.roots.get(target.root)?;
        let home = round.handles.home_of(&opened.root, target, part);
        let home = home.map_err(|error| {
            if error.is_absence() {
                target.changed()
            } else {
                unreadable(&error)
            }
        })?;
        let name = target.name_of(part);
        let is_dir = matches!(part, Part::Dir(_));
        if is_dir {
            (self.lane.hooks.before_move)(target.root, &target.path_of(part));
        }
        let moved = home.dir.move_to(name, &opened.quarantine, quarantined);
        moved.map_err(|error| {
            if is_dir {
                (self.lane.hooks.put_back)(target.root, &target.path_of(part));
            }
            match refused(&error, &home.dir, name) {
                // Of a job one thing is gone, and the others may not be.
                Outcome::Gone if unit == Unit::Job => target.changed(),
                outcome => outcome,
            }
        })
    }

    /// The second look, at what is in the quarantine.
    fn look_again(
        &self,
        one: &Candidate,
        in_place: &mut BTreeMap<RootId, InPlace<'a>>,
        round: &mut Round,
    ) -> Result<(), Abort> {
        if !self.are_in_place(one, in_place)? {
            return Err(match one.claim.unit {
                // It was carried away with its directory.
                Unit::File => Outcome::Gone,
                Unit::Dir | Unit::Job => one.seen.changed(),
            }
            .into());
        }
        let skip_open = self.skip_open(&one.claim);
        let stop = || self.lane.is_stopping();
        for (place, (target, part)) in one.seen.parts().enumerate() {
            let name = quarantine_name(one.line.id, number(place));
            let quarantine = &self.roots.get(target.root)?.quarantine;
            let leases = &mut round.handles.leases;
            let looked = leases.look_again(skip_open, (target, part), (quarantine, &name), &stop);
            looked.map_err(|abort| abort.or(target.changed()))?;
        }
        if one.line.at < one.seen.due.deadline {
            return Err(one.seen.changed().into());
        }
        Ok(())
    }

    /// Returns true if the directories that the parts came out of are still in their places.
    fn are_in_place(
        &self,
        one: &Candidate,
        in_place: &mut BTreeMap<RootId, InPlace<'a>>,
    ) -> Result<bool, Outcome> {
        for (target, part) in one.seen.parts() {
            let root = &self.roots.get(target.root)?.root;
            let in_place = in_place.entry(target.root);
            let in_place = in_place.or_insert_with(|| InPlace::new(root));
            let path = target.path_of(part);
            let parent = path.parent_and_name().map_or(&[][..], |(parent, _)| parent);
            if !in_place.is(parent, target.home_of(part)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn confirm_one(&self, one: &mut Candidate, rows: &mut JobLookupCache<'_>) -> Result<(), Abort> {
        if one.emptied_by.is_some() {
            return if self.may_prune(&one.claim, rows) {
                Ok(())
            } else {
                Err(Abort::Changed)
            };
        }
        self.confirm(&one.claim, &mut one.seen, rows)?;
        let record = self.policy.rule(one.claim.rule).record;
        let job = self.deciding_job(&one.claim, &one.seen.owner);
        one.line.job = job.and_then(|job| rows.line_job(&job.key, record));
        Ok(())
    }

    /// Puts the first `parts` parts of a candidate back, and answers its claim.
    pub(super) fn restore(&self, one: Box<Candidate>, parts: u32, abort: Abort, round: &mut Round) {
        let abort = match abort {
            Abort::Stopped => {
                self.put_back(&one, parts, round);
                Abort::Stopped
            }
            abort if self.put_back(&one, parts, round) => abort,
            _ => Hold::Displaced.into(),
        };
        round.answer(one, abort);
    }

    /// Puts the first `parts` parts back; what cannot go back is displaced. Returns whether all are
    /// in their places.
    pub(super) fn put_back(&self, one: &Candidate, parts: u32, round: &mut Round) -> bool {
        let (displaced, mut is_stuck) = (round.displaced.len(), false);
        let moved: Vec<(u32, (&Target, Part))> = (0..parts).zip(one.seen.parts()).collect();
        for (number, (target, part)) in moved.into_iter().rev() {
            let Ok(opened) = self.roots.get(target.root) else {
                continue;
            };
            let path = target.path_of(part);
            let full = path.below(opened.root.path());
            let home = round.handles.home_of(&opened.root, target, part);
            let home = home.as_ref().map(|home| &home.dir);
            let place = (one.line.id, number);
            match put_back(&opened.quarantine, place, home, target.name_of(part), &full) {
                RestoreOutcome::Home => {}
                RestoreOutcome::Displaced => {
                    let (files, bytes) = target.count(part);
                    let (path, path_b64) = pack(full.as_os_str().as_encoded_bytes());
                    round.displaced.push(Line {
                        id: self.lane.ledger.next_id(),
                        root: self.policy.roots[&target.root].name.clone(),
                        path,
                        path_b64,
                        paths: Vec::new(),
                        files,
                        bytes,
                        result: Mark::Displaced,
                        ..one.line.clone()
                    });
                }
                RestoreOutcome::Stuck => is_stuck = true,
            }
            if matches!(part, Part::Dir(_)) {
                (self.lane.hooks.put_back)(target.root, &path);
            }
        }
        let settled = if is_stuck {
            &mut round.left
        } else {
            &mut round.ended
        };
        settled.push(one.line.id);
        round.displaced.len() == displaced && !is_stuck
    }
}
