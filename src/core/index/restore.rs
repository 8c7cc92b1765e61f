//! Puts an index together again from the bytes that were saved of it.
//!
//! What was saved may be of two moments: some pages are newer than others, some are missing. So
//! nothing is believed for being there. A directory that hangs on nothing is left out, pages that
//! contradict one another are left out, and a stamp counts only for exactly the entries that it was
//! made for. What is left out is found again by a listing.
//!
//! **Invariant:** the index that comes out keeps every invariant of [`Index`], whatever went in.
//! **Invariant:** numbers stay: what is saved under a number and not changed needs no saving.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{Catalog, Limits, RootState};
use super::hash::name_hash;
use super::image::{DirImage, StampImage, decode_dir, decode_page, decode_stamp};
use super::names::NameIndex;
use super::page::Page;
use super::page_builder::Change;
use super::pages::Pages;
use super::reader::Index;
use super::record::{DirId, PageId};
use super::writer::Writer;
use crate::core::facts::RootId;
use crate::core::time::Timestamp;

/// Numbers may be this much sparser than what they name: beyond that the tables that they index
/// would be a waste of memory, and what has them is left out.
const SPARSE_MAX: usize = 4;
/// So many numbers are always allowed.
const NUMBERS_MIN: usize = 1 << 22;

/// Takes in what was saved, in any order.
#[derive(Default)]
pub struct Restorer {
    dirs: BTreeMap<DirId, DirImage>,
    pages: Vec<(PageId, Page)>,
    stamps: BTreeMap<DirId, StampImage>,
    lost: RestoreLosses,
}

/// Counts of saved values that could not be used: a listing finds again what they held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RestoreLosses {
    /// Directories.
    pub dirs: u64,
    /// Pages.
    pub pages: u64,
    /// Stamps.
    pub stamps: u64,
}

/// An index as it was saved.
pub struct Restored {
    /// To read.
    pub index: Arc<Index>,
    /// To write. What was left out counts as changed, so that it is not saved any more.
    pub writer: Writer,
    /// The newest timestamps in the trees of what were units: directory and timestamp.
    pub units: Vec<(DirId, Timestamp)>,
    /// Counts of what could not be used.
    pub lost: RestoreLosses,
}

impl Restorer {
    /// Takes in the directory `id`. Says whether it can be used.
    pub fn dir(&mut self, id: DirId, bytes: &[u8]) -> bool {
        let image = decode_dir(bytes);
        self.lost.dirs += u64::from(image.is_none());
        image.map(|image| self.dirs.insert(id, image)).is_some()
    }

    /// Takes in the page `id`, whose rules' numbers are to be below `rules`. Says whether it can be
    /// used.
    pub fn page(&mut self, id: PageId, bytes: &[u8], rules: usize) -> bool {
        let page = decode_page(bytes, rules);
        self.lost.pages += u64::from(page.is_none());
        page.map(|page| self.pages.push((id, page))).is_some()
    }

    /// Takes in the stamp of the directory `id`. Says whether it can be used.
    pub fn stamp(&mut self, id: DirId, bytes: &[u8]) -> bool {
        let stamp = decode_stamp(bytes);
        self.lost.stamps += u64::from(stamp.is_none());
        stamp.map(|stamp| self.stamps.insert(id, stamp)).is_some()
    }

    /// Puts everything together that belongs to one of `roots`, each with its own directory's
    /// number.
    #[must_use]
    pub fn finish(self, roots: &BTreeMap<RootId, DirId>) -> Restored {
        self.finish_with(roots, Limits::DEFAULT)
    }

    pub(super) fn finish_with(
        mut self,
        roots: &BTreeMap<RootId, DirId>,
        limits: Limits,
    ) -> Restored {
        let (index, writer) = Index::with_limits(limits);
        let mut catalog = index.catalog.write();
        let units = self.put_dirs(&mut catalog, roots);
        self.put_pages(&mut catalog, &index);
        self.put_stamps(&mut catalog);
        catalog.end_restoring(&index.pages);
        // The caller arms all pages at once.
        catalog.touched.clear();
        drop(catalog);
        Restored {
            index,
            writer,
            units,
            lost: self.lost,
        }
    }

