//! The state that the threads of the reaper share.
//!
//! **Invariant:** claims of a root wait while its quarantine is recovered; nothing of a root that
//! is not there is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::hooks::Hooks;
use super::intents::Intents;
use super::judge::BoundedClock;
use super::links::RemovedLinks;
use super::location::{RootLocation, RootLocations};
use super::pending::Sweep;
use super::quarantine_locks::Quarantines;
use super::queue::Queue;
use crate::core::claim::{Claim, Unit};
use crate::core::facts::{FileKey, RootId};
use crate::core::hold::Hold;
use crate::core::jobs::JobKey;
use crate::core::policy::{Disposal, Policy};
use crate::core::trash::PurgeOrder;
use crate::fs::Dir;
use crate::ledger::{Ledger, Line, LineUnit};

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
    /// Reads the trash of a root again.
    ReadTrash {
        root: RootId,
        place: RootLocation,
        /// Before the next try, should this one fail.
        pause: Duration,
    },
    /// Deletes things of a trash.
    Purge {
        policy: Arc<Policy>,
        order: PurgeOrder,
        since: BoundedClock,
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

/// Devices of the roots that work needs: one, but for jobs with files in several, and for jobs
/// without files.
pub(super) type Devices = BTreeSet<u64>;

/// All lanes and their threads.
pub(super) struct Lanes {
    /// See [`Options::workers`](super::lanes::Options::workers).
    pub(super) workers: usize,
    /// See [`Options::batch_units`](super::lanes::Options::batch_units).
    pub(super) batch_units: usize,
    pub(super) state: Mutex<LanesState>,
}

pub(super) struct LanesState {
    /// The common lane has no devices.
    pub(super) lanes: BTreeMap<Devices, Arc<Lane>>,
    pub(super) threads: Vec<JoinHandle<()>>,
    /// Each thread has a clone, which ends with it; `None`: closed.
    pub(super) ends: Option<mpsc::Sender<()>>,
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

impl Lane {
    /// Tells that all that goes under `id` is gone from the quarantines `dirs`, if it is.
    pub(super) fn tell_if_finished(&self, id: u64, unit: LineUnit, dirs: Vec<Arc<Dir>>) {
        if unit == LineUnit::Job && self.intents.is_done(id) {
            (self.hooks.finished)(id, dirs);
        }
    }

    /// Returns the hold of the record of `job` while something of it can come back from a trash, or
    /// may: forgetting a row forgets it for every source that reads it.
    pub(super) fn hold_by_trash(&self, policy: &Policy, job: &JobKey) -> Option<Hold> {
        // What cannot be read has nothing of ours, unless a rule moves things there.
        let may_have = |root: RootId| {
            let mut rules = policy.rules.iter();
            rules.any(|rule| rule.disposal != Disposal::Delete && rule.applies_to(root))
        };
        let trash = &self.hooks.trash;
        let is_unread =
            |root: &RootId| !trash.is_known(*root) && (!trash.was_tried(*root) || may_have(*root));
        if self.places.lock().keys().any(is_unread) {
            return Some(Hold::InTrash { until: None });
        }
        let until = self.hooks.trash.until_of(policy, job)?;
        Some(Hold::InTrash { until: Some(until) })
    }

    /// Returns true if the root is still at `place`.
    pub(super) fn is_at(&self, root: RootId, place: &RootLocation) -> bool {
        let places = self.places.lock();
        places.get(&root).is_some_and(|of| of.place == *place)
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
