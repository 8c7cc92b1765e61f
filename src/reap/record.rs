//! The line of a unit, and what follows it: the removal by the sweepers.
//!
//! **Invariant:** what is to be written back to a source is noted durably before the line that says that the files are gone,
//! and struck out again when that line cannot be written.

use std::sync::Arc;

use super::parts::Seen;
use super::reaper::Recording;
use super::sweep::{Doomed, Stand, Sweep, WAITING_FILES_MAX};
use super::unit::{Moved, Units};
use crate::core::claim::{Outcome, Reaped, Removal};
use crate::core::hold::Hold;

impl Units<'_> {
    /// Records what was moved, with one sync of the ledger, and hands it to the sweepers. What cannot be recorded goes back.
    pub(super) fn record(&self, moved: Vec<Moved>, done: &mut Vec<Reaped>) {
        // They may have waited for one another: long enough to set a pin.
        let (mut sound, mut pinned) = (Vec::new(), Vec::new());
        for one in moved {
            match self.pinned(&one.claim) {
                None => sound.push(one),
                Some(hold) => pinned.push((one, hold)),
            }
        }
        for (one, hold) in pinned {
            self.refuse(one, hold, done);
        }
        let (with, without): (Vec<Moved>, Vec<Moved>) = sound
            .into_iter()
            .partition(|one| self.has_record(&one.claim));
        let noted = self.note(&with);
        let (mut moved, noted) = match noted {
            Ok(ids) => (with, ids),
            Err(error) => {
                for one in with {
                    let error = error.clone();
                    self.refuse(one, Hold::Unrecorded { error }, done);
                }
                (Vec::new(), Vec::new())
            }
        };
        moved.extend(without);
        match self.shared.ledger.append(moved.iter().map(|one| &one.line)) {
            Ok(()) => moved.into_iter().for_each(|one| self.hand_over(one)),
            Err(error) => {
                if !noted.is_empty() {
                    (self.shared.hooks.not_recorded)(&noted);
                }
                let error = error.to_string();
                for one in moved {
                    let error = error.clone();
                    self.refuse(one, Hold::Unrecorded { error }, done);
                }
            }
        }
    }

    /// Tells what is to become of the jobs' records; gives the numbers of the lines.
    fn note(&self, moved: &[Moved]) -> Result<Vec<u64>, String> {
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        let recordings: Vec<Recording<'_>> = moved
            .iter()
            .filter_map(|one| {
                Some(Recording {
                    line: &one.line,
                    job: one.claim.owners.first()?,
                    record: self.policy.rule(one.claim.rule).record,
                })
            })
            .collect();
        (self.shared.hooks.before_record)(&recordings)?;
        Ok(recordings.iter().map(|one| one.line.id).collect())
    }

    /// Puts back what is not to be recorded, or cannot be.
    fn refuse(&self, mut one: Moved, why: Hold, done: &mut Vec<Reaped>) {
        let all = one.seen.count();
        let (end, stuck) = self.back(&one.seen, all, &mut one.homes, &one.line, why.into());
        self.settle(one.line.id, stuck);
        done.extend(end.outcome().map(|outcome| Reaped {
            claim: one.claim,
            outcome,
        }));
    }

    fn hand_over(&self, moved: Moved) {
        let Moved {
            claim, seen, line, ..
        } = moved;
        let removal = Removal {
            at: line.at,
            deadline: line.deadline,
            files: line.files,
            bytes: line.bytes,
            id: line.id,
            pruned: Vec::new(),
            partial: seen.is_partial(),
        };
        let weight = usize::try_from(line.files).unwrap_or(usize::MAX);
        let skip_open = self.policy.rule(claim.rule).skip_open;
        let answer = Some(Reaped {
            claim,
            outcome: Outcome::Removed(removal),
        });
        let mut sweep = Sweep {
            stands: Vec::new(),
            trees: Vec::new(),
            doomed: Vec::new(),
            skip_open,
            line,
            answer,
            after_crash: false,
            failures: 0,
        };
        self.doom(seen, &mut sweep);
        self.shared.sweeps.put(sweep, weight, WAITING_FILES_MAX);
    }

    /// Lists in `sweep` what is to be removed where.
    fn doom(&self, seen: Seen, sweep: &mut Sweep) {
        let mut part_number = 0..;
        let mut roots = Vec::new();
        for body in seen.bodies {
            let Ok(opened) = self.roots.get(body.root) else {
                continue;
            };
            let stand = roots.iter().position(|id| *id == body.root);
            let stand = stand.unwrap_or_else(|| {
                roots.push(body.root);
                sweep.stands.push(Stand {
                    quarantine: Arc::clone(&opened.quarantine),
                    path: opened.place.path.clone(),
                    root: self.policy.roots[&body.root].name.clone(),
                });
                roots.len() - 1
            });
            let parts = body.parts.iter().zip(&mut part_number);
            sweep.doomed.extend(parts.map(|(part, number)| Doomed {
                number,
                stand,
                tree: sweep.trees.len(),
                part: *part,
                path: body.path(*part),
            }));
            sweep.trees.push(body.tree);
        }
    }
}
