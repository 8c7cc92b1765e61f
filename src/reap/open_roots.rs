//! The roots of one batch of claims, opened with their quarantines.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::Lane;
use super::intent::QuarantineId;
use super::location::{RootLocation, RootLocations, unreached};
use crate::core::claim::Outcome;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::fs::{Dir, RootDir};

/// A root, opened with its quarantine for one batch.
pub(super) struct OpenRoot {
    pub(super) id: RootId,
    pub(super) place: RootLocation,
    pub(super) root: RootDir,
    /// Locked.
    pub(super) quarantine: Arc<Dir>,
    pub(super) quarantine_id: QuarantineId,
}

/// The roots of one batch, or what it means for every claim that one of them cannot be opened.
pub(super) struct Roots(BTreeMap<RootId, Result<OpenRoot, Outcome>>);

impl Roots {
    pub(super) fn open(lane: &Lane, places: RootLocations) -> Self {
        let open = |(id, place)| (id, open(lane, id, place));
        Self(places.into_iter().map(open).collect())
    }

    pub(super) fn get(&self, id: RootId) -> Result<&OpenRoot, Outcome> {
        match self.0.get(&id) {
            Some(Ok(opened)) => Ok(opened),
            Some(Err(outcome)) => Err(outcome.clone()),
            None => Err(Outcome::Held(Hold::RootMissing)),
        }
    }

    /// The roots that could be opened.
    pub(super) fn opened(&self) -> impl Iterator<Item = &OpenRoot> {
        self.0.values().filter_map(|root| root.as_ref().ok())
    }

    /// The root that everything is in, if there is but one, and it could be opened.
    pub(super) fn only(&self) -> Option<&OpenRoot> {
        match (self.0.len(), self.0.values().next()) {
            (1, Some(Ok(opened))) => Some(opened),
            _ => None,
        }
    }
}

/// Opens the root at `place` and its quarantine, or tells what that means for every claim.
fn open(lane: &Lane, id: RootId, place: Option<RootLocation>) -> Result<OpenRoot, Outcome> {
    let place = place.ok_or(Outcome::Held(Hold::RootMissing))?;
    let root = RootDir::open_as(&place.path, place.key).map_err(|error| unreached(&error))?;
    let quarantine = lane.quarantine(id, &place, &root);
    let (quarantine, quarantine_id) = quarantine.map_err(Outcome::Held)?;
    Ok(OpenRoot {
        id,
        place,
        root,
        quarantine,
        quarantine_id,
    })
}
