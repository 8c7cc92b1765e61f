//! Sums of what limits count, and what of it is on its way out.
//!
//! **Invariant:** a sum follows the index in the same step: what was written is counted before a
//! limit is looked at.
//! **Invariant:** what the reaper has is taken off before a limit asks for more.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::item::Item;
use super::limit_state::{LimitState, Run};
use crate::core::claim::{Claim, LimitScope, Piece, Unit};
use crate::core::facts::RootId;
use crate::core::index::{DirId, Page, PageId, Record};
use crate::core::limits::{Charge, PagePart, SlotCharge, SlotNo, Sums};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Per, Policy};

/// Number of a limit, and the owner whose files are counted; empty: all. As in [`Sums::key`].
pub(super) type SumKey = (u16, Box<[u8]>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// In the order of [`Policy::each_limit`]: a number is a place.
    pub(super) all: Vec<LimitState>,
    by_root: BTreeMap<RootId, Vec<u16>>,
    pub(super) sums: Sums,
    pub(super) going: Going,
    /// Sums above their mark, and those on the way down to the lower one.
    pub(super) runs: BTreeMap<SumKey, Run>,
    pub(super) barrier: BarrierState,
    /// Claims that were given out before these limits were in force: sums are too high by them.
    pub(super) awaited: BTreeSet<Item>,
}

/// Knowledge of everything that happened before a limit is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum BarrierState {
    /// None is waited for.
    #[default]
    Idle,
    /// One is wanted, and has not begun.
    Wanted,
    /// One has begun.
    Begun,
    /// Everything is known until now: limits may act.
    Through,
}

/// Things that are on their way out, with what each gives back.
#[derive(Debug, Default)]
pub(super) struct Going {
    items: BTreeMap<Item, Vec<SumKey>>,
    by_key: BTreeMap<SumKey, BTreeMap<Item, Charge>>,
}

impl Going {
    fn begin(&mut self, item: Item, charges: BTreeMap<SumKey, Charge>) {
        if charges.is_empty() || self.items.contains_key(&item) {
            return;
        }
        let keys = charges.keys().cloned().collect();
        for (key, charge) in charges {
            let of = self.by_key.entry(key).or_default();
            of.insert(item.clone(), charge);
        }
        self.items.insert(item, keys);
    }

    /// Forgets a thing, and returns what it would have given back.
    fn end(&mut self, item: &Item) -> Vec<(SumKey, Charge)> {
        let mut ended = Vec::new();
        for key in self.items.remove(item).into_iter().flatten() {
            if let Some(of) = self.by_key.get_mut(&key) {
                let charge = of.remove(item);
                if of.is_empty() {
                    self.by_key.remove(&key);
                }
                ended.extend(charge.map(|charge| (key, charge)));
            }
        }
        ended
    }

    /// Forgets the things of one sum for which `is_going` does not hold. Returns the blocks and
    /// files of the others.
    pub(super) fn retain(&mut self, key: &SumKey, is_going: impl Fn(&Item) -> bool) -> (u64, u64) {
        let of = self.by_key.get(key).into_iter().flatten();
        let over: Vec<Item> = of
            .filter(|(item, _)| !is_going(item))
            .map(|(item, _)| item.clone())
            .collect();
        for item in over {
            self.end(&item);
        }
        self.of(key).fold((0, 0), |(blocks, files), charge| {
            (blocks + charge.freed(), files + charge.files)
        })
    }

    /// Returns what is on its way out of one sum.
    pub(super) fn of(&self, key: &SumKey) -> impl Iterator<Item = &Charge> {
        self.by_key.get(key).into_iter().flat_map(BTreeMap::values)
    }
}

