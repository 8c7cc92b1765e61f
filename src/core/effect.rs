//! Effects of the engine: its orders to the other parts, and what is worth telling.

use super::claim::{Claim, Unit};
use super::clock_guard::ClockGuard;
use super::facts::{FileKey, RootId, RuleId};
use super::hold::Hold;
use super::index::Unsaved;
use super::jobs::{JobKey, SourceId};
use super::path::RelPath;
use super::pauses::Pause;
use super::policy::Measure;
use super::principal::Principal;
use super::report::{SavedRoot, SavedSource, Trip};
use super::run::{RunCause, RunStatus};
use super::shadow::ShadowEvent;
use super::time::Timestamp;
use super::trash::PurgeOrder;

/// The token of the barrier that the engine itself asks for, before it gathers what jobs own.
pub const JOBS: u64 = u64::MAX;

/// Orders of the engine.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Save what is known of a root beside its index, before what changes after it; `None`: it is
    /// not known any more.
    Remember(RootId, Option<SavedRoot>),
    /// Save what changed in the index: these are to be read from it, then or later.
    Changed {
        /// Pages and directories.
        unsaved: Unsaved,
        /// The clock's history up to now.
        clock: ClockGuard,
    },
    /// Other rules are in force.
    Ruled,
    /// Hand these claims (all of one root) to the reaper.
    Claim(Vec<Claim>),
    /// Find out what the reaper would make of these claims, without removing anything.
    Preview(Vec<Claim>),
    /// Have the reaper delete things of the trash.
    Purge(PurgeOrder),
    /// List a directory and all beneath it again.
    Relist(RootId, RelPath),
    /// A root is there, as this directory, or (`None`) is not.
    Placed(RootId, Option<FileKey>),
    /// Save what is known of a source.
    Source(SourceId, SavedSource),
    /// The removal under this number of the ledger was told: what is to become of its job's record
    /// can be carried out.
    Recorded(u64),
    /// This pause has ended by itself: it need not be kept any more.
    PauseEnded(Pause),
    /// Ask how much space the file system of a root has: [`Input::Space`] tells.
    ///
    /// [`Input::Space`]: super::engine::Input::Space
    AskSpace(RootId),
    /// Ask the watchers to hand in everything that happened until now, and [`JOBS`] behind it.
    Barrier,
    /// A barrier is through.
    Synced(u64),
    /// Record what a daemon that removes nothing would have removed, or what others removed.
    Shadow(ShadowEvent),
    /// Tell those who listen.
    Tell(Event),
}

/// Something worth telling.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// Something lapsed and is gone.
    Lapsed {
        /// The root.
        root: RootId,
        /// Its path.
        path: RelPath,
        /// Its unit.
        unit: Unit,
        /// The rule.
        rule: RuleId,
        /// The deadline.
        deadline: Timestamp,
        /// Instant of the removal.
        at: Timestamp,
        /// Lateness in milliseconds: from the deadline, or from the end of the hold that outlasted
        /// it.
        late_ms: i64,
        /// Regular files.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// The ledger line.
        id: u64,
        /// Owner of all of it, for [`Unit::Job`].
        job: Option<JobKey>,
        /// It is in the trash until this instant.
        trashed: Option<Timestamp>,
    },
    /// Something is due and stays (told once per entry and hold).
    Held {
        /// The root.
        root: RootId,
        /// The thing.
        path: RelPath,
        /// The reason.
        hold: Hold,
    },
    /// A file was seen to appear, change or go (reported only while a client asks for it).
    Observed {
        /// The root.
        root: RootId,
        /// The file.
        path: RelPath,
        /// Its size; `None`: it is gone.
        size: Option<u64>,
    },
    /// A root was found, lost, or is through with its crawl.
    Root {
        /// The root.
        root: RootId,
        /// False if it is lost, or cannot be reached.
        is_available: bool,
        /// The event, for people.
        what: String,
    },
    /// The breaker tripped.
    Tripped {
        /// For which root.
        root: RootId,
        /// The reason.
        trip: Trip,
    },
    /// The breaker was released.
    Released {
        /// For which root.
        root: RootId,
        /// By whom.
        by: Principal,
    },
    /// Removals were paused.
    Paused(Pause),
    /// A pause has ended.
    Resumed {
        /// The pause.
        pause: Pause,
        /// The user who ended it; `None`: its time has come.
        by: Option<Principal>,
    },
    /// A source of jobs was read for the first time, cannot be read, or can be read again.
    Source {
        /// The source.
        source: SourceId,
        /// False if it cannot be read.
        is_available: bool,
        /// The event, for people.
        what: String,
    },
    /// The breaker tripped for orphans.
    OrphansTripped {
        /// For the roots of which source,
        source: Option<SourceId>,
        /// or for which root.
        root: Option<RootId>,
        /// The reason.
        why: String,
    },
    /// A job claims something that it cannot own.
    ClaimRefused {
        /// The source.
        source: SourceId,
        /// The job.
        job: String,
        /// The claimed file, as its source spells it.
        file: String,
        /// The reason why it is refused.
        why: String,
    },
    /// A run began or ended.
    Run {
        /// Its number.
        id: u64,
        /// State or outcome.
        status: RunStatus,
        /// Cause.
        cause: RunCause,
        /// Requester.
        by: Principal,
        /// Removed files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The size of a root, or the free space of its file system, crossed a threshold, or went back.
    Space {
        /// The root.
        root: RootId,
        /// True if it is crossed.
        is_crossed: bool,
        /// Value and threshold.
        measure: Measure,
    },
    /// Changes can be saved again.
    Saving,
    /// The wall clock jumped.
    ClockJumped {
        /// By how much, in milliseconds; negative: back.
        by_ms: i64,
    },
}

impl Event {
    /// Returns true if it is not of a single file or claim: of these there may be any number.
    #[must_use]
    pub const fn is_notable(&self) -> bool {
        match self {
            Self::Lapsed { .. }
            | Self::Held { .. }
            | Self::Observed { .. }
            | Self::ClaimRefused { .. }
            | Self::Saving => false,
            Self::Root { .. }
            | Self::Tripped { .. }
            | Self::Released { .. }
            | Self::Paused(_)
            | Self::Resumed { .. }
            | Self::Source { .. }
            | Self::OrphansTripped { .. }
            | Self::Run { .. }
            | Self::Space { .. }
            | Self::ClockJumped { .. } => true,
        }
    }
}
