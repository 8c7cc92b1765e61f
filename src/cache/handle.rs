//! The cache as the rest of the daemon sees it: told of changes, never waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::db::Db;
use super::inbox::{Inbox, Pending};
use super::place::Places;
use super::records::Rules;
use super::stats::{CacheStats, Shared};
use super::writer::Writer;
use crate::core::clock_guard::ClockGuard;
use crate::core::facts::RootId;
use crate::core::index::{Index, Unsaved};
use crate::core::report::RootMemory;

/// Whom the cache speaks with.
pub struct Hooks {
    /// Asks for word that everything that happened until now is in the index: it comes back through [`Cache::vouched`].
    pub ask: Box<dyn Fn() + Send>,
    /// Says why nothing can be saved; `None`: it can again. May block.
    pub unsaved: Arc<dyn Fn(Option<String>) + Send + Sync>,
}

/// A cache that was opened.
pub struct Unstarted {
    pub(super) places: Places,
    pub(super) size_max: u64,
    pub(super) db: Option<Db>,
    pub(super) stats: CacheStats,
    pub(super) chores: Pending,
    pub(super) stale_roots: Vec<Vec<u8>>,
    /// Roots that count as settled on disk.
    pub(super) settled: BTreeSet<RootId>,
    /// Roots that were known, by path.
    pub(super) known: BTreeMap<Vec<u8>, RootMemory>,
    pub(super) from_nothing: bool,
}

/// The running cache. Stopped when dropped.
pub struct Cache {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Unstarted {
    /// What was there.
    #[must_use]
    pub fn stats(&self) -> &CacheStats {
        &self.stats
    }

    /// Makes as if it could not have been opened for want of room.
    #[cfg(test)]
    pub(super) fn fail_for_test(&mut self, why: &str) {
        if let Some(db) = self.db.take() {
            db.close();
        }
        self.stats.failing = Some(why.to_owned());
        self.from_nothing = true;
    }

    /// Starts to write what changes in `index`.
    ///
    /// # Errors
    /// When the operating system gives out no thread.
    pub fn start(self, index: Arc<Index>, hooks: Hooks) -> std::io::Result<Cache> {
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
            settled: self.settled,
            known: self.known,
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
            .name("cache".to_owned())
            .spawn(move || writer.run_to_its_end())?;
        Ok(Cache {
            inbox,
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl Cache {
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
    pub fn stats(&self) -> CacheStats {
        // In this order: what the writer takes meanwhile counts twice, rather than not at all.
        let waiting = self.inbox.peek(|mail| mail.pending.len());
        let stats = self.shared.get();
        CacheStats {
            pending: stats.pending + waiting,
            ..stats
        }
    }

    /// Writes what waits, within bounds, and ends.
    pub fn stop(&self) {
        self.inbox.put(|mail| mail.stopped = true);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the cache's thread ended by a fault of ours");
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.stop();
    }
}