impl Limits {
    /// The limits of `policy`; nothing is counted yet.
    pub(super) fn new(policy: &Policy) -> Self {
        let mut limits = Self::default();
        for (no, (scope, limit)) in (0u16..).zip(policy.each_limit()) {
            limits.by_root.entry(scope.root()).or_default().push(no);
            limits.all.push(LimitState::new(scope, limit.clone()));
            if limit.per == Per::All {
                limits.sums.slot(no, b"");
            }
        }
        limits
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn get(&self, no: u16) -> &LimitState {
        &self.all[usize::from(no)]
    }

    pub(super) fn get_mut(&mut self, no: u16) -> &mut LimitState {
        &mut self.all[usize::from(no)]
    }

    /// The key of a sum.
    pub(super) fn key(&self, slot: SlotNo) -> SumKey {
        let (no, owner) = self.sums.key(slot);
        (no, owner.into())
    }

    /// Takes note that something was looked at again, or is to be: what is known by now is not
    /// enough.
    pub(super) fn on_news(&mut self) {
        if self.barrier != BarrierState::Idle {
            self.barrier = BarrierState::Wanted;
        }
    }
}

/// Returns true if a limit of `scope` counts what has this class.
pub(super) fn counts(scope: LimitScope, class: Class) -> bool {
    match (scope, class) {
        (LimitScope::Root(_), _) => true,
        (LimitScope::Rule(_, of), Class::File(rule) | Class::Dir(rule) | Class::Job(rule)) => {
            of == rule
        }
        // What is kept is not removed for being too much.
        (LimitScope::Rule(..), Class::Unruled | Class::Kept(_)) => false,
    }
}

impl Engine {
    /// Counts all pages anew: other limits are in force.
    pub(super) fn count_all(&mut self) {
        self.limits = Limits::new(&self.policy);
        if self.limits.is_empty() {
            return;
        }
        self.limits.awaited = self.claims.items().cloned().collect();
        for page in self.index.pages() {
            self.count_page(page);
        }
    }

    /// Counts a page as it is now.
    pub(super) fn count_page(&mut self, id: PageId) {
        if self.limits.is_empty() {
            return;
        }
        let page = self.index.page(id);
        let part = page.and_then(|page| self.part_of(&page));
        self.limits.sums.set_page(id, part);
    }

    /// Counts the pages of a directory and of all beneath it: they may have other owners.
    pub(super) fn count_tree(&mut self, dir: DirId) {
        if self.limits.is_empty() {
            return;
        }
        for dir in self.index.subtree(dir) {
            for page in self.index.pages_of(dir) {
                self.count_page(page);
            }
        }
    }

    fn part_of(&mut self, page: &Page) -> Option<PagePart> {
        let (root, at) = self.index.dir_path(page.dir())?;
        let numbers = self.limits.by_root.get(&root)?.clone();
        let is_whole = page.is_plain()
            && page.only_class().is_some()
            && numbers
                .iter()
                .all(|&no| self.limits.get(no).limit.per == Per::All);
        let mut charges: BTreeMap<SumKey, Charge> = BTreeMap::new();
        if let Some(class) = page.only_class().filter(|_| is_whole) {
            for no in numbers {
                if counts(self.limits.get(no).scope, class) {
                    let charge = Charge {
                        files: page.len() as u64,
                        blocks: page.blocks(),
                        ..Charge::default()
                    };
                    charges.insert((no, Box::default()), charge);
                }
            }
        } else {
            for (name, record) in page.entries() {
                self.charge_entry(&numbers, root, (&at, name), &record, &mut charges);
            }
        }
        let shares = charges.into_iter().map(|((no, owner), charge)| SlotCharge {
            slot: self.limits.sums.slot(no, &owner),
            charge,
        });
        let shares: Box<[SlotCharge]> = shares.collect();
        (!shares.is_empty()).then(|| PagePart {
            first_basis: page.first_basis().unix_ms(),
            largest: page.largest(),
            shares,
        })
    }

    /// Adds an entry to what each of the limits with these numbers counts.
    fn charge_entry(
        &self,
        numbers: &[u16],
        root: RootId,
        (dir, name): (&RelPath, &[u8]),
        record: &Record,
        charges: &mut BTreeMap<SumKey, Charge>,
    ) {
        for &no in numbers {
            let of = self.limits.get(no);
            if !counts(of.scope, record.class) {
                continue;
            }
            let owner: Box<[u8]> = match of.limit.per {
                Per::All => Box::default(),
                Per::Owner => match self.policy.owner(root, dir.join(name).as_bytes()) {
                    Some(owner) => owner.into(),
                    // It is nobody's quota.
                    None => continue,
                },
            };
            let charge = charges.entry((no, owner)).or_default();
            charge.add(record.ino, record.nlink, record.blocks);
        }
    }

