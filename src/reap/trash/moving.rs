//! The end of the pipeline for what goes to the trash: its manifests, before the line in the
//! ledger, and its move, after it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::manifest::{Above, Bytes, Manifest, ManifestPart, PARTS_MAX};
use super::store::{TrashDir, manifest_name};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::path::RelPath;
use crate::core::policy::Disposal;
use crate::core::trash::JobName;
use crate::fs::FsError;
use crate::ledger::line::pack;
use crate::ledger::{Line, LineTrash, Mark};
use crate::reap::candidate::{Candidate, Candidates};
use crate::reap::names::quarantine_name;
use crate::reap::parts::number;
use crate::reap::pipeline::{Pipeline, Round};
use crate::reap::recover;

/// The trashes of the roots of a round, opened once each.
type Trashes = BTreeMap<RootId, TrashDir>;

impl Pipeline<'_> {
    /// Fate of what a candidate takes out of its place. Of a record alone, or an empty directory,
    /// nothing is worth keeping: manifests tell of directories.
    pub(in crate::reap) fn disposal(&self, one: &Candidate) -> Disposal {
        if one.emptied_by.is_some() || one.seen.count() == 0 {
            Disposal::Delete
        } else {
            self.policy.rule(one.claim.rule).disposal
        }
    }

    pub(in crate::reap) fn is_trashed(&self, one: &Candidate) -> bool {
        matches!(self.disposal(one), Disposal::Trash { .. })
    }

    /// Answers candidates that the trash has no room for, and notes for the others how the
    /// directories above them are: the moves change these.
    pub(in crate::reap) fn admit_to_trash(
        &self,
        candidates: Candidates,
        round: &mut Round,
    ) -> Candidates {
        let (mut trashed, mut admitted) = (0, Vec::with_capacity(candidates.len()));
        for one in candidates {
            if !self.is_trashed(&one) {
                admitted.push(one);
                continue;
            }
            trashed += self.roots.opened().count();
            let parts = one.seen.count();
            if self.lane.hooks.trash.has_room_for(trashed) && parts as usize <= PARTS_MAX {
                self.note_above(&one, round);
                admitted.push(one);
            } else if parts as usize > PARTS_MAX {
                let error = format!(
                    "it is {parts} separate things, too many for the trash\nremove some by hand, or set then = \"delete\""
                );
                round.answer(one, Hold::Unreadable { error }.into());
            } else {
                round.answer(one, Hold::TrashFull.into());
            }
        }
        admitted
    }

    fn note_above(&self, one: &Candidate, round: &mut Round) {
        for (target, part) in one.seen.parts() {
            let Ok(opened) = self.roots.get(target.root) else {
                continue;
            };
            let mut next = target.path_of(part).split().map(|(above, _)| above);
            while let Some(path) = next.take().filter(|path| !path.is_root()) {
                next = path.split().map(|(above, _)| above);
                let Entry::Vacant(free) = round.above.entry((target.root, path)) else {
                    break;
                };
                let dir = opened.root.dir(&free.key().1);
                // One that cannot be looked at is made with the defaults, should it be missing.
                free.insert(dir.and_then(|dir| dir.attributes()).ok());
            }
        }
    }

    /// Writes the manifests of what is to be moved to the trash, and has them on the disk. What
    /// cannot have one goes back.
    pub(in crate::reap) fn prepare_trash(
        &self,
        mut trashed: Candidates,
        round: &mut Round,
    ) -> Candidates {
        if trashed.is_empty() {
            return trashed;
        }
        let mut dirs = Trashes::new();
        let written = trashed
            .iter_mut()
            .try_for_each(|one| self.write_manifests(one, &mut dirs, round))
            .and_then(|()| dirs.values().try_for_each(|dir| dir.sync_file_system()));
        if let Err(error) = written {
            let error = format!("{error}; its manifest in the trash is needed to bring it back");
            self.refuse(trashed, &error, round);
            return Vec::new();
        }
        trashed
    }

    fn write_manifests(
        &self,
        one: &mut Candidate,
        trashes: &mut Trashes,
        round: &Round,
    ) -> Result<(), FsError> {
        let Disposal::Trash { undo_ms } = self.disposal(one) else {
            return Ok(());
        };
        let trash = LineTrash {
            id: one.line.id,
            until: one.line.at.plus_ms(undo_ms),
            share: false,
        };
        one.line.result = Mark::Trashed;
        one.line.trash = Some(trash);
        let mut manifests: BTreeMap<RootId, Manifest> = BTreeMap::new();
        for (place, (target, part)) in one.seen.parts().enumerate() {
            let path = target.path_of(part);
            let part = ManifestPart::new(
                number(place),
                &path,
                target.facts_of(part),
                target.count(part),
                target.links(part),
            );
            let manifest = manifests
                .entry(target.root)
                .or_insert_with(|| self.manifest_of(one, target.root, &path, place > 0));
            manifest.add(part);
            add_above(manifest, target.root, &path, round);
        }
        for (root, mut manifest) in manifests {
            manifest.above.sort_by_key(|above| above.path.get());
            manifest.above.dedup_by(|one, other| one.path == other.path);
            (manifest.line.files, manifest.line.bytes) = (manifest.files, manifest.bytes);
            let Ok(opened) = self.roots.get(root) else {
                continue;
            };
            let dir = match trashes.entry(root) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(free) => free.insert(TrashDir::make(&opened.quarantine)?),
            };
            dir.write(&manifest)?;
            // From now on the records of its jobs wait.
            self.lane.hooks.trash.insert(root, manifest.row());
        }
        Ok(())
    }

    fn manifest_of(&self, one: &Candidate, root: RootId, path: &RelPath, share: bool) -> Manifest {
        let known = &self.policy.roots[&root];
        let full = path.below(&known.path);
        let (path, path_b64) = pack(full.as_os_str().as_encoded_bytes());
        let trash = one.line.trash.map(|trash| LineTrash { share, ..trash });
        let line = Line {
            root: known.name.clone(),
            path,
            path_b64,
            trash,
            ..one.line.without_pieces()
        };
        let keys = one.claim.owners.iter().chain(&one.seen.keys);
        let names = keys.filter_map(|key| {
            Some(JobName {
                source: self.policy.sources.get(&key.source)?.name.clone(),
                id: key.id.clone(),
            })
        });
        let mut jobs: Vec<JobName> = names.collect();
        jobs.sort_unstable();
        jobs.dedup();
        Manifest::new(&line, &known.path, jobs, self.skip_open(&one.claim))
    }

    /// Removes the manifests of what goes back.
    pub(in crate::reap) fn discard_manifests(&self, one: &Candidate) {
        for opened in self.roots.opened() {
            self.lane.hooks.trash.remove(opened.id, one.line.id);
            let trash = TrashDir::find(&opened.quarantine).ok().flatten();
            let name = manifest_name(one.line.id);
            if let Some(Err(error)) = trash.map(|trash| trash.discard(&name)) {
                // The next start finds nothing of its name.
                tracing::debug!(%error, "a manifest is left");
            }
        }
    }

    /// Moves what is recorded to the trash. What cannot be moved is left to recovery.
    pub(in crate::reap) fn move_to_trash(&self, one: &Candidate, round: &mut Round) {
        for (place, (target, _)) in one.seen.parts().enumerate() {
            let Ok(opened) = self.roots.get(target.root) else {
                continue;
            };
            let name = quarantine_name(one.line.id, number(place));
            let moved = round
                .trash_of(target.root, &opened.quarantine)
                .and_then(|trash| opened.quarantine.move_to(&name, trash, &name));
            if let Err(error) = moved {
                tracing::warn!(%error, "it cannot be moved to the trash yet; it is tried again");
                round.left.push(one.line.id);
                recover::retry_soon(self.lane, target.root, &opened.place);
            }
        }
    }
}

fn add_above(manifest: &mut Manifest, root: RootId, path: &RelPath, round: &Round) {
    let mut next = path.split().map(|(above, _)| above);
    while let Some(path) = next.take().filter(|path| !path.is_root()) {
        next = path.split().map(|(above, _)| above);
        let known = manifest.above.last();
        let bytes = Bytes::of(path.as_bytes());
        if known.is_some_and(|known| known.path == bytes) {
            break;
        }
        if let Some(Some(was)) = round.above.get(&(root, path)) {
            manifest.above.push(Above {
                path: bytes,
                was: *was,
            });
        }
    }
}
