//! Removals of all that jobs owned, on their way to the disk.
//!
//! **Invariant:** a removal is handed out as complete when the engine has taken it in, the reaper
//! has finished it, and the file systems that it took place on are synchronized since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::fs::{Dir, FsError};

/// After a file system could not be synchronized, it is tried again after this long.
const RETRY: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub(super) struct Removals {
    told: BTreeSet<u64>,
    finished: BTreeMap<u64, Vec<Arc<Dir>>>,
    /// An earlier process has removed something, and it is not known where.
    owes_all: bool,
    /// On the boot clock; `None`: nothing failed.
    retry_at: Option<Duration>,
}

impl Removals {
    /// With those that a crash of an earlier process cut off, which were told.
    pub(super) fn after(cut_off: &[u64]) -> Self {
        Self {
            told: cut_off.iter().copied().collect(),
            owes_all: !cut_off.is_empty(),
            ..Self::default()
        }
    }

    /// The engine has taken in the removal `id`.
    pub(super) fn on_recorded(&mut self, id: u64) {
        self.told.insert(id);
    }

    /// All that goes under `id` is gone from `dirs`.
    pub(super) fn on_finished(&mut self, id: u64, dirs: Vec<Arc<Dir>>) {
        self.finished.insert(id, dirs);
    }

    /// Instant of the next attempt, on the boot clock.
    pub(super) fn retry_at(&self) -> Option<Duration> {
        self.retry_at
    }

    /// Synchronizes the file systems of the complete removals, each once, and hands these out.
    /// Nothing happens while a failure rests.
    ///
    /// # Errors
    /// If a file system cannot be synchronized: then all wait.
    pub(super) fn synchronize(&mut self, now: Duration) -> Result<Vec<u64>, FsError> {
        if self.retry_at.is_some_and(|at| now < at) {
            return Ok(Vec::new());
        }
        self.retry_at = None;
        let finished = self.finished.keys().copied();
        let ids: Vec<u64> = finished.filter(|id| self.told.contains(id)).collect();
        if ids.is_empty() {
            return Ok(ids);
        }
        if let Err(error) = self.synchronize_dirs(&ids) {
            self.retry_at = Some(now + RETRY);
            return Err(error);
        }
        for id in &ids {
            self.told.remove(id);
            self.finished.remove(id);
        }
        Ok(ids)
    }

    fn synchronize_dirs(&mut self, ids: &[u64]) -> Result<(), FsError> {
        if self.owes_all {
            rustix::fs::sync();
            self.owes_all = false;
        }
        let mut done = BTreeSet::new();
        for dir in ids.iter().filter_map(|id| self.finished.get(id)).flatten() {
            if done.insert(dir.facts()?.key.dev) {
                dir.sync_file_system()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RootDir;

    fn dir() -> (tempfile::TempDir, Arc<Dir>) {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap();
        let root = RootDir::open(&base).unwrap();
        let dir = root.top().open_beneath(b".").unwrap();
        (scratch, Arc::new(dir))
    }

    #[test]
    fn a_removal_is_complete_when_recorded_and_finished_in_any_order() {
        let (_scratch, dir) = dir();
        let mut removals = Removals::default();
        let now = Duration::from_secs(1);
        removals.on_recorded(1);
        removals.on_finished(2, vec![Arc::clone(&dir)]);
        assert_eq!(removals.synchronize(now).unwrap(), [0; 0]);
        removals.on_finished(1, vec![Arc::clone(&dir), Arc::clone(&dir)]);
        assert_eq!(removals.synchronize(now).unwrap(), [1]);
        removals.on_recorded(2);
        assert_eq!(removals.synchronize(now).unwrap(), [2]);
        assert_eq!(removals.synchronize(now).unwrap(), [0; 0]);
        assert_eq!(Arc::strong_count(&dir), 1, "no file system is kept busy");
    }
}
