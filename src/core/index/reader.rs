//! The read side.
//!
//! **Invariant:** a reader holds a lock only inside one call, and never while it unpacks more than
//! one page; no guard leaves.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::catalog::{Catalog, Limits};
use super::directories::DirFacts;
use super::hash::name_hash;
use super::page::Page;
use super::pages::Pages;
use super::record::{DirId, PageId, Record};
use super::unit::{Unit, UnitState};
use crate::core::facts::RootId;
use crate::core::path::RelPath;

/// Every known file and directory, for any number of readers.
pub struct Index {
    pub(super) catalog: RwLock<Catalog>,
    pub(super) pages: Pages,
    pub(super) limits: Limits,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

/// A directory as the index keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dir {
    /// Its root.
    pub root: RootId,
    /// The directory that it is in; `None` for a root's own.
    pub parent: Option<DirId>,
    /// Facts of the last look.
    pub facts: DirFacts,
    /// Entries right in it.
    pub files: u32,
    /// Entries in it and beneath it, for a top-level directory.
    pub files_beneath: u32,
}

/// Sums over a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Entries.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
    /// Directories, the root's own included.
    pub dirs: u64,
}

/// Numbers of the things right in a root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Top {
    /// Entries.
    pub files: u64,
    /// Directories.
    pub dirs: u64,
}

/// Page and place of a name.
pub(super) struct Located {
    pub(super) id: PageId,
    pub(super) page: Arc<Page>,
    pub(super) at: usize,
}

impl Index {
    pub(super) fn empty(limits: Limits) -> Self {
        Self {
            catalog: RwLock::default(),
            pages: Pages::new(),
            limits,
        }
    }

    /// The directory at the path `dir` of `root`; the empty path is the root's own.
    #[must_use]
    pub fn dir_id(&self, root: RootId, dir: &[u8]) -> Option<DirId> {
        self.catalog.read().dir_id(root, dir)
    }

    /// Root and path of `dir`; `None` when there is no such directory any more.
    #[must_use]
    pub fn dir_path(&self, dir: DirId) -> Option<(RootId, RelPath)> {
        let catalog = self.catalog.read();
        let root = catalog.dirs.get(dir)?.root;
        let names = catalog.dirs.up(dir).map(|up| &*catalog.dirs.known(up).name);
        let names: Vec<&[u8]> = names.filter(|name| !name.is_empty()).collect();
        Some((root, RelPath::root().join_all(names.into_iter().rev())))
    }

    /// Returns the directory `dir`.
    #[must_use]
    pub fn dir(&self, dir: DirId) -> Option<Dir> {
        let catalog = self.catalog.read();
        let node = catalog.dirs.get(dir)?;
        Some(Dir {
            root: node.root,
            parent: node.parent(),
            facts: node.facts,
            files: node.files,
            files_beneath: node.files_beneath,
        })
    }

