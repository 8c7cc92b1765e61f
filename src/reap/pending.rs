//! Recorded removals that wait for a sweeper.

use std::path::PathBuf;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::names::QuarantineName;
use super::parts::{Part, Parts};
use crate::core::claim::Reaped;
use crate::core::facts::{Facts, FileKey};
use crate::core::path::RelPath;
use crate::core::policy::SkipOpen;
use crate::core::trash::Purged;
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

/// File of a directory that was moved to a name of its own, and could not be removed there.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoneFile {
    /// Number of its part.
    pub(super) part: u32,
    pub(super) name: QuarantineName,
    pub(super) facts: Facts,
}

/// Unit that is to be deleted from the quarantine.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) roots: Vec<SweepRoot>,
    pub(super) trees: Vec<Tree>,
    pub(super) pending: Vec<PendingDeletion>,
    /// Files that an error left in the quarantine itself, under names by which recovery knows them.
    pub(super) lone: Mutex<Vec<LoneFile>>,
    /// Leases that are held since the first look.
    pub(super) leases: Mutex<HashMap<FileKey, Arc<Lease>>>,
    pub(super) skip_open: SkipOpen,
    /// Its line in the ledger.
    pub(super) line: Line,
    /// The answer about a thing of the trash, after the first try.
    pub(super) purged: Option<Purged>,
    /// The answer after the first try; recovery and later tries have none to give.
    pub(super) answer: Option<Reaped>,
    /// True if an earlier process moved it: the kernel may still be closing what that one had open.
    pub(super) after_crash: bool,
    /// Number of times that an error stopped it.
    pub(super) failures: u32,
}

impl Sweep {
    /// A unit of which nothing is to be deleted yet. Without an answer an earlier process moved it.
    pub(super) fn new(line: Line, skip_open: SkipOpen, answer: Option<Reaped>) -> Self {
        Self {
            roots: Vec::new(),
            trees: Vec::new(),
            pending: Vec::new(),
            lone: Mutex::default(),
            leases: Mutex::default(),
            skip_open,
            line,
            purged: None,
            after_crash: answer.is_none(),
            answer,
            failures: 0,
        }
    }

    /// Adds parts of `tree`, each with its number and path, which were in its root number `root`.
    pub(super) fn add(
        &mut self,
        root: usize,
        tree: Tree,
        parts: impl IntoIterator<Item = (u32, Part, RelPath)>,
    ) {
        let at = self.trees.len();
        let parts = parts
            .into_iter()
            .map(|(number, part, path)| PendingDeletion {
                number,
                root,
                tree: at,
                part,
                path,
            });
        self.pending.extend(parts);
        self.trees.push(tree);
    }

    /// Returns the number of names that are to be removed, of whatever kind: each takes memory
    /// while it waits in a lane.
    pub(super) fn weight(&self) -> usize {
        self.trees.iter().map(Tree::names).sum()
    }

    /// Returns its parts.
    pub(super) fn parts(&self) -> impl Iterator<Item = Parts> {
        let id = self.line.id;
        self.pending.iter().map(move |part| (id, Some(part.number)))
    }
}
