//! Directories without events, and when they are listed.
//!
//! **Invariant:** a timer exists only while there are such directories.

use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use rustix::io::Errno;

use super::epochs::Epoch;
use super::node_id::NodeId;
use crate::core::facts::RootId;

/// See the module.
#[derive(Default)]
pub(super) struct UnwatchedDirs {
    /// Without a watch.
    pub(super) lacks_watch: HashMap<NodeId, Errno>,
    /// Could not be read, for a reason whose end is no event.
    pub(super) failed: HashSet<NodeId>,
    /// Time at which they are listed again, on the clock that counts from the machine's start.
    pub(super) due: Option<Duration>,
    /// Roots that were warned about.
    pub(super) doubted: HashSet<RootId>,
    pub(super) warned: WarnState,
    /// Work of this epoch waits for the next listing of all of them.
    pub(super) owed: Option<Epoch>,
    /// Start of the last listing for barriers of jobs, and the processor time that their listings
    /// took since.
    pub(super) began: Duration,
    pub(super) cost: Duration,
}

#[derive(Default, PartialEq, Eq)]
pub(super) enum WarnState {
    /// Nothing to say.
    #[default]
    Nothing,
    /// To be said when the numbers are known.
    Due,
    /// Said, until all have watches again.
    Done,
}

impl UnwatchedDirs {
    /// Returns whether `node` is known to have no watch.
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.lacks_watch.contains_key(&node)
    }

    /// All directories without events.
    pub(super) fn all(&self) -> HashSet<NodeId> {
        self.lacks_watch
            .keys()
            .chain(&self.failed)
            .copied()
            .collect()
    }

    /// Number of directories without a watch.
    pub(super) fn len(&self) -> usize {
        self.lacks_watch.len()
    }

    /// `node` has a watch, or is no more.
    pub(super) fn remove(&mut self, node: NodeId) {
        self.failed.remove(&node);
        if self.lacks_watch.remove(&node).is_some() && self.lacks_watch.is_empty() {
            self.warned = WarnState::Nothing;
            self.doubted.clear();
        }
        if self.lacks_watch.is_empty() && self.failed.is_empty() {
            self.due = None;
        }
    }
}
