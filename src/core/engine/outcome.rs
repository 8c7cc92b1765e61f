//! The reaper's answers → index, lateness, events, holds.

use super::held::{Slot, UNIT};
use super::state::Engine;
use crate::core::claim::{Actor, Claim, Outcome, Reaped, Removal, Unit};
use crate::core::facts::{Facts, Kind, Latest};
use crate::core::hold::Hold;
use crate::core::index::UnitRule;
use crate::core::input::{Effect, Event};
use crate::core::jobs::JobKey;
use crate::core::observed::Discovery;
use crate::core::path::RelPath;
use crate::core::time::Now;

impl Engine {
    /// Takes in what became of one claim.
    pub(super) fn settle(&mut self, reaped: Reaped, now: Now, effects: &mut Vec<Effect>) {
        self.cleans.settle(&reaped.claim, &reaped.outcome);
        if reaped.claim.unit == Unit::Job {
            return self.settle_job(reaped, now, effects);
        }
        let Reaped { claim, outcome } = reaped;
        let slot = self.claimed.remove(&(claim.root, claim.path.clone()));
        // The directory may have gone meanwhile: then there is nothing left to say about what was in it.
        let place = slot.filter(|(dir, _)| self.index.dir(*dir).is_some());
        let stay = place
            .as_ref()
            .and_then(|(dir, name)| self.held.clear(*dir, name));
        let tries = stay.map_or(0, |stay| stay.tries());
        // Or it was renamed: what the reaper saw at the old path says nothing about the entry at its new one.
        let here = place.clone().filter(|(dir, name)| {
            self.path_of(*dir, name)
                .is_some_and(|(_, at)| at == claim.path)
        });
        match outcome {
            Outcome::Removed(removal) => {
                self.removed(&claim, &removal, tries, place.clone(), now, effects);
            }
            Outcome::Gone => {
                // The reaper looked once. What was away for that moment only, with its directory perhaps, the watchers have not
                // missed and will not tell of again: a listing does.
                if here.as_ref().is_some_and(|slot| self.knows(&claim, slot)) {
                    effects.push(Effect::Relist(claim.root, claim.path.clone()));
                }
                self.gone(&claim, here);
            }
            Outcome::Spared { facts } => self.spared(&claim, &facts, tries, here, now, effects),
            Outcome::Younger { latest } => {
                self.younger(&claim, latest, here.as_ref(), now, effects);
            }
            Outcome::Kept => self.kept(&claim, here.as_ref()),
            Outcome::Held(hold) => self.hold(&claim, hold, tries, here, now, effects),
        }
        self.rearm(claim.unit, place, now);
        self.rearm_path(&claim, now);
    }

    fn removed(
        &mut self,
        claim: &Claim,
        removal: &Removal,
        tries: u32,
        place: Option<Slot>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(state) = self.roots.get_mut(&claim.root) {
            state.unstall();
        }
        // In a sticky directory what is ours goes, and others' things stay: that tells nothing about them.
        if let Some((dir, _)) = &place
            && tries > 0
            && self.held.retry_denied(*dir)
        {
            self.arm_dir(*dir, now);
        }
        if removal.partial {
            effects.push(Effect::Relist(claim.root, claim.path.clone()));
        } else {
            self.gone(claim, place);
        }
        for pruned in &removal.pruned {
            if let Some(dir) = self.index.dir_id(claim.root, pruned.as_bytes()) {
                self.drop_dir(dir);
            }
        }
        self.count_lapsed(claim, removal, None, effects);
    }

    /// Counts a removal, and tells of it; of all that a job owned, with the job.
    pub(super) fn count_lapsed(
        &mut self,
        claim: &Claim,
        removal: &Removal,
        job: Option<JobKey>,
        effects: &mut Vec<Effect>,
    ) {
        self.lateness.record(removal.at.ms_since(claim.due));
        self.removed_files += removal.files;
        self.removed_bytes = self.removed_bytes.saturating_add(removal.bytes);
        effects.push(Effect::Tell(Event::Lapsed {
            root: claim.root,
            path: claim.path.clone(),
            unit: claim.unit,
            rule: claim.rule,
            deadline: removal.deadline,
            at: removal.at,
            late_ms: removal.at.ms_since(claim.due),
            files: removal.files,
            bytes: removal.bytes,
            id: removal.id,
            job,
        }));
    }

