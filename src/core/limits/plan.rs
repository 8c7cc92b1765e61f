//! The end of a removal: the smallest part of an order that reaches the mark.
//!
//! **Invariant:** nothing is taken once the mark is reached, and nothing that gives back nothing of
//! what is needed.

use std::collections::BTreeMap;

use super::charge::Charge;

/// Amounts that are to be given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Goal {
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Files.
    pub files: u64,
    /// Blocks that may be given back at most: what is above a floor.
    pub blocks_max: u64,
}

/// Decision about one thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is removed.
    Taken,
    /// Its removal gives back nothing of what is needed: it is passed over.
    Useless,
    /// Its removal would leave less than the floor: here the order ends.
    Floor,
    /// The mark is reached without it: here the order ends.
    Enough,
}

/// A removal that is put together, thing by thing in their order.
#[derive(Clone, Debug)]
pub struct Plan {
    goal: Goal,
    files: u64,
    blocks: u64,
    /// Names of each file with several names that are removed.
    names: BTreeMap<u64, u32>,
}

impl Plan {
    /// Nothing yet. `goal.blocks_max` counts what [`Plan::add_going`] adds.
    #[must_use]
    pub fn new(goal: Goal) -> Self {
        Self {
            goal,
            files: 0,
            blocks: 0,
            names: BTreeMap::new(),
        }
    }

    /// Counts something that is on its way out already.
    pub fn add_going(&mut self, charge: &Charge) {
        self.take(charge);
    }

