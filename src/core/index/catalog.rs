//! Everything that spans pages: directories, sums, numbers. All of it changes under one lock.
//!
//! **Invariant:** after each step, totals and units say exactly what the pages hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::directories::Directories;
use super::page::Page;
use super::page_builder::Change;
use super::pages::Pages;
use super::record::{DirId, PageId, Unsaved};
use super::unit::Unit;
use super::usage::Usage;
use crate::core::facts::RootId;

/// Limits of sizes. Smaller in tests, so that pages merge and split more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Entries of a page, at most 256: more cost more to rewrite than they save.
    pub(super) page_entries: usize,
    /// Pages of a directory that are searched one by one: more get a name index.
    pub(super) searched_pages: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        page_entries: 256,
        searched_pages: 4,
    };

    /// Returns true if a page of `entries` is to be merged with a neighbour: under 40 % full.
    pub(super) fn is_sparse(&self, entries: usize) -> bool {
        entries * 5 < self.page_entries * 2
    }
}

/// A root's own directory and what is beneath it.
#[derive(Debug)]
pub(super) struct RootState {
    pub(super) dir: DirId,
    pub(super) total: Usage,
    pub(super) dirs: u64,
}

/// The sums that entries of a directory are counted in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    pub(super) dir: DirId,
    pub(super) root: RootId,
    /// The top-level directory that it is or is in.
    top: Option<DirId>,
    /// That directory, if it is a unit.
    pub(super) unit: Option<DirId>,
}

/// Directories, sums and numbers of pages.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) dirs: Directories,
    pub(super) roots: BTreeMap<RootId, RootState>,
    pub(super) units: BTreeMap<DirId, Unit>,
    /// Numbers of pages below `next_page` that are not in use.
    free_pages: Vec<PageId>,
    next_page: u32,
    /// Pages that were written since the writer was last asked.
    pub(super) touched: BTreeSet<PageId>,
    /// Changes since they were last handed out to be saved.
    pub(super) unsaved: Unsaved,
    last_way: LastWay,
}

/// The path that was looked up last: the next one is often the same, or beside it, or one directory
/// deeper. Without it, reading a tree costs the square of its depth.
#[derive(Default)]
struct LastWay(Mutex<Option<Way>>);

struct Way {
    root: RootId,
    path: Box<[u8]>,
    dir: DirId,
    /// [`Directories::changes`] when the path led there.
    changes: u64,
}

/// Shorter paths are looked up name by name: that costs less than keeping them. Tests have short
/// ones.
const KEPT_PATH_BYTES_MIN: usize = if cfg!(test) { 1 } else { 128 };

impl Way {
    /// Returns the deepest directory that is on this path and on `path`, and the rest of `path`
    /// beneath it.
    fn fork<'a>(&self, path: &'a [u8], dirs: &Directories) -> Option<(DirId, &'a [u8])> {
        let same = common_prefix(&self.path, path);
        let is_end = |path: &[u8]| path.get(same).is_none_or(|&byte| byte == b'/');
        let same = if is_end(&self.path) && is_end(path) {
            same
        } else {
            path[..same].iter().rposition(|&byte| byte == b'/')?
        };
        let names = self.path[same..].iter().filter(|&&byte| byte == b'/');
        let dir = dirs.up(self.dir).nth(names.count())?;
        let rest = &path[same..];
        Some((dir, rest.strip_prefix(b"/").unwrap_or(rest)))
    }
}

/// Returns the number of bytes that two paths begin with alike. Compares whole chunks first: paths
/// may be as long as their owners like, and most of them differ at their ends.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    const CHUNK: usize = 256;
    let chunks = one.chunks_exact(CHUNK).zip(other.chunks_exact(CHUNK));
    let whole = CHUNK * chunks.take_while(|(a, b)| a == b).count();
    let rest = one[whole..].iter().zip(&other[whole..]);
    whole + rest.take_while(|(a, b)| a == b).count()
}

impl Catalog {
    /// The directory at the path `dir` of `root`.
    pub(super) fn dir_id(&self, root: RootId, dir: &[u8]) -> Option<DirId> {
        let top = self.roots.get(&root)?.dir;
        if dir.is_empty() {
            return Some(top);
        }
        // A single name is one lookup, and must not take the place of a longer path.
        let is_kept = dir.len() >= KEPT_PATH_BYTES_MIN && dir.contains(&b'/');
        // While another thread looks up a path, this one starts at the top.
        let Some(mut last) = is_kept.then(|| self.last_way.0.try_lock()).flatten() else {
            return self.dirs.descend(top, dir);
        };
        let changes = self.dirs.changes();
        let known = last
            .as_ref()
            .filter(|way| way.root == root && way.changes == changes);
        let (from, rest) = known
            .and_then(|way| way.fork(dir, &self.dirs))
            .unwrap_or((top, dir));
        let found = match rest {
            [] if known.is_some_and(|way| way.dir == from) => return Some(from),
            [] => from,
            rest => self.dirs.descend(from, rest)?,
        };
        *last = Some(Way {
            root,
            path: dir.into(),
            dir: found,
            changes,
        });
        Some(found)
    }

