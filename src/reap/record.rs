//! The lines of what was quarantined: one sync of the ledger for a round.
//!
//! **Invariant:** what is to be written back to a source is noted durably before the line that says
//! that the files are gone, and struck out again when that line cannot be written.
//! **Invariant:** nothing is disposed of before its line is durable.

use super::abort::Abort;
use super::candidate::Candidate;
use super::pipeline::{Pipeline, Round};
use super::reaper::Recording;
use crate::core::claim::Unit;
use crate::core::hold::Hold;

impl Pipeline<'_> {
    /// Records what was quarantined, and disposes of it. What cannot be recorded goes back.
    pub(super) fn record(&self, quarantined: Vec<Candidate>, round: &mut Round) {
        // Units may have waited for one another: long enough to set a pin.
        let sound = self.check(quarantined, round, |one, _| match one.claim.unit {
            Unit::File => Ok(()),
            Unit::Dir | Unit::Job => {
                let pin = self.pinned(&one.claim);
                pin.map_or(Ok(()), |hold| Err(hold.into()))
            }
        });
        let (with, mut recorded): (Vec<Candidate>, Vec<Candidate>) = sound
            .into_iter()
            .partition(|one| self.has_record(&one.claim));
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
    fn note(&self, candidates: &[Candidate]) -> Result<Vec<u64>, String> {
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
    fn refuse(&self, candidates: Vec<Candidate>, error: &str, round: &mut Round) {
        for one in candidates.into_iter().rev() {
            let (all, error) = (one.seen.count(), error.to_owned());
            let abort = Abort::from(Hold::Unrecorded { error });
            self.restore(one, all, abort, round);
        }
    }
}
