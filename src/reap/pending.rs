//! Recorded removals that wait for a sweeper.

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::parts::Part;
use crate::core::claim::Reaped;
use crate::core::facts::FileKey;
use crate::core::path::RelPath;
use crate::core::policy::SkipOpen;
use crate::fs::Dir;
use crate::fs::lease::Lease;
use crate::fs::tree::Tree;
use crate::ledger::Line;

/// Root that parts were in.
#[derive(Debug)]
pub(super) struct SweepRoot {
    /// The quarantine that they were moved into, wherever it is by now.
    pub(super) quarantine: Arc<Dir>,
    pub(super) path: PathBuf,
    pub(super) name: String,
}

/// Part that is to be deleted.
#[derive(Debug)]
pub(super) struct PendingDeletion {
    pub(super) number: u32,
    /// Its root, by its place in the sweep.
    pub(super) root: usize,
    /// Its tree, by its place in the sweep.
    pub(super) tree: usize,
    pub(super) part: Part,
    /// Path that it had in the root.
    pub(super) path: RelPath,
}

/// Unit that is to be deleted from the quarantine.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) roots: Vec<SweepRoot>,
    pub(super) trees: Vec<Tree>,
    pub(super) pending: Vec<PendingDeletion>,
    /// Leases that are held since the first look.
    pub(super) leases: Mutex<HashMap<FileKey, Arc<Lease>>>,
    pub(super) skip_open: SkipOpen,
    /// Its line in the ledger.
    pub(super) line: Line,
    /// The answer after the first try; recovery and later tries have none to give.
    pub(super) answer: Option<Reaped>,
    /// True if an earlier process moved it: the kernel may still be closing what that one had open.
    pub(super) after_crash: bool,
    /// Number of times that an error stopped it.
    pub(super) failures: u32,
}

impl Sweep {
    /// Returns the number of names that are to be removed, of whatever kind: each takes memory
    /// while it waits in a lane.
    pub(super) fn weight(&self) -> usize {
        self.trees.iter().map(Tree::names).sum()
    }

    /// Returns the numbers of its parts.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.pending.iter().map(|part| part.number).collect()
    }
}