    /// Returns the sums that entries of `dir` are counted in.
    pub(super) fn place(&self, dir: DirId) -> Option<Membership> {
        let root = self.dirs.get(dir)?.root;
        let top = self.dirs.top(dir);
        let unit = top.filter(|top| self.units.contains_key(top));
        Some(Membership {
            dir,
            root,
            top,
            unit,
        })
    }

    /// Changes all sums as the entries of a directory changed.
    pub(super) fn account(&mut self, place: &Membership, changes: &[Change]) {
        let root = self.roots.get_mut(&place.root);
        let root = root.expect("invariant: a directory's root is known");
        let mut unit = place.unit.and_then(|unit| self.units.get_mut(&unit));
        let (mut added, mut removed) = (0, 0);
        // First what is added: sums do not pass below zero.
        for record in changes.iter().filter_map(|change| change.after.as_ref()) {
            added += 1;
            root.total.add(record.size);
            if let Some(unit) = unit.as_mut().filter(|_| record.goes_with_dir()) {
                unit.usage.add(record.size);
            }
        }
        for record in changes.iter().filter_map(|change| change.before.as_ref()) {
            removed += 1;
            root.total.remove(record.size);
            if let Some(unit) = unit.as_mut().filter(|_| record.goes_with_dir()) {
                unit.usage.remove(record.size);
            }
        }
        let node = self.dirs.known_mut(place.dir);
        node.files = node.files + added - removed;
        if let Some(top) = place.top {
            let top = self.dirs.known_mut(top);
            top.files_beneath = top.files_beneath + added - removed;
        }
    }

    /// Counts the entries of `dir` and beneath it for the top-level directory that it is in once it
    /// is in `to_parent`.
    pub(super) fn move_counts(&mut self, dir: DirId, to_parent: DirId) {
        let from = self.dirs.top(dir);
        let to = self.dirs.top_of_child(dir, to_parent);
        if from == Some(to) {
            return;
        }
        let files = self.dirs.subtree(dir).into_iter();
        let files: u32 = files.map(|dir| self.dirs.known(dir).files).sum();
        if let Some(from) = from {
            self.dirs.known_mut(from).files_beneath -= files;
        }
        self.dirs.known_mut(to).files_beneath += files;
    }

    /// Puts `page` in the place of the page `id`, or in a new one behind the others of its
    /// directory.
    pub(super) fn put_page(&mut self, pages: &Pages, id: Option<PageId>, page: Page) -> PageId {
        let id = id.unwrap_or_else(|| {
            let id = self.free_pages.pop().unwrap_or_else(|| {
                let id = PageId(self.next_page);
                self.next_page += 1;
                id
            });
            self.dirs.known_mut(page.dir()).pages.push(id);
            id
        });
        self.touched.insert(id);
        self.unsaved.pages.insert(id);
        pages.insert(id, Arc::new(page));
        id
    }

    /// Puts a page that was saved in place, behind the others of its directory.
    pub(super) fn restore_page(&mut self, pages: &Pages, id: PageId, page: Page) {
        self.dirs.known_mut(page.dir()).pages.push(id);
        pages.insert(id, Arc::new(page));
    }

    /// Frees the numbers between those of the restored pages, once all of these are in place.
    pub(super) fn end_restoring(&mut self, pages: &Pages) {
        self.dirs.end_restoring();
        let used: BTreeSet<PageId> = pages.all().into_iter().map(|(id, _)| id).collect();
        self.next_page = used.last().map_or(0, |last| last.0 + 1);
        let free = (0..self.next_page)
            .map(PageId)
            .filter(|id| !used.contains(id));
        // The smallest is given out first.
        self.free_pages = free.rev().collect();
    }

    /// Frees the page `id` of `dir`.
    pub(super) fn free_page(&mut self, pages: &Pages, dir: DirId, id: PageId, limits: Limits) {
        pages.remove(id);
        self.touched.insert(id);
        self.free_pages.push(id);
        self.unsaved.pages.insert(id);
        // Half as many pages as would bring a name index about: it is not made and dropped back and
        // forth.
        let indexed = limits.searched_pages / 2 + 1;
        self.dirs.known_mut(dir).pages.remove(id, indexed);
    }
}

#[cfg(test)]
mod tests {
    use super::common_prefix;

    #[test]
    fn the_common_prefix_of_long_paths_is_exact() {
        let path = [b'd'; 700];
        for at in [0, 1, 255, 256, 257, 511, 512, 699] {
            let mut other = path;
            other[at] = b'e';
            assert_eq!(common_prefix(&path, &other), at);
            assert_eq!(common_prefix(&path, &path[..at]), at);
            assert_eq!(common_prefix(&path[..at], &path), at);
        }
    }
}
