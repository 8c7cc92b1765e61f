//! The engine's order to the reaper, and the reaper's answer.
//!
//! **Invariant:** a claim names exactly one thing by inode. Whatever else stands at its path by
//! then is left alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::{Facts, FileKey, Latest, RootId, RuleId};
use super::hold::Hold;
use super::jobs::{JobFacts, JobKey};
use super::path::RelPath;
use super::time::Timestamp;
use crate::core::principal::Principal;

/// A unit: what lapses as a whole.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// One file.
    File,
    /// A top-level directory of a root with all that it holds.
    Dir,
    /// All that a job owns in the rule's roots.
    Job,
}

impl Unit {
    /// The word in configuration, JSON and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The part of a configuration that a limit is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LimitScope {
    /// Everything that a rule takes in a root.
    Rule(RootId, RuleId),
    /// All of a root.
    Root(RootId),
}

/// The key of a limit.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[strum(serialize_all = "snake_case")]
pub enum LimitKey {
    /// Bytes.
    MaxSize,
    /// Number of files.
    MaxFiles,
    /// Free bytes of the file system.
    MinFree,
    /// Free inodes of the file system.
    MinFreeInodes,
}

impl LimitKey {
    /// The word in configuration and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The word in the ledger: the key, behind "root." where the limit is a root's.
    #[must_use]
    pub const fn ledger_word(self, scope: LimitScope) -> &'static str {
        match (scope, self) {
            (LimitScope::Rule(..), Self::MaxSize) => "max_size",
            (LimitScope::Rule(..), Self::MaxFiles) => "max_files",
            (LimitScope::Rule(..), Self::MinFree) => "min_free",
            (LimitScope::Rule(..), Self::MinFreeInodes) => "min_free_inodes",
            (LimitScope::Root(_), Self::MaxSize) => "root.max_size",
            (LimitScope::Root(_), Self::MaxFiles) => "root.max_files",
            (LimitScope::Root(_), Self::MinFree) => "root.min_free",
            (LimitScope::Root(_), Self::MinFreeInodes) => "root.min_free_inodes",
        }
    }
}

impl LimitScope {
    /// The root.
    #[must_use]
    pub const fn root(self) -> RootId {
        match self {
            Self::Rule(root, _) | Self::Root(root) => root,
        }
    }
}

/// A limit that makes something due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LimitCause {
    /// The limit.
    pub scope: LimitScope,
    /// The part of it that is exceeded.
    pub key: LimitKey,
}

/// Requester of a removal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Actor {
    /// Identity of the requester.
    pub principal: Principal,
    /// Number of the clean, so that its report can be put together; `None` for a deadline.
    pub request: Option<u64>,
    /// Number of the run that the clean is a part of, for the ledger.
    pub run: Option<u64>,
}

/// "Exactly this inode, seen so, may go."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The root that it is in.
    pub root: RootId,
    /// The path in the root.
    pub path: RelPath,
    /// Its owners, and, where the root's template can be read in several ways, all that may own it:
    /// the row of each of these jobs is read again before anything goes. None: no job owns it.
    pub owners: Vec<JobKey>,
    /// For [`Unit::Job`]: all that goes, of which `root` and `path` name the first; empty for a job
    /// without files, of which only the record goes.
    pub pieces: Vec<Piece>,
    /// Its unit.
    pub unit: Unit,
    /// The inode that the index knows; a directory's own for [`Unit::Dir`], the first piece's for
    /// [`Unit::Job`].
    pub key: FileKey,
    /// The rule that lets it go.
    pub rule: RuleId,
    /// The deciding timestamp that the engine judged by. A fresh look has to come to the very same
    /// (with this as a floor under the newest, for what the file system no longer tells, such as an
    /// arrival): whatever is newer is for the engine to judge again, which knows how far the clock
    /// can be believed.
    pub known: Timestamp,
    /// Another time to live than the rule's, for this claim only, in milliseconds: asked for by
    /// `clean`.
    pub retention_ms: Option<i64>,
    /// The limit that makes it due before its time; `None`: its deadline, or a clean.
    pub limit: Option<LimitCause>,
    /// From when lateness counts: the deadline, or the end of the hold that outlasted it.
    pub due: Timestamp,
    /// The newest members of its group, as many as its rule keeps: while they are there, it may go.
    /// Empty without `keep_last`.
    pub newer: Vec<NewerMember>,
    /// The actor.
    pub actor: Actor,
}

