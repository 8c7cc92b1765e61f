//! The write side: directories and units.
//!
//! **Invariant:** what hangs on a directory moves with it: pages keep their numbers, and no entry
//! is rewritten.

use super::catalog::{Membership, RootState};
use super::directories::DirFacts;
use super::page_builder::Change;
use super::record::{DirId, PageId, Record};
use super::unit::{Unit, UnitRule};
use super::usage::Usage;
use super::writer::Writer;
use crate::core::facts::{Facts, RootId};
use crate::core::path::{RelPath, is_component};
use crate::core::time::FileTime;

/// Everything that was dropped with a directory.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dropped {
    /// Entries.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
    /// The numbers of the directories, the dropped one included. New directories may get them.
    pub dirs: Vec<DirId>,
    /// The numbers of the pages that were freed, ascending.
    pub pages: Vec<PageId>,
}

impl Writer {
    /// The directory at the path `dir` of `root`; it and those that it is in are made where they
    /// are missing, the root's own included.
    pub fn ensure_dir(&mut self, root: RootId, dir: &RelPath) -> DirId {
        if let Some(known) = self.index.dir_id(root, dir.as_bytes()) {
            return known;
        }
        let mut catalog = self.index.catalog.write();
        let catalog = &mut *catalog;
        let parent = dir
            .split()
            .and_then(|(parent, name)| Some((catalog.dir_id(root, parent.as_bytes())?, name)));
        let unsaved = &mut catalog.unsaved.dirs;
        let state = catalog.roots.entry(root).or_insert_with(|| {
            let dir = catalog.dirs.add(root, None);
            unsaved.insert(dir);
            RootState {
                dir,
                total: Usage::default(),
                dirs: 1,
            }
        });
        let (mut at, missing) = parent.unwrap_or((state.dir, dir.as_bytes()));
        let names = missing.split(|&byte| byte == b'/');
        for name in names.filter(|name| !name.is_empty()) {
            at = catalog.dirs.child(at, name).unwrap_or_else(|| {
                state.dirs += 1;
                let dir = catalog.dirs.add(root, Some((at, name)));
                unsaved.insert(dir);
                dir
            });
        }
        at
    }

    /// Notes what a look told about `dir`. Nothing happens when there is no such directory.
    pub fn set_dir(&mut self, dir: DirId, facts: &Facts) {
        let mut catalog = self.index.catalog.write();
        if let Some(node) = catalog.dirs.get_mut(dir)
            && node.facts.set(facts)
        {
            catalog.unsaved.dirs.insert(dir);
        }
    }

    /// Says that something looked into `dir` when its change time was `stamp`, which is told of all
    /// that happens in it from then on; or that nothing vouches for what is known of it. Nothing
    /// happens when there is no such directory.
    pub fn set_stamp(&mut self, dir: DirId, stamp: Option<FileTime>) {
        let mut catalog = self.index.catalog.write();
        if let Some(node) = catalog.dirs.get_mut(dir)
            && node.facts.set_stamp(stamp)
        {
            catalog.unsaved.dirs.insert(dir);
        }
    }

    /// Forgets what vouches for the directories of `root`: events were lost.
    pub fn drop_stamps(&mut self, root: RootId) {
        self.each_dir(root, |facts| {
            facts.set_stamp(None);
        });
    }

    /// Says that `root` is on the device `dev` from now on, with all its directories.
    pub fn set_dev(&mut self, root: RootId, dev: u64) {
        self.each_dir(root, |facts| facts.key.dev = dev);
    }

    fn each_dir(&mut self, root: RootId, mut change: impl FnMut(&mut DirFacts)) {
        let mut catalog = self.index.catalog.write();
        let catalog = &mut *catalog;
        let top = catalog.roots.get(&root).map(|state| state.dir);
        for dir in top.map_or(Vec::new(), |top| catalog.dirs.subtree(top)) {
            change(&mut catalog.dirs.known_mut(dir).facts);
            catalog.unsaved.dirs.insert(dir);
        }
    }

    /// Drops `dir` with all beneath it; for a root's own, the root. No path leads to any of it from
    /// the first moment; its pages go one by one. Nothing happens when there is no such directory.
    pub fn drop_dir(&mut self, dir: DirId) -> Dropped {
        let mut dropped = Dropped::default();
        let mut catalog = self.index.catalog.write();
        let Some(root) = catalog.dirs.get(dir).map(|node| node.root) else {
            return dropped;
        };
        let subtree = catalog.dirs.subtree(dir);
        let is_root = catalog.dirs.known(dir).parent().is_none();
        catalog.dirs.detach(dir);
        drop(catalog);

        let mut total = Usage::default();
        for &below in subtree.iter().rev() {
            let place = self.place(below);
            let mut catalog = self.index.catalog.write();
            // It is not kept up to date while the pages are dropped.
            catalog.dirs.known_mut(below).pages.drop_names();
            drop(catalog);
            for page in self.index.pages_of(below).into_iter().rev() {
                self.drop_page(&place, page, &mut total);
                dropped.pages.push(page);
            }
            let mut catalog = self.index.catalog.write();
            catalog.units.remove(&below);
            if below != dir {
                catalog.dirs.detach(below);
            }
            catalog.dirs.forget(below);
            catalog.unsaved.dirs.insert(below);
            if let Some(state) = catalog.roots.get_mut(&root) {
                state.dirs -= 1;
            }
        }
        if is_root {
            self.index.catalog.write().roots.remove(&root);
        }
        dropped.pages.sort_unstable();
        dropped.dirs = subtree;
        dropped.files = total.files();
        dropped.bytes = total.bytes();
        dropped
    }

