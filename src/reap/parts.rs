//! The parts of a tree that are moved and removed.

use crate::core::facts::{Facts, Kind};
use crate::core::observed::Name;
use crate::fs::tree::Tree;

/// Maximum number of names in a directory that is removed as a whole: ~150 bytes each are in memory
/// until it is deleted, 600 MB in all.
pub(super) const UNIT_NAMES_MAX: usize = 4_000_000;

/// A part of the removal with this number; without a part: all of it.
pub(super) type Parts = (u64, Option<u32>);

/// A largest piece of a unit of which nothing is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A directory with everything below it.
    Dir(u32),
    /// A file of a directory that is kept: its place in the directory's list.
    File { dir: u32, file: usize },
}

impl Part {
    /// The only part of a target that is a file.
    pub(super) const FILE: Self = Self::File { dir: 0, file: 0 };

    /// Its name in the directory that it is in.
    pub(super) fn name<'t>(&self, tree: &'t Tree) -> &'t [u8] {
        match *self {
            Self::Dir(at) => &tree.dir(at).name,
            Self::File { dir, file } => &tree.dir(dir).files[file].0,
        }
    }

    /// The look at it.
    pub(super) fn facts<'t>(&self, tree: &'t Tree) -> &'t Facts {
        match *self {
            Self::Dir(at) => &tree.dir(at).facts,
            Self::File { dir, file } => &tree.dir(dir).files[file].1,
        }
    }

    /// Returns all entries in it that are not directories.
    pub(super) fn files<'t>(&self, tree: &'t Tree) -> impl Iterator<Item = &'t (Name, Facts)> {
        let (alone, below) = match *self {
            Self::File { dir, file } => (Some(&tree.dir(dir).files[file]), Vec::new()),
            Self::Dir(top) => (None, tree.below(top)),
        };
        let below = below.into_iter().flat_map(|at| &tree.dir(at).files);
        alone.into_iter().chain(below)
    }

    /// Number of regular files, and their bytes.
    pub(super) fn count(&self, tree: &Tree) -> (u64, u64) {
        let files = self.files(tree);
        files.fold((0, 0), |sum, (_, facts)| add(sum, facts))
    }
}

/// Counts one thing: regular files and their bytes.
pub(super) fn add((files, bytes): (u64, u64), facts: &Facts) -> (u64, u64) {
    match facts.kind {
        Kind::File => (files + 1, bytes.saturating_add(facts.size)),
        Kind::Dir | Kind::Mount | Kind::Other => (files, bytes),
    }
}

/// The number of a part.
pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).expect("invariant: fewer parts than memory could hold")
}
