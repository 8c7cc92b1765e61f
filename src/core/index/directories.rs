//! The tree of directories.
//!
//! Records with a number each, in chunks that never move; children are linked through their
//! siblings, and found by a table over (parent, name) that keeps neither twice.
//!
//! **Invariant:** parent links form trees whose tops are the roots' own directories.
//! **Invariant:** everything is iterative: a tree may be as deep as its owner likes.

use hashbrown::HashTable;

use super::dir_pages::DirPages;
use super::hash::name_hash;
use super::record::DirId;
use crate::core::facts::{Facts, FileKey, Latest, RootId};
use crate::core::time::FileTime;

/// Directories in one chunk: large enough to be worth an allocation, small enough to waste little.
const CHUNK: usize = 256;
/// A link to nothing. So many directories do not fit into memory.
const NONE: u32 = u32::MAX;

/// Facts of the last look at a directory, and its stamp. All zero before the first look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DirFacts {
    /// Its identity.
    pub key: FileKey,
    mtime: PackedTime,
    ctime: PackedTime,
    btime: PackedTime,
    stamp: PackedTime,
}

/// A file time, or none, in 12 bytes: seconds in two halves, nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct PackedTime([u32; 3]);

impl PackedTime {
    const NONE: Self = Self([0, 0, u32::MAX]);

    fn get(self) -> Option<FileTime> {
        let Self([low, high, nanos]) = self;
        let secs = (u64::from(high) << 32 | u64::from(low)).cast_signed();
        (self != Self::NONE).then_some(FileTime { secs, nanos })
    }
}

impl From<FileTime> for PackedTime {
    fn from(FileTime { secs, nanos }: FileTime) -> Self {
        let bytes = secs.to_le_bytes();
        let (halves, _) = bytes.as_chunks::<4>();
        let [low, high] = [halves[0], halves[1]].map(u32::from_le_bytes);
        Self([low, high, nanos])
    }
}

impl DirFacts {
    /// Facts of a look, without a stamp.
    pub(super) fn new(
        key: FileKey,
        (mtime, ctime, btime): (FileTime, FileTime, Option<FileTime>),
    ) -> Self {
        Self {
            key,
            mtime: mtime.into(),
            ctime: ctime.into(),
            btime: btime.map_or(PackedTime::NONE, PackedTime::from),
            stamp: PackedTime::NONE,
        }
    }

    /// Last change of the set of its names.
    #[must_use]
    pub fn mtime(&self) -> FileTime {
        self.mtime.get().unwrap_or_default()
    }

    /// Last change of names or attributes: cannot be set back.
    #[must_use]
    pub fn ctime(&self) -> FileTime {
        self.ctime.get().unwrap_or_default()
    }

    /// Birth; `None` where the file system does not keep it.
    #[must_use]
    pub fn btime(&self) -> Option<FileTime> {
        self.btime.get()
    }

    /// Share of it in the latest of a tree.
    #[must_use]
    pub fn latest(&self) -> Latest {
        let latest = self.mtime().max(self.ctime());
        Latest {
            any: self.btime().map_or(latest, |born| latest.max(born)).ceil(),
            mtime: self.mtime().ceil(),
        }
    }

    /// The change time that the directory had when something looked into it that learns of every
    /// later change; `None`: nothing vouches for what is known of it.
    pub(super) fn stamp(&self) -> Option<FileTime> {
        self.stamp.get()
    }

    /// Takes in another look; the stamp stays. Returns true if anything is new.
    pub(super) fn set(&mut self, facts: &Facts) -> bool {
        let before = *self;
        *self = Self::new(facts.key, (facts.mtime, facts.ctime, facts.btime));
        self.stamp = before.stamp;
        *self != before
    }

    /// Sets the stamp. Returns true if it is another one than before.
    pub(super) fn set_stamp(&mut self, stamp: Option<FileTime>) -> bool {
        let before = std::mem::replace(
            &mut self.stamp,
            stamp.map_or(PackedTime::NONE, PackedTime::from),
        );
        before != self.stamp
    }
}

/// A directory: 128 bytes, and its name.
pub(super) struct Node {
    pub(super) name: Box<[u8]>,
    pub(super) pages: DirPages,
    pub(super) facts: DirFacts,
    pub(super) files: u32,
    /// Entries in it and beneath it, where it is a top-level directory.
    pub(super) files_beneath: u32,
    parent: u32,
    /// The top-level directory that it is or is in.
    top: u32,
    first_child: u32,
    next: u32,
    previous: u32,
    pub(super) root: RootId,
}

