//! Saved stamps of directories, until they are looked at for the first time.
//!
//! **Invariant:** a stamp is used once. It says that names have not changed; it says nothing about
//! what is in the files.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::node_id::NodeId;
use super::options::{RestoredDir, RestoredRoot};
use super::tree::Tree;
use crate::core::facts::{FileKey, RootId};
use crate::core::time::FileTime;

/// See the module.
#[derive(Default)]
pub(super) struct Restored {
    roots: BTreeMap<RootId, Vec<RestoredDir>>,
    stamps: HashMap<NodeId, FileTime>,
}

/// State of a root that was found: saved or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// It was: its directories are in the tree.
    Restored,
    /// It was not, or is another directory by now.
    Not,
}

impl Restored {
    pub(super) fn new(roots: Vec<RestoredRoot>) -> Self {
        let roots = roots.into_iter().map(|root| (root.id, root.dirs));
        Self {
            roots: roots.collect(),
            stamps: HashMap::new(),
        }
    }

    /// Puts what was saved of `root` beneath `top`, when the root is the directory that it was.
    /// Devices may be counted anew when a machine is started again: all directories of a root are
    /// on the root's.
    pub(super) fn take_root(
        &mut self,
        root: RootId,
        key: FileKey,
        top: NodeId,
        leaves_out: bool,
        tree: &mut Tree,
    ) -> Known {
        let dirs = self.roots.remove(&root).unwrap_or_default();
        if dirs.first().is_none_or(|own| own.ino != key.ino) {
            return Known::Not;
        }
        let mut nodes: Vec<NodeId> = Vec::with_capacity(dirs.len());
        for dir in dirs {
            let node = match nodes.get(dir.parent) {
                None => top,
                Some(&parent) => {
                    let (dev, ino) = (key.dev, dir.ino);
                    tree.add(parent, &dir.name, FileKey { dev, ino })
                }
            };
            nodes.push(node);
            self.stamps.extend(dir.stamp.map(|stamp| (node, stamp)));
        }
        if leaves_out {
            // What was saved may have been of other patterns: a listing of the top shows it.
            self.stamps.remove(&top);
        }
        Known::Restored
    }

    /// Forgets what was saved of roots that were not found yet.
    pub(super) fn forget_roots(&mut self) {
        self.roots.clear();
    }

    /// The stamp of `node`, if it has one that was not used yet.
    pub(super) fn take_stamp(&mut self, node: NodeId) -> Option<FileTime> {
        let stamp = self.stamps.remove(&node);
        if self.stamps.is_empty() && self.stamps.capacity() > 0 {
            self.stamps = HashMap::new();
        }
        stamp
    }
}
