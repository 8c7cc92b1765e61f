//! Rules: which entries, how long, since when.

use serde::{Deserialize, Serialize};

use super::globs::Globs;
use super::keep_last::KeepLast;
use super::limit::Limit;
use crate::core::claim::Unit;
use crate::core::facts::{Facts, Latest, RootId};
use crate::core::jobs::{Job, JobTimestamps, SourceId, Status};
use crate::core::recurrence::Recurrence;
use crate::core::time::{FileTime, Timestamp};

/// A rule: its entries, their time to live, and the timestamp that it counts from.
#[derive(Debug)]
pub struct Rule {
    /// Its name: unique, never empty.
    pub name: String,
    /// The roots that it applies to; `None`: all.
    pub roots: Option<Vec<RootId>>,
    /// Patterns of the paths that it matches; `None`: everything. Paths from the root for files,
    /// names for top-level directories.
    pub glob: Option<Globs>,
    /// Patterns of paths that it leaves to later rules, with everything below.
    pub exclude: Option<Globs>,
    /// Patterns of paths that it keeps for ever, with everything below.
    pub keep: Option<Globs>,
    /// The timestamp that decides.
    pub since: Since,
    /// Time to live from that timestamp, in milliseconds, not negative; `None`: for ever.
    pub expire_ms: Option<i64>,
    /// Limits on what it takes.
    pub limit: Option<Limit>,
    /// The newest things that it keeps whatever their age; not with [`Unit::Job`].
    pub keep_last: Option<KeepLast>,
    /// The unit that lapses as a whole.
    pub unit: Unit,
    /// Treatment of open files.
    pub skip_open: SkipOpen,
    /// Instants at which due entries are removed.
    pub schedule: Schedule,
    /// Owners of the files that it is for.
    pub jobs: JobFilter,
    /// Only files of jobs of these kinds; `None`: of any, or of none.
    pub kinds: Option<Vec<String>>,
    /// Only jobs of these sources; `None`: of any.
    pub sources: Option<Vec<SourceId>>,
    /// Fate of what lapses.
    pub disposal: Disposal,
    /// Treatment of the job's record at its source, once everything that the rule takes of the job
    /// is removed. Only with [`Unit::Job`].
    pub record: Record,
}

/// Fate of what a rule lets lapse.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Disposal {
    /// It is deleted.
    #[default]
    Delete,
    /// It stays in the root's trash for so long, and is deleted then.
    Trash {
        /// Length of the undo window in milliseconds.
        undo_ms: i64,
    },
}

/// Owners of the files that a rule is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobFilter {
    /// Any owner, or none.
    Anyone,
    /// Orphans: no job owns them, and the root's `orphans` template says that this may be.
    Nobody,
    /// Jobs that stand like this. Never pending or running ones.
    Standing(Vec<Status>),
}

/// Treatment of a job's record at its source.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Default,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = RecordAction)]
pub enum Record {
    /// It stays as it is.
    #[default]
    Keep,
    /// The source's `mark` statements note that it was cleaned.
    Mark,
    /// The source's `forget` statements remove it.
    Forget,
}

impl Record {
    /// The word in configuration, JSON and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The timestamp that a rule counts from.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = TimestampKind)]
pub enum Since {
    /// The latest of mtime, ctime, btime and arrival; for a directory, of all in its tree.
    Newest,
    /// Last change of the content; a directory's own.
    Mtime,
    /// The latest mtime in a tree, directories included; for a single file its mtime.
    NewestMtime,
    /// Last change of content, name or attributes; a directory's own.
    Ctime,
    /// Birth; a directory's own.
    Btime,
    /// Creation of the owning job.
    CreatedAt,
    /// End of the owning job.
    CompletedAt,
    /// Last activity in the owning job.
    LastActivity,
    /// Expiry that the owning job itself names.
    ExpiresAt,
}

/// Treatment of files that a process has open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SkipOpen {
    /// Open files are held, and those of which it cannot be known.
    Always,
    /// Open files are held where it can be known; the others go.
    IfKnown,
    /// Open files go.
    Never,
}

/// Instants at which due entries are removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Schedule {
    /// At its deadline.
    AtDeadline,
    /// Only when asked, through `clean`.
    Manual,
    /// Only when a `clean` names the rule.
    Named,
    /// At the first of these instants that comes after its deadline, or when asked.
    At(Recurrence),
}

