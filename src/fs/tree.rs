//! A directory tree of any depth, as it was seen.
//!
//! **Invariant:** parents always precede their children, and the children of a directory are
//! adjacent and in the order of their names, so that two looks at an unchanged tree are equal.

use std::ops::Range;

use crate::core::facts::{Facts, FileKey};
use crate::core::observed::Name;

/// Directory tree as it was seen.
#[derive(Debug, Default)]
pub struct Tree {
    pub(super) dirs: Vec<TreeDir>,
}

/// Directory of a [`Tree`].
#[derive(Debug)]
pub struct TreeDir {
    /// Its parent; itself for the top.
    pub parent: u32,
    /// Number of directories of the tree above it: 0 for the top.
    pub depth: u32,
    /// Its name.
    pub name: Name,
    /// Its attributes, from before it was read.
    pub facts: Facts,
    /// Entries that are not directories, ordered by name.
    pub files: Vec<(Name, Facts)>,
    /// True if this process may remove its entries.
    pub may_change: bool,
    /// Its subdirectories, ordered by name.
    pub children: Range<u32>,
}

impl Tree {
    /// Creates a tree of the directory `top`, which was seen as `facts`, and of the file `name` in
    /// it.
    #[must_use]
    pub fn of_file(top: &[u8], facts: Facts, name: &[u8], file: Facts) -> Self {
        let mut tree = Self::of_dir(top, facts);
        tree.dirs[0].files.push((name.into(), file));
        tree
    }

    /// Creates a tree of the directory `top`, which was seen as `facts`, as if it were empty.
    #[must_use]
    pub fn of_dir(top: &[u8], facts: Facts) -> Self {
        Self {
            dirs: vec![TreeDir {
                parent: 0,
                depth: 0,
                name: top.into(),
                facts,
                files: Vec::new(),
                may_change: true,
                children: 0..0,
            }],
        }
    }

    /// Returns the number of directories.
    ///
    /// # Panics
    /// When there are more than 4,294,967,295.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.dirs.len()).expect("invariant: fewer directories than memory could hold")
    }

    /// Returns the number of names, those of directories included.
    #[must_use]
    pub fn names(&self) -> usize {
        self.dirs.iter().map(|dir| 1 + dir.files.len()).sum()
    }

    /// Returns false: a tree has its top.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }

    /// Returns the directory with the number `at`; 0 is the top.
    #[must_use]
    pub fn dir(&self, at: u32) -> &TreeDir {
        &self.dirs[at as usize]
    }

    /// Returns the number of the directory that `key` identifies, if the tree has it.
    #[must_use]
    pub fn find(&self, key: FileKey) -> Option<u32> {
        (0..self.len()).find(|&at| self.dir(at).facts.key == key)
    }

    /// Drops the files for which `keep` returns false: they are not removed then.
    pub fn retain_files(&mut self, mut keep: impl FnMut(&Facts) -> bool) {
        for dir in &mut self.dirs {
            dir.files.retain(|(_, facts)| keep(facts));
        }
    }

    /// Calls `each` with every directory and its path from the top's parent, parents first.
    pub fn each_path(&self, mut each: impl FnMut(u32, &[u8])) {
        let mut path: Vec<u8> = Vec::new();
        // Length of the path above, for each directory that is to be visited.
        let mut pending = vec![(0, 0)];
        while let Some((at, above)) = pending.pop() {
            let dir = self.dir(at);
            path.truncate(above);
            if above > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&dir.name);
            each(at, &path);
            pending.extend(dir.children.clone().map(|child| (child, path.len())));
        }
    }

    /// Returns the path of the directory `at` from the top's parent.
    #[must_use]
    pub fn path(&self, at: u32) -> Vec<u8> {
        let mut names = vec![&*self.dir(at).name];
        let mut next = at;
        while next != 0 {
            next = self.dir(next).parent;
            names.push(&*self.dir(next).name);
        }
        names.reverse();
        names.join(&b'/')
    }

    /// Returns the directories at and below `top`, parents first.
    #[must_use]
    pub fn below(&self, top: u32) -> Vec<u32> {
        let mut all = vec![top];
        let mut next = 0;
        while next < all.len() {
            all.extend(self.dir(all[next]).children.clone());
            next += 1;
        }
        all
    }
}
