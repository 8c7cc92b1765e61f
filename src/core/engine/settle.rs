//! The reaper's answers → index, lateness, figures, events, holds, and the job's record.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::holds::HoldTable;
use super::item::Item;
use super::job_units::NO_ROOT;
use crate::core::claim::{Claim, Outcome, Piece, Reaped, Removal, Unit};
use crate::core::effect::{Effect, Event};
use crate::core::facts::{Facts, Kind, Latest};
use crate::core::hold::Hold;
use crate::core::index::{DirId, Record, UnitRule};
use crate::core::jobs::JobKey;
use crate::core::lateness::{Histogram, Lateness};
use crate::core::observed::{Discovery, Name};
use crate::core::path::RelPath;
use crate::core::policy;
use crate::core::time::{Now, Timestamp};

/// Entries that were removed in one batch, by directory: each page is rewritten once.
type Gone = BTreeMap<DirId, Vec<GoneFile>>;

/// File that is gone from its directory.
struct GoneFile {
    name: Name,
    ino: u64,
    /// The timestamp that it was claimed by; `None`: its inode alone tells it from others.
    known: Option<Timestamp>,
}

impl GoneFile {
    /// Returns true if that is what the index has under its name. File systems give an inode that
    /// has become free to the next file at once: what is newer than what was claimed is another
    /// thing under the same number.
    fn is(&self, record: &Record) -> bool {
        record.ino == self.ino && self.known.is_none_or(|known| known == record.basis)
    }
}

impl Engine {
    /// Takes in what became of claims.
    pub(super) fn settle_all(&mut self, reaped: Vec<Reaped>, now: Now) {
        let mut gone = Gone::new();
        for reaped in reaped {
            self.settle(reaped, &mut gone, now);
        }
        for (dir, files) in gone {
            let names: Vec<&[u8]> = files.iter().map(|file| &*file.name).collect();
            self.remove_entries(dir, &names, |which, record| files[which].is(record), now);
        }
    }

    /// Takes in what became of one claim.
    fn settle(&mut self, reaped: Reaped, gone: &mut Gone, now: Now) {
        let Reaped { claim, outcome } = reaped;
        self.cleans.settle(&claim, &outcome);
        let item = self.claims.settle(&claim);
        if let Some(item) = &item {
            let is_whole = matches!(&outcome, Outcome::Removed(removal) if !removal.partial);
            self.end_going(item, &claim, is_whole);
        }
        let tries = item.as_ref().map_or(0, |item| self.holds_mut().clear(item));
        // It may have gone meanwhile, or been renamed: what the reaper saw at the old path says
        // nothing about the entry at its new one.
        let here = item.as_ref().filter(|item| self.is_at(item, &claim));
        match outcome {
            Outcome::Removed(removal) if self.is_shadow() => {
                self.on_would_remove(&claim, &removal);
                self.on_held(&claim, Hold::DryRun, tries, here, gone, now);
            }
            Outcome::Removed(removal) => {
                self.on_removed(&claim, &removal, item.as_ref(), gone, now);
            }
            Outcome::Gone => {
                // The reaper looked once. What was away for that moment only, with its directory
                // perhaps, the watchers have not missed and will not tell of again: a listing does.
                if claim.unit == Unit::Job || here.is_some_and(|item| self.knows(&claim, item)) {
                    self.relist(&claim);
                }
                self.forget(&claim, here, gone, now);
            }
            Outcome::Held(hold) => self.on_held(&claim, hold, tries, here, gone, now),
            Outcome::Changed { .. } | Outcome::NewerContent { .. } | Outcome::Kept
                if claim.unit == Unit::Job =>
            {
                self.relist(&claim);
                self.on_held(&claim, Hold::RecheckMismatch, tries, here, gone, now);
            }
            Outcome::Changed { facts } => self.on_changed_file(&claim, &facts, tries, here, now),
            Outcome::NewerContent { latest } => self.on_newer_content(&claim, latest, here, now),
            Outcome::Kept => self.on_kept(&claim, tries, here, now),
        }
        if let Some(item) = &item {
            self.rearm(item, now);
        }
        if here.is_none() {
            self.rearm_path(&claim, now);
        }
        if let Some(key) = claim.job() {
            let no = self.jobs.number(key);
            if !no.is_some_and(|no| self.holds.has_claim(key.source, no)) {
                self.jobs.end_claim(key);
            }
        }
    }

