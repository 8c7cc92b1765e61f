//! Files and blocks of what each limit counts.
//!
//! A page of the index is counted as one part: when it is written anew, its old part is taken away
//! and the new one is added. So a change costs the page that it is in, whatever the number of
//! files.
//!
//! **Invariant:** a sum is exactly what the pages hold that were handed in.
//! **Invariant:** a file with names that a limit does not count takes nothing of it: its removal
//! would give nothing back.

use std::collections::{BTreeMap, BTreeSet};

use super::charge::Charge;
use crate::core::index::PageId;

/// Number of a sum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SlotNo(u32);

/// Files and blocks that a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fill {
    /// Number of names of files.
    pub files: u64,
    /// Blocks of 512 bytes, at most [`u64::MAX`].
    pub blocks: u64,
}

/// Share of a page, or of a thing, in one sum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotCharge {
    /// The sum.
    pub slot: SlotNo,
    /// The share.
    pub charge: Charge,
}

/// A page as it was counted last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PagePart {
    /// The earliest timestamp of its entries that rules count from, in milliseconds.
    pub first_basis: i64,
    /// A number of blocks that no entry exceeds.
    pub largest: u64,
    /// Its share in each sum.
    pub shares: Box<[SlotCharge]>,
}

/// Names of a file with several names, as one sum counts them.
#[derive(Clone, Copy, Debug)]
struct Link {
    names: u32,
    /// Number of all names, as the last look found it.
    nlink: u32,
    /// Names that were removed since.
    gone: u32,
    blocks: u64,
}

impl Link {
    /// Number of all names by now.
    fn all_names(self) -> u32 {
        self.nlink.saturating_sub(self.gone).max(1)
    }

    /// Blocks that its removal by all names that are counted gives back.
    fn counted(self) -> u128 {
        if self.names >= self.all_names() {
            self.blocks.into()
        } else {
            0
        }
    }
}

/// One sum.
#[derive(Clone, Debug)]
struct Slot {
    /// The limit, and the owner whose files are counted; empty: all.
    key: (u16, Box<[u8]>),
    files: u64,
    /// Wide enough for the sizes of 2³² files.
    blocks: u128,
    /// Sum of the blocks of the links of which all names are counted.
    linked: u128,
    links: BTreeMap<u64, Link>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    slots: Vec<Slot>,
    /// Slots that count nothing: their numbers are given anew.
    free: BTreeSet<SlotNo>,
    by_key: BTreeMap<(u16, Box<[u8]>), SlotNo>,
    pages: BTreeMap<PageId, PagePart>,
    /// Slots that changed since the last call of [`Sums::take_changed`].
    changed: BTreeSet<SlotNo>,
}

impl SlotNo {
    fn at(self) -> usize {
        self.0 as usize
    }
}

impl Sums {
    /// Returns the sum of the limit with this number for `owner`.
    ///
    /// # Panics
    /// Panics when there are 2³² owners.
    pub fn slot(&mut self, limit: u16, owner: &[u8]) -> SlotNo {
        let key = (limit, owner.into());
        if let Some(&slot) = self.by_key.get(&key) {
            return slot;
        }
        let new = Slot {
            key: key.clone(),
            files: 0,
            blocks: 0,
            linked: 0,
            links: BTreeMap::new(),
        };
        let slot = if let Some(slot) = self.free.pop_first() {
            self.slots[slot.at()] = new;
            slot
        } else {
            let slot = u32::try_from(self.slots.len());
            self.slots.push(new);
            SlotNo(slot.expect("invariant: fewer owners than files"))
        };
        self.by_key.insert(key, slot);
        slot
    }

    /// Returns the sum of the limit with this number for `owner`, if anything is counted in it.
    #[must_use]
    pub fn find(&self, limit: u16, owner: &[u8]) -> Option<SlotNo> {
        self.by_key.get(&(limit, owner.into())).copied()
    }

    /// Returns the number of the limit that a sum is of, and the owner.
    #[must_use]
    pub fn key(&self, slot: SlotNo) -> (u16, &[u8]) {
        let (limit, owner) = &self.slots[slot.at()].key;
        (*limit, owner)
    }

    /// Sums of the limit with this number, by owner.
    pub fn of_limit(&self, limit: u16) -> impl Iterator<Item = (&[u8], SlotNo)> {
        let from = (limit, Box::default());
        let of = self
            .by_key
            .range(from..)
            .take_while(move |(key, _)| key.0 == limit);
        of.map(|((_, owner), slot)| (&**owner, *slot))
    }

    /// Counts a page as it is now; `None`: it is gone, or no limit counts it.
    pub fn set_page(&mut self, page: PageId, part: Option<PagePart>) {
        if self.pages.get(&page) == part.as_ref() {
            return;
        }
        let before = self.pages.remove(&page);
        // First what is added: sums do not pass below zero, and slots that stay are not freed.
        for share in part.iter().flat_map(|part| &part.shares) {
            self.add(share);
        }
        for share in before.iter().flat_map(|part| &part.shares) {
            self.remove(share);
        }
        self.pages.extend(part.map(|part| (page, part)));
    }

    fn add(&mut self, SlotCharge { slot, charge }: &SlotCharge) {
        self.changed.insert(*slot);
        self.free.remove(slot);
        let sum = &mut self.slots[slot.at()];
        sum.files += charge.files;
        sum.blocks += u128::from(charge.blocks);
        for (&ino, link) in &charge.links {
            let known = sum.links.entry(ino).or_insert(Link {
                names: 0,
                nlink: link.nlink,
                gone: 0,
                blocks: link.blocks,
            });
            sum.linked -= known.counted();
            known.names += link.names;
            // A look that finds another number knows of what was removed.
            if known.nlink != link.nlink {
                (known.nlink, known.gone) = (link.nlink, 0);
            }
            known.blocks = link.blocks;
            sum.linked += known.counted();
        }
    }