    /// The entry at `path` in `root`, and its directory.
    #[must_use]
    pub fn find(&self, root: RootId, path: &[u8]) -> Option<(DirId, Record)> {
        let (dir, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        let catalog = self.catalog.read();
        let dir = catalog.dir_id(root, dir)?;
        let found = self.locate(&catalog, dir, name, name_hash(dir.0, name))?;
        drop(catalog);
        Some((dir, found.page.record(found.at)))
    }

    /// The entry that is called `name` in `dir`.
    #[must_use]
    pub fn find_in(&self, dir: DirId, name: &[u8]) -> Option<(PageId, Record)> {
        let found = self.locate(&self.catalog.read(), dir, name, name_hash(dir.0, name))?;
        Some((found.id, found.page.record(found.at)))
    }

    /// Returns the page of the entry that is called `name` in `dir`.
    #[must_use]
    pub(in crate::core) fn page_of(&self, dir: DirId, name: &[u8]) -> Option<PageId> {
        let found = self.locate(&self.catalog.read(), dir, name, name_hash(dir.0, name))?;
        Some(found.id)
    }

    /// The names of `dir` that have this hash ([`Index::hash_of`]).
    #[must_use]
    pub(in crate::core) fn named(&self, dir: DirId, hash: u64) -> Vec<Box<[u8]>> {
        let catalog = self.catalog.read();
        let Some(node) = catalog.dirs.get(dir) else {
            return Vec::new();
        };
        let mut pages = Vec::new();
        match node.pages.names() {
            None => pages.extend(node.pages.ids().iter().map(|&id| self.pages.known(id))),
            Some(names) => {
                names.find(hash, |id| {
                    pages.push(self.pages.known(id));
                    false
                });
            }
        }
        drop(catalog);
        let mut found: Vec<Box<[u8]>> = pages
            .iter()
            .flat_map(|page| page.names())
            .filter(|name| name_hash(dir.0, name) == hash)
            .map(Into::into)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The hash of a name in `dir`, by which [`Index::named`] finds it.
    #[must_use]
    pub(in crate::core) fn hash_of(dir: DirId, name: &[u8]) -> u64 {
        name_hash(dir.0, name)
    }

    /// `dir` and all directories beneath it.
    #[must_use]
    pub fn subtree(&self, dir: DirId) -> Vec<DirId> {
        let catalog = self.catalog.read();
        if catalog.dirs.get(dir).is_none() {
            return Vec::new();
        }
        catalog.dirs.subtree(dir)
    }

    /// The numbers of all pages, ascending. A page may have gone, changed or merged with another
    /// when it is asked for: who needs every entry exactly once takes a [`Index::snapshot`].
    #[must_use]
    pub fn pages(&self) -> Vec<PageId> {
        self.snapshot().into_iter().map(|(id, _)| id).collect()
    }

    /// The page with the number `page`, as it is now.
    #[must_use]
    pub fn page(&self, page: PageId) -> Option<Arc<Page>> {
        self.pages.get(page)
    }

    /// All pages as they are at one instant, in order of their numbers: every entry exactly once.
    /// Cheap to take (a count of readers each); pages that change while it is held are kept twice.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(PageId, Arc<Page>)> {
        let _catalog = self.catalog.read();
        self.pages.all()
    }

    /// The pages of `dir` as they are at one instant, in order of arrival.
    #[must_use]
    pub fn snapshot_of(&self, dir: DirId) -> Vec<(PageId, Arc<Page>)> {
        let catalog = self.catalog.read();
        let ids = catalog
            .dirs
            .get(dir)
            .map_or(&[][..], |node| node.pages.ids());
        ids.iter().map(|&id| (id, self.pages.known(id))).collect()
    }

    /// The numbers of the pages of `dir`, in order of arrival.
    #[must_use]
    pub fn pages_of(&self, dir: DirId) -> Vec<PageId> {
        let catalog = self.catalog.read();
        catalog
            .dirs
            .get(dir)
            .map_or(Vec::new(), |node| node.pages.ids().to_vec())
    }

    /// The directories right in `dir`, by name.
    #[must_use]
    pub fn subdirs(&self, dir: DirId) -> Vec<(Box<[u8]>, DirId)> {
        let catalog = self.catalog.read();
        if catalog.dirs.get(dir).is_none() {
            return Vec::new();
        }
        let children = catalog.dirs.children(dir);
        let named = children.map(|id| (catalog.dirs.known(id).name.clone(), id));
        let mut named: Vec<_> = named.collect();
        drop(catalog);
        named.sort_unstable();
        named
    }

    /// Returns the sums over `root`; zero when it is not known.
    #[must_use]
    pub fn totals(&self, root: RootId) -> Totals {
        let catalog = self.catalog.read();
        catalog
            .roots
            .get(&root)
            .map_or(Totals::default(), |root| Totals {
                files: root.total.files(),
                bytes: root.total.bytes(),
                dirs: root.dirs,
            })
    }

    /// Returns the numbers of what lies directly in `root`; zero when it is not known.
    #[must_use]
    pub fn top(&self, root: RootId) -> Top {
        let catalog = self.catalog.read();
        let Some(state) = catalog.roots.get(&root) else {
            return Top::default();
        };
        Top {
            files: catalog.dirs.known(state.dir).files.into(),
            dirs: catalog.dirs.children(state.dir).count() as u64,
        }
    }

    /// The top-level directories of `root` that lapse as a whole, in order of their numbers.
    #[must_use]
    pub fn units(&self, root: RootId) -> Vec<(DirId, UnitState)> {
        let catalog = self.catalog.read();
        let units = catalog.units.iter();
        units
            .filter(|(dir, _)| catalog.dirs.known(**dir).root == root)
            .map(|(&dir, unit)| (dir, unit.state()))
            .collect()
    }

    /// Returns the unit `dir`; `None` when it does not lapse as a whole.
    #[must_use]
    pub fn unit(&self, dir: DirId) -> Option<UnitState> {
        self.catalog.read().units.get(&dir).map(Unit::state)
    }

    /// Number of accesses to directories, for tests that bound work.
    #[cfg(test)]
    pub(in crate::core) fn accesses(&self) -> u64 {
        let catalog = self.catalog.read();
        let accesses = &catalog.dirs.accesses;
        accesses.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Finds `name`, whose hash is `hash`, in `dir`.
    pub(super) fn locate(
        &self,
        catalog: &Catalog,
        dir: DirId,
        name: &[u8],
        hash: u64,
    ) -> Option<Located> {
        let pages = &catalog.dirs.get(dir)?.pages;
        let look = |id: PageId| {
            let page = self.pages.known(id);
            let at = page.place_of(name, hash)?;
            Some(Located { id, page, at })
        };
        let Some(names) = pages.names() else {
            return pages.ids().iter().copied().find_map(look);
        };
        let mut found = None;
        names.find(hash, |id| {
            found = look(id);
            found.is_some()
        });
        found
    }
}
