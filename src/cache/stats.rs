//! How the cache is, for those who ask.

use std::path::PathBuf;

use parking_lot::Mutex;

use super::value::Tree;
use crate::core::index::Lost;
use crate::core::time::Timestamp;

/// How the cache is.
#[derive(Clone, Debug, Default)]
pub struct CacheStats {
    /// Why nothing can be saved; `None`: it can.
    pub failing: Option<String>,
    /// Pages and directories that wait to be written.
    pub pending: u64,
    /// Directories that wait for a stamp, which spares their reading after a restart.
    pub unstamped: u64,
    /// Bytes on disk, as of the last time that something was written.
    pub size_bytes: u64,
    /// When everything that had changed by then was on disk.
    pub saved_at: Option<Timestamp>,
    /// How often something was written since the start.
    pub saves: u64,
    /// How often it was replaced by a smaller copy since the start.
    pub compactions: u64,
    /// What was there at the start.
    pub loaded: Loaded,
    /// Where a damaged cache was moved to since the start, and what was wrong with it.
    pub set_aside: Option<(PathBuf, String)>,
}

/// What was there at the start.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Files.
    pub entries: u64,
    /// Directories.
    pub dirs: u64,
    /// Milliseconds that it took to read it.
    pub took_ms: u64,
    /// What could not be used.
    pub lost: Lost,
}

/// Shared between the writer and those who ask.
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

/// The number that a key is; `None` when it is none.
pub(super) fn number_of(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.try_into().ok()?))
}

/// Trees whose keys are numbers.
pub(super) const NUMBERED: [Tree; 3] = [Tree::Dirs, Tree::Pages, Tree::Stamps];