/// All directories.
#[derive(Default)]
pub(super) struct Directories {
    chunks: Vec<Vec<Option<Node>>>,
    free: Vec<DirId>,
    table: HashTable<DirId>,
    /// Grows whenever a path may lead elsewhere than before, or nowhere.
    changes: u64,
    /// Names that were looked up.
    #[cfg(test)]
    pub(super) lookups: std::sync::atomic::AtomicU64,
    /// Number of accesses to directories by their numbers.
    #[cfg(test)]
    pub(super) accesses: std::sync::atomic::AtomicU64,
}

impl Node {
    /// A directory that hangs on nothing yet.
    fn new(root: RootId, name: &[u8], facts: DirFacts) -> Self {
        Self {
            name: name.into(),
            pages: DirPages::None,
            facts,
            files: 0,
            files_beneath: 0,
            parent: NONE,
            top: NONE,
            first_child: NONE,
            next: NONE,
            previous: NONE,
            root,
        }
    }

    pub(super) fn parent(&self) -> Option<DirId> {
        link(self.parent)
    }
}

impl Directories {
    pub(super) fn get(&self, id: DirId) -> Option<&Node> {
        #[cfg(test)]
        self.accesses
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (chunk, at) = split(id);
        self.chunks.get(chunk)?.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: DirId) -> Option<&mut Node> {
        let (chunk, at) = split(id);
        self.chunks.get_mut(chunk)?.get_mut(at)?.as_mut()
    }

    /// The directory that a page, a link or the writer names.
    pub(super) fn known(&self, id: DirId) -> &Node {
        self.get(id).expect("invariant: a directory of the tree")
    }

    pub(super) fn known_mut(&mut self, id: DirId) -> &mut Node {
        self.get_mut(id)
            .expect("invariant: a directory of the tree")
    }

    /// The directory `name` in `parent`.
    pub(super) fn child(&self, parent: DirId, name: &[u8]) -> Option<DirId> {
        #[cfg(test)]
        self.lookups
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let hash = name_hash(parent.0, name);
        let is_it = |&id: &DirId| {
            let node = self.known(id);
            node.parent == parent.0 && *node.name == *name
        };
        self.table.find(hash, is_it).copied()
    }

    /// The directory at `path` beneath `top`.
    pub(super) fn descend(&self, top: DirId, path: &[u8]) -> Option<DirId> {
        let mut names = path.split(|&byte| byte == b'/');
        names.try_fold(top, |parent, name| self.child(parent, name))
    }

    /// While this is the same number, a path that led to a directory leads to it.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The directories right in `parent`, in no useful order.
    pub(super) fn children(&self, parent: DirId) -> impl Iterator<Item = DirId> {
        let first = link(self.known(parent).first_child);
        std::iter::successors(first, |&id| link(self.known(id).next))
    }

    /// The directories from `id` up to its root's own, itself included.
    pub(super) fn up(&self, id: DirId) -> impl Iterator<Item = DirId> {
        std::iter::successors(Some(id), |&id| self.known(id).parent())
    }

    /// Returns the top-level directory of its root that `id` is or is in; `None` for a root's own.
    pub(super) fn top(&self, id: DirId) -> Option<DirId> {
        link(self.known(id).top)
    }

    /// Returns the top-level directory that a directory in `parent` is or is in.
    pub(super) fn top_of_child(&self, child: DirId, parent: DirId) -> DirId {
        self.top(parent).unwrap_or(child)
    }

    /// `id` and all directories beneath it, each before those beneath it.
    pub(super) fn subtree(&self, id: DirId) -> Vec<DirId> {
        let mut found = vec![id];
        let mut next = 0;
        while let Some(&dir) = found.get(next) {
            found.extend(self.children(dir));
            next += 1;
        }
        found
    }

    /// Adds a directory; a root's own has no parent and no name.
    pub(super) fn add(&mut self, root: RootId, parent: Option<(DirId, &[u8])>) -> DirId {
        let name = parent.map_or(&[][..], |(_, name)| name);
        let unseen = DirFacts::new(FileKey::default(), Default::default());
        let id = self.place(Node::new(root, name, unseen));
        if let Some((parent, _)) = parent {
            self.attach(id, parent);
        }
        id
    }

