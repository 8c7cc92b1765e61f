//! Reasons why something that is due is not removed.

use std::fmt;
use std::time::Duration;

use super::jobs::JobRow;
use super::time::Timestamp;

/// A hold: what keeps a due entry or unit in its place, and what would end it.
#[derive(Clone, PartialEq, Eq, Debug, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Hold {
    /// The root's crawl or reconciliation is not through.
    Reconciling,
    /// The root is not there.
    RootMissing,
    /// The root cannot be opened, which does not mean that it is not there.
    RootUnreachable {
        /// The reason and the remedy.
        error: String,
    },
    /// Too much became due at once; a person has to say that it may go.
    Breaker,
    /// The wall clock jumped forward by this much: ages are not believed until real time has caught
    /// up.
    ClockJumped {
        /// Length of the jump.
        by: Duration,
    },
    /// The wall clock stands before an instant that was recorded earlier.
    ClockBehind {
        /// The instant that was recorded.
        recorded: Timestamp,
    },
    /// A process has it open; inside a unit, the path of the file within the unit.
    Open {
        /// The open file, where it is not the entry itself.
        path: Option<String>,
    },
    /// True if it is open cannot be known (not ours, and no `CAP_LEASE`; or a file system without
    /// leases).
    OpenUnknown {
        /// The operating system's reason.
        error: String,
    },
    /// The operating system refuses to move it out of its directory.
    Denied {
        /// The operating system's reason.
        error: String,
        /// The way in which its end shows.
        ends: Recovery,
    },
    /// The root's quarantine cannot be had or trusted.
    NoQuarantine {
        /// The reason and the remedy.
        error: String,
    },
    /// Another process has locked the root's quarantine: the root is that one's.
    RootInUse {
        /// The process, and the remedy.
        error: String,
    },
    /// The removal cannot be recorded: intent or ledger cannot be written.
    LedgerUnavailable {
        /// The operating system's reason.
        error: String,
    },
    /// The state of the roots cannot be saved: after a restart it would be missing.
    CacheUnavailable {
        /// The reason and the remedy.
        error: String,
    },
    /// Something is mounted beneath it.
    MountInside {
        /// The path.
        path: String,
    },
    /// Another root is within it.
    RootInside {
        /// The other root's name.
        root: String,
    },
    /// Our own state directory is within it.
    StateInside {
        /// Its path from the root.
        path: String,
    },
    /// The file system keeps no such timestamp as the rule asks for.
    NoTimestamp,
    /// A part of the unit cannot be looked at.
    Unreadable {
        /// The part, and the operating system's reason.
        error: String,
    },
    /// The last look did not agree that it is due.
    RecheckMismatch,
    /// A limit on free space has removed things, and the file system has not become emptier:
    /// something else fills it, and emptying this root would not help.
    LimitFutile {
        /// Bytes that were given back.
        freed: u64,
        /// Bytes by which the free space grew.
        gained: u64,
    },
    /// Its name was taken while it was in the quarantine; it stays there until a person decides.
    Displaced,
    /// The daemon runs with `--dry-run`.
    DryRun,
    /// It is among the newest of its group, which its rule keeps.
    KeptLast {
        /// Number of newest ones that the rule keeps.
        count: usize,
        /// The group: what the rule's `per` makes of its path; `None`: `per` does not match it.
        group: Option<String>,
        /// Its place, 1 for the newest; `None`: it is not known yet.
        place: Option<usize>,
        /// Some of the newer ones, the newest first.
        newer: Vec<String>,
    },
    /// A user has paused removals, in one root or in all.
    Paused {
        /// Name of the root; `None`: all roots.
        root: Option<String>,
        /// The user who ordered it: a name, or a number.
        who: String,
        /// The reason.
        why: String,
        /// End of the pause.
        until: Timestamp,
    },
    /// The job that owns it has not ended.
    Running {
        /// The job.
        job: String,
    },
    /// The source of the jobs that may own it cannot be asked, or was not read yet.
    SourceDown {
        /// The source's name.
        source: String,
        /// The reason and the remedy.
        why: String,
    },
    /// Several jobs own it, and one of them does not let it go.
    Contested {
        /// The jobs.
        jobs: Vec<String>,
    },
    /// The job's row would be forgotten, and something else goes only because of it.
    RowNeeded {
        /// The thing: the root's name, and the path from there.
        path: String,
    },
    /// A value of the job that owns it cannot be read.
    UnreadableJob {
        /// The job.
        job: String,
        /// The column, and the value.
        value: String,
    },
    /// A job names a file in a way that cannot be understood, and may mean this one; or it is the
    /// job itself that does so.
    ClaimRefused {
        /// The source's name.
        source: String,
        /// The job.
        job: String,
        /// The claim, as the source has it.
        file: String,
        /// The reason for the refusal.
        why: String,
    },
    /// The trash has as many things as it may have.
    TrashFull,
    /// The record of a job waits: what the job owned can come back.
    InTrash {
        /// End of the last undo window; `None`: the trash was not read yet.
        until: Option<Timestamp>,
    },
    /// A user pinned it, or something in it, or its job.
    Pinned {
        /// Number of the pin.
        pin: u64,
        /// The user who set it: a name, or a number.
        who: String,
        /// The reason.
        why: String,
        /// End of the pin.
        until: Timestamp,
    },
}

