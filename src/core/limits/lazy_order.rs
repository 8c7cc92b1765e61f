//! A merge of many unsorted groups, each of which is opened when its turn has come.
//!
//! A group is known by a bound that none of its members precedes: of a page of the index its
//! earliest timestamp. So the first members of a million are found by opening the few groups that
//! can have them. A k-way merge with a binary heap, as in external sorting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Members of groups of type `G`, in the order of their keys.
///
/// **Invariant:** members come in ascending order, each once; a group is opened only if one of its
/// members may be next.
pub struct LazyOrder<K, G, F> {
    closed: BinaryHeap<Reverse<(K, G)>>,
    /// The rest of each group that is open.
    open: BinaryHeap<Run<K>>,
    /// Returns the members of a group.
    members: F,
}

/// The rest of a group. Never empty. Mostly only a few of its members are asked for: a heap costs
/// less than to sort them all.
struct Run<K>(BinaryHeap<Reverse<K>>);

impl<K: Ord> Run<K> {
    fn next(&self) -> &K {
        let Reverse(next) = self.0.peek().expect("invariant: a run is never empty");
        next
    }
}

impl<K: Ord> PartialEq for Run<K> {
    fn eq(&self, other: &Self) -> bool {
        self.next() == other.next()
    }
}

impl<K: Ord> Eq for Run<K> {}

impl<K: Ord> PartialOrd for Run<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> Ord for Run<K> {
    /// A heap gives its greatest: the run with the smallest member.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.next().cmp(self.next())
    }
}

impl<K: Ord, G: Ord, F: FnMut(G) -> Vec<K>> LazyOrder<K, G, F> {
    /// The members of `groups`, each of which is given with a key that none of its members
    /// precedes. `members` opens a group.
    pub fn new(groups: Vec<(K, G)>, members: F) -> Self {
        Self {
            closed: groups.into_iter().map(Reverse).collect(),
            open: BinaryHeap::new(),
            members,
        }
    }
}

impl<K: Ord, G: Ord, F: FnMut(G) -> Vec<K>> Iterator for LazyOrder<K, G, F> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        loop {
            let is_open_next = match (self.closed.peek(), self.open.peek()) {
                (None, None) => return None,
                (Some(Reverse((bound, _))), Some(run)) => run.next() < bound,
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            if is_open_next {
                let mut run = self.open.peek_mut()?;
                let next = run.0.pop();
                if run.0.is_empty() {
                    PeekMut::pop(run);
                }
                return next.map(|Reverse(next)| next);
            }
            let Reverse((_, group)) = self.closed.pop()?;
            let members = (self.members)(group).into_iter().map(Reverse);
            let run: BinaryHeap<_> = members.collect();
            if !run.is_empty() {
                self.open.push(Run(run));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn members_come_sorted_and_later_groups_stay_closed(
            groups in prop::collection::vec((0u32..50, prop::collection::vec(0u32..1000, 0..20)), 0..30),
            taken in 0usize..100,
        ) {
            let bounds = groups.iter().zip(0usize..).map(|((slack, members), group)| {
                let least = members.iter().min().copied().unwrap_or(7);
                (least.saturating_sub(*slack), group)
            });
            let bounds: Vec<_> = bounds.collect();
            let opened = Cell::new(0);
            let order = LazyOrder::new(bounds.clone(), |group| {
                opened.set(opened.get() + 1);
                groups[group].1.clone()
            });
            let found: Vec<u32> = order.take(taken).collect();
            let mut all: Vec<u32> = groups.iter().flat_map(|(_, all)| all.clone()).collect();
            all.sort_unstable();
            all.truncate(taken);
            prop_assert_eq!(&found, &all);
            if let (Some(last), true) = (found.last(), found.len() == taken) {
                let may = bounds.iter().filter(|(bound, _)| bound <= last).count();
                prop_assert!(opened.get() <= may, "{} of {may}", opened.get());
            }
        }
    }
}