    /// Drops all that is known of `root`.
    pub fn drop_root(&mut self, root: RootId) -> Dropped {
        let dir = self.index.dir_id(root, b"");
        dir.map_or_else(Dropped::default, |dir| self.drop_dir(dir))
    }

    /// Moves `dir` with all beneath it to the name `name` in `to_parent`; what stands there is
    /// dropped first. No entry is touched, whatever it holds. A top-level directory that becomes a
    /// deeper one is no unit any more, and what goes with a top-level directory counts for the new
    /// one; classes stay as they are, for [`Writer::reclass`].
    ///
    /// Returns what was dropped. Refused (`None`, and nothing happens) for a root's own directory,
    /// from root to root, beneath itself, onto a directory that it is in, and when there is no
    /// such directory.
    pub fn move_dir(&mut self, dir: DirId, to_parent: DirId, name: &[u8]) -> Option<Dropped> {
        let catalog = self.index.catalog.read();
        let node = catalog.dirs.get(dir)?;
        let target = catalog.dirs.get(to_parent)?;
        let from_parent = node.parent()?;
        let in_the_way = catalog.dirs.child(to_parent, name);
        if in_the_way == Some(dir) {
            return Some(Dropped::default());
        }
        let is_within = catalog.dirs.up(to_parent).any(|up| up == dir);
        let is_ancestor =
            in_the_way.is_some_and(|other| catalog.dirs.up(dir).any(|up| up == other));
        if node.root != target.root || is_within || is_ancestor || !is_component(name) {
            return None;
        }
        // Both parents are the root's own directory: there is only one.
        let stays_top = from_parent == to_parent && target.parent().is_none();
        drop(catalog);
        let dropped = in_the_way.map(|other| self.drop_dir(other));

        let from = self.place(dir).unit;
        let to = self.place(to_parent).unit;
        let changes_units = from != to && !stays_top;
        let going = changes_units.then(|| self.going(dir));
        let mut catalog = self.index.catalog.write();
        let catalog = &mut *catalog;
        if let Some(going) = going {
            if from == Some(dir) {
                catalog.units.remove(&dir);
            } else if let Some(unit) = from.and_then(|from| catalog.units.get_mut(&from)) {
                unit.usage -= going;
            }
            if let Some(unit) = to.and_then(|to| catalog.units.get_mut(&to)) {
                unit.usage += going;
            }
        }
        catalog.move_counts(dir, to_parent);
        catalog.dirs.detach(dir);
        catalog.dirs.rename(dir, name);
        catalog.dirs.attach(dir, to_parent);
        catalog.unsaved.dirs.insert(dir);
        Some(dropped.unwrap_or_default())
    }

    /// Says how `dir`, a top-level directory, lapses as a whole, or that it does not. For other
    /// directories nothing happens. Looks through the tree's pages the first time only.
    pub fn set_unit(&mut self, dir: DirId, unit: Option<UnitRule>) {
        let catalog = self.index.catalog.read();
        let is_top = catalog.dirs.get(dir).is_some() && catalog.dirs.top(dir) == Some(dir);
        let is_known = catalog.units.contains_key(&dir);
        drop(catalog);
        if !is_top {
            return;
        }
        let going = unit.filter(|_| !is_known).map(|_| self.going(dir));
        let mut catalog = self.index.catalog.write();
        catalog.unsaved.dirs.insert(dir);
        let units = &mut catalog.units;
        match (unit, units.get_mut(&dir)) {
            (Some(rule), Some(known)) => known.rule = rule,
            (Some(rule), None) => {
                let usage = going.unwrap_or_default();
                units.insert(dir, Unit { rule, usage });
            }
            (None, _) => {
                units.remove(&dir);
            }
        }
    }

    /// Sums up the entries in `dir` and beneath it that lapse with their top-level directory.
    fn going(&self, dir: DirId) -> Usage {
        let mut going = Usage::default();
        let dirs = self.index.subtree(dir).into_iter();
        for (_, page) in dirs.flat_map(|dir| self.index.snapshot_of(dir)) {
            let records = page.entries().map(|(_, record)| record);
            for record in records.filter(Record::goes_with_dir) {
                going.add(record.size);
            }
        }
        going
    }

    fn drop_page(&mut self, place: &Membership, page: PageId, total: &mut Usage) {
        let old = self.index.pages.known(page);
        let removed = old.entries().map(|(_, record)| Change {
            before: Some(record),
            after: None,
        });
        let removed: Vec<Change> = removed.collect();
        for (_, record) in old.entries() {
            total.add(record.size);
        }
        let mut catalog = self.index.catalog.write();
        catalog.account(place, &removed);
        catalog.free_page(&self.index.pages, place.dir, page, self.index.limits);
    }
}
