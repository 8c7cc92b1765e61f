//! Calls from the reaper to other parts.

use std::sync::Arc;

use crate::core::claim::{Claim, Reaped};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{JobKey, JobLookup, Owner};
use crate::core::path::RelPath;
use crate::core::pauses::Pauses;
use crate::core::pins::{PinTarget, Pins};
use crate::core::policy::{Policy, Record};
use crate::core::principal::Principal;
use crate::core::time::Timestamp;
use crate::core::trash::{Trash, TrashNews};
use crate::fs::Dir;
use crate::ledger::Line;

/// Callback with a directory of a root.
pub type OnDir = Arc<dyn Fn(RootId, &RelPath) + Send + Sync>;

/// Called with a root whose quarantine was put in order, or with what keeps it from that.
pub type OnRecovered = Arc<dyn Fn(RootId, Option<Hold>) + Send + Sync>;

/// The removal of all that a job owned, which is about to be recorded, and what is to become of the
/// job's record then.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// The line that is about to be appended to the ledger; has the job's row.
    pub line: &'a Line,
    /// The job.
    pub job: &'a JobKey,
    /// Never [`Record::Keep`].
    pub record: Record,
}

/// Returns the known owner of a path in a root.
pub type OwnerOf = Arc<dyn Fn(&Policy, RootId, &[u8]) -> Owner + Send + Sync>;

/// Returns the hold of a thing that no known job owns and a rule lets lapse, if a refused claim may
/// mean it.
pub type RefusedHold = Arc<dyn Fn(&Policy, RootId, &[u8], RuleId) -> Option<Hold> + Send + Sync>;

/// Returns the hold of all that a job owns, if a part of it is not among the pieces of the claim,
/// or one of its claims leads through a link.
pub type LinkedHold = Arc<dyn Fn(&Policy, &Claim) -> Option<Hold> + Send + Sync>;

/// Notes durably what is to be written back; else returns the reason.
pub type BeforeRecord = Arc<dyn Fn(&[Recording<'_>]) -> Result<(), String> + Send + Sync>;

/// Returns true if the known row of a job agrees with the source's.
pub type Agrees = Arc<dyn Fn(&JobKey, &JobLookup) -> bool + Send + Sync>;

/// Takes in what a source says about a job.
pub type Disagrees = Arc<dyn Fn(&JobKey, JobLookup) + Send + Sync>;

/// Strikes out what was noted for the lines with these numbers.
pub type NotRecorded = Arc<dyn Fn(&[u64]) + Send + Sync>;

/// Called when all that a job owned is gone, with the number of its line and the quarantines that
/// it went through: what was removed from them is final once their file systems are synchronized.
pub type OnFinished = Arc<dyn Fn(u64, Vec<Arc<Dir>>) + Send + Sync>;

/// Pins that are to be set before something comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinOrder {
    /// The paths and jobs.
    pub targets: Vec<PinTarget>,
    /// End of the pins.
    pub until: Timestamp,
    /// The requester.
    pub by: Principal,
}

/// Sets pins durably; else returns the reason.
pub type OnPin = Arc<dyn Fn(&PinOrder) -> Result<(), String> + Send + Sync>;

/// Calls from the reaper to other parts.
#[derive(Clone)]
pub struct Hooks {
    /// Reports the results of claims. May block.
    pub reaped: Arc<dyn Fn(Vec<Reaped>) + Send + Sync>,
    /// The quarantine of a root is in order, or cannot be had. May block.
    pub recovered: OnRecovered,
    /// A directory is about to be moved: its watches are to be dropped, or every removal in it
    /// would come back as an event.
    pub before_move: OnDir,
    /// The directory at this path, which may be back there, is to be looked at again, with all
    /// below.
    pub put_back: OnDir,
    /// Returns the owner of a path. From memory: it is called for every file.
    pub owner: OwnerOf,
    /// Returns a hold if a refused claim of a job, or one that leads through a link, may mean it.
    pub refused: RefusedHold,
    /// Returns a hold if the row of the job must be kept, because something that it claims would
    /// not be removed with it. Looks at the file system.
    pub linked: LinkedHold,
    /// All pins.
    pub pins: Arc<Pins>,
    /// All pauses.
    pub pauses: Arc<Pauses>,
    /// Contents of the trash: changed by the reaper alone.
    pub trash: Arc<Trash>,
    /// Tells the engine of the trash. Returns when the engine has taken it in. May block.
    pub trash_news: Arc<dyn Fn(TrashNews) + Send + Sync>,
    /// Pins durably, and for the reaper's next look, what is about to come back; else returns the
    /// reason. May block.
    pub pin: OnPin,
    /// Reads the row of a job from its source. May block, for as long as the source may take.
    pub fresh: Arc<dyn Fn(&JobKey) -> JobLookup + Send + Sync>,
    /// Returns true if that is the known row, by which [`Hooks::owner`] answers.
    pub agrees: Agrees,
    /// Reports that a source disagrees with the known row.
    pub disagrees: Disagrees,
    /// These are about to be recorded. What it refuses is put back.
    pub before_record: BeforeRecord,
    /// All that a job owned is gone. May block.
    pub finished: OnFinished,
    /// The lines with these numbers, of which [`Hooks::before_record`] was told, did not get into
    /// the ledger.
    pub not_recorded: NotRecorded,
}
