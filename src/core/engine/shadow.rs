//! Shadow: an engine in a dry run reports what it would remove, and what others remove.
//!
//! **Invariant:** what would be removed is reported after the looks that come before a removal.
//! **Invariant:** a root that is lost, or not configured any more, is no removal by others.

use std::collections::BTreeSet;

use super::Engine;
use super::item::Item;
use super::lapse::Trigger;
use crate::core::claim::{Claim, Removal, Unit};
use crate::core::effect::Effect;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::index::{DirId, Record};
use crate::core::jobs::JobKey;
use crate::core::path::RelPath;
use crate::core::policy::{Class, Record as JobRecord};
use crate::core::report::Mode;
use crate::core::shadow::{ContentKey, ShadowEvent, ShadowSubject, ShadowThing};
use crate::core::time::{Now, Timestamp};

/// Begin of the one life of directories and records: they are known by their names.
const ONE_LIFE: Timestamp = Timestamp::MIN;

impl Engine {
    /// Returns true if nothing is removed, and what would be is reported.
    pub(super) fn is_shadow(&self) -> bool {
        self.mode == Mode::DryRun
    }

    /// Returns true if the directory or file at `path` would have been removed before now.
    pub(super) fn would_be_gone(&self, root: RootId, path: &RelPath) -> bool {
        let item = match self.index.dir_id(root, path.as_bytes()) {
            Some(dir) => Some(Item::Dir(dir)),
            None => path.split().and_then(|(dir, name)| {
                let dir = self.index.dir_id(root, dir.as_bytes())?;
                Some(Item::file(dir, name))
            }),
        };
        let hold = item.and_then(|item| Some(self.holds.hold_of(&self.index, &item)?.0.clone()));
        hold == Some(Hold::DryRun)
    }

    /// Reports what `claim` would have removed, and holds it.
    pub(super) fn on_would_remove(&mut self, claim: &Claim, removal: &Removal) {
        let class = match claim.unit {
            Unit::File => Class::File(claim.rule),
            Unit::Dir => Class::Dir(claim.rule),
            Unit::Job => Class::Job(claim.rule),
        };
        let thing = |subject, basis, record: Option<&Record>| ShadowThing {
            subject,
            basis,
            bytes: record.map_or(0, |record| record.size),
            content: record.map(content_of),
            job: claim
                .owners
                .first()
                .filter(|_| claim.owners.len() == 1)
                .cloned(),
            class,
            deadline: Some(removal.deadline),
            hold: None,
        };
        let mut things = Vec::new();
        for (root, path) in claim.places() {
            if let Some((_, record)) = self.index.find(root, path.as_bytes()) {
                // Written again since the claim: that is another life.
                if claim.unit == Unit::File && record.basis != claim.known {
                    continue;
                }
                let subject = ShadowSubject::File(root, path.clone());
                things.push(thing(subject, record.basis, Some(&record)));
            } else if let Some(dir) = self.index.dir_id(root, path.as_bytes()) {
                for (path, record) in self.files_below(dir) {
                    if record.class == class {
                        let subject = ShadowSubject::File(root, path);
                        things.push(thing(subject, record.basis, Some(&record)));
                    }
                }
                if !removal.partial {
                    let subject = ShadowSubject::Dir(root, path.clone());
                    things.push(thing(subject, ONE_LIFE, None));
                }
            }
        }
        let record = self.policy.rule(claim.rule).record;
        if let Some(key) = claim
            .job()
            .filter(|_| record != JobRecord::Keep && !removal.partial)
        {
            let subject = ShadowSubject::Record(key.clone());
            things.push(thing(subject, ONE_LIFE, None));
        }
        self.report(ShadowEvent::WouldRemove(removal.at, things));
    }

