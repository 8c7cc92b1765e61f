//! Things that a claim names, as they were seen in their places, and the parts to be removed.
//!
//! **Invariant:** parts are numbered over all targets of a claim, in their order.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use super::judge::Due;
use super::parts::{Part, add, number};
use super::source_dirs::SourceDir;
use crate::core::claim::{Claim, JobShare, Outcome, RemovedThing};
use crate::core::facts::{Facts, FileKey, Latest, RootId};
use crate::core::hold::Hold;
use crate::core::jobs::{JobFacts, JobKey, Owner};
use crate::core::path::RelPath;
use crate::core::time::Timestamp;
use crate::fs::lease::Lease;
use crate::fs::tree::Tree;
use crate::ledger::Line;

/// One thing of a claim: a file, or a directory with everything below it.
pub(super) struct Target {
    pub(super) root: RootId,
    pub(super) path: RelPath,
    /// The directory that it is in, and its open handle unless too many are open.
    pub(super) home: FileKey,
    pub(super) home_dir: Option<Rc<SourceDir>>,
    pub(super) content: Content,
    /// The parts to be removed.
    pub(super) parts: Vec<Part>,
}

/// The first look at a target.
pub(super) enum Content {
    /// A file, and the lease that is held on it.
    File(Facts, Option<Arc<Lease>>),
    Dir(Tree),
}

impl Target {
    /// The path of the directory that it is in.
    pub(super) fn above(&self) -> &[u8] {
        self.path.parent_and_name().map_or(&[], |(above, _)| above)
    }

    /// Its name there.
    fn name(&self) -> &[u8] {
        self.path.parent_and_name().map_or(&[], |(_, name)| name)
    }

    /// All of it.
    pub(super) fn whole(&self) -> Part {
        match self.content {
            Content::File(..) => Part::FILE,
            Content::Dir(_) => Part::Dir(0),
        }
    }

    /// The path of a part in the root.
    pub(super) fn path_of(&self, part: Part) -> Cow<'_, RelPath> {
        let tree = match &self.content {
            Content::Dir(tree) if part != Part::Dir(0) => tree,
            Content::Dir(_) | Content::File(..) => return Cow::Borrowed(&self.path),
        };
        let below = match part {
            Part::Dir(at) => tree.path(at),
            Part::File { dir, .. } => [&tree.path(dir), part.name(tree)].join(&b'/'),
        };
        let path = match self.above() {
            b"" => below,
            above => [above, &below].join(&b'/'),
        };
        Cow::Owned(RelPath::parse(&path).expect("invariant: a tree's names are components"))
    }

    /// The name of a part in the directory that it is in.
    pub(super) fn name_of(&self, part: Part) -> &[u8] {
        match &self.content {
            Content::Dir(tree) if part != Part::Dir(0) => part.name(tree),
            Content::Dir(_) | Content::File(..) => self.name(),
        }
    }

    /// Returns the key of the directory that a part is in.
    pub(super) fn home_of(&self, part: Part) -> FileKey {
        match (&self.content, part) {
            (Content::File(..), _) | (Content::Dir(_), Part::Dir(0)) => self.home,
            (Content::Dir(tree), Part::Dir(at)) => tree.dir(tree.dir(at).parent).facts.key,
            (Content::Dir(tree), Part::File { dir, .. }) => tree.dir(dir).facts.key,
        }
    }

    /// The look at a part.
    pub(super) fn facts_of(&self, part: Part) -> &Facts {
        match &self.content {
            Content::File(facts, _) => facts,
            Content::Dir(tree) => part.facts(tree),
        }
    }

    /// The look at the target itself.
    pub(super) fn facts(&self) -> &Facts {
        self.facts_of(self.whole())
    }

    /// Returns the inodes of the files in a directory part that have several names.
    pub(super) fn links(&self, part: Part) -> Vec<u64> {
        let (Content::Dir(tree), Part::Dir(_)) = (&self.content, part) else {
            return Vec::new();
        };
        let files = part.files(tree).map(|(_, facts)| facts);
        let linked = files.filter(|facts| facts.nlink > 1);
        let inodes: BTreeSet<u64> = linked.map(|facts| facts.key.ino).collect();
        inodes.into_iter().collect()
    }

    /// Number of regular files in a part, and their bytes.
    pub(super) fn count(&self, part: Part) -> (u64, u64) {
        match &self.content {
            Content::File(facts, _) => add((0, 0), facts),
            Content::Dir(tree) => part.count(tree),
        }
    }

    /// The latest timestamps in it, directories included.
    pub(super) fn latest(&self) -> Latest {
        match &self.content {
            Content::File(facts, _) => facts.latest(),
            Content::Dir(tree) => (0..tree.len())
                .map(|at| tree.dir(at))
                .flat_map(|dir| dir.files.iter().map(|(_, facts)| facts).chain([&dir.facts]))
                .map(Facts::latest)
                .reduce(Latest::max)
                .unwrap_or(Latest::at(Timestamp::MAX)),
        }
    }

    /// The answer when it is not what it was.
    pub(super) fn changed(&self) -> Outcome {
        Outcome::Changed {
            facts: *self.facts(),
        }
    }
}

