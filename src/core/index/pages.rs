//! All pages by number, and a dense summary of each for questions about all of them.
//!
//! **Invariant:** no guard of the map leaves this module: a page is handed out as a clone of its `Arc`.

use std::sync::Arc;

use dashmap::DashMap;

use super::hash::PageHash;
use super::page::Page;
use super::record::{DirId, PageId};

/// Shards of the page map: enough that a few readers and the writer seldom meet, and always the same, so that runs repeat.
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

    /// Returns the page that a directory or summary names.
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

    /// Number of pages.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}

/// What is known of a page without reading it.
#[derive(Clone, Debug)]
struct Summary {
    /// `None`: the number is free.
    dir: Option<DirId>,
    /// Earliest and latest own deadline, as [`Page::span`].
    span: (i64, i64),
}

/// Of a number that is free.
const FREE: Summary = Summary {
    dir: None,
    span: (i64::MAX, i64::MIN),
};

/// Summaries of all pages, by number.
#[derive(Default)]
pub(super) struct Summaries {
    list: Vec<Summary>,
    free: Vec<PageId>,
}

impl Summaries {
    /// Returns a number that is not in use.
    pub(super) fn claim(&mut self) -> PageId {
        self.free.pop().unwrap_or_else(|| {
            let id = u32::try_from(self.list.len()).expect("invariant: fewer than 2^32 pages");
            self.list.push(FREE);
            PageId(id)
        })
    }

    /// Makes room for a page that was saved under the number `id`.
    pub(super) fn restore(&mut self, id: PageId) {
        let end = id.0 as usize + 1;
        if self.list.len() < end {
            self.list.resize(end, FREE);
        }
    }

    /// Frees the numbers between those of the restored pages, once all of these are in place.
    pub(super) fn end_restoring(&mut self) {
        let ids = (0u32..).zip(&self.list);
        let free = ids.filter(|(_, summary)| summary.dir.is_none());
        self.free = free.map(|(id, _)| PageId(id)).collect();
        // The smallest is given out first.
        self.free.reverse();
    }

    /// Notes `page`, which has the number `id` from now on.
    pub(super) fn set(&mut self, id: PageId, page: &Page) {
        self.list[id.0 as usize] = Summary {
            dir: Some(page.dir()),
            span: page.span,
        };
    }

    /// Takes the number `id` back.
    pub(super) fn free(&mut self, id: PageId) {
        self.list[id.0 as usize] = FREE;
        self.free.push(id);
    }

    /// Returns the numbers in use, ascending.
    pub(super) fn ids(&self) -> impl Iterator<Item = PageId> {
        self.used().map(|(id, _, _)| id)
    }

    /// Returns the pages in use with their directories and spans, in order of their numbers.
    pub(super) fn used(&self) -> impl Iterator<Item = (PageId, DirId, (i64, i64))> {
        let numbered = (0u32..).zip(&self.list);
        numbered.filter_map(|(id, summary)| Some((PageId(id), summary.dir?, summary.span)))
    }
}
