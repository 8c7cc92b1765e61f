//! The read side.
//!
//! **Invariant:** a reader holds a lock only inside one call, and never while it unpacks more than one page; no guard leaves.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::catalog::{Catalog, Limits};
use super::directories::DirFacts;
use super::forecast::{Forecast, Key, minute_of, span_of};
use super::hash::name_hash;
use super::memory::MemoryUse;
use super::page::Page;
use super::record::{DirId, PageId, Record};
use super::store::Pages;
use super::tally::Tally;
use super::unit::{Unit, UnitState};
use super::writer::Writer;
use crate::core::facts::{RootId, RuleId};
use crate::core::path::RelPath;
use crate::core::time::Timestamp;

/// Hours that [`Index::forecast_hours`] tells at most: a year. More would not fit on anybody's screen.
const HOURS_MAX: usize = 366 * 24;

/// What is known of every file and directory, for any number of readers.
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
    /// The directory that it lies in; `None` for a root's own.
    pub parent: Option<DirId>,
    /// What the last look told.
    pub facts: DirFacts,
    /// Entries right in it.
    pub files: u32,
}

/// What a root holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Entries.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
    /// Directories, the root's own included.
    pub dirs: u64,
}

/// Where a name stands.
pub(super) struct Located {
    pub(super) id: PageId,
    pub(super) page: Arc<Page>,
    pub(super) at: usize,
}

impl Index {
    /// An empty index, and its writer.
    #[must_use]
    pub fn new() -> (Arc<Self>, Writer) {
        Self::with_limits(Limits::DEFAULT)
    }

    pub(super) fn with_limits(limits: Limits) -> (Arc<Self>, Writer) {
        let index = Arc::new(Self {
            catalog: RwLock::default(),
            pages: Pages::new(),
            limits,
        });
        (Arc::clone(&index), Writer::of(index))
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
        let mut names: Vec<&[u8]> = names.filter(|name| !name.is_empty()).collect();
        names.reverse();
        Some((root, RelPath::parse(&names.join(&b'/'))?))
    }