    /// Returns true if `item`, of which `claim` was, is still what is at the path of the claim.
    fn is_at(&self, item: &Item, claim: &Claim) -> bool {
        match item {
            Item::Job(_, no, _) => claim.job().and_then(|key| self.jobs.number(key)) == Some(*no),
            Item::Dir(dir) => self.is_dir_at(*dir, claim, claim.path.as_bytes()),
            Item::File(dir, name) => {
                let place = claim.path.parent_and_name();
                place.is_some_and(|(above, last)| {
                    *last == **name && self.is_dir_at(*dir, claim, above)
                })
            }
        }
    }

    fn is_dir_at(&self, dir: DirId, claim: &Claim, path: &[u8]) -> bool {
        self.index.dir_id(claim.root, path) == Some(dir)
    }

    fn on_removed(
        &mut self,
        claim: &Claim,
        removal: &Removal,
        item: Option<&Item>,
        gone: &mut Gone,
        now: Now,
    ) {
        for (root, _) in claim.places() {
            if let Some(state) = self.roots.get_mut(&root) {
                state.stall.end();
            }
        }
        // One of those went that were tried for others.
        let place = item.and_then(|item| HoldTable::place_of(&self.index, item));
        if let Some(place) = place.filter(|_| self.holds.has_shared()) {
            self.release_probed(place, now);
        }
        if removal.partial {
            self.relist(claim);
        } else {
            self.forget(claim, item, gone, now);
        }
        for pruned in &removal.pruned {
            if let Some(dir) = self.index.dir_id(claim.root, pruned.as_bytes()) {
                self.drop_dir(dir, now);
            }
        }
        self.on_trashed(removal);
        // The record of what can come back waits.
        if let Some(key) = claim.job().filter(|_| removal.trashed.is_none()) {
            let record = self.policy.rules.get(usize::from(claim.rule.0));
            let record = record.map_or(policy::Record::Keep, |rule| rule.record);
            if record != policy::Record::Keep
                && let Some(no) = self.jobs.number(key)
            {
                self.records.on_ordered(key.source, no);
            }
            // Also when other rules are in force by now: the outbox knows whether there is
            // something to be written.
            self.effects.push(Effect::Recorded(removal.id));
        }
        self.removals.count(removal, claim.due);
        self.effects.tell(Event::Lapsed {
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
            job: claim.job().cloned(),
            trashed: removal.trashed,
        });
    }

    /// Returns true if the index has what a claim is about, and no other thing in its place. File
    /// systems give an inode that has become free to the next file at once: what is newer than what
    /// was claimed is another thing under the same number.
    fn knows(&self, claim: &Claim, item: &Item) -> bool {
        match item {
            Item::Job(..) => false,
            Item::Dir(dir) => {
                let key = self.index.dir(*dir).map(|known| known.facts.key);
                let unit = self.index.unit(*dir);
                key == Some(claim.key) && unit.is_none_or(|unit| unit.basis == claim.known)
            }
            Item::File(dir, name) => self
                .previous(*dir, name)
                .is_some_and(|known| known.ino == claim.key.ino && known.basis == claim.known),
        }
    }

    /// Takes what a claim was about out of the index, unless another thing has come into its place.
    fn forget(&mut self, claim: &Claim, item: Option<&Item>, gone: &mut Gone, now: Now) {
        for piece in &claim.pieces {
            self.forget_piece(piece, gone, now);
        }
        match item {
            Some(item @ Item::Dir(dir)) if self.knows(claim, item) => self.drop_dir(*dir, now),
            Some(Item::File(dir, name)) => gone.entry(*dir).or_default().push(GoneFile {
                name: name.clone(),
                ino: claim.key.ino,
                known: Some(claim.known),
            }),
            Some(Item::Dir(_) | Item::Job(..)) | None => {}
        }
    }

