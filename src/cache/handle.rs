//! Handle of the running cache. Its methods never wait for the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::db::Db;
use super::files::CacheFiles;
use super::queue::{CommandQueue, Pending};
use super::records::Rules;
use super::stats::{CacheStats, Shared};
use super::writer::{Hooks, Writer};
use crate::core::clock_guard::ClockGuard;
use crate::core::facts::RootId;
use crate::core::index::{Index, Unsaved};
use crate::core::report::SavedRoot;

/// Cache that is open, and not running yet.
pub struct Unstarted {
    pub(super) files: CacheFiles,
    pub(super) size_max: u64,
    pub(super) db: Option<Db>,
    pub(super) stats: CacheStats,
    pub(super) chores: Pending,
    pub(super) stale_roots: Vec<Vec<u8>>,
    /// Roots that are marked as settled on disk.
    pub(super) settled: BTreeSet<RootId>,
    /// Known roots, by path.
    pub(super) known: BTreeMap<Vec<u8>, SavedRoot>,
    pub(super) from_nothing: bool,
}

/// Running cache. Stopped on drop.
pub struct Cache {
    queue: Arc<CommandQueue>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Unstarted {
    /// Returns the figures of what was read.
    #[must_use]
    pub fn stats(&self) -> &CacheStats {
        &self.stats
    }

    /// Acts as if the disk was too full to open it.
    #[cfg(test)]
    pub(super) fn fail_for_test(&mut self, why: &str) {
        if let Some(db) = self.db.take() {
            db.close();
        }
        self.stats.failing = Some(why.to_owned());
        self.from_nothing = true;
    }

    /// Starts the thread that saves changes of `index`.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn start(self, index: Arc<Index>, hooks: Hooks) -> std::io::Result<Cache> {
        let queue = Arc::new(CommandQueue::default());
        queue.put(|commands| commands.pending = self.chores);
        let shared = Arc::new(Shared::new(self.stats));
        let writer = Writer {
            queue: Arc::clone(&queue),
            shared: Arc::clone(&shared),
            files: self.files,
            size_max: self.size_max,
            db: self.db,
            index,
            hooks,
            stale_roots: self.stale_roots,
            paths: BTreeMap::new(),
            settled: self.settled,
            known: self.known,
            unstamped: BTreeSet::new(),
            requested_at: None,
            save_due: None,
            stamps_due: None,
            failed: None,
            took: Duration::ZERO,
            gather: Duration::ZERO,
            saved_at: Duration::ZERO,
            floor_bytes: 0,
            from_nothing: self.from_nothing,
        };
        let thread = std::thread::Builder::new()
            .name("cache".to_owned())
            .spawn(move || writer.run_to_its_end())?;
        Ok(Cache {
            queue,
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl Cache {
    /// Saves changes of the index. Returns at once.
    pub fn save_changes(&self, unsaved: Unsaved, clock: ClockGuard) {
        self.queue.put(|commands| {
            commands.pending.extend(Pending {
                unsaved,
                clock: Some(clock),
                ..Pending::default()
            });
        });
    }

    /// Saves the state of the root at `path`; `None` removes it. Returns at once.
    pub fn save_root(&self, root: RootId, path: Option<&Path>, memory: Option<SavedRoot>) {
        let path = path.map(|path| path.as_os_str().as_bytes().to_vec());
        self.queue.put(|commands| {
            if let Some(path) = path {
                commands.paths.insert(root, path);
            }
            commands.pending.roots.insert(root, memory);
        });
    }

    /// Saves the rules that are in force from now on. Returns at once.
    pub fn save_rules(&self, rules: Rules) {
        self.queue
            .put(|commands| commands.pending.rules = Some(rules));
    }

    /// Called when everything that happened before the last [`Hooks::request_barrier`] is in the
    /// index.
    pub fn on_barrier(&self) {
        self.queue.put(|commands| commands.is_barrier_passed = true);
    }

    /// Returns its figures.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        // In this order changes that the writer takes meanwhile count twice, rather than not at
        // all.
        let waiting = self.queue.peek(|commands| commands.pending.len());
        let stats = self.shared.get();
        CacheStats {
            pending: stats.pending + waiting,
            ..stats
        }
    }

    /// Writes waiting changes, for a limited time, and ends.
    pub fn stop(&self) {
        self.queue.put(|commands| commands.stopped = true);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("internal error: the thread of the cache panicked");
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.stop();
    }
}
