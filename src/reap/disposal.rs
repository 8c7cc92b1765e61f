//! The lines of what was quarantined, one sync of the ledger for a round, and the disposal of what
//! is recorded.
//!
//! Files whose leases are all in hand are disposed of at once, by the thread that has them.
//! Everything else is left to the sweepers, so that a large directory delays nothing else.
//!
//! **Invariant:** what is to be written back to a source is noted durably before the line that says
//! that the files are gone, and struck out again when that line cannot be written.
//! **Invariant:** nothing is disposed of before its line is durable.

use std::sync::Arc;

use parking_lot::Mutex;

use super::abort::Abort;
use super::candidate::{Candidate, Candidates, Content, Target};
use super::hooks::Recording;
use super::leases::LeaseSet;
use super::names::quarantine_name;
use super::parts::{Part, number};
use super::pending::{Sweep, SweepRoot};
use super::pipeline::{Pipeline, Round};
use super::sweep::{SMALL_NAMES, WAITING_NAMES_MAX, sweep_all};
use crate::core::claim::{Outcome, Reaped, Removal, Unit};
use crate::core::hold::Hold;
use crate::core::policy::Disposal;
use crate::fs::tree::Tree;
use crate::ledger::{Line, Mark};

impl Pipeline<'_> {
    /// Records what was quarantined, and disposes of it. What cannot be recorded goes back.
    pub(super) fn record(&self, quarantined: Candidates, round: &mut Round) {
        // Units may have waited for one another: long enough to set a pin.
        let sound = self.check(quarantined, round, |one, _| {
            let hold = match one.claim.unit {
                Unit::File => self.withheld(&one.claim),
                Unit::Dir | Unit::Job => self.pinned(&one.claim),
            };
            hold.map_or(Ok(()), |hold| Err(hold.into()))
        });
        let (trashed, sound): (Candidates, Candidates) =
            sound.into_iter().partition(|one| self.is_trashed(one));
        let trashed = self.prepare_trash(trashed, round);
        // Something of the job may have come into a trash since.
        let sound = self.check(sound, round, |one, _| {
            let job = one
                .claim
                .owners
                .first()
                .filter(|_| self.has_record(&one.claim));
            let hold = job.and_then(|job| self.lane.hold_by_trash(self.policy, job));
            hold.map_or(Ok(()), |hold| Err(hold.into()))
        });
        let (with, mut recorded): (Candidates, Candidates) = sound
            .into_iter()
            .partition(|one| self.has_record(&one.claim));
        // The record of what can come back waits.
        recorded.extend(trashed);
        let noted = match self.note(&with) {
            Ok(ids) => {
                recorded.extend(with);
                ids
            }
            Err(error) => {
                self.refuse(with, &error, round);
                Vec::new()
            }
        };
        let displaced = std::mem::take(&mut round.displaced);
        let lines = recorded.iter().map(|one| &one.line).chain(&displaced);
        match self.lane.ledger.append(lines) {
            Ok(()) => self.dispose(recorded, round),
            Err(error) => {
                if !noted.is_empty() {
                    (self.lane.hooks.not_recorded)(&noted);
                }
                if !displaced.is_empty() {
                    tracing::error!(%error, "what was displaced could not be recorded");
                }
                self.refuse(recorded, &error.to_string(), round);
            }
        }
        // What was displaced since.
        let displaced = std::mem::take(&mut round.displaced);
        self.lane.record_displaced(&displaced);
    }

    /// Notes what is to become of the jobs' records; returns the numbers of the lines.
    fn note(&self, candidates: &[Box<Candidate>]) -> Result<Vec<u64>, String> {
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let recordings: Vec<Recording<'_>> = candidates
            .iter()
            .filter_map(|one| {
                Some(Recording {
                    line: &one.line,
                    job: one.claim.owners.first()?,
                    record: self.policy.rule(one.claim.rule).record,
                })
            })
            .collect();
        (self.lane.hooks.before_record)(&recordings)?;
        Ok(recordings.iter().map(|one| one.line.id).collect())
    }

    /// Puts back what cannot be recorded. Directories that were emptied went last and go back
    /// first.
    pub(super) fn refuse(&self, candidates: Candidates, error: &str, round: &mut Round) {
        for one in candidates.into_iter().rev() {
            if self.is_trashed(&one) {
                self.discard_manifests(&one);
            }
            let (all, error) = (one.seen.count(), error.to_owned());
            let abort = Abort::from(Hold::LedgerUnavailable { error });
            self.restore(one, all, abort, round);
        }
    }
}

