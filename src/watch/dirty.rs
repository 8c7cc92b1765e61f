//! Names that want a look, by directory.
//!
//! **Invariant:** a name is here once, however many events name it.

use hashbrown::{HashMap, HashSet};

use super::epochs::{Epoch, Epochs};
use super::tree::NodeId;
use crate::core::observed::Name;

/// Names of one directory that want a look; none: only the directory itself does.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) epoch: Epoch,
    pub(super) names: HashSet<Name>,
}

impl Names {
    /// No names yet. The caller accounts for `epoch`.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            names: HashSet::new(),
        }
    }

    /// Adds a name.
    pub(super) fn add(&mut self, name: Option<&[u8]>) {
        if let Some(name) = name
            && !self.names.contains(name)
        {
            self.names.insert(name.into());
        }
    }
}

/// Directories with names that want a look, in order of arrival.
#[derive(Default)]
pub(super) struct Dirty {
    dirs: HashMap<NodeId, Names>,
    order: Vec<NodeId>,
}

impl Dirty {
    /// Marks a name in `dir` (`None`: the directory itself).
    pub(super) fn mark(
        &mut self,
        epochs: &mut Epochs,
        dir: NodeId,
        name: Option<&[u8]>,
        epoch: Epoch,
    ) {
        let order = &mut self.order;
        let names = self.dirs.entry(dir).or_insert_with(|| {
            epochs.begin(epoch);
            order.push(dir);
            Names::new(epoch)
        });
        names.add(name);
    }

    /// Puts names back that were kept elsewhere, already accounted for.
    pub(super) fn put(&mut self, epochs: &mut Epochs, dir: NodeId, names: Names) {
        if let Some(present) = self.dirs.get_mut(&dir) {
            // The older one of the two goes on; a barrier must not pass either.
            let (kept, ended) = if present.epoch <= names.epoch {
                (present.epoch, names.epoch)
            } else {
                (names.epoch, present.epoch)
            };
            present.epoch = kept;
            present.names.extend(names.names);
            epochs.end(ended);
        } else {
            self.dirs.insert(dir, names);
            self.order.push(dir);
        }
    }

    /// Takes what has been there longest.
    pub(super) fn take_all(&mut self) -> Vec<(NodeId, Names)> {
        let order = std::mem::take(&mut self.order);
        let all = order
            .into_iter()
            .filter_map(|dir| Some((dir, self.dirs.remove(&dir)?)));
        all.collect()
    }

    /// Forgets `dir`.
    pub(super) fn forget(&mut self, epochs: &mut Epochs, dir: NodeId) {
        if let Some(names) = self.dirs.remove(&dir) {
            epochs.end(names.epoch);
        }
    }

    /// Number of directories.
    pub(super) fn len(&self) -> usize {
        self.dirs.len()
    }
}