    /// Reports that these files of `dir` are gone, before the index forgets them.
    pub(super) fn report_gone_files<'n>(
        &mut self,
        dir: DirId,
        names: impl Iterator<Item = &'n [u8]>,
        now: Now,
    ) {
        let Some((root, at)) = self.index.dir_path(dir).filter(|_| self.is_shadow()) else {
            return;
        };
        let gone = names.filter_map(|name| Some((at.join(name), self.previous(dir, name)?)));
        let gone: Vec<ShadowThing> = gone
            .map(|(path, record)| self.gone_file(root, path, &record, now))
            .collect();
        self.report(ShadowEvent::Gone(now.wall, gone));
    }

    /// Reports that files of `dir` are gone of which a listing has only `names`.
    pub(super) fn report_unlisted(&mut self, dir: DirId, names: &BTreeSet<&[u8]>, now: Now) {
        if !self.is_shadow() {
            return;
        }
        let pages = self.index.snapshot_of(dir);
        let known = pages.iter().flat_map(|(_, page)| page.entries());
        let gone = known.map(|(name, _)| name);
        self.report_gone_files(dir, gone.filter(|name| !names.contains(name)), now);
    }

    /// Reports that a directory is gone with all beneath it, before the index forgets it.
    pub(super) fn report_gone_dir(&mut self, dir: DirId, now: Now) {
        let Some((root, _)) = self.index.dir_path(dir).filter(|_| self.is_shadow()) else {
            return;
        };
        let files = self.files_below(dir).into_iter();
        let mut gone: Vec<ShadowThing> = files
            .map(|(path, record)| self.gone_file(root, path, &record, now))
            .collect();
        let dirs = self.index.subtree(dir).into_iter();
        gone.extend(dirs.filter_map(|dir| {
            let (root, path) = self.index.dir_path(dir)?;
            Some(ShadowThing {
                content: self.dir_content(dir),
                ..gone_name(ShadowSubject::Dir(root, path))
            })
        }));
        self.report(ShadowEvent::Gone(now.wall, gone));
    }

    /// Reports that a directory gets another name, before it has that.
    pub(super) fn report_moved_dir(&mut self, dir: DirId, now: Now) {
        if self.is_shadow() {
            let files = self.files_below(dir).into_iter();
            let dirs = self.index.subtree(dir).into_iter();
            let dirs = dirs.filter_map(|dir| self.dir_content(dir));
            let contents = files.map(|(_, record)| content_of(&record)).chain(dirs);
            let contents = contents.collect();
            self.report_gone_dir(dir, now);
            self.report_appeared(contents);
        }
    }

    /// Reports that everything in `root` is known.
    pub(super) fn report_complete(&mut self, root: RootId, now: Now) {
        if self.is_shadow() {
            let event = ShadowEvent::Complete(now.wall, root);
            self.effects.push(Effect::Shadow(event));
        }
    }

    /// Reports that the record of a job is gone from its source, or says that the job was cleaned.
    pub(super) fn report_gone_record(&mut self, key: &JobKey, now: Now) {
        if self.is_shadow() {
            let gone = vec![gone_name(ShadowSubject::Record(key.clone()))];
            self.report(ShadowEvent::Gone(now.wall, gone));
        }
    }

    /// Reports files under names that the index did not have.
    pub(super) fn report_appeared(&mut self, files: Vec<ContentKey>) {
        if !files.is_empty() {
            self.effects
                .push(Effect::Shadow(ShadowEvent::Appeared(files)));
        }
    }

    fn report(&mut self, event: ShadowEvent) {
        let (ShadowEvent::WouldRemove(_, things) | ShadowEvent::Gone(_, things)) = &event else {
            return;
        };
        if !things.is_empty() {
            self.effects.push(Effect::Shadow(event));
        }
    }

    fn gone_file(&self, root: RootId, path: RelPath, record: &Record, now: Now) -> ShadowThing {
        let explained = self.explain(root, &path, now);
        let is_own = |hold: &Hold| *hold != Hold::DryRun;
        let owner = self.owner(root, path.as_bytes());
        let job = owner.with_say().next().map(|job| job.key.clone());
        ShadowThing {
            subject: ShadowSubject::File(root, path),
            bytes: record.size,
            basis: record.basis,
            content: Some(content_of(record)),
            job,
            class: record.class,
            deadline: explained.deadline,
            hold: explained.holds.into_iter().find(is_own),
        }
    }

    /// A directory is the same one under any name.
    fn dir_content(&self, dir: DirId) -> Option<ContentKey> {
        let key = self.index.dir(dir)?.facts.key;
        Some((key.ino, ONE_LIFE, u64::MAX))
    }

    fn files_below(&self, dir: DirId) -> Vec<(RelPath, Record)> {
        let mut files = Vec::new();
        for dir in self.index.subtree(dir) {
            let Some((_, at)) = self.index.dir_path(dir) else {
                continue;
            };
            for (_, page) in self.index.snapshot_of(dir) {
                files.extend(page.entries().map(|(name, record)| (at.join(name), record)));
            }
        }
        files
    }

    /// Returns true if another claim of `item` keeps `trigger` from claiming it. Of mere looks at
    /// one thing several may be under way.
    pub(super) fn is_claimed_for(&self, item: &Item, trigger: Trigger<'_>) -> bool {
        let may_share = self.is_shadow() && trigger.is_asked();
        !may_share && self.holds.is_claimed(item)
    }
}

pub(super) fn content_of(record: &Record) -> ContentKey {
    (record.ino, record.mtime, record.size)
}

/// A thing that is only known by its name.
fn gone_name(subject: ShadowSubject) -> ShadowThing {
    ShadowThing {
        subject,
        bytes: 0,
        basis: ONE_LIFE,
        content: None,
        job: None,
        class: Class::Unruled,
        deadline: None,
        hold: None,
    }
}