    /// Whether the index has what a claim is about, and no other thing in its place. File systems give an inode that has become
    /// free to the next file at once: what is newer than what was claimed is another thing under the same number.
    fn knows(&self, claim: &Claim, (dir, name): &Slot) -> bool {
        match claim.unit {
            Unit::Job => false,
            Unit::Dir => {
                let key = self.index.dir(*dir).map(|known| known.facts.key);
                let unit = self.index.unit(*dir);
                key == Some(claim.key) && unit.is_none_or(|unit| unit.basis == claim.known)
            }
            Unit::File => self
                .previous(*dir, name)
                .is_some_and(|known| known.ino == claim.key.ino && known.basis == claim.known),
        }
    }

    /// Takes what a claim was about out of the index, unless another thing has come into its place.
    fn gone(&mut self, claim: &Claim, place: Option<Slot>) {
        let Some((dir, name)) = place.filter(|slot| self.knows(claim, slot)) else {
            return;
        };
        match claim.unit {
            Unit::Job => {}
            Unit::Dir => self.drop_dir(dir),
            Unit::File => {
                self.writer.remove(dir, &name);
            }
        }
    }

    fn spared(
        &mut self,
        claim: &Claim,
        facts: &Facts,
        tries: u32,
        place: Option<Slot>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some((dir, name)) = place else { return };
        // What the index learned while the reaper was at work may be what made it spare the thing: then its deadline is
        // another one by now, and there is nothing to hold.
        match claim.unit {
            Unit::Job => {}
            Unit::Dir => {
                if self
                    .index
                    .unit(dir)
                    .is_some_and(|unit| unit.basis == claim.known)
                {
                    // It is held until a listing has brought news.
                    self.held
                        .hold(dir, UNIT, Hold::Unconfirmed, tries, now.wall);
                }
                effects.push(Effect::Relist(claim.root, claim.path.clone()));
            }
            Unit::File if facts.kind != Kind::File => {
                self.writer.remove(dir, &name);
                effects.push(Effect::Relist(claim.root, claim.path.clone()));
            }
            Unit::File => {
                // What the watchers have seen go since does not come back by an older look.
                let Some(before) = self.previous(dir, &name) else {
                    return;
                };
                let floor = self.floor(Some(before), facts, Discovery::Event, now);
                let record = self.record(claim.root, claim.path.as_bytes(), facts, floor);
                if before == record && record.basis == claim.known {
                    self.held
                        .hold(dir, &name, Hold::Unconfirmed, tries, now.wall);
                }
                self.writer.upsert(dir, &name, record);
                self.mind_owner(claim.root, dir, claim.path.as_bytes(), &name, &record, now);
            }
        }
    }

    /// Takes in what the reaper saw in a unit and the index did not: a link, a socket, or what an event was lost about.
    fn younger(
        &mut self,
        claim: &Claim,
        latest: Latest,
        place: Option<&Slot>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some((dir, _)) = place else { return };
        self.set_unit(claim.root, claim.path.as_bytes(), *dir, latest, now);
        effects.push(Effect::Relist(claim.root, claim.path.clone()));
    }

    /// Forgets the deadline of a unit in which nothing goes, until something in it changes.
    fn kept(&mut self, claim: &Claim, place: Option<&Slot>) {
        let Some((dir, _)) = place else { return };
        if let Some(unit) = self
            .index
            .unit(*dir)
            .filter(|unit| unit.basis == claim.known)
        {
            let for_ever = UnitRule {
                rule: unit.rule,
                basis: unit.basis,
                latest: unit.latest,
                expire_ms: None,
            };
            self.writer.set_unit(*dir, Some(for_ever));
        }
    }

