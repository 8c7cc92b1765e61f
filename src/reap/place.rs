//! Places of roots, and the state that the threads of the reaper share.
//!
//! **Invariant:** claims of a root wait while its quarantine is recovered; nothing of a root that
//! is not there is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::intent::QuarantineId;
use super::intents::Intents;
use super::judge::BoundedClock;
use super::lanes::Lanes;
use super::links::RemovedLinks;
use super::pending::Sweep;
use super::quarantines::Quarantines;
use super::queue::Queue;
use super::reaper::Hooks;
use crate::core::claim::{Claim, Outcome, Unit};
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::policy::Policy;
use crate::fs::error::FsError;
use crate::fs::{Dir, RootDir};
use crate::ledger::{Ledger, Line, LineUnit};

/// Place of a root, as the watchers found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootLocation {
    /// Its absolute path.
    pub path: PathBuf,
    /// Key of the directory.
    pub key: FileKey,
}

/// Claims of one kind of unit that need the same roots.
#[derive(Clone, Debug)]
pub(super) struct ClaimBatch {
    pub(super) policy: Arc<Policy>,
    /// One, but for what jobs own: there any number, also none.
    pub(super) roots: BTreeSet<RootId>,
    pub(super) unit: Unit,
    pub(super) claims: Vec<Claim>,
    pub(super) since: BoundedClock,
}

impl ClaimBatch {
    /// Takes in the claims of `new`, which came after these, if they need the same and there are at
    /// most `units_max` together; gives it back otherwise. Files have no such bound: a round has.
    ///
    /// All claims are judged by the clock of the two that lets less time have passed. Each of them
    /// was due by its own clock, and its deadline is a constant: a lower bound can only have it
    /// judged anew, by a later claim, and never makes anything due.
    pub(super) fn take_in(&mut self, new: Self, units_max: usize) -> Option<Self> {
        let is_alike = Arc::ptr_eq(&self.policy, &new.policy)
            && (&self.roots, self.unit) == (&new.roots, new.unit);
        let has_room = self.unit == Unit::File || self.claims.len() + new.claims.len() <= units_max;
        if !is_alike || !has_room {
            return Some(new);
        }
        self.claims.extend(new.claims);
        self.since = self.since.stricter(new.since);
        None
    }
}

/// Work for the thread that moves whole directories.
#[derive(Debug)]
pub(super) enum SlowWork {
    Units(ClaimBatch),
    Recover {
        root: RootId,
        place: RootLocation,
    },
    /// Tries again what an error left in a quarantine.
    Retry {
        root: RootId,
        place: RootLocation,
        /// Before the next try, should this one fail.
        pause: Duration,
    },
}

/// A root that is there.
#[derive(Debug)]
pub(super) struct RootReadiness {
    pub(super) place: RootLocation,
    /// Its quarantine, which is locked for as long as the root is there.
    pub(super) quarantine: Option<Arc<Dir>>,
    /// Claims that wait until the quarantine is in order; `None`: it is.
    pub(super) parked: Option<Vec<ClaimBatch>>,
}

/// State that the looks at claims share. Nothing can be moved or recorded with it.
pub(super) struct LookContext {
    pub(super) hooks: Hooks,
    /// The directory of intents and ledger, if there is one. A unit around it is held.
    pub(super) state: Option<FileKey>,
    pub(super) stopping: AtomicBool,
    pub(super) removed_links: RemovedLinks,
}

