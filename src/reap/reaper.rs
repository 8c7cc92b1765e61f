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

use super::context::{ClaimBatch, Lanes, LookContext, ReaperContext, RootReadiness};
use super::hooks::Hooks;
use super::intents::Intents;
use super::judge::BoundedClock;
use super::lanes::Options;
use super::location::RootLocation;
use super::quarantine_locks::Quarantines;
use super::quarantines;
use crate::clock;
use crate::core::claim::Claim;
use crate::core::facts::RootId;
use crate::core::policy::Policy;
use crate::fs::RootDir;
use crate::ledger::Ledger;

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
            if same.is_none() {
                self.common.hooks.trash.forget(root);
            }
            let here = RootReadiness {
                place: place.clone(),
                quarantine: same.and_then(|(_, quarantine)| quarantine),
                parked: Some(parked),
            };
            places.insert(root, here);
            drop(places);
            self.common.recover(root, place);
        } else {
            self.common.hooks.trash.forget(root);
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

    /// Returns true if the trash of every root that is there was read, or could not be.
    #[must_use]
    pub fn knows_trash(&self) -> bool {
        let places = self.common.places.lock();
        let mut roots = places.keys();
        roots.all(|root| self.common.hooks.trash.was_tried(*root))
    }

    /// Returns what its threads share.
    pub(super) fn common(&self) -> &Arc<ReaperContext> {
        &self.common
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
        places.iter().map(quarantines::displaced_in).sum()
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