    fn hold(
        &mut self,
        claim: &Claim,
        hold: Hold,
        tries: u32,
        place: Option<Slot>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        match &hold {
            Hold::NoQuarantine { .. }
            | Hold::RootInUse { .. }
            | Hold::RootUnreachable { .. }
            | Hold::Unrecorded { .. } => {
                self.stall(claim.root, hold, now, effects);
                return;
            }
            // A name that was taken meanwhile belongs to something else, which its own events tell of.
            Hold::Displaced => {
                self.gone(claim, place);
                effects.push(tell(claim.root, &claim.path, hold));
                return;
            }
            Hold::Reconciling
            | Hold::Unsaved { .. }
            | Hold::RootMissing
            | Hold::Breaker
            | Hold::ClockJumped { .. }
            | Hold::ClockBehind { .. }
            | Hold::Open { .. }
            | Hold::OpenUnknown { .. }
            | Hold::Denied { .. }
            | Hold::MountInside { .. }
            | Hold::RootInside { .. }
            | Hold::StateInside { .. }
            | Hold::NoTimestamp
            | Hold::Unreadable { .. }
            | Hold::Unconfirmed
            | Hold::DryRun
            | Hold::Running { .. }
            | Hold::SourceDown { .. }
            | Hold::Contested { .. }
            | Hold::UnreadableJob { .. }
            | Hold::ClaimRefused { .. }
            | Hold::Pinned { .. } => {}
        }
        let Some((dir, name)) = place else { return };
        // One word per directory is enough for what is the directory's fault.
        let said = matches!(hold, Hold::Denied { .. }) && self.held.has_denied(dir);
        if tries == 0 && !said {
            effects.push(tell(claim.root, &claim.path, hold.clone()));
        }
        let is_of_owners = matches!(hold, Hold::SourceDown { .. });
        self.held.hold(dir, &name, hold, tries, now.wall);
        // The reaper asked about others than those that own it by now.
        if is_of_owners && self.readings(claim.root, claim.path.as_bytes()) != claim.owners {
            self.held.retry(dir, &name);
        }
    }

    /// Arms what a claim was about, after it came back.
    fn rearm(&mut self, unit: Unit, place: Option<Slot>, now: Now) {
        let Some((dir, name)) = place else { return };
        match unit {
            Unit::Job => {}
            Unit::Dir => self.arm_unit(dir, now),
            Unit::File => {
                if let Some((page, _)) = self.index.find_in(dir, &name) {
                    self.arm_page(page, now);
                }
            }
        }
    }

    /// Arms what has come to stand at the path of a claim, and waited for its answer.
    fn rearm_path(&mut self, claim: &Claim, now: Now) {
        let place: Option<Slot> = match claim.unit {
            Unit::Job => None,
            Unit::Dir => self
                .index
                .dir_id(claim.root, claim.path.as_bytes())
                .map(|dir| (dir, UNIT.into())),
            Unit::File => claim.path.split().and_then(|(dir, name)| {
                Some((self.index.dir_id(claim.root, dir.as_bytes())?, name.into()))
            }),
        };
        if let Some((dir, name)) = &place
            && self.held.is_claimed(*dir, name)
        {
            self.held.clear(*dir, name);
        }
        self.rearm(claim.unit, place, now);
    }
}

fn tell(root: crate::core::facts::RootId, path: &RelPath, hold: Hold) -> Effect {
    Effect::Tell(Event::Held {
        root,
        path: path.clone(),
        hold,
    })
}

/// Whether somebody asked for the removal.
pub(super) fn request_of(claim: &Claim) -> Option<u64> {
    match claim.actor {
        Actor::Rule => None,
        Actor::Schedule { request } | Actor::Asked { request, .. } => Some(request),
    }
}

#[cfg(test)]
mod tests;
