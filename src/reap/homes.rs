//! The directories that things are taken out of.
//!
//! **Invariant:** what was taken out of a directory that has left its place meanwhile goes back into it: by now it may lie
//! outside of the root, where nothing is ours.

use std::collections::BTreeMap;

use super::place::Opened;
use crate::core::facts::{FileKey, RootId};
use crate::core::path::RelPath;
use crate::fs::{Dir, FsError, RootDir, descriptors};

/// Which directories still stand where they were, asked once each.
pub(super) struct InPlace<'a> {
    root: &'a RootDir,
    /// Whether the root itself does.
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

    /// Whether the directory `key` stands at `path` beneath the root. What cannot be known counts as gone.
    pub(super) fn is(&mut self, path: &RelPath, key: FileKey) -> bool {
        if !self.root_is {
            return false;
        }
        if let Some(found) = self.found.get(path) {
            return *found == Some(key);
        }
        let facts = self.root.dir(path).and_then(|dir| dir.facts());
        let found = facts.ok().map(|facts| facts.key);
        self.found.insert(path.clone(), found);
        found == Some(key)
    }
}

/// Open directories that the parts of a unit were taken out of.
#[derive(Default)]
pub(super) struct Homes(BTreeMap<(RootId, RelPath), Dir>);

impl Homes {
    /// Opens the directory at `path`, and keeps it open as far as there is room.
    pub(super) fn open(&mut self, opened: &Opened, path: &RelPath) -> Result<&Dir, FsError> {
        let home = (opened.id, path.clone());
        if !self.0.contains_key(&home) {
            let dir = opened.root.dir(path)?;
            // What was taken out of others goes back by its path.
            if self.0.len() >= descriptors::dirs_max() {
                self.0.pop_first();
            }
            self.0.insert(home.clone(), dir);
        }
        Ok(&self.0[&home])
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
