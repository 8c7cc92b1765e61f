//! Numbers about a watcher, kept so that asking for them costs little.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::backend::Backend;
use crate::core::facts::RootId;

/// Figures of a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchStats {
    /// Source of events.
    pub backend: &'static str,
    /// Directories that are watched.
    pub watches: u64,
    /// Directories that should be watched and are not: they are listed from time to time.
    pub missing: u64,
    /// Number of watches that the operating system allows this user
    /// (`fs.inotify.max_user_watches`), where it has such a limit.
    pub limit: Option<u64>,
    /// Number of times that events were lost.
    pub overflows: u64,
    /// Events so far.
    pub events: u64,
    /// Bytes of events that wait.
    pub pending_bytes: u64,
    /// Directories that wait to be listed.
    pub pending_listings: u64,
    /// Directories that have names waiting for a look.
    pub pending_looks: u64,
    /// True if all its threads live. Otherwise changes are not noticed any more.
    pub alive: bool,
}

/// The numbers behind [`WatchStats`].
pub(super) struct Counters {
    events: AtomicU64,
    overflows: AtomicU64,
    missing: AtomicU64,
    listings: AtomicU64,
    looks: AtomicU64,
    alive: AtomicBool,
    /// For the report that the event loop died.
    roots: Mutex<Vec<RootId>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            events: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            listings: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            alive: AtomicBool::new(true),
            roots: Mutex::default(),
        }
    }
}

impl Counters {
    pub(super) fn count_event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_overflow(&self) {
        self.overflows.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn publish(&self, missing: usize, listings: usize, looks: usize) {
        self.missing.store(missing as u64, Ordering::Relaxed);
        self.listings.store(listings as u64, Ordering::Relaxed);
        self.looks.store(looks as u64, Ordering::Relaxed);
    }

    pub(super) fn die(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }

    pub(super) fn set_roots(&self, roots: Vec<RootId>) {
        *self.roots.lock() = roots;
    }

    pub(super) fn roots(&self) -> Vec<RootId> {
        self.roots.lock().clone()
    }

    pub(super) fn stats(&self, backend: &dyn Backend) -> WatchStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WatchStats {
            backend: backend.name(),
            watches: backend.watches(),
            missing: load(&self.missing),
            limit: backend.watches_max(),
            overflows: load(&self.overflows),
            events: load(&self.events),
            pending_bytes: backend.waiting_bytes(),
            pending_listings: load(&self.listings),
            pending_looks: load(&self.looks),
            alive: self.alive.load(Ordering::Relaxed) && backend.is_alive(),
        }
    }
}