impl LookContext {
    pub(super) fn new(hooks: Hooks, state: Option<FileKey>) -> Self {
        Self {
            hooks,
            state,
            stopping: AtomicBool::new(false),
            removed_links: RemovedLinks::default(),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// State that all lanes share.
pub(super) struct ReaperContext {
    pub(super) looks: LookContext,
    pub(super) ledger: Arc<Ledger>,
    pub(super) intents: Intents,
    pub(super) places: Mutex<BTreeMap<RootId, RootReadiness>>,
    pub(super) quarantines: Quarantines,
    pub(super) lanes: Lanes,
    /// See [`ReaperContext::lock_quarantine`].
    pub(super) turns: Mutex<BTreeMap<RootId, Arc<Mutex<()>>>>,
}

impl Deref for ReaperContext {
    type Target = LookContext;

    fn deref(&self) -> &LookContext {
        &self.looks
    }
}

impl ReaperContext {
    /// Returns the lock for moves into the quarantine of `root`, and removals from it. The kernel
    /// serializes these calls anyway: holding the lock for a whole round avoids a switch of threads
    /// at each file. One lock for each root, because the file system of one may hang.
    pub(super) fn lock_quarantine(&self, root: RootId) -> Arc<Mutex<()>> {
        Arc::clone(self.turns.lock().entry(root).or_default())
    }
}

/// A lane: the queues of what lies on the same devices.
pub(super) struct Lane {
    pub(super) common: Arc<ReaperContext>,
    pub(super) files: Queue<ClaimBatch>,
    pub(super) large: Queue<SlowWork>,
    pub(super) sweeps: Queue<Sweep>,
}

impl Deref for Lane {
    type Target = ReaperContext;

    fn deref(&self) -> &ReaperContext {
        &self.common
    }
}

/// Places of roots; `None` for those that are missing.
pub(super) type RootLocations = BTreeMap<RootId, Option<RootLocation>>;

/// A root, opened with its quarantine for one batch.
pub(super) struct OpenRoot {
    pub(super) id: RootId,
    pub(super) place: RootLocation,
    pub(super) root: RootDir,
    /// Locked.
    pub(super) quarantine: Arc<Dir>,
    pub(super) quarantine_id: QuarantineId,
}

impl Lane {
    /// Tells that all that goes under `id` is gone from the quarantines `dirs`, if it is.
    pub(super) fn tell_if_finished(&self, id: u64, unit: LineUnit, dirs: Vec<Arc<Dir>>) {
        if unit == LineUnit::Job && self.intents.is_done(id) {
            (self.hooks.finished)(id, dirs);
        }
    }

    /// Records what was displaced or put back.
    pub(super) fn record_displaced(&self, lines: &[Line]) {
        if let Err(error) = self.ledger.append(lines) {
            tracing::error!(%error, "what was displaced or put back could not be recorded");
        }
    }

    /// Parks `work` while one of its roots is being recovered; gives it back with the places of its
    /// roots otherwise.
    pub(super) fn places_of(&self, work: ClaimBatch) -> Option<(ClaimBatch, RootLocations)> {
        let mut all = self.places.lock();
        let is_recovering = |id: &&RootId| all.get(id).is_some_and(|root| root.parked.is_some());
        if let Some(id) = work.roots.iter().find(is_recovering).copied()
            && let Some(parked) = all.get_mut(&id).and_then(|root| root.parked.as_mut())
        {
            parked.push(work);
            return None;
        }
        let place = |id| all.get(id).map(|root| root.place.clone());
        let places = work.roots.iter().map(|id| (*id, place(id))).collect();
        Some((work, places))
    }

    /// Lets the parked claims of `root` go on; nothing when it was placed elsewhere meanwhile.
    pub(super) fn recovered(&self, root: RootId, done: &RootLocation) {
        let mut places = self.places.lock();
        let known = places.get_mut(&root).filter(|root| root.place == *done);
        let parked = known.and_then(|root| root.parked.take());
        drop(places);
        for work in parked.into_iter().flatten() {
            self.common.queue(work);
        }
    }
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

/// Returns the answer for every claim of a root that cannot be opened, or when descriptors or
/// memory have run out.
pub(super) fn unreached(error: &FsError) -> Outcome {
    Outcome::Held(if error.is_absence() {
        Hold::RootMissing
    } else {
        Hold::RootUnreachable {
            error: format!("{error}\n{}", error.mend()),
        }
    })
}

pub(super) fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}
