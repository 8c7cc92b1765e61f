//! The whole index against the naive model, after every step of random walks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::catalog::Limits;
use super::model_test::{Model, Path, Step, any_step, any_time, is_within, join, name};
use super::{DirId, Index, PageId, Record, RemoveOutcome, Totals, Writer};
use crate::core::facts::{Facts, FileKey, Kind, RootId, RuleId};
use crate::core::path::RelPath;
use crate::core::policy::Class;
use crate::core::time::{FileTime, Timestamp};

/// So small that a few names already fill, merge and index pages.
pub(super) const LIMITS: Limits = Limits {
    page_entries: 8,
    searched_pages: 2,
};
/// The index under test beside its model.
pub(super) struct Walk {
    pub(super) index: Arc<Index>,
    pub(super) writer: Writer,
    pub(super) model: Model,
}

impl Walk {
    pub(super) fn new() -> Self {
        let (index, writer) = Index::with_limits(LIMITS);
        let model = Model::default();
        Self {
            index,
            writer,
            model,
        }
    }

    fn dir_id(&self, dir: &Path) -> DirId {
        self.index
            .dir_id(dir.0, &dir.1)
            .expect("a directory of the model")
    }

    fn with_dir(&mut self, number: usize, then: impl FnOnce(&mut Self, DirId, Path)) {
        if let Some(dir) = self.model.pick(number) {
            let id = self.dir_id(&dir);
            then(self, id, dir);
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Ensure(root, path) => {
                let path = RelPath::parse(path.as_bytes()).unwrap();
                let id = self.writer.ensure_dir(RootId(root), &path);
                assert_eq!(self.index.dir_path(id), Some((RootId(root), path.clone())));
                let mut at = Some(path);
                while let Some(path) = at {
                    self.model
                        .dirs
                        .insert((RootId(root), path.as_bytes().to_vec()));
                    at = path.split().map(|(parent, _)| parent);
                }
            }
            Step::Upsert(dir, number, record) => self.with_dir(dir, |walk, id, (root, path)| {
                let file = (root, join(&path, &name(number)));
                walk.writer.upsert(id, &name(number), record);
                walk.model.files.insert(file, record);
            }),
            Step::UpsertMany(dir, entries) => self.with_dir(dir, |walk, id, path| {
                walk.upsert_many(id, &path, &entries);
            }),
            Step::Remove(dir, number) => self.with_dir(dir, |walk, id, (root, path)| {
                let file = (root, join(&path, &name(number)));
                let removed = walk.writer.remove(id, &name(number));
                assert_eq!(removed, walk.model.files.remove(&file));
            }),
            Step::RemoveMany(dir, numbers, modulus) => self.with_dir(dir, |walk, id, dir| {
                walk.remove_many(id, &dir, numbers, modulus);
            }),
            Step::Retain(dir, modulus) => self.with_dir(dir, |walk, id, path| {
                let keep = |name: &[u8]| name.last().is_none_or(|last| last % modulus != 0);
                let gone: BTreeMap<_, _> =
                    walk.writer.retain_names(id, &keep).into_iter().collect();
                let expected = walk.model.in_dir(&path).filter(|(name, _)| !keep(name));
                let expected: BTreeMap<_, _> =
                    expected.map(|(name, r)| (name.into(), *r)).collect();
                assert_eq!(gone, expected);
                for name in expected.keys() {
                    walk.model.files.remove(&(path.0, join(&path.1, name)));
                }
            }),
            Step::Reclass(page, by) => self.reclass(page, by),
            Step::Look(dir, at) => self.with_dir(dir, |walk, id, _| walk.look(id, at)),
            Step::Drop(dir) => self.with_dir(dir, |walk, id, dir| walk.drop_dir(id, &dir)),
            Step::DropRoot(root) => {
                self.writer.drop_root(RootId(root));
                self.model.drop_dir(&(RootId(root), Vec::new()));
            }
            Step::Move(dir, to, name) => self.with_dir(dir, |walk, id, dir| {
                let to = walk.model.pick(to).unwrap();
                let name = [b'a' + name];
                let moved = walk.writer.move_dir(id, walk.dir_id(&to), &name).is_some();
                assert_eq!(moved, walk.model.move_dir(&dir, &to, &name));
            }),
            Step::Unit(dir, unit) => self.with_dir(dir, |walk, id, dir| {
                walk.writer.set_unit(id, unit);
                match unit.filter(|_| Model::is_top(&dir)) {
                    Some(unit) => walk.model.units.insert(dir, unit),
                    None => walk.model.units.remove(&dir),
                };
            }),
        }
    }

