//! Table of watched directories, for a backend that does not show whether two watches are the same.
//!
//! **Invariant:** of one directory at most one watch is in force, whatever number of nodes stand
//! for it.

use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::path::PathBuf;

use hashbrown::HashMap;
use rustix::io::Errno;

use super::backend::WatchId;
use super::fd_paths;
use super::node_id::NodeId;
use super::node_set::{NodeSet, RemoveOutcome};
use crate::core::facts::FileKey;

/// See the module.
#[derive(Default)]
pub(super) struct Watched {
    by_id: HashMap<WatchId, Watch>,
    /// Those in force.
    by_key: HashMap<FileKey, WatchId>,
    last: u32,
}

struct Watch {
    key: FileKey,
    holders: NodeSet,
    /// The descriptor's number in the path that it was added under.
    fd: RawFd,
    /// Number of losses of events before it was added: its end may be among what was lost since.
    losses: u64,
}

/// Action that is needed for a node to receive the events of a directory.
pub(super) enum Asked {
    /// Nothing: it is watched, for another node so far.
    Joined(WatchId),
    /// A watch has to be added.
    Added {
        /// It.
        id: WatchId,
        /// The one that has to be ended before.
        old: Option<Old>,
    },
}

/// A watch that another one takes the place of.
pub(super) struct Old {
    pub(super) id: WatchId,
    /// Path that it was added under.
    pub(super) path: PathBuf,
    /// Other nodes that must learn of its end.
    pub(super) others: RemoveOutcome,
}

impl Watched {
    /// `node` is to stand for the directory `key`, which `fd` is open on. A watch that is doubtful
    /// gives way to a new one.
    ///
    /// # Errors
    /// When no number is left.
    pub(super) fn ask(
        &mut self,
        key: FileKey,
        node: NodeId,
        fd: RawFd,
        losses: u64,
    ) -> Result<Asked, Errno> {
        let next = self.last.checked_add(1).and_then(NonZeroU32::new);
        let id = next.map(WatchId).ok_or(Errno::OVERFLOW)?;
        let there = self.by_key.get(&key).copied();
        if let Some(there) = there
            && let Some(watch) = self.by_id.get_mut(&there)
            && watch.losses == losses
            && !watch.holders.has(node)
        {
            watch.holders.add(node);
            return Ok(Asked::Joined(there));
        }
        let old = there.and_then(|id| {
            let path = fd_paths::of(id, self.by_id.get(&id)?.fd);
            let others = match self.leave(id, node) {
                Some(_) => RemoveOutcome::None,
                None => RemoveOutcome::Some,
            };
            Some(Old { id, path, others })
        });
        self.last = id.0.get();
        let watch = Watch {
            key,
            holders: NodeSet::One(node),
            fd,
            losses,
        };
        self.by_id.insert(id, watch);
        self.by_key.insert(key, id);
        Ok(Asked::Added { id, old })
    }

    /// `node` needs `id` no more. When it was the last one, the path of the watch to be
    /// ended.
    pub(super) fn leave(&mut self, id: WatchId, node: NodeId) -> Option<PathBuf> {
        let watch = self.by_id.get_mut(&id)?;
        if watch.holders.remove(node) == RemoveOutcome::Some {
            return None;
        }
        let path = fd_paths::of(id, watch.fd);
        self.remove(id);
        Some(path)
    }

    /// Forgets a watch that has ended, and hands over who held it.
    pub(super) fn remove(&mut self, id: WatchId) -> Option<NodeSet> {
        let watch = self.by_id.remove(&id)?;
        if self.by_key.get(&watch.key) == Some(&id) {
            self.by_key.remove(&watch.key);
        }
        Some(watch.holders)
    }

    /// Returns the nodes that receive the events of `id`.
    pub(super) fn nodes(&self, id: WatchId) -> Vec<NodeId> {
        self.by_id
            .get(&id)
            .map_or_else(Vec::new, |watch| watch.holders.all())
    }

    /// Number of watches in force.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::RootId;
    use crate::watch::tree::Tree;

    fn nodes<const N: usize>() -> [NodeId; N] {
        let mut tree = Tree::default();
        std::array::from_fn(|_| tree.add_top(RootId(0), FileKey::default()))
    }

    fn added(asked: Asked) -> (WatchId, Option<Old>) {
        match asked {
            Asked::Added { id, old } => (id, old),
            Asked::Joined(id) => panic!("joined {id:?}"),
        }
    }

    #[test]
    fn a_second_node_joins_and_the_last_one_ends_the_watch() {
        let mut watched = Watched::default();
        let [a, b] = nodes();
        let key = FileKey { dev: 1, ino: 2 };
        let (id, old) = added(watched.ask(key, a, 5, 0).unwrap());
        assert!(old.is_none());
        let joined = watched.ask(key, b, 6, 0).unwrap();
        assert!(matches!(joined, Asked::Joined(same) if same == id));
        assert_eq!((watched.nodes(id), watched.len()), (vec![a, b], 1));
        assert_eq!(watched.leave(id, a), None);
        assert_eq!(watched.leave(id, b), Some(fd_paths::of(id, 5)));
        assert_eq!((watched.len(), watched.leave(id, b)), (0, None));
    }

    #[test]
    fn who_asks_again_or_after_a_loss_gets_a_new_watch_and_the_others_are_reported() {
        let mut watched = Watched::default();
        let [a, b, c] = nodes();
        let key = FileKey { dev: 1, ino: 2 };
        let (first, _) = added(watched.ask(key, a, 5, 0).unwrap());
        let (second, old) = added(watched.ask(key, a, 5, 0).unwrap());
        let old = old.unwrap();
        assert_eq!(
            (old.id, old.others == RemoveOutcome::None, old.path),
            (first, true, fd_paths::of(first, 5))
        );
        let (third, old) = added(watched.ask(key, b, 7, 1).unwrap());
        assert!(old.is_some_and(|old| old.id == second && old.others == RemoveOutcome::Some));
        // The old one is remembered until its nodes know.
        assert_eq!((watched.len(), watched.nodes(second)), (1, vec![a]));
        assert!(watched.remove(second).is_some());
        assert_eq!(
            (watched.nodes(second), watched.nodes(third)),
            (vec![], vec![b])
        );
        // A late end of the first one changes nothing.
        assert!(watched.remove(first).is_none());
        let joined = watched.ask(key, c, 8, 1).unwrap();
        assert!(matches!(joined, Asked::Joined(same) if same == third));
    }
}