    /// Puts the directories in place, from the roots down.
    fn put_dirs(
        &mut self,
        catalog: &mut Catalog,
        roots: &BTreeMap<RootId, DirId>,
    ) -> Vec<(DirId, Timestamp)> {
        let most = limit(self.dirs.len());
        let mut beneath: BTreeMap<DirId, Vec<DirId>> = BTreeMap::new();
        for (&id, image) in &self.dirs {
            if let Some(parent) = image.parent {
                beneath.entry(parent).or_default().push(id);
            }
        }
        let mut units = Vec::new();
        for (&root, &top) in roots {
            let is_top = |image: &DirImage| image.parent.is_none();
            if top.0 >= most || !self.dirs.get(&top).is_some_and(is_top) {
                continue;
            }
            let mut dirs = 0;
            let mut open = vec![top];
            while let Some(id) = open.pop() {
                let Some(image) = self.dirs.remove(&id) else {
                    continue;
                };
                let place = (image.parent, &*image.name);
                if !catalog.dirs.restore(id, root, place, image.facts()) {
                    self.dirs.insert(id, image);
                    continue;
                }
                dirs += 1;
                units.extend(image.newest.map(|newest| (id, newest)));
                let below = beneath.remove(&id).unwrap_or_default();
                open.extend(below.into_iter().filter(|id| id.0 < most));
            }
            let state = RootState {
                dir: top,
                total: super::usage::Usage::default(),
                dirs,
            };
            catalog.roots.insert(root, state);
        }
        // What hangs on nothing goes from wherever it was saved, too.
        self.lost.dirs += self.dirs.len() as u64;
        catalog.unsaved.dirs.extend(self.dirs.keys());
        units
    }

    fn put_pages(&mut self, catalog: &mut Catalog, index: &Index) {
        let most = limit(self.pages.len());
        // Those of a directory together, the earliest first: about the order of arrival.
        let mut pages = std::mem::take(&mut self.pages);
        pages.sort_by_key(|(id, page)| (page.dir, page.base, *id));
        let mut pages = pages.into_iter().peekable();
        let mut of_dir: Vec<(PageId, Page)> = Vec::new();
        while let Some((id, page)) = pages.next() {
            let dir = page.dir;
            of_dir.push((id, page));
            if pages.peek().is_some_and(|(_, next)| next.dir == dir) {
                continue;
            }
            let known = catalog.dirs.get(dir).is_some();
            let possible = of_dir.iter().all(|(id, _)| id.0 < most);
            if known && possible && names_are_unique(&of_dir) {
                put_pages_of(catalog, &index.pages, dir, of_dir.drain(..), index.limits);
            } else {
                self.lost.pages += of_dir.len() as u64;
                catalog
                    .unsaved
                    .pages
                    .extend(of_dir.drain(..).map(|(id, _)| id));
            }
        }
    }

    fn put_stamps(&mut self, catalog: &mut Catalog) {
        for (&id, stamp) in &self.stamps {
            let Some(node) = catalog.dirs.get_mut(id) else {
                continue;
            };
            if node.facts.key.ino == stamp.ino && node.files == stamp.files {
                node.facts.set_stamp(Some(stamp.ctime));
            } else {
                // It was of another moment: it goes, or gives way to a new one.
                self.lost.stamps += 1;
                catalog.unsaved.dirs.insert(id);
            }
        }
    }
}

/// Returns true if no name stands twice in the pages of one directory, which merged or were written
/// anew while one of them was saved and the other was not.
fn names_are_unique(pages: &[(PageId, Page)]) -> bool {
    if let [(_, page)] = pages
        && page.len() == 1
    {
        return true;
    }
    let names = pages.iter().flat_map(|(_, page)| page.names());
    let mut hashes: Vec<(u64, &[u8])> = names.map(|name| (name_hash(0, name), name)).collect();
    hashes.sort_unstable();
    hashes.windows(2).all(|two| two[0] != two[1])
}

fn put_pages_of(
    catalog: &mut Catalog,
    pages: &Pages,
    dir: DirId,
    of_dir: impl ExactSizeIterator<Item = (PageId, Page)>,
    limits: Limits,
) {
    let place = catalog.place(dir);
    let place = place.expect("invariant: pages are put into directories that are there");
    let is_indexed = of_dir.len() > limits.searched_pages;
    let mut hashes: Vec<(u64, PageId)> = Vec::new();
    let mut changes = Vec::new();
    for (id, page) in of_dir {
        changes.clear();
        changes.extend(page.entries().map(|(_, record)| Change {
            before: None,
            after: Some(record),
        }));
        if is_indexed {
            hashes.extend(page.names().map(|name| (name_hash(dir.0, name), id)));
        }
        catalog.restore_page(pages, id, page);
        catalog.account(&place, &changes);
    }
    if is_indexed {
        let mut names = NameIndex::with_room(hashes.len());
        for (hash, id) in hashes {
            names.insert(hash, id);
        }
        catalog.dirs.known_mut(dir).pages.set_names(names);
    }
}

fn limit(count: usize) -> u32 {
    let most = count.saturating_mul(SPARSE_MAX).max(NUMBERS_MIN);
    u32::try_from(most).unwrap_or(u32::MAX)
}