    fn upsert_many(&mut self, id: DirId, dir: &Path, entries: &[(u8, Record)]) {
        let before: BTreeMap<_, _> = self.index.snapshot_of(id).into_iter().collect();
        let entries: Vec<_> = entries.iter().map(|(n, r)| (name(*n), *r)).collect();
        let named = entries.iter().map(|(name, record)| (&name[..], *record));
        self.writer.take_touched();
        self.writer.upsert_many(id, named);
        let touched: Vec<PageId> = self.writer.take_touched().into_iter().collect();
        for (name, record) in entries {
            self.model
                .files
                .insert((dir.0, join(&dir.1, &name)), record);
        }
        let after = self.index.snapshot_of(id);
        let differ =
            |(id, page): &&(_, _)| before.get(id).is_none_or(|old| !Arc::ptr_eq(old, page));
        let mut changed: Vec<_> = after.iter().filter(differ).map(|(id, _)| *id).collect();
        changed.sort_unstable();
        assert_eq!(
            touched, changed,
            "all that changed is told, and nothing else"
        );
    }

    fn remove_many(&mut self, id: DirId, dir: &Path, numbers: Vec<u8>, modulus: u64) {
        let names: Vec<Vec<u8>> = numbers.into_iter().map(name).collect();
        let is_meant = |which: usize, record: &Record| {
            let sum = record.size.wrapping_add(which as u64);
            !sum.is_multiple_of(modulus)
        };
        let before: BTreeMap<_, _> = self.index.snapshot_of(id).into_iter().collect();
        let outcomes = self
            .writer
            .remove_many(id, names.iter().map(|name| &name[..]), is_meant);
        assert_eq!(outcomes.len(), names.len());
        let mut done = BTreeSet::new();
        for (which, (name, outcome)) in names.into_iter().zip(outcomes).enumerate() {
            let path = (dir.0, join(&dir.1, &name));
            let known = self.model.files.get(&path).copied();
            match known.filter(|_| done.insert(name.clone())) {
                None => assert_eq!(outcome, RemoveOutcome::Absent),
                Some(record) if is_meant(which, &record) => {
                    assert_eq!(outcome, RemoveOutcome::Removed(record));
                    self.model.files.remove(&path);
                }
                Some(record) => {
                    let mut pages = before.iter();
                    let page = pages.find(|(_, page)| page.find(&name).is_some());
                    assert_eq!(outcome, RemoveOutcome::Kept(*page.unwrap().0, record));
                }
            }
        }
    }

    fn reclass(&mut self, number: usize, by: i64) {
        let pages = self.index.pages();
        let Some(&page) = number.checked_rem(pages.len()).and_then(|at| pages.get(at)) else {
            return;
        };
        let (root, dir) = self
            .index
            .dir_path(self.index.page(page).unwrap().dir())
            .unwrap();
        let files = &mut self.model.files;
        self.writer.reclass(page, &mut |name, record| {
            let class = if by % 2 == 0 {
                record.class
            } else {
                Class::File(RuleId(7))
            };
            let basis = record.basis.plus_ms(by % 100_000);
            let after = Record {
                basis,
                class,
                ..record
            };
            let before = files.insert((root, join(dir.as_bytes(), name)), after);
            assert_eq!(before, Some(record));
            after
        });
    }

    fn look(&mut self, id: DirId, secs: i64) {
        let nanos = 1;
        let at = |secs: i64| FileTime { secs, nanos };
        let time = |by: i64| at(secs.wrapping_add(by));
        let facts = Facts {
            kind: Kind::Dir,
            key: FileKey { dev: 1, ino: 2 },
            nlink: 1,
            size: 0,
            blocks: 8,
            mtime: time(0),
            ctime: time(1),
            btime: (secs % 2 == 0).then(|| time(-1)),
        };
        self.writer.set_dir(id, &facts);
        let kept = self.index.dir(id).unwrap().facts;
        assert_eq!(
            (kept.key, kept.mtime(), kept.ctime()),
            (facts.key, facts.mtime, facts.ctime)
        );
        assert_eq!((kept.btime(), kept.latest()), (facts.btime, facts.latest()));
    }

