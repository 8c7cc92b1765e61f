//! The write side: entries.
//!
//! Each step packs its pages first, and then takes the lock once to put pages, names and sums in place together.
//!
//! **Invariant:** one writer by construction: it is not `Clone`, and nothing else changes an index. What it read stays
//! true until it writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::Place;
use super::draft::Draft;
use super::hash::name_hash;
use super::names::NameIndex;
use super::reader::{Index, Located};
use super::record::{DirId, PageId, Record, RemoveOutcome, Unsaved};
use super::store::sign;
use crate::core::observed::Name;

/// Replacements that are gathered before their pages are rewritten: bounds the memory of a listing of a huge directory.
const EDITS_MAX: usize = 1 << 16;

/// The only way to change an [`Index`].
pub struct Writer {
    pub(super) index: Arc<Index>,
    /// Buffers for the page that is being changed.
    pub(super) draft: Draft,
    /// Buffers for the page at the end of a directory, to which entries are being added.
    tail: Draft,
}

/// Additions and replacements in one directory, under way.
struct Batch {
    place: Place,
    edits: Vec<Edit>,
    end: Option<End>,
    touched: BTreeSet<PageId>,
}

/// A replacement.
struct Edit {
    page: PageId,
    at: usize,
    record: Record,
}

/// The page at the end of the directory; its entries are in the writer's `tail`.
struct End {
    /// `None`: a new page.
    id: Option<PageId>,
    /// So many of its entries stand in the index already.
    known: usize,
}

impl Writer {
    pub(super) fn of(index: Arc<Index>) -> Self {
        Self {
            index,
            draft: Draft::default(),
            tail: Draft::default(),
        }
    }

    /// The index that this writes.
    #[must_use]
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Puts the entry `name` into `dir`, or `record` in its place; tells its page and the previous record. Costs the
    /// rewriting of one page: for several names, [`Writer::upsert_many`] is cheaper.
    ///
    /// # Panics
    /// When there is no such directory, or the name is longer than 65,535 bytes.
    pub fn upsert(&mut self, dir: DirId, name: &[u8], record: Record) -> (PageId, Option<Record>) {
        let place = self.place(dir);
        let hash = name_hash(dir.0, name);
        if let Some(found) = self.locate(dir, name, hash) {
            self.draft.load(&found.page);
            let previous = self.draft.set(found.at, record);
            self.put_draft(&place, found.id);
            return (found.id, Some(previous));
        }
        let end = self.load_end(dir);
        self.tail.push(name, hash, record);
        (self.put_tail(&place, &end), None)
    }

    /// Puts entries into `dir`, or their records in the place of what stands there; of a name that comes twice, the last
    /// counts. Rewrites each page once (per 65,536 replacements), and only those that really change: tells which, ascending.
    ///
    /// # Panics
    /// When there is no such directory, or a name is longer than 65,535 bytes.
    pub fn upsert_many<'a>(
        &mut self,
        dir: DirId,
        entries: impl IntoIterator<Item = (&'a [u8], Record)>,
    ) -> Vec<PageId> {
        let mut batch = Batch {
            place: self.place(dir),
            edits: Vec::new(),
            end: None,
            touched: BTreeSet::new(),
        };
        for (name, record) in entries {
            self.put(&mut batch, name, record);
        }
        self.put_edits(&mut batch);
        if let Some(end) = batch.end.take() {
            batch.touched.extend(self.put_end(&batch.place, &end));
        }
        batch.touched.into_iter().collect()
    }

    /// Removes the entry `name` from `dir` and returns its record; `None` when there is no such entry.
    pub fn remove(&mut self, dir: DirId, name: &[u8]) -> Option<Record> {
        match self.remove_many(dir, [name], |_, _| true).first() {
            Some(&RemoveOutcome::Removed(record)) => Some(record),
            Some(RemoveOutcome::Kept(..) | RemoveOutcome::Absent) | None => None,
        }
    }

