//! Names that want a look, by directory.
//!
//! **Invariant:** a name is here once, however many events name it.

use hashbrown::HashMap;

use super::epochs::{Epoch, Epochs};
use super::node_id::NodeId;
use crate::core::observed::Name;

/// Evidence of the events about a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Evidence {
    /// Something happened to it: a look shows what.
    Rumour,
    /// It was moved into a quarantine, and no later event names it: nothing is there.
    Quarantined,
}

/// Names of one directory that want a look; none: only the directory itself does.
#[derive(Debug)]
pub(super) struct DirtyNames {
    pub(super) epoch: Epoch,
    pub(super) names: HashMap<Name, Evidence>,
}

impl DirtyNames {
    /// No names yet. The caller accounts for `epoch`.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            names: HashMap::new(),
        }
    }

    /// Adds a name.
    pub(super) fn add(&mut self, name: Option<&[u8]>) {
        if let Some(name) = name {
            let evidence = self.names.entry_ref(name).or_insert(Evidence::Rumour);
            *evidence = Evidence::Rumour;
        }
    }
}

/// Directories with names that want a look, in order of arrival.
#[derive(Default)]
pub(super) struct DirtySet {
    dirs: HashMap<NodeId, DirtyNames>,
    order: Vec<NodeId>,
}

impl DirtySet {
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
            DirtyNames::new(epoch)
        });
        names.add(name);
    }

    /// The last event of a marked name was its way into a quarantine.
    pub(super) fn set_quarantined(&mut self, dir: NodeId, name: &[u8]) {
        let names = self.dirs.get_mut(&dir).map(|names| &mut names.names);
        if let Some(evidence) = names.and_then(|names| names.get_mut(name)) {
            *evidence = Evidence::Quarantined;
        }
    }

    /// Puts names back that were kept elsewhere, already accounted for.
    pub(super) fn put(&mut self, epochs: &mut Epochs, dir: NodeId, names: DirtyNames) {
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
    pub(super) fn take_all(&mut self) -> Vec<(NodeId, DirtyNames)> {
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
