//! Stands in for the cache: what was written of the engine's knowledge, page by page, with writes that are cut off.
//!
//! It keeps the cache's order: directories, then pages, then (after all of that) what vouches for it.

use std::collections::BTreeMap;

use lapsed::core::clock_guard::{ClockGuard, Run};
use lapsed::core::engine::{Engine, SavedState};
use lapsed::core::facts::RootId;
use lapsed::core::index::{DirId, PageId, Restored, Restorer, Stamp, Unsaved};
use lapsed::core::report::SavedRoot;
use lapsed::core::time::{Now, Timestamp};

use crate::rules::ROOT;

/// More than the rules of the simulation are.
const RULES_MAX: usize = 16;

#[derive(Default)]
pub struct Disk {
    pages: BTreeMap<PageId, Vec<u8>>,
    dirs: BTreeMap<DirId, Vec<u8>>,
    stamps: BTreeMap<DirId, Vec<u8>>,
    root: Option<(DirId, SavedRoot)>,
    clock: Option<ClockGuard>,
    pending: Unsaved,
    /// Told to be remembered, and not written yet.
    pending_roots: Vec<Option<SavedRoot>>,
    pending_clock: Option<ClockGuard>,
    unstamped: std::collections::BTreeSet<DirId>,
}

impl Disk {
    pub fn changed(&mut self, unsaved: Unsaved, clock: ClockGuard) {
        self.pending.pages.extend(unsaved.pages);
        self.pending.dirs.extend(unsaved.dirs);
        self.pending_clock = Some(clock);
    }

    pub fn remember(&mut self, memory: Option<SavedRoot>) {
        self.pending_roots.push(memory);
    }

    /// The clock jumped: that is written at once.
    pub fn save_clock(&mut self) {
        self.clock = self.pending_clock.take().or(self.clock.take());
    }

    /// True if a process that starts knows what the clock showed.
    pub const fn has_clock(&self) -> bool {
        self.clock.is_some()
    }

    pub fn keep_clock(&mut self, guard: &ClockGuard) {
        self.clock = Some(guard.clone());
    }

    /// Writes what waits; only the first `most` values when that is fewer: the rest is lost, as in a crash.
    pub fn save(&mut self, engine: &Engine, most: usize) {
        let index = engine.index();
        let top = index.dir_id(ROOT, b"");
        let root = self.pending_roots.pop();
        self.pending_roots.clear();
        let record = |memory: Option<SavedRoot>| top.zip(memory);
        if let Some(memory) = root
            && memory.is_none_or(|memory| !memory.settled)
        {
            self.root = record(memory);
        }
        self.clock = self.pending_clock.take().or(self.clock.take());
        let Unsaved { pages, dirs } = std::mem::take(&mut self.pending);
        let mut left = most;
        for id in dirs {
            if left == 0 {
                return;
            }
            left -= 1;
            if let Some(bytes) = index.dir_image(id) {
                self.dirs.insert(id, bytes);
                self.unstamped.insert(id);
            } else {
                self.stamps.remove(&id);
                self.dirs.remove(&id);
            }
        }
        for id in pages {
            if left == 0 {
                return;
            }
            left -= 1;
            match index.page_image(id) {
                Some(bytes) => drop(self.pages.insert(id, bytes)),
                None => drop(self.pages.remove(&id)),
            }
        }
        if let Some(memory) = root.flatten().filter(|memory| memory.settled) {
            self.root = record(Some(memory));
        }
    }

    /// Everything until `known` is in the index: writes all that waits, then the stamps that this allows.
    pub fn vouch(&mut self, engine: &Engine, known: Timestamp) {
        self.save(engine, usize::MAX);
        let stamps = &mut self.stamps;
        self.unstamped
            .retain(|&id| match engine.index().stamp_image(id, known) {
                Stamp::Ripe(bytes) => {
                    stamps.insert(id, bytes);
                    false
                }
                Stamp::Ripens(_) => true,
                Stamp::None => false,
            });
    }

    /// What the next process finds.
    pub fn load(&mut self, now: Now) -> (SavedState, ClockGuard) {
        self.pending = Unsaved::default();
        self.pending_roots.clear();
        self.pending_clock = None;
        self.unstamped.clear();
        let mut restorer = Restorer::default();
        for (&id, bytes) in &self.pages {
            assert!(restorer.page(id, bytes, RULES_MAX));
        }
        for (&id, bytes) in &self.dirs {
            assert!(restorer.dir(id, bytes));
        }
        for (&id, bytes) in &self.stamps {
            assert!(restorer.stamp(id, bytes));
        }
        let roots: BTreeMap<RootId, DirId> =
            self.root.iter().map(|(top, _)| (ROOT, *top)).collect();
        let Restored {
            index,
            writer,
            units,
            ..
        } = restorer.finish(&roots);
        let known = index.dir_id(ROOT, b"").and(self.root);
        let memory = SavedState {
            index,
            writer,
            units,
            roots: known.iter().map(|(_, memory)| (ROOT, *memory)).collect(),
        };
        let guard = match self.clock.clone() {
            Some(guard) => guard.resume(Run::Same, now, None),
            None => ClockGuard::new(now, None),
        };
        (memory, guard)
    }
}
