//! State that an earlier process saved, taken up at the start.
//!
//! Saved state is of an earlier moment, and a crash may have kept a part of it from being saved. A
//! directory is whole when a stamp vouched for it: what is found in it and was not known has come
//! since, and its own change time tells when. In any other directory a file may be that came with
//! it, or with one around it, long after it was written: such a file counts from the change time of
//! those directories, which a rename renews.
//!
//! Until a root has been looked over, what its reconciliation finds new and due is held: that much
//! of a root comes due at once because facts changed, not because time passed, is for the breaker
//! to see. What was known before and came due meanwhile lapses at once, after the look that every
//! removal takes.
//!
//! **Invariant:** a root counts as known only when it is the very directory that was saved.
//! **Invariant:** a breaker that tripped stays tripped over a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use super::holds::HoldTable;
use super::item::Item;
use super::root_state::{RootRecovery, RootState};
use crate::core::facts::{FileKey, Latest, RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{DirId, Index, Page, PageId, Record, Writer};
use crate::core::policy::{Class, Rule, Since};
use crate::core::report::SavedRoot;
use crate::core::time::{Now, Timestamp};

/// State that an earlier process saved.
pub struct SavedState {
    /// Its index.
    pub index: Arc<Index>,
    /// To write that.
    pub writer: Writer,
    /// The newest timestamps in the trees of top-level directories that lapse as a whole.
    pub units: Vec<(DirId, Timestamp)>,
    /// The roots that it knew, by the numbers that they have now.
    pub roots: BTreeMap<RootId, SavedRoot>,
}

impl Default for SavedState {
    /// Nothing.
    fn default() -> Self {
        let (index, writer) = Index::new();
        Self {
            index,
            writer,
            units: Vec::new(),
            roots: BTreeMap::new(),
        }
    }
}

impl SavedRoot {
    /// Returns true if the directory that a root is now is the one that was saved. Devices may be
    /// counted anew when a machine is started again, so the inode alone decides: of another file
    /// system that happens to have the same one, the stamps differ.
    pub(super) fn is_of(&self, key: FileKey) -> bool {
        self.key.ino == key.ino
    }
}

impl Engine {
    /// Makes of what was saved what the rules make of it now. What was not settled under them may
    /// be of any rules.
    pub(super) fn reevaluate_restored(&mut self, units: Vec<(DirId, Timestamp)>, now: Now) {
        let settled = |root: RootId| {
            let saved = self.roots.get(&root).and_then(RootState::saved);
            saved.is_some_and(|saved| saved.settled)
        };
        let unsettled: Vec<PageId> = self
            .index
            .snapshot()
            .into_iter()
            .filter(|(_, page)| {
                let root = self.index.dir(page.dir()).map(|dir| dir.root);
                !root.is_some_and(&settled) || !self.has_rules_of(page)
            })
            .map(|(id, _)| id)
            .collect();
        self.forget_rules(unsettled, now);
        for (dir, newest) in units {
            if let Some((root, top)) = self.index.dir_path(dir) {
                let latest = Latest {
                    any: newest,
                    mtime: if self.asks_for_contents(root) {
                        self.latest_mtime(dir)
                    } else {
                        Timestamp::MIN
                    },
                };
                self.set_unit(root, top.as_bytes(), dir, latest, now);
            }
        }
        self.arm_all(now);
    }

    /// Returns true if a rule for directories of `root` asks for the latest change of their
    /// contents, which is not saved.
    fn asks_for_contents(&self, root: RootId) -> bool {
        let asks = |rule: &Rule| rule.since == Since::NewestMtime && rule.applies_to(root);
        self.policy.rules.iter().any(asks)
    }

    /// Returns true if all rules that a page names are there.
    fn has_rules_of(&self, page: &Page) -> bool {
        let is_known = |rule: RuleId| usize::from(rule.0) < self.policy.rules.len();
        let mut classes = page.classes();
        classes.all(|class| class.rule().is_none_or(is_known))
    }

    /// Makes all entries of `pages` unruled. The timestamp that counted stays as a floor, which
    /// keeps arrivals: whichever of a file's timestamps it is, none of them is after the newest.
    pub(super) fn forget_rules(&mut self, pages: Vec<PageId>, now: Now) {
        for page in pages {
            self.writer.reclass(page, &mut |_, mut record| {
                record.class = Class::Unruled;
                record.expire_ms = None;
                // A job's own timestamp may lie in the future: no file's does that counts.
                record.basis = record.basis.min(now.wall);
                record
            });
        }
    }

    /// The root's directory is there for the first time since the start. Says whether it is the one
    /// that was saved.
    pub(super) fn recognize(&mut self, root: RootId, key: FileKey, now: Now) -> bool {
        let Some(state) = self.roots.get_mut(&root) else {
            return false;
        };
        let is_indexed = self.index.totals(root).dirs > 0;
        let Some(memory) = state.recover(key, is_indexed) else {
            return false;
        };
        if memory.key.dev != key.dev {
            self.writer.set_dev(root, key.dev);
        }
        self.arm_root(root, now);
        true
    }

    /// Takes note of a directory that is seen while its root is restored, when it was not known to
    /// be whole. A root's own cannot have been moved to where it is.
    pub(super) fn note_fresh_dir(&mut self, root: RootId, id: DirId, since: Timestamp) {
        if self.restoring(root).is_none() || self.index.stamp(id).is_some() {
            return;
        }
        let parent = self.index.dir(id).and_then(|dir| dir.parent);
        if let (Some(restoring), Some(parent)) = (self.restoring_mut(root), parent) {
            restoring.note_dir(id, Some(parent), since);
        }
    }

    /// Returns true if `root` is restored, and not looked over yet.
    pub(super) fn restoring(&self, root: RootId) -> Option<&RootRecovery> {
        self.roots.get(&root)?.recovery.as_ref()
    }

    fn restoring_mut(&mut self, root: RootId) -> Option<&mut RootRecovery> {
        self.roots.get_mut(&root)?.recovery.as_mut()
    }

    /// Holds, until its root is looked over, what was not known and is due.
    pub(super) fn hold_fresh(&mut self, root: RootId, item: &Item, now: Now) {
        if let Some(restoring) = self.restoring_mut(root) {
            restoring.due += 1;
            if let Some(place) = HoldTable::place_of(&self.index, item) {
                self.holds_mut().share(place, Hold::Reconciling, now.wall);
            }
        }
    }

    /// Holds a unit likewise.
    pub(super) fn hold_fresh_unit(&mut self, root: RootId, dir: DirId, now: Now) {
        let is_fresh = self
            .restoring(root)
            .is_some_and(|restoring| restoring.arrival(dir).is_some());
        let due = self.index.unit(dir).is_some_and(|unit| {
            unit.deadline.is_some_and(|at| at <= now.wall)
                && self.policy.lapses_by_itself(unit.rule)
        });
        let item = Item::Dir(dir);
        let is_held =
            self.holds.is_claimed(&item) || self.holds.hold_of(&self.index, &item).is_some();
        if is_fresh && due && !is_held {
            self.hold_fresh(root, &item, now);
        }
    }

    /// Returns true if an entry that was not known is due already.
    pub(super) fn is_due(&self, record: &Record, now: Now) -> bool {
        let Class::File(rule) = record.class else {
            return false;
        };
        record.deadline().is_some_and(|at| at <= now.wall) && self.policy.lapses_by_itself(rule)
    }

    /// The root is looked over: what waited for that is free, or waits for the breaker.
    pub(super) fn end_restoring(&mut self, root: RootId) -> u64 {
        let state = self.roots.get_mut(&root);
        let restoring = state.and_then(|state| state.recovery.take());
        let index = Arc::clone(&self.index);
        let in_root = |dir: DirId| index.dir(dir).is_some_and(|dir| dir.root == root);
        self.holds_mut().release_reconciling(&in_root);
        restoring.map_or(0, |restoring| restoring.due)
    }
}
