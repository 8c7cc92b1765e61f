//! Reading of the trash of a root at a start.
//!
//! **Invariant:** claims of the root go on meanwhile; only what waits for the trash to be known
//! waits.
//! **Invariant:** a manifest is removed only when nothing of its thing is in the trash or on its
//! way there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::manifest::Manifest;
use super::store::{ReadError, TrashDir, TrashName, manifest_name};
use crate::clock;
use crate::core::facts::RootId;
use crate::core::trash::TrashNews;
use crate::fs::{Dir, FsError, RootDir};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit, Mark};
use crate::reap::back::displace_from;
use crate::reap::context::{Lane, SlowWork};
use crate::reap::location::{RootLocation, os};
use crate::reap::names::{QuarantineName, quarantine_name};
use crate::reap::origin::DISPLACED;
use crate::reap::quarantine_locks::WhenMissing;
use crate::reap::sweep::RETRY_MAX;

/// Reads the trash of the root at `place`, and tells of it. What cannot be read is tried again
/// after `pause`.
pub(in crate::reap) fn read(lane: &Lane, root: RootId, place: &RootLocation, pause: Duration) {
    match read_all(lane, root, place) {
        Ok(()) if lane.is_stopping() => {}
        Ok(()) if lane.is_at(root, place) => {
            lane.hooks.trash.set_known(root);
            (lane.hooks.trash_news)(TrashNews::Read(root));
        }
        // The root is elsewhere by now.
        Ok(()) => lane.hooks.trash.forget(root),
        // It is read when it is found again.
        Err(_) if !lane.is_at(root, place) => {}
        Err(error) => {
            lane.hooks.trash.set_failed(root);
            tracing::warn!(
                root = %place.path.display(),
                error,
                "the trash cannot be read; records of jobs wait, and it is tried again"
            );
            let again = SlowWork::ReadTrash {
                root,
                place: place.clone(),
                pause: (pause * 2).min(RETRY_MAX),
            };
            let until = clock::now().boot + pause;
            lane.large.defer(again, 1, until, usize::MAX);
        }
    }
}

fn read_all(lane: &Lane, id: RootId, place: &RootLocation) -> Result<(), String> {
    let words = |error: FsError| error.to_string();
    let root = match RootDir::open_as(&place.path, place.key) {
        Ok(root) => root,
        Err(error) => return Err(words(error)),
    };
    let quarantine = lane.find_quarantine(id, place, &root, WhenMissing::Leave);
    let Some((quarantine, _)) = quarantine.map_err(|hold| hold.to_string())? else {
        return Ok(());
    };
    let Some(dir) = TrashDir::find(&quarantine).map_err(words)? else {
        return Ok(());
    };
    let reading = Reading {
        lane,
        id,
        place,
        quarantine: &quarantine,
        dir: &dir,
    };
    reading.read_all().map_err(words)
}

struct Reading<'a> {
    lane: &'a Lane,
    id: RootId,
    place: &'a RootLocation,
    quarantine: &'a Arc<Dir>,
    dir: &'a TrashDir,
}

impl Reading<'_> {
    fn read_all(&self) -> Result<(), FsError> {
        let (mut parts, mut manifests, mut fresh) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        self.dir.list(|name, _| match TrashName::of(name) {
            TrashName::Part(id, part) => drop(parts.insert((id, part))),
            TrashName::Manifest(id) => drop(manifests.insert(id)),
            TrashName::Fresh => fresh.push(name.to_vec()),
            TrashName::Note(_) | TrashName::Other => {}
        })?;
        let mut owned = BTreeSet::new();
        for &id in &manifests {
            if self.lane.is_stopping() {
                return Ok(());
            }
            // A thread is at work on it, and puts it into the table.
            if self.lane.hooks.trash.get(self.id, id).is_some() {
                owned.insert(id);
                continue;
            }
            match self.dir.read(id) {
                Ok(Some(manifest)) => {
                    owned.insert(id);
                    self.take_in(&manifest)?;
                }
                Ok(None) => {}
                Err(ReadError::Fs(error)) => return Err(error),
                Err(ReadError::Damaged(why)) => {
                    tracing::error!(id, why, "the manifest of a thing in the trash is damaged");
                }
            }
        }
        for (id, part) in parts.into_iter().filter(|(id, _)| !owned.contains(id)) {
            let is_new = !manifests.contains(&id) && self.dir.has_manifest(id)?;
            if !is_new {
                self.displace(&quarantine_name(id, part))?;
            }
        }
        for id in manifests.difference(&owned) {
            self.set_aside(&manifest_name(*id))?;
        }
        for name in fresh {
            self.dir.discard(&name)?;
        }
        Ok(())
    }

    /// Takes what is there of a thing into the table; removes the manifest when nothing is.
    fn take_in(&self, manifest: &Manifest) -> Result<(), FsError> {
        let (mut row, mut is_there) = (manifest.row(), false);
        for part in &manifest.parts {
            let name = quarantine_name(manifest.id(), part.number);
            // On its way to the trash it is in the quarantine before, and in the trash after.
            if self.quarantine.look(&name)?.is_some() || self.dir.look(&name)?.is_some() {
                is_there = true;
            } else {
                row.files = row.files.saturating_sub(part.files);
                row.bytes = row.bytes.saturating_sub(part.bytes);
            }
        }
        if is_there {
            self.lane.hooks.trash.insert(self.id, row);
        } else {
            tracing::info!(id = row.id, "a thing has left the trash by hand");
            self.dir.discard(&manifest_name(row.id))?;
        }
        Ok(())
    }

    /// Displaces a thing without a manifest, and records it.
    fn displace(&self, name: &QuarantineName) -> Result<(), FsError> {
        let Some(facts) = self.dir.look(name)? else {
            return Ok(());
        };
        self.set_aside(name)?;
        let now = clock::now().wall;
        let path = self.quarantine.path().join(os(&aside(name)));
        let (path, path_b64) = pack(path.as_os_str().as_encoded_bytes());
        let is_file = facts.kind == crate::core::facts::Kind::File;
        self.lane.record_displaced(&[Line {
            id: self.lane.ledger.next_id(),
            at: now,
            root: self.place.path.display().to_string(),
            path,
            path_b64,
            unit: if is_file {
                LineUnit::File
            } else {
                LineUnit::Dir
            },
            basis: now,
            deadline: now,
            files: u64::from(is_file),
            result: Mark::Displaced,
            ..Line::default()
        }]);
        Ok(())
    }

    fn set_aside(&self, name: &[u8]) -> Result<(), FsError> {
        let why = "a thing in the trash has no manifest that can be read";
        let path = self.dir.path().join(os(name));
        match displace_from(self.dir, (self.quarantine, name), &path, why) {
            Err(error) if error.errno != Errno::NOENT => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn aside(name: &[u8]) -> Vec<u8> {
    [DISPLACED.as_bytes(), b"trash-", name].concat()
}
