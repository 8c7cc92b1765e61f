//! The thread that writes: gathers changes for a moment, writes them, flushes; then, after a rest, the stamps.
//!
//! A stamp vouches for all that happened in a directory until its change time. So before any are written, the watchers are asked to
//! say when everything until then is in the index; what is known by then and has not changed for two seconds gets its
//! stamp.
//!
//! **Invariant:** what could not be written waits, and nothing is removed meanwhile.
//! **Invariant:** nothing here wakes without a change that waits, or directories that wait for their stamps.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::compact::compact;
use super::db::Db;
use super::error::Fault;
use super::handle::Hooks;
use super::inbox::{Inbox, Mail, Pending};
use super::open::failure;
use super::place::Places;
use super::stats::Shared;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::index::{DirId, Index};
use crate::core::report::RootMemory;
use crate::core::time::Timestamp;

/// Changes are gathered for so long: a crash costs the listing of what changed in that time.
const GATHER: Duration = Duration::from_millis(100);

/// And, under load, for so many times as long as the last writing took: at most a thirtieth of the time is spent on it.
const GATHER_TIMES: u32 = 29;

/// But never for longer than this.
const GATHER_MAX: Duration = Duration::from_secs(5);

/// The first time after which what failed is tried again, and the longest: it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`RETRY_FIRST`].
const RETRY_MAX: Duration = Duration::from_mins(1);

/// At the end everything is written that can be in this time; the rest is listed at the next start.
const FINAL_MAX: Duration = Duration::from_millis(400);

/// A smaller copy is only made when it can be expected to be so many times smaller.
const SHRINK_TIMES: u64 = 4;

/// For how long one writing may go on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// Until it is through, or the cache is to end.
    Stopped,
    /// Until this time.
    Passed(Duration),
}

/// What cannot be written at the moment.
pub(super) struct Failed {
    retry_at: Duration,
    wait: Duration,
}

/// The thread.
pub(super) struct Writer {
    pub(super) inbox: Arc<Inbox>,
    pub(super) shared: Arc<Shared>,
    pub(super) places: Places,
    pub(super) size_max: u64,
    /// `None` while it cannot be opened.
    pub(super) db: Option<Db>,
    pub(super) index: Arc<Index>,
    pub(super) hooks: Hooks,
    pub(super) stale_roots: Vec<Vec<u8>>,
    pub(super) paths: BTreeMap<RootId, Vec<u8>>,
    /// Roots that count as settled on disk.
    pub(super) settled: BTreeSet<RootId>,
    /// Roots that are known, by path, as it stands beside the database.
    pub(super) known: BTreeMap<Vec<u8>, RootMemory>,
    /// Directories that changed since their stamps were written.
    pub(super) unstamped: BTreeSet<DirId>,
    /// When the watchers were asked, by the wall clock.
    pub(super) asked: Option<Timestamp>,
    pub(super) save_due: Option<Duration>,
    pub(super) stamps_due: Option<Duration>,
    pub(super) failed: Option<Failed>,
    /// How long the last writing took.
    pub(super) took: Duration,
    /// How large it was after the last compaction.
    pub(super) floor_bytes: u64,
    /// What is on disk has nothing to do with the index.
    pub(super) from_nothing: bool,
}