    /// What is known of `dir`.
    #[must_use]
    pub fn dir(&self, dir: DirId) -> Option<Dir> {
        let catalog = self.catalog.read();
        let node = catalog.dirs.get(dir)?;
        Some(Dir {
            root: node.root,
            parent: node.parent(),
            facts: node.facts(),
            files: node.files,
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
        let catalog = self.catalog.read();
        let found = self.locate(&catalog, dir, name, name_hash(dir.0, name))?;
        drop(catalog);
        Some((found.id, found.page.record(found.at)))
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

    /// The numbers of all pages, ascending. A page may have gone, changed or merged with another when it is asked for:
    /// who needs every entry exactly once takes a [`Index::snapshot`].
    #[must_use]
    pub fn pages(&self) -> Vec<PageId> {
        self.catalog.read().summaries.ids().collect()
    }

    /// The page with the number `page`, as it is now.
    #[must_use]
    pub fn page(&self, page: PageId) -> Option<Arc<Page>> {
        self.pages.get(page)
    }

    /// All pages as they are at one instant, in order of their numbers: every entry exactly once. Cheap to take (a count
    /// of readers each); pages that change while it is held are kept twice.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(PageId, Arc<Page>)> {
        let catalog = self.catalog.read();
        let ids = catalog.summaries.ids();
        ids.map(|id| (id, self.pages.known(id))).collect()
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

    /// What `root` holds; nothing when it is not known.
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

    /// How `dir` lapses as a whole, if it does.
    #[must_use]
    pub fn unit(&self, dir: DirId) -> Option<UnitState> {
        self.catalog.read().units.get(&dir).map(Unit::state)
    }

    /// What lapses until `until` (included), by root and rule: entries by their own deadlines, and units with all that
    /// goes with them. Exact, as of one instant during the call.
    ///
    /// Whole minutes are summed already. Only for the minute that `until` lies in, the pages that may have a deadline in
    /// it are looked through, by their deadlines' columns first.
    #[must_use]
    pub fn forecast(&self, until: Timestamp) -> Vec<Forecast> {
        let until_ms = until.unix_ms();
        let minute = minute_of(until_ms);
        let (from, to) = span_of(minute);
        let mut sums: BTreeMap<Key, (Tally, u64)> = BTreeMap::new();
        let mut cut = Vec::new();
        {
            let catalog = self.catalog.read();
            let mut is_cut = false;
            for (key, before, within) in catalog.histogram.until(minute) {
                let sum = &mut sums.entry(key).or_default().0;
                *sum += before;
                if until_ms == to {
                    *sum += within;
                } else {
                    is_cut |= !within.is_empty();
                }
            }
            for (dir, unit) in &catalog.units {
                if unit.deadline().is_some_and(|at| at <= until) {
                    let key = (catalog.dirs.known(*dir).root, unit.rule.rule);
                    let sum = sums.entry(key).or_default();
                    sum.0 += unit.tally;
                    sum.1 += 1;
                }
            }
            if is_cut {
                let overlapping = catalog.summaries.overlapping(from, until_ms, minute);
                cut.extend(
                    overlapping
                        .map(|(page, dir)| (catalog.dirs.known(dir).root, self.pages.known(page))),
                );
            }
        }
        for (root, page) in cut {
            for (rule, size) in page.between(from, until_ms) {
                sums.entry((root, rule)).or_default().0.add(size);
            }
        }
        let told = sums.into_iter();
        told.filter(|(_, (tally, units))| !tally.is_empty() || *units > 0)
            .map(|((root, rule), (tally, units))| Forecast {
                root,
                rule,
                files: tally.files(),
                bytes: tally.bytes(),
                units,
            })
            .collect()
    }

    /// Files and bytes that lapse in each of `hours` hours (a year's at most) from `from`, units with all that goes with
    /// them included. Hours are counted in minutes from the minute that `from` lies in, and all that is overdue counts
    /// in the first. Only what lapses by a rule that is `wanted`.
    #[must_use]
    pub fn forecast_hours(
        &self,
        from: Timestamp,
        hours: usize,
        wanted: &dyn Fn(RuleId) -> bool,
    ) -> Vec<(u64, u64)> {
        let start = minute_of(from.unix_ms());
        let mut sums = vec![Tally::default(); hours.min(HOURS_MAX)];
        let end = (0..sums.len()).fold(start, |end, _| end + 60);
        let hour_of = |minute: i64| usize::try_from((minute - start) / 60).unwrap_or(0);
        if sums.is_empty() {
            return Vec::new();
        }
        let catalog = self.catalog.read();
        for ((_, rule), before, _) in catalog.histogram.until(start + 60) {
            if wanted(rule) {
                sums[0] += before;
            }
        }
        for ((_, rule), minute, tally) in catalog.histogram.between(start + 59, end) {
            if wanted(rule) {
                sums[hour_of(minute)] += tally;
            }
        }
        let units = catalog.units.values();
        for unit in units.filter(|unit| wanted(unit.rule.rule)) {
            let minute = unit.deadline().map(|at| minute_of(at.unix_ms()));
            if let Some(minute) = minute.filter(|&minute| minute < end) {
                sums[hour_of(minute)] += unit.tally;
            }
        }
        drop(catalog);
        sums.iter().map(|sum| (sum.files(), sum.bytes())).collect()
    }

    /// How often any directory was looked at, for tests that bound work.
    #[cfg(test)]
    pub(in crate::core) fn accesses(&self) -> u64 {
        let catalog = self.catalog.read();
        let accesses = &catalog.dirs.accesses;
        accesses.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Memory that the index takes, by what for: computed.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        self.catalog.read().memory(&self.pages)
    }

    /// Where `name`, whose hash is `hash`, stands in `dir`.
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
