//! Queue of directories to be listed.
//!
//! **Invariant:** a directory is listed once at a time; what is asked for meanwhile is done
//! afterwards, and looks at its names wait, so that an older listing never overwrites a newer look.
//! **Invariant:** the newest wish is met first, which bounds the memory by the depth of the tree;
//! every other turn belongs to the oldest epoch, so that no barrier starves.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::backend::WatchId;
use super::dirty_set::DirtyNames;
use super::epochs::{Epoch, Epochs};
use super::node_id::NodeId;

/// Jobs with the workers at one time: enough to keep them busy while the event loop reports, few
/// enough that paths are fresh.
const GIVEN_MAX: usize = 64;

/// A wish to list a directory. Counts as a piece of work of its epoch until it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ScanRequest {
    pub(super) epoch: Epoch,
    /// Extent: whether known directories beneath are listed as well. Unknown ones always are.
    pub(super) reach: ScanDepth,
    /// The pass over its root that it belongs to.
    pub(super) pass: Option<PassId>,
}

impl ScanRequest {
    /// A listing of one directory, outside of any pass.
    pub(super) fn one(epoch: Epoch) -> Self {
        Self {
            epoch,
            reach: ScanDepth::One,
            pass: None,
        }
    }
}

/// Names a pass over a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct PassId(pub(super) u64);

/// Extent of a listing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum ScanDepth {
    /// The directory, and what is new beneath it.
    One,
    /// The directory and all beneath it.
    Deep,
}

/// Outcome of [`ScanQueue::ask`], for the pass's account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MergeOutcome {
    /// The wish counts anew in its pass.
    Pass,
    /// It counts there already, or belongs to none.
    Nothing,
}

/// See the module.
#[derive(Default)]
pub(super) struct ScanQueue {
    pending: HashMap<NodeId, Pending>,
    /// Nodes that wait for a worker. May hold some that do not wait any more.
    stacks: BTreeMap<Epoch, Vec<NodeId>>,
    given: usize,
    oldest_next: bool,
}

/// A wish that waits or is with a worker.
pub(super) struct Pending {
    pub(super) ask: ScanRequest,
    /// Asked for while it was with the worker.
    pub(super) again: Option<ScanRequest>,
    /// Names to look at when it is done.
    pub(super) later: Option<DirtyNames>,
    /// Watches that ended while it was with the worker.
    pub(super) lost: Vec<WatchId>,
    given: bool,
}

/// Time of a look at a name in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// The directory is not being listed: look.
    Now,
    /// It waits until the listing is done.
    Later,
}

impl ScanQueue {
    /// Asks for a listing. A new wish begins a piece of work.
    pub(super) fn ask(
        &mut self,
        epochs: &mut Epochs,
        node: NodeId,
        ask: ScanRequest,
    ) -> MergeOutcome {
        let Some(pending) = self.pending.get_mut(&node) else {
            epochs.begin(ask.epoch);
            self.pending.insert(node, Pending::new(ask));
            self.stacks.entry(ask.epoch).or_default().push(node);
            return joined(ask.pass);
        };
        if !pending.given {
            if ask.epoch < pending.ask.epoch {
                self.stacks.entry(ask.epoch).or_default().push(node);
            }
            return merge(epochs, &mut pending.ask, ask);
        }
        if let Some(again) = &mut pending.again {
            return merge(epochs, again, ask);
        }
        epochs.begin(ask.epoch);
        pending.again = Some(ask);
        joined(ask.pass)
    }

    /// Puts a wish that is accounted for already at the end of the line.
    pub(super) fn resume(&mut self, node: NodeId, ask: ScanRequest) {
        self.stacks.entry(ask.epoch).or_default().push(node);
        self.pending.insert(node, Pending::new(ask));
    }

    /// The next directory for a worker, while they take any.
    pub(super) fn next(&mut self) -> Option<(NodeId, ScanRequest)> {
        while self.given < GIVEN_MAX {
            let mut stack = if self.oldest_next {
                self.stacks.first_entry()?
            } else {
                self.stacks.last_entry()?
            };
            let node = stack.get_mut().pop();
            if stack.get().is_empty() {
                stack.remove();
            }
            let pending = node.and_then(|node| Some((node, self.pending.get_mut(&node)?)));
            if let Some((node, pending)) = pending
                && !pending.given
            {
                pending.given = true;
                self.given += 1;
                self.oldest_next = !self.oldest_next;
                return Some((node, pending.ask));
            }
        }
        None
    }