    fn forget_piece(&mut self, piece: &Piece, gone: &mut Gone, now: Now) {
        if piece.is_dir {
            let dir = self.index.dir_id(piece.root, piece.path.as_bytes());
            let key = |dir: &DirId| self.index.dir(*dir).map(|known| known.facts.key);
            if let Some(dir) = dir.filter(|dir| key(dir) == Some(piece.key)) {
                self.drop_dir(dir, now);
            }
        } else if let Some((dir, name)) = piece.path.parent_and_name()
            && let Some(dir) = self.index.dir_id(piece.root, dir)
        {
            gone.entry(dir).or_default().push(GoneFile {
                name: name.into(),
                ino: piece.key.ino,
                known: None,
            });
        }
    }

    fn on_changed_file(
        &mut self,
        claim: &Claim,
        facts: &Facts,
        tries: u32,
        here: Option<&Item>,
        now: Now,
    ) {
        // What the index learned while the reaper was at work may be what made it spare the thing:
        // then its deadline is another one by now, and there is nothing to hold.
        match here {
            Some(item @ Item::Dir(dir)) => {
                let unit = self.index.unit(*dir);
                if unit.is_some_and(|unit| unit.basis == claim.known) {
                    // It is held until a listing has brought news.
                    self.hold_mismatch(item, tries, now);
                }
                self.relist(claim);
            }
            Some(Item::File(dir, name)) if facts.kind != Kind::File => {
                self.remove_entries(*dir, &[&**name], |_, _| true, now);
                self.relist(claim);
            }
            Some(item @ Item::File(dir, name)) => {
                // What the watchers have seen go since does not come back by an older look.
                let Some(before) = self.previous(*dir, name) else {
                    return;
                };
                let floor = self.floor(Some(before), facts, Discovery::Event, now);
                let record = self.record(claim.root, claim.path.as_bytes(), facts, floor);
                if before == record && record.basis == claim.known {
                    self.hold_mismatch(item, tries, now);
                }
                self.writer.upsert(*dir, name, record);
                self.update_owner(claim.root, *dir, claim.path.as_bytes(), name, &record, now);
            }
            Some(Item::Job(..)) | None => {}
        }
    }

    fn hold_mismatch(&mut self, item: &Item, tries: u32, now: Now) {
        self.holds_mut()
            .hold(item.clone(), Hold::RecheckMismatch, tries, now.wall);
    }

    /// Takes in what the reaper saw in a unit and the index did not: a link, a socket, or what an
    /// event was lost about.
    fn on_newer_content(&mut self, claim: &Claim, latest: Latest, here: Option<&Item>, now: Now) {
        if let Some(Item::Dir(dir)) = here {
            self.set_unit(claim.root, claim.path.as_bytes(), *dir, latest, now);
            self.relist(claim);
        }
    }

    /// Forgets the deadline of a unit in which nothing goes, until something in it changes.
    fn on_kept(&mut self, claim: &Claim, tries: u32, here: Option<&Item>, now: Now) {
        // It would be the first in the order of its limit for ever.
        if let Some(item) = here.filter(|_| claim.limit.is_some()) {
            self.hold_mismatch(item, tries, now);
        }
        if let Some(Item::Dir(dir)) = here
            && let Some(unit) = self.index.unit(*dir)
            && unit.basis == claim.known
        {
            let for_ever = UnitRule {
                rule: unit.rule,
                basis: unit.basis,
                latest: unit.latest,
                expire_ms: None,
            };
            self.change_unit(*dir, Some(for_ever), now);
        }
    }