impl Schedule {
    /// The schedule as it is written; `None`: there is none.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::AtDeadline => None,
            Self::Manual => Some("manual"),
            Self::Named => Some("named"),
            Self::At(times) => Some(times.as_str()),
        }
    }
}

impl Rule {
    /// Returns true if the rule applies to `root`.
    #[must_use]
    pub fn applies_to(&self, root: RootId) -> bool {
        self.roots
            .as_ref()
            .is_none_or(|roots| roots.contains(&root))
    }

    /// Time to live in milliseconds; of what only a limit lets go, one that does not end. `None`:
    /// it is kept for ever.
    #[must_use]
    pub fn life_ms(&self) -> Option<i64> {
        self.expire_ms.or(self.limit.as_ref().map(|_| i64::MAX))
    }

    /// Returns true if it applies to jobs of this kind and source, whatever their status.
    pub(super) fn is_for(&self, job: &Job) -> bool {
        let is_one = |kinds: &Vec<String>| {
            job.kind
                .as_deref()
                .is_some_and(|kind| kinds.iter().any(|one| one == kind))
        };
        self.kinds.as_ref().is_none_or(is_one)
            && self
                .sources
                .as_ref()
                .is_none_or(|sources| sources.contains(&job.key.source))
    }

    pub(super) fn takes(&self, path: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.matches(path))
            && !self
                .exclude
                .as_ref()
                .is_some_and(|exclude| exclude.matches_within(path))
    }
}

impl Since {
    /// The timestamp that decides; `None` where the file system does not keep it, or the job's
    /// source does not tell it. `known` is a floor under the newest; `moments` are those of the job
    /// that owns the file.
    #[must_use]
    pub fn of(
        self,
        facts: &Facts,
        known: Timestamp,
        moments: Option<&JobTimestamps>,
    ) -> Option<Timestamp> {
        match self {
            Self::Newest => Some(facts.newest().max(known)),
            Self::Mtime | Self::NewestMtime => Some(facts.mtime.ceil()),
            Self::Ctime => Some(facts.ctime.ceil()),
            Self::Btime => facts.btime.map(FileTime::ceil),
            Self::CreatedAt | Self::CompletedAt | Self::LastActivity | Self::ExpiresAt => {
                self.of_job(moments?)
            }
        }
    }

    /// Likewise for a directory that lapses as a whole: `facts` is a look at itself, `latest` of
    /// its tree.
    #[must_use]
    pub fn of_tree(
        self,
        facts: &Facts,
        latest: Latest,
        moments: Option<&JobTimestamps>,
    ) -> Option<Timestamp> {
        match self {
            Self::NewestMtime => Some(facts.mtime.ceil().max(latest.mtime)),
            Self::Newest
            | Self::Mtime
            | Self::Ctime
            | Self::Btime
            | Self::CreatedAt
            | Self::CompletedAt
            | Self::LastActivity
            | Self::ExpiresAt => self.of(facts, latest.any, moments),
        }
    }

    /// Likewise for all that a job owns, of which `latest` is; where one file's timestamp is asked
    /// for, the latest of any stands for it. Late is safe.
    #[must_use]
    pub fn of_all(self, latest: Latest, moments: &JobTimestamps) -> Option<Timestamp> {
        match self {
            Self::NewestMtime => Some(latest.mtime),
            Self::Newest | Self::Mtime | Self::Ctime | Self::Btime => Some(latest.any),
            Self::CreatedAt | Self::CompletedAt | Self::LastActivity | Self::ExpiresAt => {
                self.of_job(moments)
            }
        }
    }

    /// The timestamp of a job that decides; `None` where it has none, or the files have it.
    #[must_use]
    pub fn of_job(self, moments: &JobTimestamps) -> Option<Timestamp> {
        match self {
            Self::Newest | Self::Mtime | Self::NewestMtime | Self::Ctime | Self::Btime => None,
            Self::CreatedAt => moments.created_at,
            Self::CompletedAt => moments.completed_at,
            Self::LastActivity => moments.last_activity,
            Self::ExpiresAt => moments.expires_at,
        }
    }

    /// Returns true if it is a timestamp of the owning job.
    #[must_use]
    pub const fn is_of_job(self) -> bool {
        match self {
            Self::Newest | Self::Mtime | Self::NewestMtime | Self::Ctime | Self::Btime => false,
            Self::CreatedAt | Self::CompletedAt | Self::LastActivity | Self::ExpiresAt => true,
        }
    }

    /// The word in configuration, JSON and the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
