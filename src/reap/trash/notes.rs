//! Notes on what was restored, taken in at a start: their pins and lines.
//!
//! **Invariant:** what a restoration without a daemon, or a crash in one, has brought back is
//! pinned before anything of its root is claimed.

use std::collections::BTreeSet;

use super::restore::Note;
use super::store::{TrashDir, TrashName, manifest_name, note_name};
use crate::clock;
use crate::core::pins::PinTarget;
use crate::fs::Dir;
use crate::reap::context::Lane;
use crate::reap::hooks::PinOrder;
use crate::reap::location::RootLocation;
use crate::reap::names::quarantine_name;

/// The paths and jobs that are to be pinned.
pub(in crate::reap) fn targets(notes: &[&Note], root: &std::path::Path) -> Vec<PinTarget> {
    let mut targets = BTreeSet::new();
    for note in notes.iter().filter(|note| !note.places.is_empty()) {
        let paths = note.places.iter().filter_map(|(_, path)| path.rel());
        targets.extend(paths.map(|path| PinTarget::Path(path.below(root))));
        targets.extend(note.manifest.jobs.iter().map(|job| PinTarget::Job {
            source: job.source.clone(),
            id: job.id.clone(),
        }));
    }
    targets.into_iter().collect()
}

/// Makes pins and lines of the notes that a restoration without a daemon, or a crash in one, has
/// left in the trash of the root at `place`. Claims of the root go on after that.
///
/// # Errors
/// If one cannot be read, or its pins not be set.
pub(in crate::reap) fn take_in_notes(
    lane: &Lane,
    place: &RootLocation,
    quarantine: &Dir,
) -> Result<(), String> {
    let words = |error: crate::fs::FsError| error.to_string();
    let Some(dir) = TrashDir::find(quarantine).map_err(words)? else {
        return Ok(());
    };
    let mut ids = BTreeSet::new();
    let listed = dir.list(|name, _| {
        if let TrashName::Note(id) = TrashName::of(name) {
            ids.insert(id);
        }
    });
    listed.map_err(words)?;
    for id in ids {
        if let Some(note) = Note::read(&dir, id).map_err(words)? {
            take_in_note(lane, place, (quarantine, &dir), &note)?;
        }
        dir.discard(&note_name(id)).map_err(words)?;
    }
    Ok(())
}

fn take_in_note(
    lane: &Lane,
    place: &RootLocation,
    (quarantine, dir): (&Dir, &TrashDir),
    note: &Note,
) -> Result<(), String> {
    let id = note.manifest.id();
    let is_left = |number: u32| {
        let name = quarantine_name(id, number);
        Ok::<_, crate::fs::FsError>(dir.look(&name)?.is_some() || quarantine.look(&name)?.is_some())
    };
    let mut left = BTreeSet::new();
    for part in &note.manifest.parts {
        if is_left(part.number).map_err(|error| error.to_string())? {
            left.insert(part.number);
        }
    }
    let is_back = |number: u32| !left.contains(&number);
    let Some(recorded) = note.line(&place.path, lane.ledger.next_id(), is_back) else {
        return Ok(());
    };
    if !note.is_pinned && note.until() > clock::now().wall {
        (lane.hooks.pin)(&PinOrder {
            targets: targets(&[note], &place.path),
            until: note.until(),
            by: note.by.clone(),
        })?;
    }
    lane.ledger
        .append([&recorded])
        .map_err(|error| error.to_string())?;
    if left.is_empty() {
        dir.discard(&manifest_name(id))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
