//! Directories that were listed just now, held open for those beneath them: without them each costs
//! the whole way from its root, and a tree the square of its depth.
//!
//! **Invariant:** none is held while nothing is to be listed.
//! **Invariant:** none is given out after word that a directory moved or ended, nor more than
//! [`USES_MAX`] times, nor for more than [`STEPS_MAX`] directories beneath one another: then the
//! whole way is gone again, from the root that is there.

use std::collections::VecDeque;
use std::sync::Arc;

use super::node_id::NodeId;
use crate::fs::{Dir, descriptors};

/// The newest wish is met first, so what is listed next is beneath what was listed last.
const OPEN_MAX: usize = 32;

/// A directory may be moved out of its root while it is held, and there may be no event of it: so
/// few are listed beneath it then.
const USES_MAX: u8 = 64;

/// See [`USES_MAX`]: going the whole way that rarely costs a 64th of it for each directory.
const STEPS_MAX: u8 = 64;

/// An open directory, as it was found.
pub(super) struct Way {
    pub(super) dir: Dir,
    /// Number of directories that were opened from one another since the whole way was gone.
    pub(super) steps: u8,
    /// [`Ways::era`] when it was asked for.
    era: u64,
    _held: Arc<()>,
}

impl Way {
    /// Holds `dir` when descriptors allow one more beside all that share `held`.
    pub(super) fn hold(dir: Dir, steps: u8, era: u64, held: &Arc<()>) -> Option<Self> {
        (Arc::strong_count(held) < descriptors::dirs_max()).then(|| Self {
            dir,
            steps,
            era,
            _held: Arc::clone(held),
        })
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Ways {
    open: VecDeque<Open>,
    era: u64,
}

struct Open {
    node: NodeId,
    way: Arc<Way>,
    uses: u8,
}

impl Ways {
    /// Grows when all that was found before is given up.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// Keeps what a worker has found, unless that is out of date.
    pub(super) fn put(&mut self, node: NodeId, way: Way) {
        if way.era != self.era {
            return;
        }
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(Open {
            node,
            way: Arc::new(way),
            uses: 0,
        });
    }

    /// The open directory of `parent`, for one of its children.
    pub(super) fn to(&mut self, parent: NodeId) -> Option<Arc<Way>> {
        let open = self.open.iter_mut().rfind(|open| open.node == parent)?;
        open.uses = open.uses.saturating_add(1);
        let is_fresh = open.uses <= USES_MAX && open.way.steps < STEPS_MAX;
        is_fresh.then(|| Arc::clone(&open.way))
    }

    /// Gives up all of them.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.era += 1;
    }
}