    /// Puts a directory that was saved in place; its parent has to be there. Says whether it could:
    /// no other one may have its number, or its name in its parent.
    pub(super) fn restore(
        &mut self,
        id: DirId,
        root: RootId,
        (parent, name): (Option<DirId>, &[u8]),
        facts: DirFacts,
    ) -> bool {
        let taken = parent.is_some_and(|parent| self.child(parent, name).is_some());
        if taken || self.get(id).is_some() {
            return false;
        }
        let (chunk, at) = split(id);
        while self.chunks.len() <= chunk {
            // All but the last one are full.
            if let Some(last) = self.chunks.last_mut() {
                last.resize_with(CHUNK, || None);
            }
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if self.chunks[chunk].len() <= at {
            self.chunks[chunk].resize_with(at + 1, || None);
        }
        self.chunks[chunk][at] = Some(Node::new(root, name, facts));
        if let Some(parent) = parent {
            self.attach(id, parent);
        }
        true
    }

    /// All are in place that were saved: the numbers in between are free.
    pub(super) fn end_restoring(&mut self) {
        let ids = (0u32..).zip(self.chunks.iter().flatten());
        let free = ids.filter(|(_, node)| node.is_none());
        self.free = free.map(|(id, _)| DirId(id)).collect();
        // The smallest is given out first.
        self.free.reverse();
    }

    /// Takes a directory out of its parent, so that no path leads to it; what is beneath it stays
    /// beneath it, and it still knows where it was.
    pub(super) fn detach(&mut self, id: DirId) {
        self.changes += 1;
        let Some(parent) = self.known(id).parent() else {
            return;
        };
        let hash = name_hash(parent.0, &self.known(id).name);
        let slot = self.table.find_entry(hash, |&other| other == id);
        slot.expect("invariant: a child stands in the table")
            .remove();
        let &Node { next, previous, .. } = self.known(id);
        match link(previous) {
            Some(previous) => self.known_mut(previous).next = next,
            None => self.known_mut(parent).first_child = next,
        }
        if let Some(next) = link(next) {
            self.known_mut(next).previous = previous;
        }
    }

    /// Puts a detached directory into `parent`, which has none of that name.
    pub(super) fn attach(&mut self, id: DirId, parent: DirId) {
        let next = std::mem::replace(&mut self.known_mut(parent).first_child, id.0);
        if let Some(next) = link(next) {
            self.known_mut(next).previous = id.0;
        }
        self.set_top(id, self.top_of_child(id, parent));
        let node = self.known_mut(id);
        (node.parent, node.next, node.previous) = (parent.0, next, NONE);
        let hash = name_hash(parent.0, &node.name);
        let Self { chunks, table, .. } = self;
        table.insert_unique(hash, id, |&other| {
            let (chunk, at) = split(other);
            let node = chunks[chunk][at].as_ref();
            let node = node.expect("invariant: a directory of the tree");
            name_hash(node.parent, &node.name)
        });
    }

    /// Records the top-level directory of `id` and of all beneath it.
    fn set_top(&mut self, id: DirId, top: DirId) {
        if self.known(id).top == top.0 {
            return;
        }
        for below in self.subtree(id) {
            self.known_mut(below).top = top.0;
        }
    }

    /// Gives a detached directory another name.
    pub(super) fn rename(&mut self, id: DirId, name: &[u8]) {
        self.known_mut(id).name = name.into();
    }

    /// Forgets a detached directory that has no pages and nothing beneath it.
    pub(super) fn forget(&mut self, id: DirId) {
        self.changes += 1;
        let (chunk, at) = split(id);
        self.chunks[chunk][at] = None;
        self.free.push(id);
    }

    fn place(&mut self, node: Node) -> DirId {
        if let Some(id) = self.free.pop() {
            let (chunk, at) = split(id);
            self.chunks[chunk][at] = Some(node);
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut().expect("invariant: just pushed");
        let id = u32::try_from(before + chunk.len()).ok();
        chunk.push(Some(node));
        DirId(
            id.filter(|&id| id != NONE)
                .expect("invariant: fewer than 2^32 directories"),
        )
    }
}

fn split(id: DirId) -> (usize, usize) {
    (id.0 as usize / CHUNK, id.0 as usize % CHUNK)
}

fn link(id: u32) -> Option<DirId> {
    (id != NONE).then_some(DirId(id))
}

const _: () = assert!(size_of::<Option<Node>>() <= 128, "memory of a directory");
