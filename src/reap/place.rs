//! Where roots are, and what everything in `reap` shares.
//!
//! **Invariant:** claims of a root wait while its quarantine is recovered; nothing of a root that is not there is touched.

use std::collections::BTreeMap;
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
use crate::ledger::{Ledger, LineUnit};

/// Where a root is, as the watchers found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its absolute path.
    pub path: PathBuf,
    /// Which directory it is.
    pub key: FileKey,
}

/// Claims of one kind of unit that need the same roots.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) policy: Arc<Policy>,
    /// One, but for what jobs own: there any number, also none.
    pub(super) roots: Vec<RootId>,
    pub(super) unit: Unit,
    pub(super) claims: Vec<Claim>,
    pub(super) since: BoundedClock,
}

impl Work {
    /// Takes in the claims of `new`, which came after these, if they need the same and there are at
    /// most `units_max` together; gives it back otherwise. Files have no such bound: a round has.
    ///
    /// All claims are judged by the clock of the two that lets less time have passed. Each of them was
    /// due by its own clock, and its deadline is a constant: a lower bound can only have it judged
    /// anew, by a later claim, and never makes anything due.
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
pub(super) enum Large {
    Units(Work),
    Recover {
        root: RootId,
        place: Place,
    },
    /// What an error left in a quarantine is tried again.
    Retry {
        root: RootId,
        place: Place,
        /// Before the next try, should this one fail.
        pause: Duration,
    },
}

/// A root that is there.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) place: Place,
    /// Its quarantine, which is locked for as long as the root is there.
    pub(super) quarantine: Option<Arc<Dir>>,
    /// Claims that wait until the quarantine is in order; `None`: it is.
    pub(super) parked: Option<Vec<Work>>,
}

/// What a look at what is claimed needs. Nothing can be moved or recorded with it.
pub(super) struct Looks {
    pub(super) hooks: Hooks,
    /// The directory in which intents and ledger lie, where there is one: in whatever unit it is, it stays.
    pub(super) state: Option<FileKey>,
    pub(super) stopping: AtomicBool,
    pub(super) removed_links: RemovedLinks,
}

impl Looks {
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

/// What all lanes share: that includes what a look needs.
pub(super) struct Common {
    looks: Looks,
    pub(super) ledger: Arc<Ledger>,
    pub(super) intents: Intents,
    pub(super) places: Mutex<BTreeMap<RootId, Placed>>,
    pub(super) quarantines: Quarantines,
    pub(super) lanes: Lanes,
    /// See [`Common::turn`].
    turns: Mutex<BTreeMap<RootId, Arc<Mutex<()>>>>,
}

impl Deref for Common {
    type Target = Looks;

    fn deref(&self) -> &Looks {
        &self.looks
    }
}

impl Common {
    pub(super) fn new(looks: Looks, ledger: Arc<Ledger>, intents: Intents, lanes: Lanes) -> Self {
        Self {
            looks,
            ledger,
            intents,
            places: Mutex::default(),
            quarantines: Quarantines::default(),
            lanes,
            turns: Mutex::default(),
        }
    }

    /// Whose turn it is to move into and remove from the quarantine of `root`. The kernel lets one thread at a time do either;
    /// two that take turns by the batch do not put one another to sleep at every file. By root, because the file system of
    /// one may hang.
    pub(super) fn turn(&self, root: RootId) -> Arc<Mutex<()>> {
        Arc::clone(self.turns.lock().entry(root).or_default())
    }
}

/// A lane: the queues of what lies on the same devices.
pub(super) struct Shared {
    pub(super) common: Arc<Common>,
    pub(super) files: Queue<Work>,
    pub(super) large: Queue<Large>,
    pub(super) sweeps: Queue<Sweep>,
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

impl Shared {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self {
            common,
            files: Queue::new(),
            large: Queue::new(),
            sweeps: Queue::new(),
        }
    }
}

/// Where roots are; `None`: not there.
pub(super) type Places = BTreeMap<RootId, Option<Place>>;

/// A root, opened with its quarantine for one batch.
pub(super) struct Opened {
    pub(super) id: RootId,
    pub(super) place: Place,
    pub(super) root: RootDir,
    /// Locked.
    pub(super) quarantine: Arc<Dir>,
    pub(super) quarantine_id: QuarantineId,
}

impl Shared {
    /// Tells that all that goes under `id` is gone from the quarantines `dirs`, if it is.
    pub(super) fn tell_if_finished(&self, id: u64, unit: LineUnit, dirs: Vec<Arc<Dir>>) {
        if unit == LineUnit::Job && self.intents.is_done(id) {
            (self.hooks.finished)(id, dirs);
        }
    }

    /// Parks `work` while one of its roots is being recovered; gives it back with the places of its roots otherwise.
    pub(super) fn places_of(&self, work: Work) -> Option<(Work, Places)> {
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
    pub(super) fn recovered(&self, root: RootId, done: &Place) {
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
pub(super) struct Roots(BTreeMap<RootId, Result<Opened, Outcome>>);

impl Roots {
    pub(super) fn open(shared: &Shared, places: Places) -> Self {
        let open = |(id, place)| (id, open(shared, id, place));
        Self(places.into_iter().map(open).collect())
    }

    pub(super) fn get(&self, id: RootId) -> Result<&Opened, Outcome> {
        match self.0.get(&id) {
            Some(Ok(opened)) => Ok(opened),
            Some(Err(outcome)) => Err(outcome.clone()),
            None => Err(Outcome::Held(Hold::RootMissing)),
        }
    }
}

impl Roots {
    /// The roots that could be opened.
    pub(super) fn opened(&self) -> impl Iterator<Item = &Opened> {
        self.0.values().filter_map(|root| root.as_ref().ok())
    }

    /// The root that everything is in, if there is but one, and it could be opened.
    pub(super) fn only(&self) -> Option<&Opened> {
        match (self.0.len(), self.0.values().next()) {
            (1, Some(Ok(opened))) => Some(opened),
            _ => None,
        }
    }
}

/// Opens the root at `place` and its quarantine, or tells what that means for every claim.
fn open(shared: &Shared, id: RootId, place: Option<Place>) -> Result<Opened, Outcome> {
    let place = place.ok_or(Outcome::Held(Hold::RootMissing))?;
    let root = RootDir::open_as(&place.path, place.key).map_err(|error| unreached(&error))?;
    let quarantine = shared.quarantine(id, &place, &root);
    let (quarantine, quarantine_id) = quarantine.map_err(Outcome::Held)?;
    Ok(Opened {
        id,
        place,
        root,
        quarantine,
        quarantine_id,
    })
}

/// What it means for every claim of a root that it cannot be opened, or that descriptors or memory have run out.
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