/// Way in which the end of a denial shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// The directory, or the thing itself, changes: an event tells.
    Event,
    /// Nothing tells: a mount option, or an attribute such as being immutable.
    RetryOnly,
}

impl Hold {
    /// Returns true if every other removal in the same root would run into it as well.
    #[must_use]
    pub const fn is_of_root(&self) -> bool {
        self.is_of_quarantine()
            || matches!(
                self,
                Self::LedgerUnavailable { .. } | Self::RootUnreachable { .. }
            )
    }

    /// Returns true if it ends when the root's quarantine can be had.
    #[must_use]
    pub const fn is_of_quarantine(&self) -> bool {
        matches!(self, Self::NoQuarantine { .. } | Self::RootInUse { .. })
    }

    /// Returns true if many files of a directory run into it together, for a reason that is the
    /// directory's or their owner's.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(
            self,
            Self::OpenUnknown { .. } | Self::Denied { .. } | Self::DryRun | Self::Reconciling
        )
    }

    /// Returns true if two holds have the same cause, and end in the same way.
    #[must_use]
    pub fn has_cause_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Denied { ends: one, .. }, Self::Denied { ends: other, .. }) => one == other,
            (one, other) => one.code() == other.code(),
        }
    }

    /// Milliseconds until what was tried `tries` times before is tried again. Exponential backoff
    /// (1 s, 2 s, …), capped: an item is tried at most as late as it had already been blocked. The
    /// cap is per cause, because some causes end without an event.
    #[must_use]
    pub(in crate::core) fn retry_after_ms(&self, tries: u32) -> i64 {
        const FIRST_MS: i64 = 1000;
        const MINUTE_MS: i64 = 60_000;
        const HOUR_MS: i64 = 60 * MINUTE_MS;
        let bound = match self {
            // A reader that closes its file causes no event that we listen to.
            Self::Open { .. }
            | Self::SourceDown { .. }
            | Self::NoQuarantine { .. }
            | Self::RootInUse { .. }
            | Self::RootUnreachable { .. }
            | Self::LedgerUnavailable { .. }
            | Self::RowNeeded { .. } => MINUTE_MS,
            // Events tell when this ends; the retry is for what slips through.
            Self::Denied {
                ends: Recovery::Event,
                ..
            } => return HOUR_MS,
            // The owner of the file, or the file system, has to change: an event tells of the
            // first. Where the look and the index disagree, another look soon tells who is right,
            // but not over and over.
            Self::OpenUnknown { .. } | Self::RecheckMismatch => HOUR_MS,
            // The condition that holds it ends it.
            Self::DryRun
            | Self::Paused { .. }
            | Self::Reconciling
            | Self::CacheUnavailable { .. }
            | Self::InTrash { until: Some(_) } => return i64::MAX,
            Self::Denied {
                ends: Recovery::RetryOnly,
                ..
            }
            | Self::MountInside { .. }
            | Self::RootInside { .. }
            | Self::StateInside { .. }
            | Self::Unreadable { .. }
            | Self::Displaced
            | Self::LimitFutile { .. }
            | Self::KeptLast { .. }
            | Self::RootMissing
            | Self::Breaker
            | Self::ClockJumped { .. }
            | Self::ClockBehind { .. }
            | Self::NoTimestamp
            | Self::Running { .. }
            | Self::Contested { .. }
            | Self::UnreadableJob { .. }
            | Self::ClaimRefused { .. }
            | Self::TrashFull
            | Self::InTrash { until: None }
            | Self::Pinned { .. } => 10 * MINUTE_MS,
        };
        (FIRST_MS << tries.min(20)).min(bound)
    }

    /// One word for programs, as it stands in JSON and in the `hold` filter.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.into()
    }

    /// Every code, for messages that list what is allowed.
    pub const CODES: &'static [&'static str] = <Self as strum::VariantNames>::VARIANTS;
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reconciling => f.write_str("the root is still being read; it goes on by itself when that is through"),
            Self::RootMissing => f.write_str("the root is not there; it goes on by itself when it is back"),
            Self::Breaker => f.write_str("too much became due at once; look with `lapsed plan`, then `lapsed breaker release`"),
            Self::ClockJumped { by } => write!(
                f,
                "the clock jumped forward by {}; it waits until that much time has really passed, or for `lapsed breaker release`",
                humantime::format_duration(Duration::from_secs(by.as_secs()))
            ),
            Self::ClockBehind { recorded } => {
                write!(f, "the clock stands before {recorded}, when something was last removed; set the clock")
            }
            Self::Open { path: None } => f.write_str("somebody has it open"),
            Self::Open { path: Some(path) } => write!(f, "somebody has \"{path}\" in it open"),
            Self::OpenUnknown { error } => write!(
                f,
                "whether it is open cannot be known ({error}); run as the files' owner or with CAP_LEASE, or set skip_open = \"if-known\""
            ),
            Self::Denied { error, ends: Recovery::Event } => {
                write!(f, "it may not be moved: {error}; it is tried again when the directory changes")
            }
            Self::Denied { error, ends: Recovery::RetryOnly } => write!(f, "it may not be moved: {error}; it is tried again from time to time"),
            Self::RootUnreachable { error } | Self::NoQuarantine { error } | Self::RootInUse { error } | Self::Unreadable { error } => f.write_str(error),
            Self::LedgerUnavailable { error } => write!(f, "the removal cannot be recorded: {error}"),
            Self::CacheUnavailable { error } => write!(f, "what is known cannot be saved: {error}"),
            Self::MountInside { path } => write!(f, "something is mounted on \"{path}\" in it"),
            Self::RootInside { root } => write!(f, "root \"{root}\" lies within it"),
            Self::StateInside { path } => write!(f, "the state directory, \"{path}\", lies within it; set state_dir to another place"),
            Self::NoTimestamp => f.write_str("the timestamp that the rule asks for is not there: the file system does not keep it, or its job's source does not tell it"),
            Self::RecheckMismatch => f.write_str("the last look did not agree that it is due; it is looked at again"),
            Self::LimitFutile { freed, gained } => write!(
                f,
                "its removals gave back {freed} bytes, but only {gained} more are free: something else fills the file system; make room there, or give min_free another value"
            ),
            Self::Displaced => f.write_str("its name was taken while it was out; it stays in the quarantine"),
            Self::DryRun => f.write_str("the daemon runs with --dry-run or --shadow"),
            Self::KeptLast { count, place: None, .. } => {
                write!(f, "its rule keeps the last {count} of its group, and which these are is not known yet")
            }
            Self::KeptLast { count, group, place: Some(place), newer } => {
                write!(f, "its rule keeps the last {count}")?;
                match group.as_deref() {
                    None => f.write_str(" of what its per does not match")?,
                    Some("") => {}
                    Some(group) => write!(f, " of {group:?}")?,
                }
                write!(f, ", and it is number {place} of them")?;
                if newer.is_empty() {
                    return Ok(());
                }
                write!(f, "; newer: {}", newer.join(", "))
            }
            Self::Paused { root, who, why, until } => {
                let (what, option) = match root {
                    Some(root) => (format!("root \"{root}\""), format!(" --root {root}")),
                    None => ("everything".to_owned(), String::new()),
                };
                write!(f, "{who} has paused {what} until {until}: {why}; `lapsed resume{option}` ends it")
            }
            Self::Running { job } => write!(f, "job \"{job}\" has not ended"),
            Self::SourceDown { source, why } => write!(f, "source \"{source}\" cannot tell whose it is: {why}"),
            Self::Contested { jobs } => write!(f, "several jobs own it, and one of them does not let it go: {}", jobs.join(", ")),
            Self::RowNeeded { path } => write!(f, "\"{path}\" of the same row at another source has to go first; see `lapsed explain`"),
            Self::UnreadableJob { job, value } => write!(f, "job \"{job}\" has a value that cannot be read: {value}"),
            Self::ClaimRefused { source, job, why, .. } if job == JobRow::UNNAMED => {
                write!(f, "source {source:?} cannot tell whose it is: {why}; give these rows an id, or leave them out of select")
            }
            Self::ClaimRefused { source, job, file, why } => write!(
                f,
                "the claim {file:?} of job {job:?} is refused, so that which file it means is not known: {why}; at source {source:?} translate \
                 the path with path_map, set files_root, or leave such claims out of select"
            ),
            Self::TrashFull => f.write_str("the trash is full; `lapsed trash empty` makes room, or what is in it goes when its time has come"),
            Self::InTrash { until: Some(until) } => {
                write!(f, "what it owned is in the trash until {until}; `lapsed undo` brings it back, `lapsed trash empty` deletes it at once")
            }
            Self::InTrash { until: None } => f.write_str("whether something that it owned is in the trash is not known yet; it goes on by itself when that was read"),
            Self::Pinned { pin, who, why, until } => {
                write!(f, "pin {pin} of {who} until {until}: {why}; `lapsed pin rm {pin}` ends it")
            }
        }
    }
}
