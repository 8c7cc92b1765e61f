//! The write side: entries.
//!
//! A page is packed before the lock is taken; then page, names and sums change together.
//!
//! **Invariant:** one writer by construction: it is not `Clone`, and nothing else changes an index.
//! What it read stays true until it writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::{Limits, Membership};
use super::hash::name_hash;
use super::names::NameIndex;
use super::page_builder::PageBuilder;
use super::reader::{Index, Located};
use super::record::{DirId, PageId, Record, RemoveOutcome, Unsaved};
use crate::core::observed::Name;

/// Entries that are located before their pages are rewritten: bounds the memory of a listing of a
/// huge directory.
const BATCH_MAX: usize = 1 << 16;

/// The only way to change an [`Index`].
pub struct Writer {
    pub(super) index: Arc<Index>,
    /// Buffers for the page that is being changed.
    builder: PageBuilder,
}

/// One entry that is to be written.
struct Edit<'a> {
    target: Target,
    /// Place in the page; `None`: the name is new.
    at: Option<usize>,
    name: &'a [u8],
    hash: u64,
    record: Record,
}

/// The page that an entry is written to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Page(PageId),
    /// The nth of the pages that are added behind the others.
    Added(usize),
}

impl Index {
    /// An empty index, and its writer.
    #[must_use]
    pub fn new() -> (Arc<Self>, Writer) {
        Self::with_limits(Limits::DEFAULT)
    }

    pub(super) fn with_limits(limits: Limits) -> (Arc<Self>, Writer) {
        let index = Arc::new(Self::empty(limits));
        (Arc::clone(&index), Writer::of(index))
    }
}

impl Writer {
    pub(super) fn of(index: Arc<Index>) -> Self {
        Self {
            index,
            builder: PageBuilder::default(),
        }
    }

    /// Returns the index that this writes.
    #[must_use]
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Puts the entry `name` into `dir`, or replaces its record: [`Writer::upsert_many`] of one.
    ///
    /// # Panics
    /// Panics when there is no such directory, or the name is longer than 65,535 bytes.
    pub fn upsert(&mut self, dir: DirId, name: &[u8], record: Record) {
        self.upsert_many(dir, [(name, record)]);
    }

    /// Puts entries into `dir`, or replaces their records; of a repeated name, the last counts.
    /// Rewrites each page once (per 65,536 entries), and only those that change.
    ///
    /// # Panics
    /// Panics when there is no such directory, or a name is longer than 65,535 bytes.
    pub fn upsert_many<'a>(
        &mut self,
        dir: DirId,
        entries: impl IntoIterator<Item = (&'a [u8], Record)>,
    ) {
        let place = self.place(dir);
        let mut entries = entries.into_iter();
        loop {
            let batch = entries.by_ref().take(BATCH_MAX);
            let mut edits: Vec<Edit> = batch.map(|entry| self.locate_edit(dir, entry)).collect();
            if edits.is_empty() {
                return;
            }
            self.place_new(dir, &mut edits);
            // A stable sort: new names stay in order, and the later of two replacements stays the
            // later one.
            edits.sort_by_key(|edit| edit.target);
            for of_page in edits.chunk_by(|a, b| a.target == b.target) {
                self.put_edits(&place, of_page);
            }
        }
    }

