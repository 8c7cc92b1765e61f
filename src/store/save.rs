//! What one writing is made of, and in which order.

use std::collections::BTreeSet;
use std::time::Duration;

use super::db::{Batch, Db};
use super::error::Fault;
use super::inbox::Pending;
use super::records::{CLOCK_KEY, ClockRecord, RULES_KEY, RootRecord};
use super::value::Tree;
use super::writer::Writer;
use crate::clock;
use crate::core::index::{DirId, Stamp};
use crate::core::time::Timestamp;

/// Keys in one batch: larger ones make sled hold more in memory than they save.
const BATCH_KEYS_MAX: usize = 100;

/// The shortest time from one writing of stamps to the next.
const STAMPS_REST: Duration = Duration::from_secs(5);

/// A directory whose change time lies further in the future gets no stamp.
const FUTURE_MAX_MS: i64 = 60_000;

impl Writer {
    /// Writes `pending` and waits until it is on disk.
    pub(super) fn save(&mut self, pending: &Pending, within: Duration) -> Result<(), Fault> {
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
    pub(super) fn save_stamps(&mut self, known: Option<Timestamp>) -> Result<(), Fault> {
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
