//! The end of single files: the line in the ledger, then the removal.
//!
//! **Invariant:** nothing is removed before its line is durable.

use super::back::Back;
use super::file_look::Picked;
use super::files::{Batch, Lain};
use super::names::lain_name;
use crate::core::claim::{Outcome, Reaped, Removal};
use crate::core::hold::Hold;
use crate::ledger::{Line, Mark};

impl Batch<'_> {
    pub(super) fn record_and_remove(
        &self,
        lain: Vec<Lain>,
        displaced: &[Line],
        stuck: &mut Vec<u64>,
        done: &mut Vec<Reaped>,
    ) {
        let lines = lain.iter().map(|one| &one.line).chain(displaced);
        let recorded = self.shared.ledger.append(lines);
        let (mut amended, mut leases) = (Vec::new(), Vec::new());
        let turn = self.shared.turn(self.opened.id);
        let removing = turn.lock();
        for Lain {
            mut picked, line, ..
        } in lain
        {
            let outcome = match &recorded {
                Ok(()) => self.remove(&picked, line, stuck, &mut amended),
                Err(error) => {
                    let hold = Hold::Unrecorded {
                        error: error.to_string(),
                    };
                    let id = line.id;
                    let (outcome, back) = self.back(&picked, line, Outcome::Held(hold));
                    if let Some((Back::Stuck, _)) = back {
                        stuck.push(id);
                    }
                    outcome
                }
            };
            leases.push(picked.lease.take());
            done.push(Reaped {
                claim: picked.claim,
                outcome,
            });
        }
        drop(removing);
        // With its descriptor a file ends: half of the work, for which nobody has to wait.
        drop(leases);
        if let Err(error) = self.shared.ledger.append(&amended) {
            tracing::error!(%error, "the ledger could not be amended");
        }
    }

    /// Removes what is recorded. Somebody may have opened it in the very instant, through another of its names: then it goes
    /// back, and the ledger is amended.
    fn remove(
        &self,
        picked: &Picked,
        line: Line,
        stuck: &mut Vec<u64>,
        amended: &mut Vec<Line>,
    ) -> Outcome {
        let (id, at, deadline) = (line.id, line.at, line.deadline);
        if picked.lease.as_ref().is_some_and(|lease| !lease.holds()) {
            let (outcome, back) = self.back(picked, line, Outcome::Held(Hold::Open { path: None }));
            if let Some((back, line)) = back {
                let result = match back {
                    Back::Home => Mark::PutBack,
                    Back::Displaced => Mark::Displaced,
                    Back::Stuck => {
                        stuck.push(id);
                        return outcome;
                    }
                };
                amended.push(Line {
                    id: self.shared.ledger.next_id(),
                    result,
                    ..*line
                });
            }
            return outcome;
        }
        if let Err(error) = self.opened.quarantine.remove_file(&lain_name(id, 0)) {
            tracing::error!(%error, "recorded as removed, but still in the quarantine; the next start finishes it");
            stuck.push(id);
        }
        Outcome::Removed(Removal {
            at,
            deadline,
            files: line.files,
            bytes: line.bytes,
            id,
            pruned: Vec::new(),
            partial: false,
        })
    }
}