/// The parts that are left to the sweepers, in order.
type Left = Vec<u32>;

impl Pipeline<'_> {
    /// Disposes of what is recorded.
    pub(super) fn dispose(&self, recorded: Candidates, round: &mut Round) {
        let mut swept: Vec<(Box<Candidate>, Left)> = Vec::new();
        let mut leases = Vec::new();
        let turn = self
            .roots
            .only()
            .map(|opened| self.lane.lock_quarantine(opened.id));
        let removing = turn.as_ref().map(|turn| turn.lock());
        for mut one in recorded {
            let left = match self.disposal(&one) {
                Disposal::Delete if one.seen.is_lean => self.delete(&one, round),
                Disposal::Delete => Some((0..one.seen.count()).collect()),
                Disposal::Trash { .. } => {
                    self.move_to_trash(&one, round);
                    Some(Left::new())
                }
            };
            for target in &mut one.seen.targets {
                if let Content::File(_, lease) = &mut target.content {
                    leases.extend(lease.take());
                }
            }
            match left {
                None => {}
                Some(left) if left.is_empty() => self.finish(one, round),
                Some(left) => swept.push((one, left)),
            }
        }
        drop(removing);
        let swept: Vec<Sweep> = swept
            .into_iter()
            .map(|(one, left)| self.sweep_of(one, &left, &mut round.handles.leases))
            .collect();
        // With its descriptor a file ends: half of the work, for which no other thread has to wait.
        round.handles.leases.clear();
        drop(leases);
        let is_small = |sweep: &Sweep| sweep.weight() < SMALL_NAMES;
        let (small, large): (Vec<Sweep>, Vec<Sweep>) = swept.into_iter().partition(is_small);
        for sweep in large {
            let weight = sweep.weight();
            self.lane.sweeps.put(sweep, weight, WAITING_NAMES_MAX);
        }
        round.done.extend(sweep_all(self.lane, small));
    }

    /// Deletes a candidate whose leases are in hand. Returns the parts that are left to the
    /// sweepers; `None` when it was put back, because it was opened in the very instant, through
    /// another of its names, or is not empty any more.
    fn delete(&self, one: &Candidate, round: &mut Round) -> Option<Left> {
        let mut left = Left::new();
        for (place, (target, part)) in one.seen.parts().enumerate() {
            let number = number(place);
            let name = quarantine_name(one.line.id, number);
            let lease = match &target.content {
                Content::File(_, lease) => lease.as_ref(),
                Content::Dir(_) => None,
            };
            let is_open = lease.is_some_and(|lease| !lease.holds());
            let Ok(opened) = self.roots.get(target.root) else {
                left.push(number);
                continue;
            };
            let removed = match part {
                _ if is_open => Ok(false),
                Part::Dir(_) => Ok(opened.quarantine.remove_dir(&name).is_ok()),
                Part::File { .. } => opened.quarantine.remove_file(&name).map(|()| true),
            };
            match removed {
                Ok(true) => self.note_removed_link(target, round),
                Ok(false) if one.claim.unit == Unit::File => {
                    self.amend(one, round);
                    return None;
                }
                Ok(false) | Err(_) => left.push(number),
            }
        }
        Some(left)
    }

    /// Remembers what the removal of one name did to the change time of the others.
    fn note_removed_link(&self, target: &Target, round: &mut Round) {
        let Content::File(facts, Some(lease)) = &target.content else {
            return;
        };
        if facts.nlink > 1 {
            let removed = round.removed_links.entry(facts.key).or_insert(0);
            *removed += 1;
            if let Ok(after) = lease.look() {
                self.looks.removed_links.note(facts, &after, *removed);
            }
        }
    }

    /// Puts back what was recorded as removed, and amends the ledger.
    fn amend(&self, one: &Candidate, round: &mut Round) {
        let is_home = self.put_back(one, one.seen.count(), round);
        let hold = if is_home {
            round.displaced.push(Line {
                id: self.lane.ledger.next_id(),
                result: Mark::PutBack,
                ..one.line.clone()
            });
            Hold::Open { path: None }
        } else {
            Hold::Displaced
        };
        if one.emptied_by.is_none() {
            round.done.push(Reaped {
                claim: one.claim.clone(),
                outcome: Outcome::Held(hold),
            });
        }
    }

    /// Answers for what is gone.
    fn finish(&self, one: Box<Candidate>, round: &mut Round) {
        if !round.left.contains(&one.line.id) {
            round.ended.push(one.line.id);
        }
        if let Some(answer) = one.emptied_by {
            if let Outcome::Removed(removal) = &mut round.done[answer].outcome {
                removal.pruned.push(one.claim.path);
            }
            return;
        }
        if one.claim.unit == Unit::Job && !self.is_trashed(&one) {
            let quarantines = self.roots.opened().map(|root| Arc::clone(&root.quarantine));
            round.finished.push((one.line.id, quarantines.collect()));
        }
        let outcome = Outcome::Removed(removal(&one));
        round.done.push(Reaped {
            claim: one.claim,
            outcome,
        });
    }

    /// Returns what the sweepers have to do about the parts `left`. They answer for it.
    fn sweep_of(&self, one: Box<Candidate>, left: &[u32], leases: &mut LeaseSet) -> Sweep {
        let skip_open = self.skip_open(&one.claim);
        let removal = removal(&one);
        let Candidate {
            claim, seen, line, ..
        } = *one;
        let outcome = Outcome::Removed(removal);
        let mut sweep = Sweep::new(line, skip_open, Some(Reaped { claim, outcome }));
        let mut part_number = 0..;
        let mut roots = Vec::new();
        for target in seen.targets {
            let Ok(opened) = self.roots.get(target.root) else {
                continue;
            };
            let root = roots.iter().position(|id| *id == target.root);
            let root = root.unwrap_or_else(|| {
                roots.push(target.root);
                sweep.roots.push(SweepRoot {
                    quarantine: Arc::clone(&opened.quarantine),
                    path: opened.place.path.clone(),
                    name: self.policy.roots[&target.root].name.clone(),
                });
                roots.len() - 1
            });
            let parts = target.parts.iter().zip(&mut part_number);
            let parts = parts.filter(|(_, number)| left.binary_search(number).is_ok());
            let parts =
                parts.map(|(part, number)| (number, *part, target.path_of(*part).into_owned()));
            let parts: Vec<_> = parts.collect();
            let name = target.name_of(target.whole());
            let tree = match target.content {
                Content::File(facts, _) => Tree::of_file(b"", facts, name, facts),
                Content::Dir(tree) => tree,
            };
            sweep.add(root, tree, parts);
        }
        let files = sweep.pending.iter().flat_map(|part| {
            let tree = &sweep.trees[part.tree];
            part.part.files(tree).map(|(_, facts)| facts)
        });
        let kept = files.filter_map(|facts| Some((facts.key, leases.hand_over(facts)?)));
        sweep.leases = Mutex::new(kept.collect());
        sweep
    }
}

fn removal(one: &Candidate) -> Removal {
    let line = &one.line;
    Removal {
        at: line.at,
        deadline: line.deadline,
        files: line.files,
        bytes: line.bytes,
        id: line.id,
        pruned: Vec::new(),
        partial: one.seen.is_partial(),
        share: one.seen.share.clone(),
        trashed: line.trash.map(|trash| trash.until),
    }
}
