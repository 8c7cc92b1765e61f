//! The thread that writes: gathers changes for a moment, writes them, flushes; then, after a rest, the stamps.
//!
//! A stamp vouches for all that happened in a directory until its change time. So before any are written, the watchers are asked to
//! say when everything until then is in the index; what is known by then and has not changed for two seconds gets its
//! stamp.
//!
//! **Invariant:** what could not be written waits, and nothing is removed meanwhile.
//! **Invariant:** nothing here wakes without a change that waits, or directories that wait for their stamps.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::compact::compact;
use super::db::{Batch, Db};
use super::error::Fault;
use super::inbox::{Inbox, Pending};
use super::open::failure;
use super::place::Places;
use super::records::{CLOCK_KEY, ClockRecord, RULES_KEY, RootRecord, Rules};
use super::stats::{Shared, StoreStats};
use super::value::Tree;
use crate::clock;
use crate::core::clock_guard::ClockGuard;
use crate::core::facts::RootId;
use crate::core::index::{DirId, Index, Stamp, Unsaved};
use crate::core::report::RootMemory;
use crate::core::time::Timestamp;

/// Changes are gathered for so long: a crash costs the listing of what changed in that time.
const GATHER: Duration = Duration::from_millis(100);

/// And, under load, for so many times as long as the last writing took: at most a tenth of the time is spent on it.
const GATHER_TIMES: u32 = 9;

/// But never for longer than this.
const GATHER_MAX: Duration = Duration::from_secs(5);

/// Keys in one batch: larger ones make sled hold more in memory than they save.
const BATCH_KEYS_MAX: usize = 100;

/// The shortest time from one writing of stamps to the next.
const STAMPS_REST: Duration = Duration::from_secs(5);

/// A directory whose change time lies further in the future gets no stamp.
const FUTURE_MAX_MS: i64 = 60_000;

/// The first time after which what failed is tried again, and the longest: it doubles.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// See [`RETRY_FIRST`].
const RETRY_MAX: Duration = Duration::from_mins(1);

/// At the end everything is written that can be in this time; the rest is listed at the next start.
const FINAL_MAX: Duration = Duration::from_millis(400);

/// A smaller copy is only made when it can be expected to be so many times smaller.
const SHRINK_TIMES: u64 = 4;

/// Whom the store speaks with.
pub struct Hooks {
    /// Asks for word that everything that happened until now is in the index: it comes back through [`Store::vouched`].
    pub ask: Box<dyn Fn() + Send>,
    /// Says why nothing can be saved; `None`: it can again. May block.
    pub unsaved: Box<dyn Fn(Option<String>) + Send>,
}

/// A store that was opened.
pub struct Unstarted {
    pub(super) places: Places,
    pub(super) size_max: u64,
    pub(super) db: Option<Db>,
    pub(super) stats: StoreStats,
    pub(super) chores: Pending,
    pub(super) stale_roots: Vec<Vec<u8>>,
    pub(super) from_nothing: bool,
}

/// The running store. Stopped when dropped.
pub struct Store {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Unstarted {
    /// What was there.
    #[must_use]
    pub fn stats(&self) -> &StoreStats {
        &self.stats
    }

