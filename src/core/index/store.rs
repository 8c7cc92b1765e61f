//! Where pages stand: the map from numbers to pages, and a dense summary of each for questions about all of them.
//!
//! **Invariant:** no guard of the map leaves this module: a page is handed out as a clone of its `Arc`.

use std::mem::size_of;
use std::sync::Arc;

use dashmap::DashMap;

use super::forecast::minute_of;
use super::hash::{PageHash, number_hash};
use super::memory::{allocated, table_bytes};
use super::page::Page;
use super::record::{DirId, PageId};

/// Shards of the page map: enough that a few readers and the writer seldom meet, and always the same, so that runs repeat.
const SHARDS: usize = 16;
/// Below this many minutes from first to last deadline a page needs no signature: the span itself tells enough.
const SIGNED_SPAN_MINUTES: i64 = 4;
/// Pages with fewer entries are looked through faster than a signature is fetched.
const SIGNED_ENTRIES: usize = 8;

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

    /// The page that a directory or summary names.
    pub(super) fn known(&self, id: PageId) -> Arc<Page> {
        self.get(id)
            .expect("invariant: a page that the catalog names is in the map")
    }

    pub(super) fn insert(&self, id: PageId, page: Arc<Page>) -> Option<Arc<Page>> {
        self.map.insert(id, page)
    }

    pub(super) fn remove(&self, id: PageId) -> Option<Arc<Page>> {
        self.map.remove(&id).map(|(_, page)| page)
    }

    /// Bytes of the map itself.
    pub(super) fn map_bytes(&self) -> usize {
        table_bytes(self.map.capacity(), size_of::<(PageId, Arc<Page>)>())
    }
}

/// A set of the minutes in which a page's entries have deadlines: two bits a minute, both in one word (a Bloom filter of
/// one-word blocks: Putze, Sanders, Singler, 2007), a power of two of words. No means no.
pub(super) type Signature = Box<[u64]>;

/// What is known of a page without touching it.
#[derive(Debug)]
struct Summary {
    /// `None`: the number is free.
    dir: Option<DirId>,
    span: (i64, i64),
    signature: Option<Signature>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            dir: None,
            span: (i64::MAX, i64::MIN),
            signature: None,
        }
    }
}

/// Summaries of all pages, by number.
#[derive(Default)]
pub(super) struct Summaries {
    list: Vec<Summary>,
    free: Vec<PageId>,
    signature_bytes: usize,
}

impl Summaries {
    /// Gives out a number that is not in use.
    pub(super) fn claim(&mut self) -> PageId {
        self.free.pop().unwrap_or_else(|| {
            let id = u32::try_from(self.list.len()).expect("invariant: fewer than 2^32 pages");
            self.list.push(Summary::default());
            PageId(id)
        })
    }

    /// Makes room for a page that was saved under the number `id`.
    pub(super) fn restore(&mut self, id: PageId) {
        let end = id.0 as usize + 1;
        if self.list.len() < end {
            self.list.resize_with(end, Summary::default);
        }
    }

    /// All pages are in place that were saved: the numbers in between are free.
    pub(super) fn end_restoring(&mut self) {
        let ids = (0u32..).zip(&self.list);
        let free = ids.filter(|(_, summary)| summary.dir.is_none());
        self.free = free.map(|(id, _)| PageId(id)).collect();
        // The smallest is given out first.
        self.free.reverse();
    }

    /// Notes what `page`, which has the number `id` from now on, is like.
    pub(super) fn set(&mut self, id: PageId, page: &Page, signature: Option<Signature>) {
        let summary = &mut self.list[id.0 as usize];
        self.signature_bytes -= signature_bytes(summary.signature.as_deref());
        self.signature_bytes += signature_bytes(signature.as_deref());
        *summary = Summary {
            dir: Some(page.dir()),
            span: page.span,
            signature,
        };
    }

    /// Takes the number `id` back.
    pub(super) fn free(&mut self, id: PageId) {
        let summary = &mut self.list[id.0 as usize];
        self.signature_bytes -= signature_bytes(summary.signature.as_deref());
        summary.dir = None;
        summary.signature = None;
        self.free.push(id);
    }

    /// The numbers in use, ascending.
    pub(super) fn ids(&self) -> impl Iterator<Item = PageId> {
        (0u32..)
            .zip(&self.list)
            .filter(|(_, summary)| summary.dir.is_some())
            .map(|(id, _)| PageId(id))
    }

    /// Pages and their directories that may have a deadline from `from` to `to` milliseconds; both lie in `minute`.
    pub(super) fn overlapping(
        &self,
        from: i64,
        to: i64,
        minute: i64,
    ) -> impl Iterator<Item = (PageId, DirId)> {
        let hash = minute_hash(minute);
        let wanted = bits_of(hash);
        let has = move |bits: &Signature| bits[word_of(bits, hash)] & wanted == wanted;
        (0u32..).zip(&self.list).filter_map(move |(id, summary)| {
            let dir = summary.dir?;
            let may = summary.span.0 <= to
                && from <= summary.span.1
                && summary.signature.as_ref().is_none_or(has);
            may.then_some((PageId(id), dir))
        })
    }

    /// Pages that may have a deadline after `after` milliseconds, each with its earliest deadline and its directory.
    pub(super) fn ending_after(&self, after: i64) -> impl Iterator<Item = (i64, PageId, DirId)> {
        (0u32..).zip(&self.list).filter_map(move |(id, summary)| {
            let (first, last) = summary.span;
            let dir = summary.dir.filter(|_| first <= last && last > after)?;
            Some((first, PageId(id), dir))
        })
    }

    pub(super) fn bytes(&self) -> usize {
        allocated(self.list.capacity() * size_of::<Summary>())
            + allocated(self.free.capacity() * size_of::<PageId>())
            + self.signature_bytes
    }
}

/// The signature of `page`; `None` where its span tells enough. Two bytes an entry, or up to four: a minute that is not there
/// passes for one in about 50 pages.
pub(super) fn sign(page: &Page) -> Option<Signature> {
    let (first, last) = page.span;
    if page.len() < SIGNED_ENTRIES
        || first > last
        || minute_of(last) - minute_of(first) < SIGNED_SPAN_MINUTES
    {
        return None;
    }
    let mut bits = vec![0; page.len().next_power_of_two() / 4].into_boxed_slice();
    let mut previous = None;
    for minute in page.deadlines().map(minute_of) {
        if previous.replace(minute) != Some(minute) {
            let hash = minute_hash(minute);
            bits[word_of(&bits, hash)] |= bits_of(hash);
        }
    }
    Some(bits)
}

fn minute_hash(minute: i64) -> u64 {
    number_hash(minute.cast_unsigned())
}

fn word_of(bits: &[u64], hash: u64) -> usize {
    usize::from(hash.to_le_bytes()[7]) & (bits.len() - 1)
}

fn bits_of(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63)
}

fn signature_bytes(signature: Option<&[u64]>) -> usize {
    signature.map_or(0, |bits| allocated(size_of_val(bits)))
}