    fn remove(&mut self, SlotCharge { slot, charge }: &SlotCharge) {
        self.changed.insert(*slot);
        let sum = &mut self.slots[slot.at()];
        sum.files -= charge.files;
        sum.blocks -= u128::from(charge.blocks);
        for (ino, link) in &charge.links {
            if let Some(known) = sum.links.get_mut(ino) {
                sum.linked -= known.counted();
                known.names = known.names.saturating_sub(link.names);
                if known.names == 0 {
                    sum.links.remove(ino);
                } else {
                    sum.linked += known.counted();
                }
            }
        }
        if sum.files == 0 {
            let key = sum.key.clone();
            // Those of a limit on everything are kept: they are asked for.
            if !key.1.is_empty() {
                self.by_key.remove(&key);
                self.free.insert(*slot);
                self.changed.remove(slot);
            }
        }
    }

    /// Takes note that a name of this file was removed: the others have one fewer beside them.
    pub fn on_name_removed(&mut self, slot: SlotNo, ino: u64) {
        let sum = &mut self.slots[slot.at()];
        if let Some(known) = sum.links.get_mut(&ino) {
            sum.linked -= known.counted();
            known.gone += 1;
            sum.linked += known.counted();
            self.changed.insert(slot);
        }
    }

    /// Returns what a sum counts.
    #[must_use]
    pub fn fill(&self, slot: SlotNo) -> Fill {
        let sum = &self.slots[slot.at()];
        Fill {
            files: sum.files,
            blocks: u64::try_from(sum.blocks + sum.linked).unwrap_or(u64::MAX),
        }
    }

    /// Returns the number of names of an inode that a sum counts.
    #[must_use]
    pub fn names_of(&self, slot: SlotNo, ino: u64) -> u32 {
        let link = self.slots[slot.at()].links.get(&ino);
        link.map_or(0, |link| link.names)
    }

    /// Takes names that were removed since the last looks off what a charge knows of its links.
    pub fn renew_links(&self, slot: SlotNo, charge: &mut Charge) {
        for (ino, link) in &mut charge.links {
            if let Some(known) = self.slots[slot.at()].links.get(ino) {
                link.nlink = link.nlink.min(known.all_names());
            }
        }
    }

    /// Pages with entries that a sum counts.
    pub fn pages_of(&self, slot: SlotNo) -> impl Iterator<Item = (PageId, &PagePart)> {
        let counts = move |part: &PagePart| part.shares.iter().any(|share| share.slot == slot);
        let pages = self.pages.iter();
        pages.filter_map(move |(&page, part)| counts(part).then_some((page, part)))
    }

    /// Returns the sums that changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<SlotNo> {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Entries of a page: owner, inode, number of names, blocks.
    type Entries = Vec<(u8, u64, u64)>;

    /// Files, blocks, and the names of each inode.
    type Model = (u64, u64, BTreeMap<u64, u32>);

    fn part(sums: &mut Sums, entries: &Entries, nlink: &dyn Fn(u64) -> u32) -> PagePart {
        let mut shares: BTreeMap<SlotNo, Charge> = BTreeMap::new();
        for &(owner, ino, blocks) in entries {
            let all = sums.slot(0, b"");
            let own = sums.slot(1, &[owner]);
            for slot in [all, own] {
                shares.entry(slot).or_default().add(ino, nlink(ino), blocks);
            }
        }
        let shares = shares.into_iter();
        PagePart {
            first_basis: 0,
            largest: 0,
            shares: shares
                .map(|(slot, charge)| SlotCharge { slot, charge })
                .collect(),
        }
    }

    proptest! {
        #[test]
        fn sums_are_what_the_pages_hold(
            steps in prop::collection::vec(
                (0u32..5, prop::collection::vec((0u8..4, 0u64..6), 0..6)),
                0..40,
            ),
        ) {
            // Inodes 0 and 1 have one name, 2 and 3 two, the others three.
            let nlink = |ino: u64| 1 + u32::try_from(ino / 2).unwrap();
            let mut sums = Sums::default();
            let mut model: BTreeMap<u32, Entries> = BTreeMap::new();
            for (page, entries) in steps {
                let entries: Entries =
                    entries.into_iter().map(|(owner, ino)| (owner, ino, 8 + ino)).collect();
                let counted = (!entries.is_empty()).then(|| part(&mut sums, &entries, &nlink));
                sums.set_page(PageId(page), counted);
                model.insert(page, entries);
                let mut of: BTreeMap<(u16, Vec<u8>), Model> =
                    BTreeMap::from([((0, Vec::new()), Default::default())]);
                for (owner, ino, blocks) in model.values().flatten() {
                    for key in [(0, Vec::new()), (1, vec![*owner])] {
                        let (files, sum, names) = of.entry(key).or_default();
                        *files += 1;
                        if nlink(*ino) == 1 {
                            *sum += blocks;
                            continue;
                        }
                        let names = names.entry(*ino).or_default();
                        *names += 1;
                        if *names == nlink(*ino) {
                            *sum += blocks;
                        }
                    }
                }
                for ((limit, owner), (files, blocks, _)) in of {
                    let slot = sums.slot(limit, &owner);
                    prop_assert_eq!(sums.fill(slot), Fill { files, blocks });
                }
                let owners = sums.of_limit(1).count();
                let known: BTreeSet<u8> = model.values().flatten().map(|(owner, ..)| *owner).collect();
                prop_assert_eq!(owners, known.len());
            }
        }
    }
}
