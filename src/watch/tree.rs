//! The directories that are watched, as a tree.
//!
//! **Invariant:** a [`NodeId`] names one node for ever; after the node's end it names nothing.
//! **Invariant:** renaming a directory touches its own node only, and removing one costs its
//! subtree only.

use std::cell::RefCell;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::backend::WatchId;
use super::node_id::NodeId;
use super::recent_paths::RecentPaths;
use crate::core::facts::{FileKey, RootId};
use crate::core::observed::Name;
use crate::core::path::RelPath;

/// No node.
const NONE: u32 = u32::MAX;

/// One directory.
#[derive(Debug)]
pub struct Node {
    /// Its root.
    pub root: RootId,
    /// Its name in its parent; empty for a root's own directory.
    name: Name,
    /// Key of the directory that it was when it was last seen.
    pub key: FileKey,
    /// Its watch, while it has one.
    pub watch: Option<WatchId>,
    /// True if it has been listed since it became a node.
    pub listed: bool,
    /// True if the last attempt to read it was refused.
    pub refused: bool,
    /// Number of times in a row that it was not found in its place.
    pub misses: u8,
    parent: u32,
    first: u32,
    next: u32,
    previous: u32,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    node: Option<Node>,
}

/// All directories of all roots.
#[derive(Default)]
pub struct Tree {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots of all nodes but the roots', by parent and name.
    names: HashTable<u32>,
    hasher: DefaultHashBuilder,
    recent_paths: RefCell<RecentPaths>,
}

impl Tree {
    /// Number of directories.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The node, while it lives.
    pub fn get(&self, id: NodeId) -> Option<&Node> {
        let slot = self.slots.get(id.slot as usize)?;
        slot.node
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    /// The node, while it lives.
    pub fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.node
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// A node for a root's own directory.
    pub fn add_top(&mut self, root: RootId, key: FileKey) -> NodeId {
        self.insert(root, NONE, Name::default(), key)
    }

    /// A node for the directory `name` in `parent`, where none of that name may be.
    ///
    /// # Panics
    /// When `parent` is no more, or has a node of that name.
    pub fn add(&mut self, parent: NodeId, name: &[u8], key: FileKey) -> NodeId {
        let root = self
            .get(parent)
            .expect("invariant: the parent is a node")
            .root;
        assert!(
            self.child(parent, name).is_none(),
            "invariant: names are unique"
        );
        let id = self.insert(root, parent.slot, name.into(), key);
        self.link(id.slot);
        id
    }

    /// The directory `name` in `parent`.
    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.get(parent)?;
        let hash = self.hash(parent.slot, name);
        let found = self.names.find(hash, |&slot| {
            let node = self.node(slot);
            node.parent == parent.slot && *node.name == *name
        });
        found.map(|&slot| self.id(slot))
    }

    /// Parent and name; `None` for a root's own directory.
    pub fn place(&self, id: NodeId) -> Option<(NodeId, &Name)> {
        let node = self.get(id)?;
        (node.parent != NONE).then(|| (self.id(node.parent), &node.name))
    }