    /// Removes those of the entries `names` of `dir` for which `is_meant` holds, which is asked
    /// with a name's place among `names` and the record that the index has. Returns the outcome for
    /// each name, in their order; a repeated name is absent the second time. Rewrites each page at
    /// most once, except for merging sparse ones.
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
        let mut pages: Vec<PageId> = found.iter().map(|&(id, ..)| id).collect();
        pages.dedup();
        let mut found = found.into_iter().peekable();
        self.retain_in(dir, &pages, |id, at, _, record| {
            let Some((.., which)) = found.next_if(|found| (found.0, found.1) == (id, at)) else {
                return true;
            };
            let is_meant = is_meant(which, record);
            outcomes[which] = if is_meant {
                RemoveOutcome::Removed(*record)
            } else {
                RemoveOutcome::Kept(id, *record)
            };
            !is_meant
        });
        outcomes
    }

    /// Removes the entries of `dir` for whose names `keep` does not hold, and returns them.
    pub fn retain_names(
        &mut self,
        dir: DirId,
        keep: &dyn Fn(&[u8]) -> bool,
    ) -> Vec<(Name, Record)> {
        let mut removed = Vec::new();
        let mut pages = self.index.pages_of(dir);
        // Most pages keep all: they are not even unpacked.
        pages.retain(|&page| !self.index.pages.known(page).names().all(keep));
        self.retain_in(dir, &pages, |_, _, name, record| {
            let is_kept = keep(name);
            if !is_kept {
                removed.push((name.into(), *record));
            }
            is_kept
        });
        removed
    }

    /// Replaces each record of `page` by the result of `change`: after its directory moved, or
    /// rules changed. Nothing happens when there is no such page.
    pub fn reclass(&mut self, page: PageId, change: &mut dyn FnMut(&[u8], Record) -> Record) {
        let Some(old) = self.index.page(page) else {
            return;
        };
        self.builder.load(&old);
        self.builder.update(change);
        let place = self.place(old.dir());
        self.put(&place, Some(page));
    }

    /// Returns the pages that were written since this was last called; some of them may be free
    /// again. Their timers have to be set anew.
    pub fn take_touched(&mut self) -> BTreeSet<PageId> {
        std::mem::take(&mut self.index.catalog.write().touched)
    }

    /// Returns what changed since this was last called.
    pub fn take_unsaved(&mut self) -> Unsaved {
        if self.index.catalog.read().unsaved.is_empty() {
            return Unsaved::default();
        }
        std::mem::take(&mut self.index.catalog.write().unsaved)
    }

    /// Returns where entries of `dir` are counted.
    pub(super) fn place(&self, dir: DirId) -> Membership {
        let place = self.index.catalog.read().place(dir);
        place.expect("invariant: entries are put into directories of the index")
    }

    fn locate(&self, dir: DirId, name: &[u8], hash: u64) -> Option<Located> {
        let catalog = self.index.catalog.read();
        self.index.locate(&catalog, dir, name, hash)
    }

    fn locate_edit<'a>(&self, dir: DirId, (name, record): (&'a [u8], Record)) -> Edit<'a> {
        let hash = name_hash(dir.0, name);
        let located = self.locate(dir, name, hash);
        let (target, at) = located.map_or((Target::Added(0), None), |located| {
            (Target::Page(located.id), Some(located.at))
        });
        Edit {
            target,
            at,
            name,
            hash,
            record,
        }
    }

    /// Gives each new name its page: the last one of `dir` while it has room, then added ones.
    fn place_new(&self, dir: DirId, edits: &mut Vec<Edit>) {
        drop_repeated(edits);
        let most = self.index.limits.page_entries;
        let catalog = self.index.catalog.read();
        let last = catalog.dirs.known(dir).pages.ids().last().copied();
        drop(catalog);
        let room = last.map_or(0, |last| most - self.index.pages.known(last).len());
        let new = edits.iter_mut().filter(|edit| edit.at.is_none());
        for (nth, edit) in new.enumerate() {
            edit.target = match last {
                Some(last) if nth < room => Target::Page(last),
                Some(_) | None => Target::Added((nth - room) / most),
            };
        }
    }

    /// Writes the entries of one page.
    fn put_edits(&mut self, place: &Membership, edits: &[Edit]) {
        let id = match edits[0].target {
            Target::Page(id) => {
                self.builder.load(&self.index.pages.known(id));
                Some(id)
            }
            Target::Added(_) => {
                self.builder.clear();
                None
            }
        };
        for edit in edits {
            match edit.at {
                Some(at) => self.builder.set(at, edit.record),
                None => self.builder.push(edit.name, edit.hash, edit.record),
            }
        }
        self.put(place, id);
    }

    /// Keeps in `pages` of `dir` the entries for which `keep` holds, which is asked with page,
    /// place, name and record, in this order; then merges sparse pages.
    fn retain_in(
        &mut self,
        dir: DirId,
        pages: &[PageId],
        mut keep: impl FnMut(PageId, usize, &[u8], &Record) -> bool,
    ) {
        for &id in pages {
            let place = self.place(dir);
            self.builder.load(&self.index.pages.known(id));
            self.builder
                .retain(dir, &mut |at, name, record| keep(id, at, name, record));
            self.put(&place, Some(id));
        }
        for &id in pages {
            self.merge_sparse(dir, id);
        }
    }

    /// Packs what the builder holds, and puts it, its names and its changes in the place of the
    /// page `id`, or behind the other pages of the directory; a page without entries is freed.
    /// Nothing happens when nothing changed.
    fn put(&mut self, place: &Membership, id: Option<PageId>) {
        if self.builder.changes.is_empty() {
            return;
        }
        let (dir, index) = (place.dir, &self.index);
        let loaded = self.builder.len() - self.builder.added;
        // Names that must be told apart from removed ones of the page are put in anew: they need
        // room, too.
        let renewed = if self.builder.removed.is_empty() {
            0
        } else {
            loaded + self.builder.removed.len()
        };
        let larger = self.larger_names(dir, self.builder.added + renewed, id.is_none());
        let page = (self.builder.len() > 0).then(|| self.builder.pack(dir));
        let mut catalog = index.catalog.write();
        let pages = &mut catalog.dirs.known_mut(dir).pages;
        if let Some(larger) = larger {
            pages.set_names(larger);
        }
        if let (Some(names), Some(id)) = (pages.names_mut(), id) {
            let left = self.builder.hashes(dir).take(loaded);
            names.remove(id, &self.builder.removed, left);
        }
        match (page, id) {
            (Some(page), id) => {
                let id = catalog.put_page(&index.pages, id, page);
                if let Some(names) = catalog.dirs.known_mut(dir).pages.names_mut() {
                    for hash in self.builder.hashes(dir).skip(loaded) {
                        names.insert(hash, id);
                    }
                }
            }
            (None, Some(id)) => catalog.free_page(&index.pages, dir, id, index.limits),
            (None, None) => {}
        }
        catalog.account(place, &self.builder.changes);
    }

    /// Merges the page `id` of `dir`, if it is under 40 % full, with a neighbour, where both fit
    /// into one.
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

    /// Merges the pages `first` and `second` of `dir`, neighbours in this order, and returns the
    /// number that is kept.
    fn merge(&mut self, dir: DirId, first: PageId, second: PageId) -> PageId {
        let pages = &self.index.pages;
        let (front, back) = (pages.known(first), pages.known(second));
        // The timer of the earlier deadline fires for both.
        let (kept, freed, moved) = if front.span.0 <= back.span.0 {
            (first, second, &back)
        } else {
            (second, first, &front)
        };
        self.builder.load(&front);
        self.builder.append(&back);
        let page = self.builder.pack(dir);
        let mut catalog = self.index.catalog.write();
        if let Some(names) = catalog.dirs.known_mut(dir).pages.names_mut() {
            let hashes = moved.names().map(|name| name_hash(dir.0, name));
            names.repoint(freed, kept, hashes);
        }
        catalog.put_page(pages, Some(kept), page);
        catalog.free_page(pages, dir, freed, self.index.limits);
        kept
    }

    /// Returns a name index for `dir` with room for `new` names and all that are there; `None` when
    /// there is room already, or there are too few pages (with one more, when `grows`) to need one.
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

/// Drops all but the last edit of each new name.
fn drop_repeated(edits: &mut Vec<Edit>) {
    let new = edits
        .iter()
        .enumerate()
        .filter(|(_, edit)| edit.at.is_none());
    let mut new: Vec<(u64, &[u8], usize)> = new
        .map(|(which, edit)| (edit.hash, edit.name, which))
        .collect();
    new.sort_unstable();
    let earlier = new.windows(2).filter(|two| two[0].1 == two[1].1);
    let earlier: BTreeSet<usize> = earlier.map(|two| two[0].2).collect();
    if !earlier.is_empty() {
        let mut which = 0..;
        edits.retain(|_| which.next().is_none_or(|which| !earlier.contains(&which)));
    }
}