    fn drop_dir(&mut self, id: DirId, dir: &Path) {
        let sizes = |model: &Model| (model.files.len() as u64, model.dirs.len() as u64);
        let (files, dirs) = sizes(&self.model);
        let pages = self.index.pages();
        let subtree = self.index.subtree(id);
        let dropped = self.writer.drop_dir(id);
        self.model.drop_dir(dir);
        let left = sizes(&self.model);
        assert_eq!(
            (dropped.files, dropped.dirs.len() as u64),
            (files - left.0, dirs - left.1)
        );
        assert_eq!(dropped.dirs, subtree);
        let left = self.index.pages();
        let gone: Vec<_> = pages.into_iter().filter(|id| !left.contains(id)).collect();
        assert_eq!(dropped.pages, gone);
    }

    pub(super) fn check(&self, now: Timestamp) {
        self.check_pages(now);
        self.check_dirs();
        self.check_usage();
        self.check_forecast(now);
        self.check_forecast(Timestamp::from_unix_ms(now.unix_ms() | 0xffff));
        let firsts = self
            .index
            .snapshot()
            .into_iter()
            .filter_map(|(_, page)| page.min_deadline());
        for first in firsts.take(3) {
            self.check_forecast(first);
            self.check_forecast(first.plus_ms(-1));
        }
    }