    /// The directories in `id`, in no order.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = (NodeId, &Name)> {
        let first = self.get(id).map_or(NONE, |node| node.first);
        let slots = std::iter::successors((first != NONE).then_some(first), |&slot| {
            let next = self.node(slot).next;
            (next != NONE).then_some(next)
        });
        slots.map(|slot| (self.id(slot), &self.node(slot).name))
    }

    /// Returns the path of `id` beneath its root; the root's own when the node has ended.
    pub fn path(&self, id: NodeId) -> RelPath {
        let mut recent = self.recent_paths.borrow_mut();
        let mut names = Vec::new();
        let mut above = None;
        let mut at = id;
        while let Some((parent, name)) = self.place(at) {
            above = recent.get(at);
            if above.is_some() {
                break;
            }
            names.push(&**name);
            at = parent;
        }
        let path = above.unwrap_or_default().join_all(names.into_iter().rev());
        recent.put(id, &path);
        path
    }

    /// The deepest node on the way from `top` to `path`, and whether it is the very one.
    pub fn nearest(&self, top: NodeId, path: &RelPath) -> (NodeId, bool) {
        let mut at = top;
        for name in path.components() {
            match self.child(at, name) {
                Some(child) => at = child,
                None => return (at, false),
            }
        }
        (at, true)
    }

    /// Returns those of `nodes` that live, by root.
    pub fn by_root(&self, nodes: impl IntoIterator<Item = NodeId>) -> HashMap<RootId, Vec<NodeId>> {
        let mut by_root: HashMap<RootId, Vec<NodeId>> = HashMap::new();
        for id in nodes {
            if let Some(node) = self.get(id) {
                by_root.entry(node.root).or_default().push(id);
            }
        }
        by_root
    }

    /// Puts `id` at another place of the same root, where no node may be.
    ///
    /// # Panics
    /// When `id` or `parent` are no more, or `id` is a root's own directory.
    pub fn relink(&mut self, id: NodeId, parent: NodeId, name: &[u8]) {
        assert!(
            self.get(id).is_some() && self.get(parent).is_some(),
            "invariant: both are nodes"
        );
        assert!(
            self.child(parent, name).is_none(),
            "invariant: names are unique"
        );
        self.recent_paths.get_mut().clear();
        self.unlink(id.slot);
        let node = self.node_mut(id.slot);
        node.parent = parent.slot;
        node.name = name.into();
        self.link(id.slot);
    }

    /// Returns whether `id` is `ancestor` or is beneath it.
    pub fn is_within(&self, id: NodeId, ancestor: NodeId) -> bool {
        let mut at = Some(id);
        while let Some(node) = at {
            if node == ancestor {
                return true;
            }
            at = self.place(node).map(|(parent, _)| parent);
        }
        false
    }

    /// `id` and all nodes beneath it, parents first.
    pub fn subtree(&self, id: NodeId) -> Vec<NodeId> {
        let mut all = Vec::new();
        if self.get(id).is_some() {
            all.push(id);
        }
        let mut at = 0;
        while at < all.len() {
            all.extend(self.children(all[at]).map(|(child, _)| child));
            at += 1;
        }
        all
    }

    /// Ends `id` and all nodes beneath it, and hands them over.
    pub fn remove(&mut self, id: NodeId, mut each: impl FnMut(NodeId, Node)) {
        let all = self.subtree(id);
        for &id in all.iter().rev() {
            self.unlink(id.slot);
            let slot = &mut self.slots[id.slot as usize];
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(id.slot);
            if let Some(node) = slot.node.take() {
                each(id, node);
            }
        }
    }

    fn insert(&mut self, root: RootId, parent: u32, name: Name, key: FileKey) -> NodeId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1)
                .expect("invariant: fewer directories than inode numbers of 32 bits")
        });
        self.slots[slot as usize].node = Some(Node {
            root,
            name,
            key,
            watch: None,
            listed: false,
            refused: false,
            misses: 0,
            parent,
            first: NONE,
            next: NONE,
            previous: NONE,
        });
        self.id(slot)
    }

    /// Returns the number of directories that [`Tree::path`] has gone through.
    #[cfg(test)]
    pub fn path_steps(&self) -> u64 {
        self.recent_paths.borrow().lookups
    }

    /// Enters a node with its parent and name into the parent's children and the names.
    fn link(&mut self, slot: u32) {
        let parent = self.node(slot).parent;
        let next = std::mem::replace(&mut self.node_mut(parent).first, slot);
        if next != NONE {
            self.node_mut(next).previous = slot;
        }
        let node = self.node_mut(slot);
        node.previous = NONE;
        node.next = next;
        let hash = self.hash(parent, &self.node(slot).name);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.names.insert_unique(hash, slot, |&slot| {
            let node = slots[slot as usize]
                .node
                .as_ref()
                .expect("invariant: names are of nodes");
            hasher.hash_one((node.parent, &*node.name))
        });
    }

    /// Takes a node out of its parent's children and the names. Nothing for a root's own directory.
    fn unlink(&mut self, slot: u32) {
        let node = self.node(slot);
        let (parent, next, previous) = (node.parent, node.next, node.previous);
        if parent == NONE {
            return;
        }
        let hash = self.hash(parent, &node.name);
        if let Ok(entry) = self.names.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        if previous == NONE {
            self.node_mut(parent).first = next;
        } else {
            self.node_mut(previous).next = next;
        }
        if next != NONE {
            self.node_mut(next).previous = previous;
        }
    }

    fn hash(&self, parent: u32, name: &[u8]) -> u64 {
        self.hasher.hash_one((parent, name))
    }

    fn id(&self, slot: u32) -> NodeId {
        NodeId {
            slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    fn node(&self, slot: u32) -> &Node {
        self.slots[slot as usize]
            .node
            .as_ref()
            .expect("invariant: links name nodes")
    }

    fn node_mut(&mut self, slot: u32) -> &mut Node {
        self.slots[slot as usize]
            .node
            .as_mut()
            .expect("invariant: links name nodes")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_paths_of_a_deep_tree_are_put_together_in_linear_time() {
        const DEPTH: u64 = 2_000;
        let mut tree = Tree::default();
        let top = tree.add_top(RootId(1), key(0));
        let mut at = top;
        for ino in 1..=DEPTH {
            // Names in a listing: the next one to be listed comes last.
            let siblings = [b"a", b"b", b"c"].map(|name| tree.add(at, name, key(ino)));
            assert_eq!(tree.path(at).components().count() as u64, ino - 1);
            at = siblings[2];
            for id in siblings {
                assert_eq!(tree.path(id).components().count() as u64, ino);
            }
        }
        assert!(tree.path_steps() <= 8 * DEPTH, "{}", tree.path_steps());
        let moved = tree.child(top, b"c").unwrap();
        tree.relink(moved, top, b"d");
        assert!(tree.path(at).as_bytes().starts_with(b"d/c/c"));
    }

    fn key(ino: u64) -> FileKey {
        FileKey { dev: 1, ino }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(usize, u8),
        Relink(usize, usize, u8),
        Remove(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (any::<usize>(), 0..4u8).prop_map(|(at, name)| Step::Add(at, name)),
            2 => (any::<usize>(), any::<usize>(), 0..4u8).prop_map(|(a, b, n)| Step::Relink(a, b, n)),
            1 => any::<usize>().prop_map(Step::Remove),
        ];
        proptest::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn a_tree_is_what_a_map_of_paths_is(steps in steps()) {
            let mut tree = Tree::default();
            let top = tree.add_top(RootId(1), key(0));
            // The naive model: path → node.
            let mut model = BTreeMap::from([(RelPath::root(), top)]);
            for (ino, step) in steps.into_iter().enumerate() {
                let pick = |model: &BTreeMap<RelPath, NodeId>, at: usize| {
                    let (path, id) = model.iter().nth(at % model.len()).unwrap();
                    (path.clone(), *id)
                };
                match step {
                    Step::Add(at, name) => {
                        let (path, id) = pick(&model, at);
                        let path = path.join(&[b'a' + name]);
                        model
                            .entry(path)
                            .or_insert_with(|| tree.add(id, &[b'a' + name], key(ino as u64)));
                    }
                    Step::Relink(from, to, name) => {
                        let ((from, id), (to, parent)) = (pick(&model, from), pick(&model, to));
                        prop_assert_eq!(tree.is_within(parent, id), to.is_within(&from));
                        let new = to.join(&[b'a' + name]);
                        if from.is_root() || to.is_within(&from) || model.contains_key(&new) {
                            continue;
                        }
                        tree.relink(id, parent, &[b'a' + name]);
                        let moved: Vec<_> =
                            model.keys().filter(|path| path.is_within(&from)).cloned().collect();
                        for path in moved {
                            let id = model.remove(&path).unwrap();
                            let tail = &path.as_bytes()[from.as_bytes().len()..];
                            let path = [new.as_bytes(), tail].concat();
                            model.insert(RelPath::parse(&path).unwrap(), id);
                        }
                    }
                    Step::Remove(at) => {
                        let (path, id) = pick(&model, at);
                        if path.is_root() {
                            continue;
                        }
                        let mut removed = 0;
                        tree.remove(id, |_, _| removed += 1);
                        let before = model.len();
                        model.retain(|other, _| !other.is_within(&path));
                        prop_assert_eq!(removed, before - model.len());
                        prop_assert!(tree.get(id).is_none());
                    }
                }
                prop_assert_eq!(tree.len(), model.len());
                for (path, id) in &model {
                    prop_assert_eq!(&tree.path(*id), path);
                    prop_assert_eq!(tree.nearest(top, path), (*id, true));
                }
            }
        }
    }
}