    /// A worker is through with `node`; `None` if it is not wanted any more.
    pub(super) fn done(&mut self, node: NodeId) -> Option<Pending> {
        self.given -= 1;
        self.pending.remove(&node)
    }

    /// Takes the wish for `node` out.
    pub(super) fn forget(&mut self, node: NodeId) -> Option<Pending> {
        self.pending.remove(&node)
    }

    /// Keeps a look at `name` in `dir` that must wait, and returns whether it must. `listed`: the
    /// directory was listed before.
    pub(super) fn defer(
        &mut self,
        epochs: &mut Epochs,
        dir: NodeId,
        name: Option<&[u8]>,
        epoch: Epoch,
        listed: bool,
    ) -> Look {
        let Some(pending) = self.pending.get_mut(&dir) else {
            return Look::Now;
        };
        if pending.given {
            let later = pending.later.get_or_insert_with(|| {
                epochs.begin(epoch);
                DirtyNames::new(epoch)
            });
            later.add(name);
            return Look::Later;
        }
        // A listing that has not begun will see whatever happened so far.
        if listed { Look::Now } else { Look::Later }
    }

    /// A watch of `node` ended.
    pub(super) fn lose(&mut self, node: NodeId, watch: WatchId) {
        if let Some(pending) = self.pending.get_mut(&node)
            && pending.given
        {
            pending.lost.push(watch);
        }
    }

    /// Number of directories to list.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}

impl Pending {
    fn new(ask: ScanRequest) -> Self {
        Self {
            ask,
            again: None,
            later: None,
            lost: Vec::new(),
            given: false,
        }
    }
}

fn joined(pass: Option<PassId>) -> MergeOutcome {
    pass.map_or(MergeOutcome::Nothing, |_| MergeOutcome::Pass)
}

/// One wish for two. It belongs to the older epoch, which barriers of the younger one wait for as
/// well.
fn merge(epochs: &mut Epochs, kept: &mut ScanRequest, other: ScanRequest) -> MergeOutcome {
    if other.epoch < kept.epoch {
        epochs.begin(other.epoch);
        epochs.end(kept.epoch);
        kept.epoch = other.epoch;
    }
    kept.reach = kept.reach.max(other.reach);
    if kept.pass.is_some() {
        return MergeOutcome::Nothing;
    }
    kept.pass = other.pass;
    joined(kept.pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::{FileKey, RootId};
    use crate::watch::tree::Tree;

    fn nodes<const N: usize>() -> [NodeId; N] {
        let mut tree = Tree::default();
        std::array::from_fn(|_| tree.add_top(RootId(0), FileKey::default()))
    }

    #[test]
    fn the_newest_comes_first_and_the_oldest_epoch_every_other_time() {
        let (mut epochs, mut listings) = (Epochs::default(), ScanQueue::default());
        let [a, b, c, d] = nodes();
        let old = ScanRequest::one(epochs.current());
        listings.ask(&mut epochs, a, old);
        listings.ask(&mut epochs, b, old);
        epochs.barrier(1);
        let new = ScanRequest::one(epochs.current());
        listings.ask(&mut epochs, c, new);
        listings.ask(&mut epochs, d, new);
        let order: Vec<_> = std::iter::from_fn(|| listings.next())
            .map(|(node, _)| node)
            .collect();
        assert_eq!(order, [d, b, c, a]);
    }

    #[test]
    fn a_listing_under_way_is_repeated_not_doubled_and_looks_wait_for_it() {
        let (mut epochs, mut listings) = (Epochs::default(), ScanQueue::default());
        let [a] = nodes();
        let epoch = epochs.current();
        listings.ask(&mut epochs, a, ScanRequest::one(epoch));
        let known = listings.defer(&mut epochs, a, Some(b"n"), epoch, true);
        let unknown = listings.defer(&mut epochs, a, Some(b"n"), epoch, false);
        assert_eq!((known, unknown), (Look::Now, Look::Later));
        assert!(listings.next().is_some());
        listings.ask(&mut epochs, a, ScanRequest::one(epoch));
        listings.ask(&mut epochs, a, ScanRequest::one(epoch));
        assert!(listings.next().is_none());
        assert_eq!(
            listings.defer(&mut epochs, a, Some(b"n"), epoch, true),
            Look::Later
        );
        let done = listings.done(a).unwrap();
        assert!(done.later.unwrap().names.contains_key(&b"n"[..]));
        assert!(done.again.is_some());
        // The listing, its repetition, the deferred look.
        (0..3).for_each(|_| epochs.end(epoch));
        assert!(epochs.is_idle());
    }
}
