//! The name index of a directory with many pages: which page a name stands in, five bytes a slot.
//!
//! A slot holds a page's number and nothing else; the name is verified in the page. Since a slot
//! does not tell which of its page's names it stands for, one is taken out only when it is the only
//! one that could be meant, and else all of the page's are renewed. For the same reason the table
//! cannot grow by itself: the writer builds a larger one.
//!
//! **Invariant:** for each name of the directory, exactly one slot with its hash and its page, and
//! no other slots.

use hashbrown::HashTable;

use super::record::PageId;

/// Pages of the names of one directory, by the names' hashes.
pub(super) struct NameIndex {
    table: HashTable<PageId>,
}

impl NameIndex {
    /// An index with room for `names` and an eighth more, so that the next rebuilding is far.
    pub(super) fn with_room(names: usize) -> Self {
        let table = HashTable::with_capacity(names + names / 8 + 16);
        Self { table }
    }

    /// Number of names for which there is room.
    pub(super) fn room(&self) -> usize {
        self.table.capacity() - self.table.len()
    }

    /// Adds a name. There must be room.
    pub(super) fn insert(&mut self, hash: u64, page: PageId) {
        assert!(self.room() > 0, "invariant: the writer made room");
        self.table.insert_unique(hash, page, |_| {
            unreachable!("a table with room does not move its slots")
        });
    }

    /// The first page for which `is_there` (asked for pages that the name may stand in) holds.
    pub(super) fn find(&self, hash: u64, mut is_there: impl FnMut(PageId) -> bool) -> bool {
        self.table.find(hash, |&page| is_there(page)).is_some()
    }

    /// Takes the names with the hashes `gone` out, which stood in `page`; `left` are the hashes of
    /// those that stay in it.
    pub(super) fn remove(
        &mut self,
        page: PageId,
        gone: &[u64],
        left: impl Iterator<Item = u64> + Clone,
    ) {
        for (at, &hash) in gone.iter().enumerate() {
            let meant = self.table.iter_hash(hash).filter(|&&slot| slot == page);
            if meant.count() == 1 {
                self.take(hash, page);
                continue;
            }
            for hash in gone[at..].iter().copied().chain(left.clone()) {
                while self.take(hash, page) {}
            }
            for hash in left {
                self.insert(hash, page);
            }
            return;
        }
    }

    /// Moves all names of page `from` (their hashes) to page `to`.
    pub(super) fn repoint(&mut self, from: PageId, to: PageId, hashes: impl Iterator<Item = u64>) {
        // A slot may be met by way of another name's hash: it moves all the same, and each is met
        // by its own at last.
        for hash in hashes {
            for slot in self.table.iter_hash_mut(hash) {
                if *slot == from {
                    *slot = to;
                }
            }
        }
    }

    fn take(&mut self, hash: u64, page: PageId) -> bool {
        match self.table.find_entry(hash, |&slot| slot == page) {
            Ok(slot) => {
                slot.remove();
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Hashes with one tag and few places, near enough to one another that their slots mingle.
    fn narrow(name: u8) -> u64 {
        u64::from(name % 16) * 3
    }

    proptest! {
        #[test]
        fn names_are_found_where_they_stand_even_when_all_collide(
            steps in prop::collection::vec((0u8..64, 0u32..3, prop::bool::weighted(0.02)), 1..600),
        ) {
            let mut index = NameIndex::with_room(0);
            let mut model: BTreeMap<u8, u32> = BTreeMap::new();
            for (name, page, merge) in steps {
                if index.room() < model.len() + 1 {
                    // As the writer does.
                    index = NameIndex::with_room(2 * model.len());
                    for (&name, &page) in &model {
                        index.insert(narrow(name), PageId(page));
                    }
                }
                match model.get(&name).copied() {
                    _ if merge => {
                        let from = (page + 1) % 3;
                        let names = model.iter().filter(|&(_, &p)| p == from).map(|(&n, _)| narrow(n));
                        index.repoint(PageId(from), PageId(page), names);
                        for p in model.values_mut().filter(|p| **p == from) {
                            *p = page;
                        }
                    }
                    Some(page) => {
                        model.remove(&name);
                        let left: Vec<u64> = model.iter().filter(|&(_, &p)| p == page).map(|(&n, _)| narrow(n)).collect();
                        index.remove(PageId(page), &[narrow(name)], left.iter().copied());
                    }
                    None => {
                        index.insert(narrow(name), PageId(page));
                        model.insert(name, page);
                    }
                }
                prop_assert_eq!(index.table.len(), model.len());
                for (&name, &page) in &model {
                    prop_assert!(index.find(narrow(name), |p| p == PageId(page)));
                }
            }
        }
    }
}
