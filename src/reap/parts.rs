//! Which parts of a unit go, and which stay.
//!
//! **Invariant:** nothing that a rule keeps, or that an earlier rule governs, lies in a part that goes.

use super::judge::Due;
use crate::core::claim::Claim;
use crate::core::facts::{Facts, Kind};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Policy};
use crate::core::time::Timestamp;
use crate::fs::tree::Tree;

/// A largest piece of a unit in which nothing stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A directory with all below it.
    Dir(u32),
    /// A file of a directory that stays: its place in the directory's list.
    File { dir: u32, file: usize },
}

impl Part {
    /// The directory that it stands in, and its name there.
    pub(super) fn name<'t>(&self, tree: &'t Tree) -> &'t [u8] {
        match *self {
            Self::Dir(at) => &tree.dir(at).name,
            Self::File { dir, file } => &tree.dir(dir).files[file].0,
        }
    }

    /// Its path in the root.
    pub(super) fn path(&self, tree: &Tree) -> RelPath {
        let path = match *self {
            Self::Dir(at) => tree.path(at),
            Self::File { dir, .. } => [&tree.path(dir), &b"/"[..], self.name(tree)].concat(),
        };
        RelPath::parse(&path).expect("invariant: a tree's names are components")
    }

    /// The look at it.
    pub(super) fn facts<'t>(&self, tree: &'t Tree) -> &'t Facts {
        match *self {
            Self::Dir(at) => &tree.dir(at).facts,
            Self::File { dir, file } => &tree.dir(dir).files[file].1,
        }
    }

    /// How many regular files it has, and their bytes.
    pub(super) fn count(&self, tree: &Tree) -> (u64, u64) {
        let add = |(files, bytes): (u64, u64), facts: &Facts| match facts.kind {
            Kind::File => (files + 1, bytes.saturating_add(facts.size)),
            Kind::Dir | Kind::Mount | Kind::Other => (files, bytes),
        };
        match *self {
            Self::File { .. } => add((0, 0), self.facts(tree)),
            Self::Dir(top) => tree
                .below(top)
                .into_iter()
                .flat_map(|at| &tree.dir(at).files)
                .fold((0, 0), |sum, (_, facts)| add(sum, facts)),
        }
    }
}

/// The parts of the unit that go. The whole unit is the one part `Dir(0)`.
pub(super) fn parts(policy: &Policy, claim: &Claim, tree: &Tree) -> Vec<Part> {
    let keep = policy.rule(claim.rule).keep.as_ref();
    // Of each directory: which of its files stay, and whether it stays itself.
    let mut stays: Vec<(Vec<usize>, bool)> = Vec::new();
    stays.resize_with(tree.len() as usize, Default::default);
    tree.each_path(|at, path| {
        let (files, dir) = &mut stays[at as usize];
        *dir = keep.is_some_and(|keep| keep.matches_within(path));
        let mut full = [path, b"/"].concat();
        for (place, (name, facts)) in tree.dir(at).files.iter().enumerate() {
            full.truncate(path.len() + 1);
            full.extend_from_slice(name);
            let class = policy.classify(claim.root, &full);
            let goes = match facts.kind {
                Kind::File => class == Class::Dir(claim.rule),
                // Rules for files are not meant for links and sockets; a `keep` is.
                Kind::Dir | Kind::Mount | Kind::Other => !matches!(class, Class::Kept(_)),
            };
            if !goes {
                files.push(place);
            }
        }
    });
    let mut whole = vec![false; stays.len()];
    for at in (0..tree.len()).rev() {
        let (files, dir) = &stays[at as usize];
        let mut children = tree.dir(at).children.clone();
        whole[at as usize] =
            files.is_empty() && !dir && children.all(|child| whole[child as usize]);
    }
    let mut parts = Vec::new();
    let mut pending = vec![0];
    while let Some(at) = pending.pop() {
        if whole[at as usize] {
            parts.push(Part::Dir(at));
            continue;
        }
        let (kept, _) = &stays[at as usize];
        let files = 0..tree.dir(at).files.len();
        parts.extend(
            files
                .filter(|file| kept.binary_search(file).is_err())
                .map(|file| Part::File { dir: at, file }),
        );
        pending.extend(tree.dir(at).children.clone());
    }
    parts
}

/// What was seen of a unit in its place, and may go.
pub(super) struct Seen {
    pub(super) tree: Tree,
    pub(super) parts: Vec<Part>,
    pub(super) due: Due,
}

impl Seen {
    /// How many parts go.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.parts.len()).expect("invariant: parts were numbered")
    }
}

/// The latest timestamp in the tree, directories included.
pub(super) fn newest_of(tree: &Tree) -> Timestamp {
    (0..tree.len())
        .map(|at| tree.dir(at))
        .flat_map(|dir| dir.files.iter().map(|(_, facts)| facts).chain([&dir.facts]))
        .map(Facts::newest)
        .max()
        .unwrap_or(Timestamp::MAX)
}
