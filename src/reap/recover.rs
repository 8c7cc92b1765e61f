//! Recovery: what a crash left in a quarantine is finished, put back, or set aside.
//!
//! **Invariant:** only what has a readable intent *and* a ledger line is removed. Every step can be
//! cut off and done again.
//! **Invariant:** an error of the file system settles nothing: it is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::context::{Lane, SlowWork};
use super::intent::QuarantineId;
use super::leftovers::{Leftovers, Settled, TakenUp};
use super::location::RootLocation;
use super::quarantine_locks::WhenMissing;
use super::sweep::{RETRY_MAX, RETRY_MIN};
use super::trash::notes::take_in_notes;
use super::trash::reading;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::fs::{Dir, RootDir};

/// Puts the quarantine of the root at `place` in order, then lets its claims go on.
pub(super) fn recover(lane: &Lane, root_id: RootId, place: &RootLocation) {
    let hold = match RootDir::open_as(&place.path, place.key) {
        Ok(root) => match lane.find_quarantine(root_id, place, &root, WhenMissing::Leave) {
            Ok(Some(_)) => None,
            Ok(None) => claim_root(lane, root_id, place, &root),
            Err(hold) => Some(hold),
        },
        // The watchers tell when it is back.
        Err(_) => None,
    };
    // Without the quarantine there is nothing to read; this is done again when it is tried again.
    let has_none = hold.as_ref().is_some_and(Hold::is_of_quarantine);
    if has_none {
        lane.hooks.trash.set_failed(root_id);
    }
    lane.recovered(root_id, place);
    (lane.hooks.recovered)(root_id, hold);
    if !has_none {
        reading::read(lane, root_id, place, RETRY_MIN);
    }
}

/// Makes and locks the quarantine of a root that has none, so that the first process on a root owns
/// it, not the first that has something to remove. Returns the hold of a root that another process
/// owns. A quarantine that cannot be made is told by the first removal that needs it.
///
/// Once for each root: an application that deletes a root and makes it again would meet a
/// quarantine that comes while it deletes, and fail. There the first removal makes it.
fn claim_root(lane: &Lane, id: RootId, place: &RootLocation, root: &RootDir) -> Option<Hold> {
    // Of intents that do not name their quarantine: the things were never moved, or are gone.
    match lane.intents.take_up(place, None) {
        Ok(unmoved) => end_all(lane, &unmoved, unmoved.keys().copied(), None),
        Err(error) => return Some(unsettled(&error)),
    }
    if warn_elsewhere(lane, place, None) > 0 || !lane.quarantines.claim(&place.path) {
        return None;
    }
    match lane.quarantine(id, place, root) {
        Err(hold @ Hold::RootInUse { .. }) => Some(hold),
        Ok(_) | Err(_) => None,
    }
}

/// Warns of removals that cannot be finished, because the quarantine that they lie in is not at its
/// place. Returns their number.
fn warn_elsewhere(lane: &Lane, place: &RootLocation, id: Option<QuarantineId>) -> usize {
    let count = lane.intents.count_elsewhere(place, id);
    if count > 0 {
        tracing::warn!(
            root = %place.path.display(),
            count,
            "removals cannot be finished: the directory .lapsed that they lie in was renamed or is away, and another is at its place or \
             none; they are finished once it is back in its place, before anything is removed there"
        );
    }
    count
}

/// Tries once more to settle what an error left in the quarantine of the root at `place`, if it is
/// there still.
pub(super) fn retry(lane: &Lane, root_id: RootId, place: &RootLocation, pause: Duration) {
    let placed = lane.places.lock();
    let here = placed.get(&root_id).filter(|root| root.place == *place);
    let quarantine = here.and_then(|root| root.quarantine.clone());
    drop(placed);
    if let Some(quarantine) = quarantine
        && let Ok(root) = RootDir::open_as(&place.path, place.key)
        && let Err(hold) = settle(lane, root_id, place, (&root, &quarantine), pause)
    {
        tracing::warn!(root = %place.path.display(), "{hold}");
        retry_later(lane, root_id, place, pause);
    }
}

/// Has the quarantine of the root at `place` put in order again in a moment.
pub(super) fn retry_soon(lane: &Lane, root: RootId, place: &RootLocation) {
    retry_later(lane, root, place, RETRY_MIN);
}

fn retry_later(lane: &Lane, root: RootId, place: &RootLocation, pause: Duration) {
    let place = place.clone();
    let again = SlowWork::Retry {
        root,
        place,
        pause: (pause * 2).min(RETRY_MAX),
    };
    let until = clock::now().boot + pause;
    lane.large.defer(again, 1, until, usize::MAX);
}

/// Finishes, puts back or sets aside what lies in the quarantine of the root at `place`, which this
/// process has locked. What an error leaves there is tried again after `pause`.
///
/// # Errors
/// If the quarantine, the intents or the ledger cannot be read: nothing is touched then.
pub(super) fn settle(
    lane: &Lane,
    root_id: RootId,
    place: &RootLocation,
    (root, quarantine): (&RootDir, &Arc<Dir>),
    pause: Duration,
) -> Result<(), Hold> {
    let facts = quarantine.facts().map_err(|error| unsettled(&error))?;
    let id = QuarantineId::of(&facts);
    let intents = lane.intents.take_up(place, Some(id));
    let intents = intents.map_err(|error| unsettled(&error))?;
    warn_elsewhere(lane, place, Some(id));
    let leftovers = Leftovers {
        lane,
        root_id,
        place,
        root,
        quarantine,
        intents: &intents,
        recorded: BTreeSet::new(),
        collected: None,
    };
    let leave = |numbers: &mut dyn Iterator<Item = &(u64, u32)>| {
        let parts = numbers.map(|&(id, part)| (id, Some(part)));
        lane.intents.leave(parts);
    };
    match leftovers.settle() {
        Ok(remaining) => {
            let done = intents
                .keys()
                .filter(|number| !remaining.contains_key(number));
            end_all(lane, &intents, done.copied(), Some(quarantine));
            // The sweeper still needs those that it was given.
            let left = || {
                remaining
                    .iter()
                    .filter(|(_, settled)| matches!(settled, Settled::Left))
            };
            leave(&mut left().map(|(number, _)| number));
            if left().next().is_some() {
                retry_later(lane, root_id, place, pause);
            }
            // Before anything of the root is claimed.
            take_in_notes(lane, place, quarantine).map_err(|error| unsettled(&error))
        }
        Err(error) => {
            leave(&mut intents.keys());
            Err(unsettled(&error))
        }
    }
}

fn unsettled(error: &dyn std::fmt::Display) -> Hold {
    Hold::NoQuarantine {
        error: format!("cannot put the quarantine in order: {error}; it is tried again by itself"),
    }
}

/// Forgets these intents, and tells of the removals that are through with them.
fn end_all(
    lane: &Lane,
    intents: &TakenUp,
    ended: impl Iterator<Item = (u64, u32)>,
    quarantine: Option<&Arc<Dir>>,
) {
    let mut parts: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (id, part) in ended {
        parts.entry(id).or_default().push(part);
    }
    for (id, parts) in parts {
        lane.intents.end(parts.iter().map(|part| (id, Some(*part))));
        let unit = intents[&(id, parts[0])].intent().line.unit;
        lane.tell_if_finished(id, unit, quarantine.cloned().into_iter().collect());
    }
}