    fn on_held(
        &mut self,
        claim: &Claim,
        hold: Hold,
        tries: u32,
        here: Option<&Item>,
        gone: &mut Gone,
        now: Now,
    ) {
        let is_job = claim.unit == Unit::Job;
        if hold == Hold::RecheckMismatch {
            self.relist_newer(claim);
        }
        // The end of the pause arms it again: it has no hold of its own.
        if matches!(hold, Hold::Paused { .. }) {
            return;
        }
        let hold = self.without_trash_that_is_gone(claim, hold);
        // Of several roots, only recovery tells which one it is.
        let is_in_one = claim.root != NO_ROOT && claim.places().all(|(of, _)| of == claim.root);
        if hold.is_of_root() && is_in_one {
            self.stall(claim.root, hold.clone(), now);
            if !is_job {
                return;
            }
        }
        // A name that was taken meanwhile belongs to something else, which its own events tell of.
        if hold == Hold::Displaced && !is_job {
            self.forget(claim, here, gone, now);
            let (root, path) = (claim.root, claim.path.clone());
            self.effects.tell(Event::Held { root, path, hold });
            return;
        }
        // What the index learned while the reaper was at work may have ended the hold: then it is
        // tried anew.
        let Some(item) = here.filter(|item| is_job || self.knows(claim, item)) else {
            return;
        };
        let is_of_owners = matches!(hold, Hold::SourceDown { .. }) && !is_job;
        self.hold_item(item, (claim.root, &claim.path), hold, tries, now);
        // The reaper asked about others than those that own it by now.
        let readings = |engine: &Self| {
            let path = claim.path.as_bytes();
            engine.jobs.readings(&engine.policy, claim.root, path)
        };
        if is_of_owners && readings(self) != claim.owners {
            self.retry(item, now);
        }
    }

    /// Makes of the hold of something in the trash that has left it since one that is tried again
    /// by itself: its news was told before the hold.
    fn without_trash_that_is_gone(&self, claim: &Claim, hold: Hold) -> Hold {
        let in_trash = |key: &JobKey| self.trash.until_of(&self.policy, key).is_some();
        match hold {
            Hold::InTrash { until: Some(_) } if !claim.owners.iter().any(in_trash) => {
                Hold::InTrash { until: None }
            }
            hold => hold,
        }
    }

    /// Has the directories listed that hold the newer members of a claim's group: some may be gone.
    fn relist_newer(&mut self, claim: &Claim) {
        let dirs = claim.newer.iter().filter_map(|one| one.path.split());
        let dirs: BTreeSet<RelPath> = dirs.map(|(dir, _)| dir).collect();
        for dir in dirs {
            self.effects.relist(claim.root, dir);
        }
    }

    /// Has everything that a claim was about looked at.
    fn relist(&mut self, claim: &Claim) {
        for (root, path) in claim.places() {
            self.effects.relist(root, path.clone());
        }
    }

    /// Arms what has come to stand at the path of a claim, and waited for its answer.
    fn rearm_path(&mut self, claim: &Claim, now: Now) {
        let dir_id = |path: &RelPath| self.index.dir_id(claim.root, path.as_bytes());
        let dir = dir_id(&claim.path).map(Item::Dir);
        let split = claim.path.split();
        let file = split.and_then(|(dir, name)| Some(Item::file(dir_id(&dir)?, name)));
        // A job that was forgotten and is told of again has another number.
        let item = |key: &JobKey| {
            let no = self.jobs.number(key)?;
            Some(Item::Job(key.source, no, claim.rule))
        };
        let job = claim.job().and_then(item);
        for item in [dir, file, job].into_iter().flatten() {
            if self.holds.is_claimed(&item) {
                self.holds_mut().clear(&item);
            }
            self.rearm(&item, now);
        }
    }
}

/// Sums of the removals since the start.
#[derive(Default)]
pub(super) struct RemovalFigures {
    lateness: Histogram,
    files: u64,
    bytes: u64,
}

impl RemovalFigures {
    /// Counts a removal that was due at `due`.
    pub(super) fn count(&mut self, removal: &Removal, due: Timestamp) {
        self.lateness.record(removal.at.ms_since(due));
        // What is in the trash is neither gone nor free.
        if removal.trashed.is_none() {
            self.add(removal.files, removal.bytes);
        }
    }

    /// Counts what was deleted.
    pub(super) fn add(&mut self, files: u64, bytes: u64) {
        self.files += files;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(super) fn lateness(&self) -> Lateness {
        self.lateness.figures()
    }

    /// Returns the number of files, and their bytes.
    pub(super) fn files(&self) -> (u64, u64) {
        (self.files, self.bytes)
    }
}

#[cfg(test)]
mod tests;