    /// Starts to write what changes in `index`.
    ///
    /// # Errors
    /// When the operating system gives out no thread.
    pub fn start(self, index: Arc<Index>, hooks: Hooks) -> std::io::Result<Store> {
        let inbox = Arc::new(Inbox::default());
        inbox.put(|mail| mail.pending = self.chores);
        let shared = Arc::new(Shared::new(self.stats));
        let writer = Writer {
            inbox: Arc::clone(&inbox),
            shared: Arc::clone(&shared),
            places: self.places,
            size_max: self.size_max,
            db: self.db,
            index,
            hooks,
            stale_roots: self.stale_roots,
            paths: BTreeMap::new(),
            unstamped: BTreeSet::new(),
            asked: None,
            save_due: None,
            stamps_due: None,
            failed: None,
            took: Duration::ZERO,
            floor_bytes: 0,
            from_nothing: self.from_nothing,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())?;
        Ok(Store {
            inbox,
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl Store {
    /// Saves what changed in the index. Returns at once.
    pub fn changed(&self, unsaved: Unsaved, clock: ClockGuard) {
        self.inbox.put(|mail| {
            mail.pending.extend(Pending {
                unsaved,
                clock: Some(clock),
                ..Pending::default()
            });
        });
    }

    /// Saves what is known of the root at `path`; `None`: it is not known any more. Returns at once.
    pub fn remember(&self, root: RootId, path: Option<&Path>, memory: Option<RootMemory>) {
        let path = path.map(|path| path.as_os_str().as_bytes().to_vec());
        self.inbox.put(|mail| {
            if let Some(path) = path {
                mail.paths.insert(root, path);
            }
            mail.pending.roots.insert(root, memory);
        });
    }

    /// Other rules are in force. Returns at once.
    pub fn ruled(&self, rules: Rules) {
        self.inbox.put(|mail| mail.pending.rules = Some(rules));
    }

    /// Everything that happened before the last [`Hooks::ask`] is in the index.
    pub fn vouched(&self) {
        self.inbox.put(|mail| mail.vouched = true);
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let pending = self.inbox.peek(|mail| mail.pending.len());
        StoreStats {
            pending,
            ..self.shared.get()
        }
    }

    /// Writes what waits, within bounds, and ends.
    pub fn stop(&self) {
        self.inbox.put(|mail| mail.stopped = true);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread ended by a fault of ours");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What cannot be written at the moment.
struct Failed {
    retry_at: Duration,
    wait: Duration,
}

struct Writer {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    places: Places,
    size_max: u64,
    /// `None` while it cannot be opened.
    db: Option<Db>,
    index: Arc<Index>,
    hooks: Hooks,
    stale_roots: Vec<Vec<u8>>,
    paths: BTreeMap<RootId, Vec<u8>>,
    /// Directories that changed since their stamps were written.
    unstamped: BTreeSet<DirId>,
    /// When the watchers were asked, by the wall clock.
    asked: Option<Timestamp>,
    save_due: Option<Duration>,
    stamps_due: Option<Duration>,
    failed: Option<Failed>,
    /// How long the last writing took.
    took: Duration,
    /// How large it was after the last compaction.
    floor_bytes: u64,
    /// What is on disk has nothing to do with the index.
    from_nothing: bool,
}

impl Writer {
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
        let mail = self.inbox.take();
        self.paths.extend(mail.paths);
        if mail.vouched {
            self.asked = None;
        }
        let saved = self
            .ensure_open()
            .and_then(|()| self.save(&mail.pending, Duration::MAX))
            .and_then(|()| self.save_stamps(known))
            .and_then(|()| self.mind_size());
        self.took = clock::now().boot.saturating_sub(begun);
        match saved {
            Ok(()) => self.succeed(),
            Err(fault) => {
                self.inbox.put_back(mail.pending);
                self.give_up(fault);
            }
        }
    }

    /// Opens the store when it is closed. What is in it need not fit to the index: then all is written anew.
    fn ensure_open(&mut self) -> Result<(), Fault> {
        if self.db.is_some() {
            return Ok(());
        }
        let path = self.places.store();
        let db = match Db::open(&path) {
            Err(Fault::Damaged(why)) => {
                let to = self.places.set_aside().map_err(Fault::of_io)?;
                tracing::warn!(
                    store = %path.display(), moved_to = %to.display(), error = why,
                    "the store was damaged and set aside; a new one is written"
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

    /// Writes `pending` and waits until it is on disk.
    fn save(&mut self, pending: &Pending, within: Duration) -> Result<(), Fault> {
        let Some(db) = &self.db else { return Ok(()) };
        let begun = clock::now().boot;
        let in_time = || clock::now().boot.saturating_sub(begun) < within;
        // Before any page: under what it counts.
        self.save_roots(db, pending, false)?;
        let mut meta = Batch::new(Tree::Meta);
        if let Some(rules) = &pending.rules {
            meta.set(RULES_KEY, Some(&json(rules)));
        }
        if let Some(guard) = &pending.clock {
            let (run, guard) = (clock::machine_run(), guard.clone());
            meta.set(CLOCK_KEY, Some(&json(&ClockRecord { run, guard })));
        }
        db.apply(meta)?;
        for ids in chunks(&pending.unsaved.dirs) {
            let mut dirs = Batch::new(Tree::Dirs);
            let mut stamps = Batch::new(Tree::Stamps);
            for id in ids {
                let key = id.0.to_be_bytes();
                let image = self.index.dir_image(id);
                dirs.set(&key, image.as_deref());
                if image.is_none() {
                    stamps.set(&key, None);
                    self.unstamped.remove(&id);
                } else {
                    self.unstamped.insert(id);
                }
            }
            db.apply(stamps)?;
            db.apply(dirs)?;
            if !in_time() {
                break;
            }
        }
        for ids in chunks(&pending.unsaved.pages) {
            let mut batch = Batch::new(Tree::Pages);
            for id in ids {
                batch.set(&id.0.to_be_bytes(), self.index.page_image(id).as_deref());
            }
            db.apply(batch)?;
            if !in_time() {
                break;
            }
        }
        db.flush()?;
        if !in_time() {
            return Ok(());
        }
        self.save_roots(db, pending, true)?;
        let mut stale = Batch::new(Tree::Roots);
        for path in &self.stale_roots {
            stale.set(path, None);
        }
        db.apply(stale)?;
        self.stale_roots.clear();
        self.note_stamps_due();
        Ok(())
    }

    /// Writes the roots that count as settled, or the others.
    fn save_roots(&self, db: &Db, pending: &Pending, settled: bool) -> Result<(), Fault> {
        let mut batch = Batch::new(Tree::Roots);
        for (root, memory) in &pending.roots {
            let Some(path) = self.paths.get(root) else {
                continue;
            };
            let top = self.index.dir_id(*root, b"");
            let record = memory.zip(top);
            let mut record = record.map(|(memory, DirId(top))| RootRecord { top, memory });
            let is_settled = record.is_some_and(|record| record.memory.settled);
            // Settled under other rules than those that the disk has: not before its pages are there.
            if is_settled && !settled && pending.rules.is_some() {
                record = record.map(RootRecord::unsettled);
            } else if is_settled != settled {
                continue;
            }
            let text = record.as_ref().map(json);
            batch.set(path, text.as_deref());
        }
        let some = batch.len > 0;
        db.apply(batch)?;
        if some && settled { db.flush() } else { Ok(()) }
    }

    /// Directories wait for their stamps: the watchers are asked after a rest.
    fn note_stamps_due(&mut self) {
        if !self.unstamped.is_empty() && self.asked.is_none() && self.stamps_due.is_none() {
            self.stamps_due = Some(clock::now().boot.saturating_add(STAMPS_REST));
        }
    }

    /// Writes the stamps of what has not changed for a while, when all that happened until `known` is in the index.
    fn save_stamps(&mut self, known: Option<Timestamp>) -> Result<(), Fault> {
        let (Some(known), Some(db)) = (known, &self.db) else {
            return Ok(());
        };
        let mut left = BTreeSet::new();
        let mut some = false;
        for ids in chunks(&self.unstamped) {
            let mut batch = Batch::new(Tree::Stamps);
            for id in ids {
                match self.index.stamp_image(id, known) {
                    Stamp::None => {}
                    Stamp::Ripens(at) if at.ms_since(known) > FUTURE_MAX_MS => {}
                    Stamp::Ripens(_) => {
                        left.insert(id);
                    }
                    Stamp::Ripe(bytes) => batch.set(&id.0.to_be_bytes(), Some(&bytes)),
                }
            }
            some |= batch.len > 0;
            db.apply(batch)?;
        }
        if some {
            db.flush()?;
        }
        self.unstamped = left;
        self.note_stamps_due();
        Ok(())
    }

    /// Replaces the store by a smaller copy when it has grown past its ceiling.
    fn mind_size(&mut self) -> Result<(), Fault> {
        let Some(db) = &self.db else { return Ok(()) };
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
                "the store was replaced by a smaller copy"
            ),
            Err(error) => {
                tracing::warn!(%error, "the store could not be copied into a smaller one")
            }
        }
        Ok(())
    }

    fn succeed(&mut self) {
        let was_failing = self.failed.take().is_some();
        self.shared.update(|stats| {
            stats.failing = None;
            stats.saves += 1;
            stats.saved_at = Some(clock::now().wall);
        });
        if was_failing {
            (self.hooks.unsaved)(None);
        }
    }

    fn give_up(&mut self, fault: Fault) {
        if let Some(db) = self.db.take() {
            db.close();
        }
        let path = self.places.store();
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
        let mail = self.inbox.take();
        self.paths.extend(mail.paths);
        let saved = self.save(&mail.pending, FINAL_MAX);
        if let Err(fault) = saved {
            tracing::warn!(error = %fault, "what changed last could not be saved; it is listed at the next start");
        }
        if let Some(db) = self.db.take() {
            db.close();
        }
    }
}

fn chunks<T: Copy>(ids: &BTreeSet<T>) -> impl Iterator<Item = Vec<T>> {
    let mut ids = ids.iter().copied().peekable();
    std::iter::from_fn(move || {
        ids.peek()?;
        Some(ids.by_ref().take(BATCH_KEYS_MAX).collect())
    })
}

pub(super) fn json(record: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("invariant: a record has only text and numbers")
}
