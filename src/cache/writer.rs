//! Writer thread: gathers changes for a moment, saves and flushes them; then, after a rest, the
//! stamps.
//!
//! A stamp confirms that the saved entries of a directory are complete up to its change time. So
//! the writer requests a barrier before it writes stamps: everything that happened before is in the
//! index then. Directories that have not changed for two seconds by then get theirs.
//!
//! **Invariant:** changes that could not be saved are kept, and no file is removed meanwhile.
//! **Invariant:** the thread wakes only for changes that wait, and for directories that wait for
//! their stamps.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::compact::compact;
use super::db::Db;
use super::error::{Fault, failure};
use super::files::CacheFiles;
use super::queue::{CommandQueue, Commands, Pending};
use super::stats::Shared;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::index::{DirId, Index};
use crate::core::report::SavedRoot;
use crate::core::time::Timestamp;

/// Time for which changes are gathered: a crash costs the listing of what changed meanwhile.
const GATHER: Duration = Duration::from_millis(100);

/// Exponential growth of that time, up to this, while saves follow each other as closely: a save
/// wakes all threads of sled.
const GATHER_OFTEN_MAX: Duration = Duration::from_millis(300);

/// Under load, multiple of the last save's time for which changes are gathered: saving takes at
/// most 1/30 of a thread.
const GATHER_TIMES: u32 = 29;

/// Maximum time for which changes are gathered.
const GATHER_MAX: Duration = Duration::from_secs(5);

/// Exponential backoff of a failed save, from this time up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`RETRY_FIRST`].
const RETRY_MAX: Duration = Duration::from_mins(1);

/// Maximum time of the last save. What is not saved by then is listed at the next start.
const FINAL_MAX: Duration = Duration::from_millis(400);

/// Factor by which a copy must be expected to be smaller.
const SHRINK_TIMES: u64 = 4;

/// Callbacks of the cache.
pub struct Hooks {
    /// Requests a barrier. [`super::Cache::on_barrier`] is called once everything that happened
    /// before is in the index.
    pub request_barrier: Box<dyn Fn() + Send>,
    /// Called with the reason when saving fails, and with `None` when it works again. May block.
    pub on_save_state: Arc<dyn Fn(Option<String>) + Send + Sync>,
}

/// Limit of a save.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// Until it is complete, or the cache is stopped.
    Stopped,
    /// Until this instant.
    Passed(Duration),
}

/// Failure of the last save.
pub(super) struct Failed {
    retry_at: Duration,
    wait: Duration,
}

/// State of the thread.
pub(super) struct Writer {
    pub(super) queue: Arc<CommandQueue>,
    pub(super) shared: Arc<Shared>,
    pub(super) files: CacheFiles,
    pub(super) size_max: u64,
    /// The database; `None` while it cannot be opened.
    pub(super) db: Option<Db>,
    pub(super) index: Arc<Index>,
    pub(super) hooks: Hooks,
    pub(super) stale_roots: Vec<Vec<u8>>,
    pub(super) paths: BTreeMap<RootId, Vec<u8>>,
    /// Roots that are marked as settled on disk.
    pub(super) settled: BTreeSet<RootId>,
    /// Known roots, by path, as in the list beside the database.
    pub(super) known: BTreeMap<Vec<u8>, SavedRoot>,
    /// Directories that have changed since their stamps were written.
    pub(super) unstamped: BTreeSet<DirId>,
    /// Instant at which the barrier was requested, by the wall clock.
    pub(super) requested_at: Option<Timestamp>,
    pub(super) save_due: Option<Duration>,
    pub(super) stamps_due: Option<Duration>,
    pub(super) failed: Option<Failed>,
    /// Time that the last save took.
    pub(super) took: Duration,
    /// Time for which changes are gathered at least.
    pub(super) gather: Duration,
    /// End of the last save.
    pub(super) saved_at: Duration,
    /// Size after the last compaction.
    pub(super) floor_bytes: u64,
    /// True if the database has nothing to do with the index.
    pub(super) from_nothing: bool,
}