impl Writer {
    /// Runs; should that end by a fault of ours, nothing is saved any more, and so nothing may be removed.
    pub(super) fn run_to_its_end(self) {
        let (shared, unsaved) = (Arc::clone(&self.shared), Arc::clone(&self.hooks.unsaved));
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
            let (stopped, vouched, pending) = self
                .inbox
                .peek(|mail| (mail.stopped, mail.vouched, !mail.pending.is_empty()));
            if stopped {
                self.end();
                return;
            }
            if pending && self.save_due.is_none() {
                let gather = (self.took * GATHER_TIMES).clamp(GATHER, GATHER_MAX);
                self.save_due = Some(now.boot.saturating_add(gather));
            }
            let known = if vouched { self.asked } else { None };
            if vouched || self.save_due.is_some_and(|due| due <= now.boot) {
                self.try_to_save(known, now.boot);
            }
            if self.stamps_due.is_some_and(|due| due <= now.boot) {
                self.stamps_due = None;
                self.asked = Some(now.wall);
                (self.hooks.ask)();
            }
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&self) {
        let due = match &self.failed {
            Some(failed) => Some(failed.retry_at),
            None => self.save_due.into_iter().chain(self.stamps_due).min(),
        };
        let wait = due.map(|due| due.saturating_sub(clock::now().boot));
        let gathers = self.save_due.is_some() || self.failed.is_some();
        let is_failed = self.failed.is_some();
        self.inbox.wait(wait, |mail| {
            mail.stopped || (mail.vouched && !is_failed) || (!gathers && !mail.pending.is_empty())
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
        let mail = self.take_mail();
        self.paths.extend(mail.paths);
        if mail.vouched {
            self.asked = None;
        }
        let saved = self
            .ensure_open()
            .and_then(|()| self.save(&mail.pending, Until::Stopped))
            .and_then(|()| self.save_stamps(known))
            .and_then(|()| self.mind_size());
        self.took = clock::now().boot.saturating_sub(begun);
        match saved {
            Ok(()) => self.succeed(),
            // What is left is for the last writing.
            Err(Fault::Stopped) => self.inbox.put_back(mail.pending),
            Err(fault) => {
                self.inbox.put_back(mail.pending);
                self.shared.update(|stats| stats.pending = 0);
                self.give_up(&fault);
            }
        }
    }

    /// What waits. It counts as waiting until it is written.
    fn take_mail(&self) -> Mail {
        let mail = self.inbox.take();
        let pending = mail.pending.len();
        self.shared.update(|stats| stats.pending = pending);
        mail
    }

    /// Opens the cache when it is closed. What is in it need not fit to the index: then all is written anew.
    fn ensure_open(&mut self) -> Result<(), Fault> {
        if self.db.is_some() {
            return Ok(());
        }
        let path = self.places.cache();
        let db = match Db::open(&path) {
            Err(Fault::Damaged(why)) => {
                let to = self.places.set_aside().map_err(Fault::of_io)?;
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
            self.inbox.put(|mail| {
                mail.pending.extend(Pending {
                    unsaved,
                    ..Pending::default()
                });
            });
            self.from_nothing = false;
        }
        self.db = Some(db);
        Ok(())
    }

    /// Replaces the cache by a smaller copy when it has grown past its ceiling.
    fn mind_size(&mut self) -> Result<(), Fault> {
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
        let (db, copied) = compact(&self.places, db)?;
        let after = db.size_bytes()?;
        self.db = Some(db);
        // One that could not be copied now is not tried again at once.
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
        self.inbox.peek(|mail| mail.stopped)
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
            (self.hooks.unsaved)(None);
        }
    }

    fn give_up(&mut self, fault: &Fault) {
        if let Some(db) = self.db.take() {
            db.close();
        }
        let path = self.places.cache();
        self.fail(failure(&path, &fault.to_string()));
    }

    fn fail(&mut self, why: String) {
        let wait = match &self.failed {
            Some(failed) => (failed.wait * 2).min(RETRY_MAX),
            None => RETRY_FIRST,
        };
        if self.failed.is_none() {
            tracing::error!("{why}\nnothing is removed until then");
            (self.hooks.unsaved)(Some(why.clone()));
        }
        self.shared.update(|stats| stats.failing = Some(why));
        let retry_at = clock::now().boot.saturating_add(wait);
        self.failed = Some(Failed { retry_at, wait });
        // The retry is a saving, whatever waits.
        self.save_due = Some(retry_at);
    }

    /// The last writing.
    fn end(&mut self) {
        let mail = self.take_mail();
        self.paths.extend(mail.paths);
        let until = Until::Passed(clock::now().boot.saturating_add(FINAL_MAX));
        let saved = self.save(&mail.pending, until);
        if let Err(fault) = saved {
            tracing::info!(why = %fault, "what changed last could not be saved; it is listed at the next start");
        }
        if let Some(db) = self.db.take() {
            db.close();
        }
    }
}
