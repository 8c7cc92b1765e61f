//! Figures of the cache.

use std::path::PathBuf;

use parking_lot::Mutex;

use super::value::Tree;
use crate::core::index::RestoreLosses;
use crate::core::time::Timestamp;

/// Figures of the cache.
#[derive(Clone, Debug, Default)]
pub struct CacheStats {
    /// Error of the last save; `None` if it succeeded.
    pub failing: Option<String>,
    /// Number of pages and directories that wait to be written.
    pub pending: u64,
    /// Number of directories that wait for a stamp, which spares their listing after a restart.
    pub unstamped: u64,
    /// Size on disk in bytes, after the last save.
    pub size_bytes: u64,
    /// Instant at which all changes until then were on disk.
    pub saved_at: Option<Timestamp>,
    /// Number of saves since the start.
    pub saves: u64,
    /// Number of compactions since the start.
    pub compactions: u64,
    /// Contents at the start.
    pub loaded: Loaded,
    /// Path of a database that was set aside since the start, and its damage.
    pub set_aside: Option<(PathBuf, String)>,
}

/// Contents at the start.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Number of files.
    pub entries: u64,
    /// Number of directories.
    pub dirs: u64,
    /// Time that reading took, in milliseconds.
    pub took_ms: u64,
    /// Values that could not be used.
    pub lost: RestoreLosses,
}

/// Figures that the writer shares with readers.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<CacheStats>);

impl Shared {
    pub(super) fn new(stats: CacheStats) -> Self {
        Self(Mutex::new(stats))
    }

    pub(super) fn get(&self) -> CacheStats {
        self.0.lock().clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut CacheStats)) {
        change(&mut self.0.lock());
    }
}

/// Parses a key that is a number.
pub(super) fn number_of(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.try_into().ok()?))
}

/// Trees whose keys are numbers.
pub(super) const NUMBERED: [Tree; 3] = [Tree::Dirs, Tree::Pages, Tree::Stamps];