impl Writer {
    /// Runs the thread. If it panics, nothing is saved any more, and so nothing may be removed.
    pub(super) fn run_to_its_end(self) {
        let (shared, unsaved) = (
            Arc::clone(&self.shared),
            Arc::clone(&self.hooks.on_save_state),
        );
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            let why = "the part that saves ended by a fault of ours; start the daemon again";
            tracing::error!("{why}");
            shared.update(|stats| stats.failing = Some(why.to_owned()));
            unsaved(Some(why.to_owned()));
        }
    }

    fn run(mut self) {
        if let Some(why) = self.shared.get().failing {
            self.fail(why);
        }
        loop {
            self.wait();
            let now = clock::now();
            let (stopped, is_passed, pending) = self.queue.peek(|commands| {
                (
                    commands.stopped,
                    commands.is_barrier_passed,
                    !commands.pending.is_empty(),
                )
            });
            if stopped {
                self.end();
                return;
            }
            if pending && self.save_due.is_none() {
                let is_often = now.boot.saturating_sub(self.saved_at) < GATHER_OFTEN_MAX;
                self.gather = if is_often {
                    (self.gather * 2).clamp(GATHER, GATHER_OFTEN_MAX)
                } else {
                    GATHER
                };
                let gather = (self.took * GATHER_TIMES).clamp(self.gather, GATHER_MAX);
                self.save_due = Some(now.boot.saturating_add(gather));
            }
            let known = if is_passed { self.requested_at } else { None };
            if is_passed || self.save_due.is_some_and(|due| due <= now.boot) {
                self.try_to_save(known, now.boot);
            }
            if self.stamps_due.is_some_and(|due| due <= now.boot) {
                self.stamps_due = None;
                self.requested_at = Some(now.wall);
                (self.hooks.request_barrier)();
            }
        }
    }

    /// Sleeps until there is work.
    fn wait(&self) {
        let due = match &self.failed {
            Some(failed) => Some(failed.retry_at),
            None => self.save_due.into_iter().chain(self.stamps_due).min(),
        };
        let wait = due.map(|due| due.saturating_sub(clock::now().boot));
        let gathers = self.save_due.is_some() || self.failed.is_some();
        let is_failed = self.failed.is_some();
        self.queue.wait(wait, gathers, |commands| {
            commands.stopped
                || (commands.is_barrier_passed && !is_failed)
                || (!gathers && !commands.pending.is_empty())
        });
    }

    fn try_to_save(&mut self, known: Option<Timestamp>, now: Duration) {
        if self
            .failed
            .as_ref()
            .is_some_and(|failed| failed.retry_at > now)
        {
            return;
        }
        self.save_due = None;
        let begun = clock::now().boot;
        let commands = self.take_mail();
        self.paths.extend(commands.paths);
        if commands.is_barrier_passed {
            self.requested_at = None;
        }
        let saved = self
            .ensure_open()
            .and_then(|()| self.save(&commands.pending, Until::Stopped))
            .and_then(|()| self.save_stamps(known))
            .and_then(|()| self.check_size());
        self.saved_at = clock::now().boot;
        self.took = self.saved_at.saturating_sub(begun);
        match saved {
            Ok(()) => self.succeed(),
            // The rest is left to the last save.
            Err(Fault::Stopped) => self.queue.put_back(commands.pending),
            Err(fault) => {
                self.queue.put_back(commands.pending);
                self.shared.update(|stats| stats.pending = 0);
                self.give_up(&fault);
            }
        }
    }

    /// Takes the changes that wait. They count as waiting until they are saved.
    fn take_mail(&self) -> Commands {
        let commands = self.queue.take();
        let pending = commands.pending.len();
        self.shared.update(|stats| stats.pending = pending);
        commands
    }

    /// Opens the database if it is closed. If its contents do not match the index, all is saved
    /// anew.
    fn ensure_open(&mut self) -> Result<(), Fault> {
        if self.db.is_some() {
            return Ok(());
        }
        let path = self.files.cache();
        let db = match Db::open(&path) {
            Err(Fault::Damaged(why)) => {
                let to = self.files.set_aside().map_err(Fault::of_io)?;
                tracing::warn!(
                    cache = %path.display(), moved_to = %to.display(), error = why,
                    "the cache was damaged and set aside; a new one is written"
                );
                self.shared
                    .update(|stats| stats.set_aside = Some((to, why)));
                self.from_nothing = true;
                Db::open(&path)?
            }
            opened => opened?,
        };
        if self.from_nothing {
            db.clear()?;
            let unsaved = self.index.all_unsaved();
            self.queue.put(|commands| {
                commands.pending.extend(Pending {
                    unsaved,
                    ..Pending::default()
                });
            });
            self.from_nothing = false;
        }
        self.db = Some(db);
        Ok(())
    }

    /// Replaces the database by a smaller copy if it has grown above its limit.
    fn check_size(&mut self) -> Result<(), Fault> {
        let Some(db) = self.db.as_ref().filter(|_| !self.is_stopped()) else {
            return Ok(());
        };
        let size = db.size_bytes()?;
        let ceiling = self
            .size_max
            .max(self.floor_bytes.saturating_mul(SHRINK_TIMES));
        if size <= ceiling {
            self.shared.update(|stats| stats.size_bytes = size);
            return Ok(());
        }
        let Some(db) = self.db.take() else {
            return Ok(());
        };
        let (db, copied) = compact(&self.files, db)?;
        let after = db.size_bytes()?;
        self.db = Some(db);
        // A failed copy is not tried again at once.
        self.floor_bytes = if copied.is_ok() { after } else { size };
        self.shared.update(|stats| {
            stats.size_bytes = after;
            stats.compactions += u64::from(copied.is_ok());
        });
        match copied {
            Ok(()) => tracing::info!(
                before = size,
                after,
                "the cache was replaced by a smaller copy"
            ),
            Err(error) => {
                tracing::warn!(%error, "the cache could not be copied into a smaller one");
            }
        }
        Ok(())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.queue.peek(|commands| commands.stopped)
    }

    fn succeed(&mut self) {
        let was_failing = self.failed.take().is_some();
        let unstamped = self.unstamped.len() as u64;
        self.shared.update(|stats| {
            stats.pending = 0;
            stats.unstamped = unstamped;
            stats.failing = None;
            stats.saves += 1;
            stats.saved_at = Some(clock::now().wall);
        });
        if was_failing {
            (self.hooks.on_save_state)(None);
        }
    }

    fn give_up(&mut self, fault: &Fault) {
        if let Some(db) = self.db.take() {
            db.close();
        }
        let path = self.files.cache();
        self.fail(failure(&path, &fault.to_string()));
    }

    fn fail(&mut self, why: String) {
        let wait = match &self.failed {
            Some(failed) => (failed.wait * 2).min(RETRY_MAX),
            None => RETRY_FIRST,
        };
        if self.failed.is_none() {
            tracing::error!("{why}\nnothing is removed until then");
            (self.hooks.on_save_state)(Some(why.clone()));
        }
        self.shared.update(|stats| stats.failing = Some(why));
        let retry_at = clock::now().boot.saturating_add(wait);
        self.failed = Some(Failed { retry_at, wait });
        // The retry is a save, whatever waits.
        self.save_due = Some(retry_at);
    }

    /// Saves for the last time.
    fn end(&mut self) {
        let commands = self.take_mail();
        self.paths.extend(commands.paths);
        let until = Until::Passed(clock::now().boot.saturating_add(FINAL_MAX));
        let saved = self.save(&commands.pending, until);
        if let Err(fault) = saved {
            tracing::info!(why = %fault, "what changed last could not be saved; it is listed at the next start");
        }
        if let Some(db) = self.db.take() {
            db.close();
        }
    }
}
