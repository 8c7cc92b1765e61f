//! The pieces of a unit, and the parts of them that go.
//!
//! **Invariant:** parts are numbered over all pieces of a unit, in their order.

use std::collections::BTreeSet;

use super::judge::Due;
use crate::core::facts::{Facts, FileKey, Kind, Latest, RootId};
use crate::core::jobs::{JobKey, Owner};
use crate::core::path::RelPath;
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

/// A piece of a unit, as it was seen in its place: a directory with all below it, or one file.
pub(super) struct Body {
    pub(super) root: RootId,
    /// The directory that the tree's top stands in, and which one it was.
    pub(super) above: RelPath,
    pub(super) home: FileKey,
    /// Of a file the directory that it stands in, with nothing but it.
    pub(super) tree: Tree,
    pub(super) is_dir: bool,
    /// What of it goes.
    pub(super) parts: Vec<Part>,
}

impl Body {
    /// All of it.
    pub(super) fn whole(&self) -> Part {
        if self.is_dir {
            Part::Dir(0)
        } else {
            Part::File { dir: 0, file: 0 }
        }
    }

    /// The path in the root of what has the path `below` from where the tree begins.
    fn full(&self, below: &[u8]) -> Vec<u8> {
        join(self.above.as_bytes(), below)
    }

    /// The path of a part in the root.
    pub(super) fn path(&self, part: Part) -> RelPath {
        let below = match part {
            Part::Dir(at) => self.tree.path(at),
            Part::File { dir, .. } => join(&self.tree.path(dir), part.name(&self.tree)),
        };
        RelPath::parse(&self.full(&below)).expect("invariant: a tree's names are components")
    }

    /// Which directory a part stands in.
    pub(super) fn home(&self, part: Part) -> FileKey {
        match part {
            Part::Dir(0) => self.home,
            Part::Dir(at) => self.tree.dir(self.tree.dir(at).parent).facts.key,
            Part::File { dir, .. } => self.tree.dir(dir).facts.key,
        }
    }

    /// The look at the piece itself.
    pub(super) fn facts(&self) -> &Facts {
        self.whole().facts(&self.tree)
    }

    /// The latest timestamps in it, directories included.
    pub(super) fn latest(&self) -> Latest {
        if !self.is_dir {
            return self.facts().latest();
        }
        (0..self.tree.len())
            .map(|at| self.tree.dir(at))
            .flat_map(|dir| dir.files.iter().map(|(_, facts)| facts).chain([&dir.facts]))
            .map(Facts::latest)
            .reduce(Latest::max)
            .unwrap_or(Latest::at(Timestamp::MAX))
    }
}

fn join(above: &[u8], below: &[u8]) -> Vec<u8> {
    match (above, below) {
        (one, b"") | (b"", one) => one.to_vec(),
        (above, below) => [above, b"/", below].concat(),
    }
}

/// What was seen of a unit in its place, and may go.
pub(super) struct Seen {
    /// Those of its pieces that are there; none: only a job's record goes.
    pub(super) bodies: Vec<Body>,
    pub(super) due: Due,
    /// Whose the unit is.
    pub(super) owner: Owner,
    /// The jobs whose rows say that it goes, and all that goes with it.
    pub(super) keys: BTreeSet<JobKey>,
}

impl Seen {
    /// All parts, with the pieces that they are of: their places are their numbers.
    pub(super) fn parts(&self) -> impl DoubleEndedIterator<Item = (&Body, Part)> {
        let of = |body| move |part: &Part| (body, *part);
        self.bodies
            .iter()
            .flat_map(move |body| body.parts.iter().map(of(body)))
    }

    /// How many regular files go, and their bytes.
    pub(super) fn sums(&self) -> (u64, u64) {
        let of = self.parts().map(|(body, part)| part.count(&body.tree));
        of.fold((0, 0), |(files, bytes), (f, b)| {
            (files + f, bytes.saturating_add(b))
        })
    }

    /// How many parts go.
    pub(super) fn count(&self) -> u32 {
        let all = self.bodies.iter().map(|body| body.parts.len()).sum();
        number(all)
    }

    /// Whether something of it stays.
    pub(super) fn is_partial(&self) -> bool {
        self.bodies.iter().any(|body| body.parts != [body.whole()])
    }
}

/// The number of a part.
pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).expect("invariant: fewer parts than memory could hold")
}
