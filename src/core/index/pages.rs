//! All pages by number.
//!
//! **Invariant:** no guard of the map leaves this module: a page is handed out as a clone of its
//! `Arc`.

use std::sync::Arc;

use dashmap::DashMap;

use super::hash::PageHash;
use super::page::Page;
use super::record::PageId;

/// Shards of the page map: enough that a few readers and the writer seldom meet, and always the
/// same, so that runs repeat.
const SHARDS: usize = 16;

/// All pages by number.
pub(super) struct Pages {
    map: DashMap<PageId, Arc<Page>, PageHash>,
}

impl Pages {
    pub(super) fn new() -> Self {
        let map =
            DashMap::with_capacity_and_hasher_and_shard_amount(0, PageHash::default(), SHARDS);
        Self { map }
    }

    pub(super) fn get(&self, id: PageId) -> Option<Arc<Page>> {
        self.map.get(&id).map(|page| Arc::clone(&page))
    }

    /// Returns the page that a directory names.
    pub(super) fn known(&self, id: PageId) -> Arc<Page> {
        self.get(id)
            .expect("invariant: a page that the catalog names is in the map")
    }

    pub(super) fn insert(&self, id: PageId, page: Arc<Page>) {
        self.map.insert(id, page);
    }

    pub(super) fn remove(&self, id: PageId) {
        self.map.remove(&id);
    }

    /// Returns all pages, in order of their numbers. They are of one instant while the catalog is
    /// locked.
    pub(super) fn all(&self) -> Vec<(PageId, Arc<Page>)> {
        let pages = self.map.iter();
        let mut all: Vec<_> = pages
            .map(|page| (*page.key(), Arc::clone(page.value())))
            .collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }
}
