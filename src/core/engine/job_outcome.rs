//! The reaper's answers about all that a job owned → index, lateness, events, the job's record.

use super::job_units::NO_ROOT;
use super::state::Engine;
use crate::core::claim::{Claim, Outcome, Piece, Reaped, Removal};
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::input::Effect;
use crate::core::jobs::JobKey;
use crate::core::policy::Record;
use crate::core::time::Now;

impl Engine {
    /// Takes in what became of a job's claim.
    pub(super) fn settle_job(&mut self, reaped: Reaped, now: Now, effects: &mut Vec<Effect>) {
        let Reaped { claim, outcome } = reaped;
        self.jobs_out = self.jobs_out.saturating_sub(1);
        let Some(key) = claim.owners.first().cloned() else {
            return;
        };
        let no = self.jobs.number(&key);
        let slot = no.map(|no| (key.source, no, claim.rule));
        let tries = match slot.and_then(|slot| self.held_jobs.remove(&slot)) {
            Some(stay) => stay.tries(),
            None => 0,
        };
        if !no.is_some_and(|no| self.has_claim(key.source, no)) {
            self.jobs.end_claim(&key);
        }
        let hold = match outcome {
            Outcome::Removed(removal) => {
                self.job_removed(&claim, &key, no, &removal, effects);
                None
            }
            Outcome::Gone => {
                // Until the listing is in, it would be claimed over and over.
                for piece in &claim.pieces {
                    self.forget_piece(piece);
                }
                relist(&claim.pieces, effects);
                None
            }
            Outcome::Spared { .. } | Outcome::Younger { .. } | Outcome::Kept => {
                relist(&claim.pieces, effects);
                Some(Hold::Unconfirmed)
            }
            Outcome::Held(hold) => Some(hold),
        };
        match (slot, hold) {
            (Some(slot), Some(hold)) => {
                let mut roots = claim.pieces.iter().map(|piece| piece.root);
                // Of several roots, only recovery tells which one it is.
                if hold.is_of_root()
                    && claim.root != NO_ROOT
                    && roots.all(|root| root == claim.root)
                {
                    self.stall(claim.root, hold.clone(), now, effects);
                }
                self.hold_job(slot, &claim.pieces, hold, tries, now, effects);
            }
            (Some((source, no, _)), None) => self.arm_job(source, no, now),
            (None, _) => {}
        }
    }

    fn job_removed(
        &mut self,
        claim: &Claim,
        key: &JobKey,
        no: Option<u32>,
        removal: &Removal,
        effects: &mut Vec<Effect>,
    ) {
        for piece in &claim.pieces {
            if let Some(state) = self.roots.get_mut(&piece.root) {
                state.unstall();
            }
            if removal.partial {
                effects.push(Effect::Relist(piece.root, piece.path.clone()));
            } else {
                self.forget_piece(piece);
            }
        }
        let record = self.policy.rules.get(usize::from(claim.rule.0));
        let record = record.map_or(Record::Keep, |rule| rule.record);
        if record != Record::Keep
            && let Some(no) = no
        {
            self.marked.insert((key.source, no));
        }
        // Also when other rules are in force by now: the outbox knows whether there is something to be written.
        effects.push(Effect::Recorded(removal.id));
        self.count_lapsed(claim, removal, Some(key.clone()), effects);
    }

    /// Takes what went out of the index, unless another thing has come into its place.
    fn forget_piece(&mut self, piece: &Piece) {
        if piece.is_dir {
            let dir = self.index.dir_id(piece.root, piece.path.as_bytes());
            let is_it = |dir: &DirId| {
                self.index
                    .dir(*dir)
                    .is_some_and(|known| known.facts.key == piece.key)
            };
            if let Some(dir) = dir.filter(is_it) {
                self.drop_dir(dir);
            }
        } else if let Some((dir, record)) = self.index.find(piece.root, piece.path.as_bytes())
            && record.ino == piece.key.ino
            && let Some((_, name)) = piece.path.split()
        {
            self.writer.remove(dir, name);
        }
    }
}

fn relist(pieces: &[Piece], effects: &mut Vec<Effect>) {
    for piece in pieces {
        effects.push(Effect::Relist(piece.root, piece.path.clone()));
    }
}
