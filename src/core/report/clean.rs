//! Request and report of a `clean`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Trip;
use crate::core::claim::{JobShare, LimitCause, Unit};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{Job, SourceId};
use crate::core::path::RelPath;
use crate::core::policy::Globs;
use crate::core::principal::Principal;
use crate::core::run::Run;
use crate::core::time::Timestamp;

/// Scope of a `clean`. A list that is `None` means all; an empty one means none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CleanRequest {
    /// Only tell.
    pub dry_run: bool,
    /// Only these roots.
    pub roots: Option<Vec<RootId>>,
    /// Only these rules; `None`: all that need not be named.
    pub rules: Option<Vec<RuleId>>,
    /// Only what these jobs own, or the root's owner template gives to them.
    pub jobs: Option<Vec<Box<[u8]>>>,
    /// Only items that these patterns match: the path of a file, the name of a directory, all that
    /// a job owns.
    pub paths: Option<Arc<PathFilter>>,
    /// Only these items.
    pub targets: Option<Arc<BTreeSet<CleanTarget>>>,
    /// Only orphans.
    pub orphans_only: bool,
    /// Another time to live than the rule's, in milliseconds.
    pub retention_ms: Vec<(RuleId, i64)>,
    /// Maximum number of items that are removed, those with the oldest deadlines first; `None`:
    /// any.
    pub limit: Option<usize>,
    /// Answer of a person to the breaker.
    pub consent: Consent,
    /// The asker.
    pub principal: Principal,
    /// The run that it is a part of; `None`: a dry run.
    pub run: Option<Run>,
}

/// Item that a [`CleanRequest`] names, as a [`CleanItem`] tells of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CleanTarget {
    /// The root.
    pub root: RootId,
    /// The path in it.
    pub path: RelPath,
    /// Its unit.
    pub unit: Unit,
    /// Id of the job, for [`Unit::Job`].
    pub job: Option<String>,
}

/// Answer of a person to the breaker, given with a [`CleanRequest`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Consent {
    /// None: too much at once is held.
    #[default]
    None,
    /// Everything that another time to live makes due is removed, however much it is.
    Overrides,
    /// Moreover, the breakers of the roots are released first.
    Release,
}

/// Patterns that narrow a [`CleanRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathFilter {
    files: Globs,
    /// The same without the `/**` behind a directory: it stands for the directory as a whole.
    dirs: Globs,
}

impl PathFilter {
    /// Compiles `patterns`, which are those of paths from a root.
    ///
    /// # Errors
    /// The first pattern that cannot be compiled, with the reason.
    pub fn compile(patterns: &[String]) -> Result<Self, globset::Error> {
        let dir = |pattern: &String| {
            let short = pattern.strip_suffix("/**").or(pattern.strip_suffix('/'));
            short.unwrap_or(pattern).to_owned()
        };
        let dirs: Vec<String> = patterns.iter().map(dir).collect();
        Ok(Self {
            files: Globs::compile(patterns)?,
            dirs: Globs::compile(&dirs)?,
        })
    }

    /// Returns true if a pattern matches the file at `path`.
    #[must_use]
    pub fn has_file(&self, path: &[u8]) -> bool {
        self.files.matches(path)
    }

    /// Returns true if a pattern matches the directory at `path`, or everything in it.
    #[must_use]
    pub fn has_dir(&self, path: &[u8]) -> bool {
        self.dirs.matches(path)
    }
}

impl CleanRequest {
    /// All that is due under `rules`, since it is time; `None`: under any that need not be named.
    #[must_use]
    pub fn due_under(rules: Option<Vec<RuleId>>) -> Self {
        Self {
            rules,
            principal: Principal::Schedule,
            ..Self::default()
        }
    }
}

/// One line of a clean's report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CleanItem {
    /// The root.
    pub root: RootId,
    /// The path in it.
    pub path: RelPath,
    /// Its unit.
    pub unit: Unit,
    /// The rule.
    pub rule: RuleId,
    /// The timestamp that the deadline counts from.
    pub since: Timestamp,
    /// The deadline that had passed.
    pub deadline: Timestamp,
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The hold that kept it.
    pub hold: Option<Hold>,
    /// The limit that made it due before its time.
    pub limit: Option<LimitCause>,
    /// The job that decides about it, as it was judged.
    pub job: Option<Box<Job>>,
    /// Everything that was removed with it, for [`Unit::Job`].
    pub share: Option<Box<JobShare>>,
}

/// A part of what a run is about that could not be read: nothing that depends on it was judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unread {
    /// The part.
    pub part: UnreadPart,
    /// The reason and the remedy.
    pub why: String,
    /// The configuration says that it may be missing: worth a note, and no error.
    pub is_optional: bool,
}

/// See [`Unread`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UnreadPart {
    /// A source of jobs.
    Source(SourceId),
    /// A whole root.
    Root(RootId),
    /// A directory of a root.
    Dir(RootId, RelPath),
}

/// A breaker that holds something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BreakerTrip {
    /// Too much of a root became due at once.
    Backlog(RootId, Trip),
    /// Too much of a root would be removed as orphans.
    RootOrphans(RootId, String),
    /// A source lost too many jobs: orphans of its roots are held.
    SourceOrphans(SourceId, String),
}

/// Results of a `clean`, or (dry run) its forecast.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CleanReport {
    /// Nothing was removed: the asker wanted a forecast, or the daemon removes nothing.
    pub dry_run: bool,
    /// Things that were removed, or would be.
    pub removed: Vec<CleanItem>,
    /// Things that are due but held.
    pub held: Vec<CleanItem>,
    /// Breakers that hold something of what was asked for.
    pub breaker: Vec<BreakerTrip>,
    /// Parts of the scope that could not be read.
    pub unread: Vec<Unread>,
    /// Nothing at all could be judged, because of that.
    pub is_blind: bool,
    /// Jobs that were asked for and that there are not: then nothing was removed.
    pub unknown_jobs: Vec<String>,
}