/// Result of the first look at a claim that may be carried out.
pub(super) struct Snapshot {
    /// Those of the claim's things that are there; none: only a job's record is removed.
    pub(super) targets: Vec<Target>,
    pub(super) due: Due,
    /// Owner of the unit.
    pub(super) owner: Owner,
    /// The jobs whose rows say that it lapses, with everything in it.
    pub(super) keys: BTreeSet<JobKey>,
    /// Everything that is removed with a job, for the report of a clean.
    pub(super) share: Option<Box<JobShare>>,
    /// True if there are only files, on each of which a lease is held until it is removed: they
    /// need no sweeper.
    pub(super) is_lean: bool,
}

impl Snapshot {
    /// All parts, with the targets that they are of: their places are their numbers.
    pub(super) fn parts(&self) -> impl DoubleEndedIterator<Item = (&Target, Part)> {
        let of = |target| move |part: &Part| (target, *part);
        self.targets
            .iter()
            .flat_map(move |target| target.parts.iter().map(of(target)))
    }

    /// Number of regular files that are to be removed, and their bytes.
    pub(super) fn sums(&self) -> (u64, u64) {
        let of = self.parts().map(|(target, part)| target.count(part));
        of.fold((0, 0), |(files, bytes), (f, b)| {
            (files + f, bytes.saturating_add(b))
        })
    }

    /// Everything that is to be removed with the job of `facts`.
    pub(super) fn share(&self, facts: Option<JobFacts>) -> JobShare {
        let mut share = JobShare {
            facts,
            ..JobShare::default()
        };
        for (target, part) in self.parts() {
            let (files, bytes) = target.count(part);
            share.add(RemovedThing {
                root: target.root,
                path: target.path_of(part).into_owned(),
                is_dir: matches!(part, Part::Dir(_)),
                files,
                bytes,
            });
        }
        share
    }

    /// Number of parts.
    pub(super) fn count(&self) -> u32 {
        number(self.targets.iter().map(|target| target.parts.len()).sum())
    }

    /// Returns true if something of it is kept.
    pub(super) fn is_partial(&self) -> bool {
        let mut targets = self.targets.iter();
        targets.any(|target| target.parts != [target.whole()])
    }

    /// The answer when it is not what it was, or not due.
    pub(super) fn changed(&self) -> Outcome {
        let first = self.targets.first();
        first.map_or(Outcome::Held(Hold::RecheckMismatch), Target::changed)
    }
}

/// Candidates of one round: more than 1 KB each, of which every step moves the pointer alone.
pub(super) type Candidates = Vec<Box<Candidate>>;

/// A claim that passed the first look, on its way out.
pub(super) struct Candidate {
    pub(super) claim: Claim,
    pub(super) seen: Snapshot,
    /// Its line in the ledger.
    pub(super) line: Line,
    /// For a directory that was emptied: the answer of the round that it belongs to.
    pub(super) emptied_by: Option<usize>,
}