    /// Removes those of the entries `names` of `dir` for which `is_meant` holds, which is asked with a name's place among
    /// `names` and the record that the index has. Returns the outcome for each name, in their order; a repeated name is
    /// absent the second time. Rewrites each page at most once, except for merging sparse ones.
    pub fn remove_many<'a>(
        &mut self,
        dir: DirId,
        names: impl IntoIterator<Item = &'a [u8]>,
        mut is_meant: impl FnMut(usize, &Record) -> bool,
    ) -> Vec<RemoveOutcome> {
        let mut outcomes = Vec::new();
        // Page, place in the page, place among the names.
        let mut found: Vec<(PageId, usize, usize)> = Vec::new();
        for (which, name) in names.into_iter().enumerate() {
            outcomes.push(RemoveOutcome::Absent);
            if let Some(Located { id, at, .. }) = self.locate(dir, name, name_hash(dir.0, name)) {
                found.push((id, at, which));
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|&mut (id, at, _)| (id, at));
        for of_page in found.chunk_by(|a, b| a.0 == b.0) {
            let id = of_page[0].0;
            self.draft.load(&self.index.pages.known(id));
            let mut gone = Vec::with_capacity(of_page.len());
            for &(_, at, which) in of_page {
                let record = self.draft.record(at);
                outcomes[which] = if is_meant(which, &record) {
                    gone.push(at);
                    RemoveOutcome::Removed(record)
                } else {
                    RemoveOutcome::Kept(id, record)
                };
            }
            let mut gone = gone.into_iter().peekable();
            self.draft.retain(
                dir,
                &mut |at, _| gone.next_if_eq(&at).is_none(),
                &mut |_, _| {},
            );
            self.put_retained(dir, id);
        }
        for of_page in found.chunk_by(|a, b| a.0 == b.0) {
            self.merge_sparse(dir, of_page[0].0);
        }
        outcomes
    }

    /// Removes the entries of `dir` whose names `keep` does not want; tells what went.
    pub fn retain_names(
        &mut self,
        dir: DirId,
        keep: &dyn Fn(&[u8]) -> bool,
    ) -> Vec<(Name, Record)> {
        let mut out = Vec::new();
        let mut pages = self.index.pages_of(dir);
        // Most pages keep all: they are not even unpacked.
        pages.retain(|&page| !self.index.pages.known(page).names().all(keep));
        for &page in &pages {
            self.draft.load(&self.index.pages.known(page));
            self.draft
                .retain(dir, &mut |_, name| keep(name), &mut |name, record| {
                    out.push((name.into(), record));
                });
            self.put_retained(dir, page);
        }
        for page in pages {
            self.merge_sparse(dir, page);
        }
        out
    }

    /// Puts what `change` makes of each record of `page` in its place: after its directory moved, or rules changed.
    /// Nothing happens when there is no such page.
    pub fn reclass(&mut self, page: PageId, change: &mut dyn FnMut(&[u8], Record) -> Record) {
        let Some(old) = self.index.page(page) else {
            return;
        };
        self.draft.load(&old);
        self.draft.update(change);
        let place = self.place(old.dir());
        self.put_draft(&place, page);
    }

    /// Tells which pages were written since this was last asked, ascending; some of them may be free again. What waits for
    /// their earliest deadlines has to look at them again.
    pub fn take_touched(&mut self) -> BTreeSet<PageId> {
        std::mem::take(&mut self.index.catalog.write().touched)
    }

    /// Tells what changed since this was last asked.
    pub fn take_unsaved(&mut self) -> Unsaved {
        if self.index.catalog.read().unsaved.is_empty() {
            return Unsaved::default();
        }
        std::mem::take(&mut self.index.catalog.write().unsaved)
    }

    /// Where entries of `dir` are counted.
    pub(super) fn place(&self, dir: DirId) -> Place {
        let place = self.index.catalog.read().place(dir);
        place.expect("invariant: entries go into directories that are there")
    }

    fn locate(&self, dir: DirId, name: &[u8], hash: u64) -> Option<Located> {
        let catalog = self.index.catalog.read();
        self.index.locate(&catalog, dir, name, hash)
    }

    fn put(&mut self, batch: &mut Batch, name: &[u8], record: Record) {
        let dir = batch.place.dir;
        let hash = name_hash(dir.0, name);
        if batch.end.is_some()
            && let Some(at) = self.tail.find(name, hash)
        {
            self.tail.set(at, record);
            return;
        }
        if let Some(Located { id: page, at, .. }) = self.locate(dir, name, hash) {
            batch.edits.push(Edit { page, at, record });
            if batch.edits.len() == EDITS_MAX {
                self.put_edits(batch);
            }
            return;
        }
        let end = batch.end.take();
        let end = end.unwrap_or_else(|| self.open_end(batch));
        self.tail.push(name, hash, record);
        if self.tail.len() < self.index.limits.page_entries {
            batch.end = Some(end);
        } else {
            batch.touched.extend(self.put_end(&batch.place, &end));
        }
    }

    /// Loads the page to which the next entry goes, with the replacements that wait for it.
    fn open_end(&mut self, batch: &mut Batch) -> End {
        let end = self.load_end(batch.place.dir);
        let tail = &mut self.tail;
        batch.edits.retain(|edit| {
            let is_here = Some(edit.page) == end.id;
            if is_here {
                tail.set(edit.at, edit.record);
            }
            !is_here
        });
        end
    }

    fn load_end(&mut self, dir: DirId) -> End {
        let catalog = self.index.catalog.read();
        let last = catalog.dirs.known(dir).pages.ids().last().copied();
        drop(catalog);
        self.tail.clear();
        let mut end = End { id: None, known: 0 };
        if let Some(id) = last {
            let page = self.index.pages.known(id);
            if page.len() < self.index.limits.page_entries {
                self.tail.append(&page);
                end = End {
                    id: Some(id),
                    known: page.len(),
                };
            }
        }
        end
    }

    fn put_end(&mut self, place: &Place, end: &End) -> Option<PageId> {
        (!self.tail.changes.is_empty()).then(|| self.put_tail(place, end))
    }

    /// Packs the tail and puts it, its new names and its changes in place.
    fn put_tail(&mut self, place: &Place, end: &End) -> PageId {
        let page = self.tail.pack(place.dir);
        let signature = sign(&page);
        let new = self.tail.len() - end.known;
        let larger = self.larger_names(place.dir, new, end.id.is_none());
        let mut catalog = self.index.catalog.write();
        let id = catalog.put_page(&self.index.pages, end.id, page, signature);
        let pages = &mut catalog.dirs.known_mut(place.dir).pages;
        if let Some(larger) = larger {
            pages.set_names(larger);
        }
        if let Some(names) = pages.names_mut() {
            for hash in self.tail.hashes(place.dir).skip(end.known) {
                names.insert(hash, id);
            }
        }
        catalog.account(place, &self.tail.changes);
        id
    }

    /// Packs the draft, whose names are those of the page `id`, and puts it and its changes in place.
    fn put_draft(&mut self, place: &Place, id: PageId) {
        if self.draft.changes.is_empty() {
            return;
        }
        let page = self.draft.pack(place.dir);
        let signature = sign(&page);
        let mut catalog = self.index.catalog.write();
        catalog.put_page(&self.index.pages, Some(id), page, signature);
        catalog.account(place, &self.draft.changes);
    }

    fn put_edits(&mut self, batch: &mut Batch) {
        // A stable sort: of two replacements of one entry the later one still comes last.
        batch.edits.sort_by_key(|edit| edit.page);
        for edits in batch.edits.chunk_by(|a, b| a.page == b.page) {
            let id = edits[0].page;
            self.draft.load(&self.index.pages.known(id));
            for edit in edits {
                self.draft.set(edit.at, edit.record);
            }
            if !self.draft.changes.is_empty() {
                batch.touched.insert(id);
                self.put_draft(&batch.place, id);
            }
        }
        batch.edits.clear();
    }

    /// Puts the draft, which was loaded from the page `id` of `dir` and from which entries were removed, in its place.
    fn put_retained(&mut self, dir: DirId, id: PageId) {
        if self.draft.changes.is_empty() {
            return;
        }
        let place = self.place(dir);
        let loaded = self.draft.len() + self.draft.gone.len();
        // Names that must be told apart from others of the page are put in anew: they need room.
        let larger = self.larger_names(dir, loaded, false);
        let page = (self.draft.len() > 0).then(|| self.draft.pack(dir));
        let signature = page.as_ref().and_then(sign);
        let mut catalog = self.index.catalog.write();
        let pages = &mut catalog.dirs.known_mut(dir).pages;
        if let Some(larger) = larger {
            pages.set_names(larger);
        }
        if let Some(names) = pages.names_mut() {
            names.remove(id, &self.draft.gone, self.draft.hashes(dir));
        }
        match page {
            Some(page) => {
                catalog.put_page(&self.index.pages, Some(id), page, signature);
            }
            None => catalog.free_page(&self.index.pages, dir, id, self.index.limits),
        }
        catalog.account(&place, &self.draft.changes);
    }

    /// Merges the page `id` of `dir`, if it is under 40 % full, with a neighbour, where both fit into one.
    fn merge_sparse(&mut self, dir: DirId, mut id: PageId) {
        let limits = self.index.limits;
        // Each turn frees a page, or is the last.
        while let Some(page) = self
            .index
            .page(id)
            .filter(|page| limits.is_sparse(page.len()))
        {
            let ids = self.index.pages_of(dir);
            let Some(at) = ids.iter().position(|&other| other == id) else {
                return;
            };
            let fits = |other: &PageId| {
                page.len() + self.index.pages.known(*other).len() <= limits.page_entries
            };
            id = if at > 0 && fits(&ids[at - 1]) {
                self.merge(dir, ids[at - 1], id)
            } else if let Some(&next) = ids.get(at + 1).filter(|next| fits(next)) {
                self.merge(dir, id, next)
            } else {
                return;
            };
        }
    }

    /// Merges the pages `first` and `second` of `dir`, neighbours in this order; tells which number is kept.
    fn merge(&mut self, dir: DirId, first: PageId, second: PageId) -> PageId {
        let pages = &self.index.pages;
        let (front, back) = (pages.known(first), pages.known(second));
        // The timer of the earlier deadline rings for both.
        let (kept, freed, moved) = if front.span.0 <= back.span.0 {
            (first, second, &back)
        } else {
            (second, first, &front)
        };
        self.draft.load(&front);
        self.draft.append(&back);
        let page = self.draft.pack(dir);
        let signature = sign(&page);
        let mut catalog = self.index.catalog.write();
        if let Some(names) = catalog.dirs.known_mut(dir).pages.names_mut() {
            let hashes = moved.names().map(|name| name_hash(dir.0, name));
            names.repoint(freed, kept, hashes);
        }
        catalog.put_page(pages, Some(kept), page, signature);
        catalog.free_page(pages, dir, freed, self.index.limits);
        kept
    }

    /// A name index for `dir` with room for `new` names and all that are there; `None` when there is room already, or
    /// there are too few pages (with one more, when `grows`) to need one.
    fn larger_names(&self, dir: DirId, new: usize, grows: bool) -> Option<NameIndex> {
        let catalog = self.index.catalog.read();
        let node = catalog.dirs.known(dir);
        let ids = node.pages.ids();
        let needs_one = match node.pages.names() {
            Some(names) => names.room() < new,
            None => ids.len() + usize::from(grows) > self.index.limits.searched_pages,
        };
        if !needs_one {
            return None;
        }
        let mut names = NameIndex::with_room(node.files as usize + new);
        for &id in ids {
            for name in self.index.pages.known(id).names() {
                names.insert(name_hash(dir.0, name), id);
            }
        }
        Some(names)
    }
}