    fn check_pages(&self, now: Timestamp) {
        let mut seen = BTreeMap::new();
        let snapshot = self.index.snapshot();
        let ids: Vec<_> = snapshot.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, self.index.pages());
        for (id, page) in &snapshot {
            assert!(page.len() <= LIMITS.page_entries);
            assert!(self.index.pages_of(page.dir()).contains(id));
            let (root, dir) = self.index.dir_path(page.dir()).unwrap();
            let deadlines = page.entries().filter_map(|(_, record)| record.deadline());
            assert_eq!(page.min_deadline(), deadlines.min());
            let is_due = |record: &Record| record.deadline().is_some_and(|at| at <= now);
            let due: Vec<_> = page
                .entries()
                .filter(|(_, record)| is_due(record))
                .collect();
            assert_eq!(page.due(now).collect::<Vec<_>>(), due);
            for (name, record) in page.entries() {
                assert_eq!(page.find(name), Some(record));
                let path = (root, join(dir.as_bytes(), name));
                assert_eq!(seen.insert(path, record), None, "an entry twice");
            }
        }
        assert_eq!(seen, self.model.files);
        for ((root, path), record) in &self.model.files {
            let (dir, found) = self.index.find(*root, path).expect("an entry of the model");
            assert_eq!(found, *record);
            let name = path.rsplit(|&b| b == b'/').next().unwrap();
            assert_eq!(self.index.find_in(dir, name).map(|(_, r)| r), Some(found));
            assert_eq!(self.index.find(*root, &join(path, b"x")), None);
        }
    }

    fn check_dirs(&self) {
        let mut totals: BTreeMap<RootId, (Totals, u128)> = BTreeMap::new();
        for dir in &self.model.dirs {
            totals.entry(dir.0).or_default().0.dirs += 1;
            let id = self.dir_id(dir);
            let known = self.index.dir(id).unwrap();
            assert_eq!(known.files as usize, self.model.in_dir(dir).count());
            if Model::is_top(dir) {
                let files = self.model.files.keys();
                let beneath = files.filter(|file| file.0 == dir.0 && is_within(&file.1, &dir.1));
                assert_eq!(known.files_beneath as usize, beneath.count());
            }
            let path = self.index.dir_path(id).unwrap();
            assert_eq!((path.0, path.1.as_bytes()), (dir.0, &dir.1[..]));
            let subdirs = self.model.dirs.iter().filter(|(root, path)| {
                *root == dir.0
                    && path != &dir.1
                    && is_within(path, &dir.1)
                    && !path[dir.1.len()..].iter().skip(1).any(|&b| b == b'/')
            });
            let subdirs: Vec<_> = subdirs.map(|dir| self.dir_id(dir)).collect();
            let told: Vec<_> = self
                .index
                .subdirs(id)
                .into_iter()
                .map(|(_, id)| id)
                .collect();
            assert_eq!(told, subdirs);
        }
        for ((root, _), record) in &self.model.files {
            let (totals, bytes) = totals.get_mut(root).unwrap();
            totals.files += 1;
            *bytes += u128::from(record.size);
        }
        for root in [0, 1].map(RootId) {
            let (mut expected, bytes) = totals.get(&root).copied().unwrap_or_default();
            expected.bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            assert_eq!(self.index.totals(root), expected);
            let units = self
                .model
                .unit_states()
                .into_iter()
                .filter(|(path, _)| path.0 == root);
            let units: BTreeMap<_, _> = units
                .map(|(path, unit)| (self.dir_id(&path), unit))
                .collect();
            assert_eq!(
                self.index
                    .units(root)
                    .into_iter()
                    .collect::<BTreeMap<_, _>>(),
                units
            );
        }
    }

    fn check_usage(&self) {
        let mut expected: BTreeMap<_, (u64, u128)> = BTreeMap::new();
        for ((root, _), record) in &self.model.files {
            let (files, bytes) = expected.entry((*root, record.class.rule())).or_default();
            *files += 1;
            *bytes += u128::from(record.size);
        }
        let capped = |sum| u64::try_from(sum).unwrap_or(u64::MAX);
        let expected = expected.into_iter();
        let expected = expected.map(|(of, (files, sum))| (of, (files, capped(sum))));
        let found = self.index.usage_by_rule();
        let found = found
            .iter()
            .map(|of| ((of.root, of.rule), (of.files, of.bytes)));
        assert!(found.eq(expected));
    }

    fn check_forecast(&self, until: Timestamp) {
        let mut expected: BTreeMap<_, (u64, u64, u64)> = BTreeMap::new();
        for ((root, _), record) in &self.model.files {
            if let (Class::File(rule), Some(at)) = (record.class, record.deadline())
                && at <= until
            {
                let sum = expected.entry((*root, rule)).or_default();
                *sum = (sum.0 + 1, sum.1.saturating_add(record.size), sum.2);
            }
        }
        for ((root, _), unit) in self.model.unit_states() {
            if unit.deadline.is_some_and(|at| at <= until) {
                let sum = expected.entry((root, unit.rule)).or_default();
                *sum = (
                    sum.0 + unit.files,
                    sum.1.saturating_add(unit.bytes),
                    sum.2 + 1,
                );
            }
        }
        assert_eq!(
            self.index.has_deadlines(),
            !self.index.forecast(None, Timestamp::MAX).is_empty()
        );
        for root in [None, Some(RootId(0)), Some(RootId(1))] {
            let found = self.index.forecast(root, until).into_iter();
            let found: BTreeMap<_, _> = found
                .map(|f| ((f.root, f.rule), (f.files, f.bytes, f.units)))
                .collect();
            let mut expected = expected.clone();
            expected.retain(|(of, _), _| root.is_none_or(|root| root == *of));
            assert_eq!(found, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_index_says_what_a_naive_model_says(
        steps in prop::collection::vec((any_step(), any_time()), 1..60),
    ) {
        let mut walk = Walk::new();
        walk.step(Step::Ensure(0, "a/b".into()));
        for (step, now) in steps {
            walk.step(step);
            walk.check(now);
        }
        for root in [0, 1] {
            walk.step(Step::DropRoot(root));
        }
        walk.check(Timestamp::MAX);
        prop_assert!(walk.index.snapshot().is_empty(), "no page is left");
    }
}

#[test]
fn a_deep_tree_is_looked_up_in_linear_time() {
    const DEPTH: u64 = 2_000;
    let (index, mut writer) = Index::new();
    let lookups = || {
        let catalog = index.catalog.read();
        catalog
            .dirs
            .lookups
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let mut path = RelPath::root();
    writer.ensure_dir(RootId(0), &path);
    for _ in 0..DEPTH {
        path = path.join(b"d");
        let made = writer.ensure_dir(RootId(0), &path);
        for _ in 0..3 {
            assert_eq!(index.dir_id(RootId(0), path.as_bytes()), Some(made));
        }
    }
    assert!(lookups() <= 4 * DEPTH, "{}", lookups());
    // A path that leads elsewhere is looked up anew.
    let top = index.dir_id(RootId(0), b"d").unwrap();
    let root = index.dir_id(RootId(0), b"").unwrap();
    assert!(index.dir_id(RootId(0), path.as_bytes()).is_some());
    assert!(writer.move_dir(top, root, b"e").is_some());
    assert_eq!(index.dir_id(RootId(0), path.as_bytes()), None);
    let moved = RelPath::parse(&[b"e", &path.as_bytes()[1..]].concat()).unwrap();
    assert!(index.dir_id(RootId(0), moved.as_bytes()).is_some());
    writer.drop_root(RootId(0));
    assert_eq!(index.dir_id(RootId(0), moved.as_bytes()), None);
}
