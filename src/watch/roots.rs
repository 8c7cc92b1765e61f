//! The roots: which directory each of them is, and the passes over them.
//!
//! **Invariant:** at most one pass is under way over a root; what asks for another one meanwhile
//! gets it afterwards.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::backend::WatchId;
use super::epochs::Epoch;
use super::listing::RootPlace;
use super::node_id::NodeId;
use super::options::WatchRoot;
use super::scan_queue::PassId;
use crate::core::facts::{FileKey, RootId};
use crate::core::observed::{Absence, Discovery, PassCost, PassKind};
use crate::core::path::RelPath;

/// Number of directories that a root is remembered to have been. One that comes back after so many
/// others counts as new: what is in it is as old as its timestamps say.
const KNOWN_MAX: usize = 64;

/// One root.
pub(super) struct Root {
    pub(super) spec: WatchRoot,
    /// Its state while it is there.
    pub(super) here: Option<MountedRoot>,
    /// The directories that it has been, the last one last.
    pub(super) known: Vec<FileKey>,
    /// Reason why it is not there, as it was reported.
    pub(super) lost: Option<(String, Absence)>,
    /// Reason why it cannot be opened, as it was reported.
    pub(super) unreachable: Option<String>,
}

/// A root that is there.
pub(super) struct MountedRoot {
    pub(super) place: Arc<RootPlace>,
    pub(super) top: NodeId,
    /// The pass over it that is under way.
    pub(super) pass: Option<Pass>,
    /// The pass that is to come.
    pub(super) due: Option<Due>,
    /// Time at which the last pass ended, on the clock that counts from the machine's start.
    pub(super) rested: Option<Duration>,
    /// The pass that was cut off because the root cannot be opened.
    pub(super) cut: Option<(Discovery, PassKind)>,
    /// Directories that were left unread after a restart, until they are read.
    pub(super) contents: Option<DeferredScan>,
    /// The watch of its quarantine, while there is one.
    pub(super) quarantine: Option<WatchId>,
}

/// A crawl or reconciliation.
pub(super) struct Pass {
    pub(super) id: PassId,
    pub(super) began: Duration,
    pub(super) discovery: Discovery,
    /// Its cost so far.
    pub(super) cost: PassCost,
    /// Wishes that belong to it.
    pub(super) open: usize,
}

/// A pass that is to come. Counts as a piece of work.
pub(super) struct Due {
    pub(super) urgency: Urgency,
    pub(super) epoch: Epoch,
}

/// Urgency of a pass that is to come. None begins before the one under way has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// After a rest since the last one.
    Rested,
    /// At once.
    Now,
}

/// State of all roots: that of the worst of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// All are there.
    Here,
    /// One is known not to be there.
    Missing,
    /// One cannot be opened.
    Unreachable,
}

/// All roots, by id.
#[derive(Default)]
pub(super) struct Roots {
    pub(super) all: BTreeMap<RootId, Root>,
    pub(super) passes: PassId,
}

/// Directories of a root that are left to read.
pub(super) struct DeferredScan {
    /// Counts as a piece of work until all is read.
    pub(super) epoch: Epoch,
    pub(super) queue: Vec<NodeId>,
    /// Cost of the batches so far.
    pub(super) cost: PassCost,
    /// Time at which the first batch began.
    pub(super) began: Option<Duration>,
    /// Time of the next batch; `None`: not before something else has happened.
    pub(super) due: Option<Duration>,
    pub(super) pace: Pace,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// With rests.
    Calm,
    /// A caller waits for it.
    Hurried,
}

impl Roots {
    /// Takes `roots` in, none of which is looked for yet.
    pub(super) fn set(&mut self, roots: Vec<WatchRoot>) {
        for spec in roots {
            self.all.insert(spec.id, Root::new(spec));
        }
    }

    /// Their ids.
    pub(super) fn ids(&self) -> Vec<RootId> {
        self.all.keys().copied().collect()
    }

    /// A root that is there.
    pub(super) fn here(&self, id: RootId) -> Option<&MountedRoot> {
        self.all.get(&id)?.here.as_ref()
    }

    /// A root that is there.
    pub(super) fn here_mut(&mut self, id: RootId) -> Option<&mut MountedRoot> {
        self.all.get_mut(&id)?.here.as_mut()
    }

    /// Returns the place of a root, while it is there.
    pub(super) fn place(&self, id: RootId) -> Option<&Arc<RootPlace>> {
        self.here(id).map(|here| &here.place)
    }

    /// The absolute path of `dir`, for people.
    pub(super) fn full_path(&self, id: RootId, dir: &RelPath) -> PathBuf {
        self.all
            .get(&id)
            .map_or_else(PathBuf::new, |root| dir.below(&root.spec.path))
    }

    /// Returns how the pass that is under way discovers things.
    pub(super) fn discovery(&self, id: RootId) -> Discovery {
        self.here(id)
            .and_then(|here| here.pass.as_ref())
            .map_or(Discovery::Event, |pass| pass.discovery)
    }

    /// A wish joins the pass that is under way.
    pub(super) fn join_pass(&mut self, id: RootId) {
        if let Some(pass) = self.here_mut(id).and_then(|here| here.pass.as_mut()) {
            pass.open += 1;
        }
    }

    /// Returns the state of all roots.
    pub(super) fn standing(&self) -> Standing {
        let mut all = self.all.values();
        if self.all.values().any(|root| root.unreachable.is_some()) {
            Standing::Unreachable
        } else if all.any(|root| root.here.is_none()) {
            Standing::Missing
        } else {
            Standing::Here
        }
    }

    /// Returns true if a root cannot be opened.
    pub(super) fn is_unreachable(&self, id: RootId) -> bool {
        self.all
            .get(&id)
            .is_some_and(|root| root.unreachable.is_some())
    }

    /// Returns when the next pass is due that could begin.
    pub(super) fn next_due(&self, rest: Duration) -> Option<Duration> {
        let all = self.all.values().filter_map(|root| root.here.as_ref());
        all.filter_map(|here| here.due_at(rest)).min()
    }
}

impl MountedRoot {
    /// Returns when the pass that is to come may begin; `None` if none is, or while one is under
    /// way.
    pub(super) fn due_at(&self, rest: Duration) -> Option<Duration> {
        if self.pass.is_some() {
            return None;
        }
        match (self.due.as_ref()?.urgency, self.rested) {
            (Urgency::Now, _) | (Urgency::Rested, None) => Some(Duration::ZERO),
            (Urgency::Rested, Some(rested)) => Some(rested.saturating_add(rest)),
        }
    }
}

impl Root {
    /// One that is not looked for yet.
    pub(super) fn new(spec: WatchRoot) -> Self {
        Self {
            spec,
            here: None,
            known: Vec::new(),
            lost: None,
            unreachable: None,
        }
    }

    /// Remembers that it is the directory that `key` names. How what is in it is discovered.
    pub(super) fn know(&mut self, key: FileKey) -> Discovery {
        if self.known.contains(&key) {
            return Discovery::Event;
        }
        if self.known.len() == KNOWN_MAX {
            self.known.remove(0);
        }
        self.known.push(key);
        Discovery::Crawl
    }
}
