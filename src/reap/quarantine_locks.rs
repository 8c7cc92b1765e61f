//! The quarantines that this process has locked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::core::facts::FileKey;
use crate::fs::Dir;

/// Quarantines that are locked, by the roots that this process is at work on.
#[derive(Debug, Default)]
pub(super) struct Quarantines {
    /// By their own key. One that is in use is locked, even while its root is away.
    locked: Mutex<BTreeMap<FileKey, Weak<Dir>>>,
    /// Serializes the threads that lock the quarantine of a root. By root, because the file system
    /// of one may hang.
    turns: Mutex<BTreeMap<FileKey, Arc<Mutex<()>>>>,
    /// Roots, by path, that this process has claimed: as many as were ever configured.
    claimed: Mutex<BTreeSet<PathBuf>>,
}

/// Behavior where there is no quarantine yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WhenMissing {
    Make,
    Leave,
}

impl Quarantines {
    pub(super) fn turn(&self, root: FileKey) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock();
        // Roots come and go; only those that are being locked matter.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(root).or_default())
    }

    /// Notes that the root at `path` is claimed; returns whether it is so for the first time.
    pub(super) fn claim(&self, path: &Path) -> bool {
        self.claimed.lock().insert(path.to_path_buf())
    }

    pub(super) fn get(&self, key: FileKey) -> Option<Arc<Dir>> {
        self.locked.lock().get(&key).and_then(Weak::upgrade)
    }

    pub(super) fn insert(&self, key: FileKey, quarantine: &Arc<Dir>) {
        let mut locked = self.locked.lock();
        locked.retain(|_, quarantine| quarantine.strong_count() > 0);
        locked.insert(key, Arc::downgrade(quarantine));
    }
}