    /// Returns what the removal of `item` gives back, by sum. `pieces` are the parts of a job.
    pub(super) fn charges_of(&self, item: &Item, pieces: &[Piece]) -> BTreeMap<SumKey, Charge> {
        let mut charges = BTreeMap::new();
        match item {
            Item::File(dir, name) => {
                if let (Some((root, at)), Some(record)) =
                    (self.index.dir_path(*dir), self.previous(*dir, name))
                    && let Some(numbers) = self.limits.by_root.get(&root)
                {
                    self.charge_entry(numbers, root, (&at, name), &record, &mut charges);
                }
            }
            Item::Dir(dir) => {
                let goes = |class| matches!(class, Class::Dir(_));
                self.charge_tree(*dir, &goes, &mut charges);
            }
            Item::Job(_, _, rule) => {
                let goes = |class| class == Class::Job(*rule);
                for piece in pieces {
                    if piece.is_dir {
                        let dir = self.index.dir_id(piece.root, piece.path.as_bytes());
                        if let Some(dir) = dir {
                            self.charge_tree(dir, &goes, &mut charges);
                        }
                    } else if let Some((_, record)) =
                        self.index.find(piece.root, piece.path.as_bytes())
                        && let Some((dir, name)) = piece.path.split()
                        && let Some(numbers) = self.limits.by_root.get(&piece.root)
                    {
                        self.charge_entry(numbers, piece.root, (&dir, name), &record, &mut charges);
                    }
                }
            }
        }
        charges
    }

    fn charge_tree(
        &self,
        top: DirId,
        goes: &dyn Fn(Class) -> bool,
        charges: &mut BTreeMap<SumKey, Charge>,
    ) {
        let root = self.index.dir(top).map(|dir| dir.root);
        let Some((root, numbers)) =
            root.and_then(|root| Some((root, self.limits.by_root.get(&root)?)))
        else {
            return;
        };
        for dir in self.index.subtree(top) {
            let Some((_, at)) = self.index.dir_path(dir) else {
                continue;
            };
            for (_, page) in self.index.snapshot_of(dir) {
                let entries = page.entries();
                for (name, record) in entries.filter(|(_, record)| goes(record.class)) {
                    self.charge_entry(numbers, root, (&at, name), &record, charges);
                }
            }
        }
    }

    /// Takes note that the reaper is given a claim on `item`.
    pub(super) fn count_going(&mut self, item: &Item, claim: &Claim) {
        if !self.limits.is_empty() {
            let charges = self.charges_of(item, &claim.pieces);
            self.limits.going.begin(item.clone(), charges);
        }
    }

    /// Takes note that the reaper has answered a claim on `item`. `is_whole`: all of it was
    /// removed, and nothing else is to be looked at.
    pub(super) fn end_going(&mut self, item: &Item, claim: &Claim, is_whole: bool) {
        if self.limits.is_empty() {
            return;
        }
        self.limits.awaited.remove(item);
        // In a dry run it stays where it is, and counts as removed while it is held for that.
        if is_whole && self.is_shadow() {
            return;
        }
        let ended = self.limits.going.end(item);
        if !is_whole || claim.unit != Unit::File {
            // Sums are right again when what was ordered to be looked at was.
            self.limits.on_news();
        }
        if !is_whole {
            return;
        }
        let mut removed = BTreeSet::new();
        for ((no, owner), charge) in ended {
            for ino in charge.links.into_keys() {
                removed.insert((no, owner.clone(), ino));
            }
        }
        for (no, owner, ino) in removed {
            let slot = self.limits.sums.find(no, &owner);
            if let Some(slot) = slot {
                self.limits.sums.on_name_removed(slot, ino);
            }
        }
    }
}