/// A member of a group that is newer than what a claim names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewerMember {
    /// The path in the root of the claim.
    pub path: RelPath,
    /// The inode that the index knows.
    pub key: FileKey,
    /// The deciding timestamp that the index knows.
    pub known: Timestamp,
}

impl Claim {
    /// The job that owns all of it, for [`Unit::Job`].
    #[must_use]
    pub fn job(&self) -> Option<&JobKey> {
        self.owners.first().filter(|_| self.unit == Unit::Job)
    }

    /// Places of what goes: none for a job without files.
    pub fn places(&self) -> impl Iterator<Item = (RootId, &RelPath)> {
        let own = (self.unit != Unit::Job).then_some((self.root, &self.path));
        let pieces = self.pieces.iter().map(|piece| (piece.root, &piece.path));
        own.into_iter().chain(pieces)
    }
}

/// A part of what a job owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The root that it is in.
    pub root: RootId,
    /// The path in the root.
    pub path: RelPath,
    /// The inode that the index knows.
    pub key: FileKey,
    /// True if it is a directory, with all of the job's that it holds; otherwise one file.
    pub is_dir: bool,
}

/// Outcome of a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is gone.
    Removed(Removal),
    /// Something else stands there, or the policy does not let it go (yet); this was seen. It was
    /// left (or put back) in its place.
    Changed {
        /// The fresh look.
        facts: Facts,
    },
    /// The unit holds something that is younger than the engine knew. It was left in its place.
    NewerContent {
        /// The latest timestamps in its tree.
        latest: Latest,
    },
    /// Everything that is left in the unit is kept.
    Kept,
    /// There is nothing at its path.
    Gone,
    /// It stays for a reason that will end.
    Held(Hold),
}

/// Everything that is removed with a job, and facts of it, for the report of a clean.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobShare {
    /// Facts that its source tells besides those that decide.
    pub facts: Option<JobFacts>,
    /// Files and directories: at most [`JobShare::THINGS_MAX`].
    pub things: Vec<RemovedThing>,
    /// Number of others.
    pub things_left_out: u64,
    /// Files and bytes in each root.
    pub sums: BTreeMap<RootId, (u64, u64)>,
}

impl JobShare {
    /// Things of one job that are told one by one: a job may own a million files side by side.
    pub const THINGS_MAX: usize = 1000;

    /// Adds a thing.
    pub fn add(&mut self, thing: RemovedThing) {
        let (files, bytes) = self.sums.entry(thing.root).or_default();
        *files += thing.files;
        *bytes = bytes.saturating_add(thing.bytes);
        if self.things.len() < Self::THINGS_MAX {
            self.things.push(thing);
        } else {
            self.things_left_out += 1;
        }
    }
}

/// A file or directory that is removed as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemovedThing {
    /// The root that it is in.
    pub root: RootId,
    /// The path in the root.
    pub path: RelPath,
    /// True if it is a directory.
    pub is_dir: bool,
    /// Number of regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A removal that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removal {
    /// Instant at which its name was gone from its place.
    pub at: Timestamp,
    /// The deadline that had passed.
    pub deadline: Timestamp,
    /// Number of regular files that were removed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The ledger line's number.
    pub id: u64,
    /// Empty directories that went with it (`prune_empty_dirs`), deepest first.
    pub pruned: Vec<RelPath>,
    /// For a unit: whether parts of it were kept and stand in their place still.
    pub partial: bool,
    /// For [`Unit::Job`], of a clean: everything that was removed with the job.
    pub share: Option<Box<JobShare>>,
    /// It is in the trash, and can come back until this instant.
    pub trashed: Option<Timestamp>,
}

/// A claim and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reaped {
    /// The claim.
    pub claim: Claim,
    /// Its end.
    pub outcome: Outcome,
}
