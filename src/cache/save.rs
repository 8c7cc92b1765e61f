//! Saving: the steps, and their order.

use std::collections::BTreeSet;
use std::time::Duration;

use super::db::{Batch, Db};
use super::error::Fault;
use super::known;
use super::queue::Pending;
use super::records::{CLOCK_KEY, ClockRecord, RULES_KEY, RootRecord, json};
use super::value::Tree;
use super::writer::{Until, Writer};
use crate::clock;
use crate::core::index::{DirId, Stamp};
use crate::core::time::Timestamp;

/// Number of keys in one batch: with larger ones sled needs more memory than they save.
const BATCH_KEYS_MAX: usize = 100;

/// Minimum time between two writes of stamps.
const STAMPS_REST: Duration = Duration::from_secs(5);

/// Maximum distance of a change time in the future. A directory beyond it gets no stamp.
const FUTURE_MAX_MS: i64 = 60_000;

/// Rest of a save, after the roots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Pages.
    Pages,
    /// Nothing.
    Nothing,
}

impl Writer {
    /// Saves `pending`, and waits until it is on disk.
    pub(super) fn save(&mut self, pending: &Pending, until: Until) -> Result<(), Fault> {
        let Some(db) = self.db.take() else {
            return Ok(());
        };
        let saved = self.save_in(&db, pending, until);
        self.db = Some(db);
        saved
    }

    fn save_in(&mut self, db: &Db, pending: &Pending, until: Until) -> Result<(), Fault> {
        // Before any page: the rules that it was judged by.
        self.save_roots(db, pending, Before::Pages)?;
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
            self.check_end(db, until)?;
        }
        for ids in chunks(&pending.unsaved.pages) {
            let mut batch = Batch::new(Tree::Pages);
            for id in ids {
                batch.set(&id.0.to_be_bytes(), self.index.page_image(id).as_deref());
            }
            db.apply(batch)?;
            self.check_end(db, until)?;
        }
        db.flush()?;
        self.save_roots(db, pending, Before::Nothing)?;
        let mut stale = Batch::new(Tree::Roots);
        for path in &self.stale_roots {
            stale.set(path, None);
        }
        db.apply(stale)?;
        self.stale_roots.clear();
        self.note_stamps_due();
        Ok(())
    }

    /// Ends a save that was cut off. What it has written is on disk then.
    fn check_end(&self, db: &Db, until: Until) -> Result<(), Fault> {
        let is_over = match until {
            Until::Stopped => self.is_stopped(),
            Until::Passed(end) => clock::now().boot >= end,
        };
        if !is_over {
            return Ok(());
        }
        db.flush()?;
        Err(Fault::Stopped)
    }

    /// Saves the roots. Before the pages, only what makes the next start more careful: that a
    /// breaker has tripped, and that the root is not settled under these rules.
    fn save_roots(&mut self, db: &Db, pending: &Pending, before: Before) -> Result<(), Fault> {
        let mut batch = Batch::new(Tree::Roots);
        let known = self.known.clone();
        for (root, memory) in &pending.roots {
            let Some(path) = self.paths.get(root) else {
                continue;
            };
            let top = self.index.dir_id(*root, b"").map(|DirId(top)| top);
            let mut record = memory.map(|memory| RootRecord { top, memory });
            let was_settled = self.settled.contains(root) && pending.rules.is_none();
            if before == Before::Pages && !was_settled {
                record = record.map(RootRecord::unsettled);
            }
            let text = record.as_ref().map(json);
            batch.set(path, text.as_deref());
            match record {
                Some(RootRecord { memory, .. }) => drop(self.known.insert(path.clone(), memory)),
                None => drop(self.known.remove(path)),
            }
            if record.is_some_and(|record| record.memory.settled) {
                self.settled.insert(*root);
            } else {
                self.settled.remove(root);
            }
        }
        for path in &self.stale_roots {
            self.known.remove(path);
        }
        let some = batch.len > 0;
        db.apply(batch)?;
        if some {
            db.flush()?;
        }
        if self.known != known {
            known::write(&self.files.known(), &self.known).map_err(Fault::of_io)?;
        }
        Ok(())
    }

    /// Schedules a barrier for directories that wait for their stamps.
    fn note_stamps_due(&mut self) {
        if !self.unstamped.is_empty() && self.requested_at.is_none() && self.stamps_due.is_none() {
            self.stamps_due = Some(clock::now().boot.saturating_add(STAMPS_REST));
        }
    }

    /// Writes the stamps of directories that have not changed for a while. Everything that happened
    /// until `known` is in the index.
    pub(super) fn save_stamps(&mut self, known: Option<Timestamp>) -> Result<(), Fault> {
        let (Some(known), Some(db)) = (known, &self.db) else {
            return Ok(());
        };
        if self.is_stopped() {
            return Ok(());
        }
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
