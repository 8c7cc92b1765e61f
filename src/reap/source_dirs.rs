//! The directories that things are taken out of.
//!
//! **Invariant:** what was taken out of a directory that has left its place meanwhile must go back
//! into it: it may be outside of the root by then, where nothing is ours.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::core::facts::{FileKey, Kind, RootId};
use crate::core::path::RelPath;
use crate::fs::{Dir, FsError, RootDir, descriptors};

/// An open directory, and which one it is.
pub(super) struct SourceDir {
    pub(super) dir: Dir,
    pub(super) key: FileKey,
}

/// The directories of a round, opened once each, as far as there is room.
pub(super) struct SourceDirs {
    open: BTreeMap<RootId, BTreeMap<RelPath, Rc<SourceDir>>>,
    room: usize,
}

impl SourceDirs {
    pub(super) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            room: descriptors::dirs_max(),
        }
    }

    fn get(&self, id: RootId, path: &[u8]) -> Option<&Rc<SourceDir>> {
        self.open.get(&id)?.get(path)
    }

    /// Returns true if the directory at `path` is open, or can be kept open.
    pub(super) fn has_room_for(&self, id: RootId, path: &[u8]) -> bool {
        self.room > 0 || self.get(id, path).is_some()
    }

    /// Opens the directory at `path` in the root.
    pub(super) fn open(
        &mut self,
        (id, root): (RootId, &RootDir),
        path: &[u8],
    ) -> Result<Rc<SourceDir>, FsError> {
        if let Some(known) = self.get(id, path) {
            return Ok(Rc::clone(known));
        }
        let path = RelPath::parse(path).expect("invariant: a parent of a path is a path");
        let dir = root.dir(&path)?;
        let key = if path.is_root() {
            root.key()
        } else {
            dir.facts()?.key
        };
        let dir = Rc::new(SourceDir { dir, key });
        if self.room > 0 {
            self.room -= 1;
            let of_root = self.open.entry(id).or_default();
            of_root.insert(path, Rc::clone(&dir));
        }
        Ok(dir)
    }
}

/// Check that directories of a root are still in their places, once for each.
pub(super) struct InPlace<'a> {
    root: &'a RootDir,
    /// True if the root itself is in its place.
    root_is: bool,
    found: BTreeMap<RelPath, Option<FileKey>>,
}

impl<'a> InPlace<'a> {
    pub(super) fn new(root: &'a RootDir) -> Self {
        Self {
            root,
            root_is: root.is_in_place(),
            found: BTreeMap::new(),
        }
    }

    /// Returns true if the directory `key` is at `path` beneath the root; false if that cannot be
    /// known.
    pub(super) fn is(&mut self, path: &[u8], key: FileKey) -> bool {
        if !self.root_is {
            return false;
        }
        if let Some(found) = self.found.get(path) {
            return *found == Some(key);
        }
        let path = RelPath::parse(path).expect("invariant: a parent of a path is a path");
        let found = self.look(&path);
        self.found.insert(path, found);
        found == Some(key)
    }

    /// Returns the key of the directory that is at `path` now. One look is enough where no
    /// directory on the way could be swapped for a link.
    fn look(&self, path: &RelPath) -> Option<FileKey> {
        let facts = match path.components().count() {
            0 => return Some(self.root.key()),
            1 => self.root.top().look(path.as_bytes()).ok()??,
            _ => self.root.dir(path).and_then(|dir| dir.facts()).ok()?,
        };
        (facts.kind == Kind::Dir).then_some(facts.key)
    }
}