    /// Returns true if what is removed reaches the mark.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.missing() == (0, 0)
    }

    /// Returns the blocks and files that are still to be given back.
    #[must_use]
    pub fn missing(&self) -> (u64, u64) {
        (
            self.goal.blocks.saturating_sub(self.blocks),
            self.goal.files.saturating_sub(self.files),
        )
    }

    /// Returns the blocks and files that are given back so far.
    #[must_use]
    pub fn freed(&self) -> (u64, u64) {
        (self.blocks, self.files)
    }

    /// Decides about the next thing. `names_of` returns how many names of an inode can be removed
    /// at all: those that the limit counts.
    pub fn offer(&mut self, charge: &Charge, names_of: impl Fn(u64) -> u32) -> Verdict {
        let (blocks, files) = self.missing();
        if (blocks, files) == (0, 0) {
            return Verdict::Enough;
        }
        let is_possible = |(ino, link): (&u64, &super::LinkCharge)| {
            link.blocks > 0 && names_of(*ino).max(link.names) >= link.nlink
        };
        let gives_blocks = charge.blocks > 0 || charge.links.iter().any(is_possible);
        let is_useful = (blocks > 0 && gives_blocks) || (files > 0 && charge.files > 0);
        if !is_useful {
            return Verdict::Useless;
        }
        let gain = self.gain(charge);
        if self.blocks.saturating_add(gain) > self.goal.blocks_max {
            return Verdict::Floor;
        }
        self.take(charge);
        Verdict::Taken
    }

    /// Blocks that are given back when `charge` is removed, too.
    fn gain(&self, charge: &Charge) -> u64 {
        let linked = charge.links.iter().filter(|(ino, link)| {
            let before = self.names.get(*ino).copied().unwrap_or(0);
            before < link.nlink && before.saturating_add(link.names) >= link.nlink
        });
        linked.fold(charge.blocks, |sum, (_, link)| {
            sum.saturating_add(link.blocks)
        })
    }

    fn take(&mut self, charge: &Charge) {
        self.blocks = self.blocks.saturating_add(self.gain(charge));
        self.files = self.files.saturating_add(charge.files);
        for (&ino, link) in &charge.links {
            *self.names.entry(ino).or_default() += link.names;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::LazyOrder;
    use super::*;

    /// A file as the model knows it: inode, names in all, blocks, and whether something holds it.
    #[derive(Clone, Debug)]
    struct File {
        at: u32,
        ino: u64,
        blocks: u64,
        is_held: bool,
    }

    fn charge(file: &File, nlink: u32) -> Charge {
        let mut charge = Charge::default();
        charge.add(file.ino, nlink, file.blocks);
        charge
    }

    /// Blocks that are free once the files at `places` are removed: those whose names are all gone.
    fn freed(files: &[File], nlinks: &BTreeMap<u64, u32>, places: &BTreeSet<usize>) -> u64 {
        let mut left = nlinks.clone();
        for &place in places {
            *left.get_mut(&files[place].ino).unwrap() -= 1;
        }
        let gone = left.iter().filter(|(_, left)| **left == 0);
        gone.map(|(ino, _)| files.iter().find(|file| file.ino == *ino).unwrap().blocks)
            .sum()
    }

    fn any_files() -> impl Strategy<Value = Vec<File>> {
        let file = (0u32..40, 0u64..25, prop::bool::weighted(0.2));
        prop::collection::vec(file, 0..60).prop_map(|files| {
            let files = files.into_iter().map(|(at, ino, is_held)| File {
                at,
                ino,
                // A file has one size, by whatever name.
                blocks: (ino * 7) % 11,
                is_held,
            });
            files.collect()
        })
    }

    proptest! {
        #[test]
        fn a_plan_is_the_smallest_prefix_of_the_order_that_reaches_the_mark(
            files in any_files(),
            outside in prop::collection::btree_map(0u64..25, 1u32..3, 0..6),
            (blocks, least_files, floor) in (0u64..120, 0u64..20, prop::option::weighted(0.3, 0u64..100)),
        ) {
            let mut inside: BTreeMap<u64, u32> = BTreeMap::new();
            for file in &files {
                *inside.entry(file.ino).or_default() += 1;
            }
            let nlinks: BTreeMap<u64, u32> = inside
                .iter()
                .map(|(ino, names)| (*ino, names + outside.get(ino).unwrap_or(&0)))
                .collect();
            let blocks_max = floor.unwrap_or(u64::MAX);
            let goal = Goal { blocks, files: least_files, blocks_max };

            // As the engine does it.
            let groups: Vec<(u32, usize)> = (0..files.len().div_ceil(7))
                .map(|group| {
                    let of = files[group * 7..].iter().take(7);
                    (of.map(|file| file.at).min().unwrap(), group)
                })
                .collect();
            let groups = groups.into_iter().map(|(bound, group)| ((bound, 0), group)).collect();
            let order = LazyOrder::new(groups, |group| {
                let of = files.iter().enumerate().skip(group * 7).take(7);
                of.map(|(place, file)| (file.at, place)).collect()
            });
            let mut plan = Plan::new(goal);
            let mut taken = BTreeSet::new();
            for (_, place) in order {
                let file = &files[place];
                if file.is_held && !plan.is_reached() {
                    continue;
                }
                match plan.offer(&charge(file, nlinks[&file.ino]), |ino| inside[&ino]) {
                    Verdict::Taken => drop(taken.insert(place)),
                    Verdict::Useless => {}
                    Verdict::Floor | Verdict::Enough => break,
                }
            }

            // As a person would: one more from the front, until it is enough.
            let mut sorted: Vec<usize> = (0..files.len()).collect();
            sorted.sort_by_key(|&place| (files[place].at, place));
            let mut model = BTreeSet::new();
            for place in sorted {
                let so_far = freed(&files, &nlinks, &model);
                let (lacks_blocks, lacks_files) =
                    (so_far < blocks, (model.len() as u64) < least_files);
                if !lacks_blocks && !lacks_files {
                    break;
                }
                let ino = files[place].ino;
                let can_free = files[place].blocks > 0 && inside[&ino] >= nlinks[&ino];
                if files[place].is_held || !(lacks_files || can_free) {
                    continue;
                }
                model.insert(place);
                if freed(&files, &nlinks, &model) > blocks_max {
                    model.remove(&place);
                    break;
                }
            }
            prop_assert_eq!(&taken, &model);
            prop_assert_eq!(plan.freed(), (freed(&files, &nlinks, &taken), taken.len() as u64));
        }
    }
}
