//! The reaper, as others see it.
//!
//! On each device files are carried out by a few threads; whole directories by two, which only move
//! and record them; two sweepers remove what they left in the quarantine, so that a huge directory
//! delays no other removal.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use parking_lot::Mutex;

use super::intents::Intents;
use super::judge::BoundedClock;
use super::lanes::{Lanes, UNITS_MAX};
pub use super::place::RootLocation;
use super::place::{ClaimBatch, LookContext, ReaperContext, RootReadiness};
use super::quarantines::{self, Quarantines};
use crate::clock;
use crate::core::claim::{Claim, Reaped};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::jobs::{JobKey, JobLookup, Owner};
use crate::core::path::RelPath;
use crate::core::pins::Pins;
use crate::core::policy::{Policy, Record};
use crate::fs::{Dir, RootDir};
use crate::ledger::{Ledger, Line};

/// Options of the reaper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Directory of the intents: on a local disk, for this process alone.
    pub state_dir: PathBuf,
    /// Number of threads for claims of files, on each device.
    pub threads: usize,
    /// Maximum number of units that share one sync of the ledger; never more than a thread takes.
    pub batch_units: usize,
}

impl Options {
    /// The defaults: removals of single files are bound by the journal of the file system, of which
    /// two threads get the most.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        Self {
            state_dir,
            threads: 2,
            batch_units: UNITS_MAX,
        }
    }
}

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

/// Claims that came up together: at most a few hundred, of any roots.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The policy that is asked again.
    pub policy: Arc<Policy>,
    /// The claims. Those of one directory are best together.
    pub claims: Vec<Claim>,
}

/// The reaper cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ReapError {
    /// The intents of the last process cannot be read, or new ones not be written.
    #[error("cannot open \"{}\": {error}\n  see that the service's user may write there, or choose another state directory with --state-dir", path.display())]
    Intents {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
    /// The state directory cannot be told from others.
    #[error("cannot open \"{}\": {error}\n  see that the service's user may write there, or choose another state directory with --state-dir", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
    /// No thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Carries out claims. Stopped when dropped.
pub struct Reaper {
    common: Arc<ReaperContext>,
    /// Hung up when the threads have ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl std::fmt::Debug for Reaper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reaper").finish_non_exhaustive()
    }
}

impl Reaper {
    /// Starts the threads. Nothing is touched before a root was placed.
    ///
    /// # Errors
    /// See [`ReapError`].
    pub fn start(options: &Options, ledger: Arc<Ledger>, hooks: Hooks) -> Result<Self, ReapError> {
        let intents = Intents::open(&options.state_dir).map_err(|error| ReapError::Intents {
            path: options.state_dir.join("intents"),
            error,
        })?;
        let state = options.state_dir.canonicalize();
        let state = state
            .and_then(|path| RootDir::open(&path).map_err(|error| error.errno.into()))
            .map_err(|error| ReapError::StateDir {
                path: options.state_dir.clone(),
                error,
            })?
            .key();
        if let Some(largest) = intents.ids().last() {
            ledger.raise_ids(largest + 1);
        }
        let (lanes, ended) = Lanes::new(options);
        let common = Arc::new(ReaperContext {
            looks: LookContext::new(hooks, Some(state)),
            ledger,
            intents,
            places: Mutex::default(),
            quarantines: Quarantines::default(),
            lanes,
            turns: Mutex::default(),
        });
        common.start().map_err(ReapError::Thread)?;
        Ok(Self {
            common,
            ended: Mutex::new(ended),
        })
    }

    /// Takes claims. Returns at once; every claim is answered once through [`Hooks::reaped`],
    /// unless the reaper is stopped.
    pub fn submit(&self, batch: Batch) {
        let since = BoundedClock(clock::now());
        let mut works: Vec<ClaimBatch> = Vec::new();
        for claim in batch.claims {
            let work = ClaimBatch {
                policy: batch.policy.clone(),
                roots: claim.places().map(|(root, _)| root).collect(),
                unit: claim.unit,
                claims: vec![claim],
                since,
            };
            let units_max = self.common.lanes.batch_units;
            let rest = works.iter_mut().rev().try_fold(work, |work, waiting| {
                waiting.take_in(work, units_max).ok_or(())
            });
            works.extend(rest);
        }
        for work in works {
            self.common.queue(work);
        }
    }

    /// Sets the place of `root`; `None`: it is missing, and its claims are held. The quarantine of
    /// a root that appears is put in order before its later claims are carried out. Returns at
    /// once.
    pub fn set_place(&self, root: RootId, place: Option<RootLocation>) {
        let mut places = self.common.places.lock();
        let (known, parked) = places.remove(&root).map_or((None, None), |root| {
            (Some((root.place, root.quarantine)), root.parked)
        });
        let parked = parked.unwrap_or_default();
        if let Some(place) = place {
            let same = known.filter(|(known, _)| *known == place);
            let here = RootReadiness {
                place: place.clone(),
                quarantine: same.and_then(|(_, quarantine)| quarantine),
                parked: Some(parked),
            };
            places.insert(root, here);
            drop(places);
            self.common.recover(root, place);
        } else {
            drop(places);
            for work in parked {
                self.common.queue(work);
            }
        }
    }

    /// Tells [`Hooks::finished`] of those of the removals `ids`, which an earlier process recorded,
    /// that are gone already; of the others once they are.
    pub fn finish(&self, ids: Vec<u64>) {
        for id in ids {
            if self.common.intents.is_done(id) {
                (self.common.hooks.finished)(id, Vec::new());
            }
        }
    }

    /// Returns the numbers of the unfinished removals: the ledger decides about their things.
    #[must_use]
    pub fn unfinished(&self) -> BTreeSet<u64> {
        self.common.intents.ids()
    }

    /// Returns the number of displaced things in the quarantines of the roots that are there. Looks
    /// at the disk.
    #[must_use]
    pub fn displaced(&self) -> u64 {
        let places: Vec<RootLocation> = self
            .common
            .places
            .lock()
            .values()
            .map(|placed| placed.place.clone())
            .collect();
        places.iter().map(quarantines::displaced).sum()
    }

    /// Has the threads finish their current work, and drops the rest. Returns at once. A directory
    /// that is being deleted is left between two files: it is recorded, and the next start finishes
    /// it.
    pub fn close(&self) {
        self.common.stopping.store(true, Ordering::Relaxed);
        self.common.lanes.close();
    }

    /// Waits, after [`Reaper::close`], until the threads have ended, at most for `limit`. Whether
    /// they have: a file system or a source may hang. What they were at is then as after a crash.
    #[must_use]
    pub fn ends_within(&self, limit: Duration) -> bool {
        self.ended.lock().recv_timeout(limit) != Err(RecvTimeoutError::Timeout)
    }

    /// [`Reaper::close`], and waits until the threads have ended. [`Hooks::reaped`] must not block
    /// for ever meanwhile.
    pub fn stop(&self) {
        self.close();
        self.common.lanes.join();
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.stop();
    }
}
