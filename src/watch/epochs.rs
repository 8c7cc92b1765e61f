//! Barriers: when is everything reported that was under way at a given moment?
//!
//! Each piece of work belongs to an epoch and hands it on to the work that it causes. A barrier
//! ends the current epoch and is through when no work of this epoch or an earlier one is left. Work
//! that comes later does not delay it: under constant load the watcher is never idle.
//!
//! **Invariant:** every `begin` is met by exactly one `end` of the same epoch.

use std::collections::{BTreeMap, VecDeque};

/// A span of time between two barriers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Epoch(u64);

/// The work under way, by epoch, and the barriers that wait for it.
#[derive(Debug, Default)]
pub struct Epochs {
    current: Epoch,
    open: BTreeMap<Epoch, u64>,
    waiting: VecDeque<(Epoch, u64)>,
}

impl Epochs {
    /// The epoch of work that comes from outside now.
    pub fn current(&self) -> Epoch {
        self.current
    }

    /// A piece of work of `epoch` is under way.
    pub fn begin(&mut self, epoch: Epoch) {
        *self.open.entry(epoch).or_default() += 1;
    }

    /// A piece of work of `epoch` is done or given up.
    ///
    /// # Panics
    /// When none was under way.
    pub fn end(&mut self, epoch: Epoch) {
        let left = self
            .open
            .get_mut(&epoch)
            .expect("invariant: ended work was begun");
        *left -= 1;
        if *left == 0 {
            self.open.remove(&epoch);
        }
    }

    /// A barrier stands here: it waits for all work begun so far, and what that causes.
    pub fn barrier(&mut self, token: u64) {
        self.waiting.push_back((self.current, token));
        self.current.0 += 1;
    }

    /// The next barrier that is through.
    pub fn take_done(&mut self) -> Option<u64> {
        let &(epoch, token) = self.waiting.front()?;
        let oldest = self.open.first_key_value().map(|(epoch, _)| *epoch);
        if oldest.is_some_and(|oldest| oldest <= epoch) {
            return None;
        }
        self.waiting.pop_front();
        Some(token)
    }

    /// Returns true if no work is under way.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_waits_for_the_past_and_its_children_only() {
        let mut epochs = Epochs::default();
        let first = epochs.current();
        epochs.begin(first);
        epochs.barrier(7);
        let second = epochs.current();
        epochs.begin(second);
        epochs.barrier(8);
        assert_eq!(epochs.take_done(), None);
        // The first work causes more, then ends: its child still counts.
        epochs.begin(first);
        epochs.end(first);
        assert_eq!(epochs.take_done(), None);
        epochs.end(first);
        assert_eq!(epochs.take_done(), Some(7));
        assert_eq!(epochs.take_done(), None);
        epochs.end(second);
        assert_eq!(epochs.take_done(), Some(8));
        assert!(epochs.is_idle());
    }
}
