//! A file system in memory, with a clock that can be set: the truth that the engine is held against.

use std::collections::BTreeMap;
use std::time::Duration;

use lapsed::core::facts::{Facts, FileKey, Kind};
use lapsed::core::path::RelPath;
use lapsed::core::time::{FileTime, Now, Timestamp};

/// One file or directory.
#[derive(Clone, Debug)]
pub struct Node {
    pub kind: Kind,
    pub ino: u64,
    pub size: u64,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    pub btime: Timestamp,
    /// When it last changed, by a clock that nobody can set.
    pub changed: Duration,
    /// Somebody has it open.
    pub open: bool,
}

/// The tree of one root, and the clocks of its machine.
pub struct World {
    pub nodes: BTreeMap<RelPath, Node>,
    pub boot: Duration,
    /// What has to be added to the time since boot to get the wall clock.
    pub offset_ms: i64,
    next_ino: u64,
    /// Numbers that are free again: given out first, as file systems do.
    free_inos: Vec<u64>,
}

impl World {
    pub fn new() -> Self {
        let mut world = Self {
            nodes: BTreeMap::new(),
            boot: Duration::from_secs(1000),
            offset_ms: 1_800_000_000_000,
            next_ino: 1,
            free_inos: Vec::new(),
        };
        world.put(&RelPath::root(), Kind::Dir, 0);
        world
    }

    pub fn now(&self) -> Now {
        let boot_ms = i64::try_from(self.boot.as_millis()).unwrap();
        Now {
            wall: Timestamp::from_unix_ms(self.offset_ms + boot_ms),
            boot: self.boot,
        }
    }

    pub fn facts(&self, path: &RelPath) -> Option<Facts> {
        self.nodes.get(path).map(|node| Facts {
            kind: node.kind,
            key: FileKey {
                dev: 1,
                ino: node.ino,
            },
            nlink: 1,
            size: node.size,
            blocks: 8,
            mtime: FileTime::from(node.mtime),
            ctime: FileTime::from(node.ctime),
            btime: Some(FileTime::from(node.btime)),
        })
    }

    /// Makes `path` anew, with its parents.
    pub fn put(&mut self, path: &RelPath, kind: Kind, size: u64) {
        if let Some((parent, _)) = path.split()
            && self
                .nodes
                .get(&parent)
                .is_none_or(|node| node.kind != Kind::Dir)
        {
            self.remove(&parent);
            self.put(&parent, Kind::Dir, 0);
        }
        self.remove(path);
        let now = self.now();
        let ino = self.free_inos.pop().unwrap_or_else(|| {
            self.next_ino += 1;
            self.next_ino
        });
        let node = Node {
            kind,
            ino,
            size,
            mtime: now.wall,
            ctime: now.wall,
            btime: now.wall,
            changed: now.boot,
            open: false,
        };
        self.nodes.insert(path.clone(), node);
        self.touch_parent(path);
    }

    /// Changes the content of a file in place.
    pub fn write(&mut self, path: &RelPath, size: u64) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(path) {
            (node.size, node.mtime, node.ctime, node.changed) =
                (size, now.wall, now.wall, now.boot);
        }
    }

    /// Sets the modification time to `mtime`, as `touch -d` does.
    pub fn backdate(&mut self, path: &RelPath, mtime: Timestamp) {
        let now = self.now();
        if let Some(node) = self.nodes.get_mut(path) {
            (node.mtime, node.ctime, node.changed) = (mtime, now.wall, now.boot);
        }
    }

    /// Removes `path` with all beneath. The root stays.
    pub fn remove(&mut self, path: &RelPath) -> usize {
        if path.is_root() || !self.nodes.contains_key(path) {
            return 0;
        }
        let gone: Vec<RelPath> = self.beneath(path);
        for path in &gone {
            self.free_inos
                .extend(self.nodes.remove(path).map(|node| node.ino));
        }
        self.touch_parent(path);
        gone.len()
    }

    /// Renames `from`, with all beneath, to `to`, replacing what is there. Says whether it could.
    pub fn rename(&mut self, from: &RelPath, to: &RelPath) -> bool {
        let possible =
            !from.is_root() && !to.is_root() && !to.is_within(from) && !from.is_within(to);
        let parent_is_dir = to
            .split()
            .and_then(|(parent, _)| self.nodes.get(&parent))
            .is_some_and(|node| node.kind == Kind::Dir);
        if !possible || !parent_is_dir || !self.nodes.contains_key(from) {
            return false;
        }
        self.remove(to);
        let moved: Vec<RelPath> = self.beneath(from);
        let now = self.now();
        for old in moved {
            let mut node = self.nodes.remove(&old).unwrap();
            let rest = &old.as_bytes()[from.as_bytes().len()..];
            let new = RelPath::parse(&[to.as_bytes(), rest].concat()).unwrap();
            if old == *from {
                (node.ctime, node.changed) = (now.wall, now.boot);
            }
            self.nodes.insert(new, node);
        }
        self.touch_parent(from);
        self.touch_parent(to);
        true
    }

    /// `path` and all that lies in it.
    pub fn beneath(&self, path: &RelPath) -> Vec<RelPath> {
        self.nodes
            .keys()
            .filter(|other| other.is_within(path))
            .cloned()
            .collect()
    }

    /// Names and facts of what lies directly in `dir`.
    pub fn children(&self, dir: &RelPath) -> Vec<(RelPath, Facts)> {
        self.nodes
            .keys()
            .filter(|path| path.split().is_some_and(|(parent, _)| parent == *dir))
            .map(|path| (path.clone(), self.facts(path).unwrap()))
            .collect()
    }

    pub fn files(&self) -> impl Iterator<Item = (&RelPath, &Node)> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.kind == Kind::File)
    }

    fn touch_parent(&mut self, path: &RelPath) {
        let now = self.now();
        if let Some((parent, _)) = path.split()
            && let Some(node) = self.nodes.get_mut(&parent)
        {
            (node.mtime, node.ctime, node.changed) = (now.wall, now.wall, now.boot);
        }
    }
}
