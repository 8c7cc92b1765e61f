//! A model that observations are applied to, a walk to compare it with, and a watcher that feeds
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::BACKEND;
use super::open_files::await_closed;
use crate::common::machine::{Deadline, assert_watches, has_namespaces, this_test};
use crate::core::facts::{Facts, FileKey, Kind, RootId};
use crate::core::observed::{Discovery, Observed};
use crate::core::path::RelPath;
use crate::fs::QUARANTINE;
use crate::watch::{Options, Report, Sink, WatchRoot, Watcher};

/// Time between two looks at whether waiting on is vain.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Identity of a file and its state: device, inode, size, mtime in seconds and nanoseconds.
pub type State = (FileKey, u64, i64, u32);

/// Model of one root.
#[derive(Debug, Default, Clone)]
pub struct RootModel {
    pub key: Option<FileKey>,
    pub files: BTreeMap<RelPath, State>,
    pub dirs: BTreeSet<RelPath>,
    pub unreadable: BTreeSet<RelPath>,
    pub found: usize,
    pub lost: usize,
    pub lost_why: String,
    pub doubted: usize,
    pub unreachable: usize,
    pub reconciled: usize,
    pub moved: usize,
    pub crawled: usize,
    pub listed: usize,
}

/// Model of all roots.
#[derive(Debug, Default)]
pub struct Model {
    pub roots: BTreeMap<RootId, RootModel>,
    pub synced: BTreeSet<u64>,
    pub log: Vec<Observed>,
}

impl Model {
    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each kind of observation"
    )]
    fn apply(&mut self, observed: Observed) {
        self.log.push(observed.clone());
        match observed {
            Observed::Listing {
                root,
                dir,
                facts,
                files,
                dirs,
                discovery,
                coverage: _,
            } => {
                let model = self.roots.entry(root).or_default();
                assert_eq!(facts.kind, Kind::Dir);
                model.unreadable.remove(&dir);
                model.listed += 1;
                model.crawled += usize::from(discovery == Discovery::Crawl);
                if !dir.is_root() {
                    model.dirs.insert(dir.clone());
                }
                let names: BTreeSet<_> = dirs.iter().map(|(name, _)| dir.join(name)).collect();
                let in_dir = |path: &RelPath| path.split().is_some_and(|(up, _)| up == dir);
                for path in files_in(&model.files, &dir) {
                    if in_dir(&path) {
                        model.files.remove(&path);
                    }
                }
                for path in dirs_in(&model.dirs, &dir) {
                    if in_dir(&path) && !names.contains(&path) {
                        model.remove(&path);
                    }
                }
                model.dirs.extend(names);
                for (name, facts) in files {
                    model.insert(&dir, &name, &facts);
                }
            }
            Observed::Looks {
                root,
                dir,
                facts,
                names,
            } => {
                let model = self.roots.entry(root).or_default();
                assert_eq!(facts.kind, Kind::Dir);
                for (name, seen) in names {
                    let path = dir.join(&name);
                    match seen {
                        None => model.remove(&path),
                        Some(facts) if facts.kind == Kind::File => {
                            model.remove(&path);
                            model.insert(&dir, &name, &facts);
                        }
                        Some(facts) => {
                            assert_eq!(facts.kind, Kind::Dir, "{path:?}");
                            model.files.remove(&path);
                            model.dirs.insert(path);
                        }
                    }
                }
            }
            Observed::Unreadable { root, dir, .. } => {
                self.roots.entry(root).or_default().unreadable.insert(dir);
            }
            Observed::Gone { root, dir } => {
                assert!(!dir.is_root());
                self.roots.entry(root).or_default().remove(&dir);
            }
            Observed::Moved { root, from, to } => {
                let model = self.roots.entry(root).or_default();
                model.moved += 1;
                model.remove(&to);
                let to = |path: &RelPath| {
                    let tail = &path.as_bytes()[from.as_bytes().len()..];
                    RelPath::parse(&[to.as_bytes(), tail].concat()).unwrap()
                };
                for path in files_in(&model.files, &from) {
                    let state = model.files.remove(&path).unwrap();
                    model.files.insert(to(&path), state);
                }
                for path in dirs_in(&model.dirs, &from) {
                    model.dirs.remove(&path);
                    model.dirs.insert(to(&path));
                }
            }
            Observed::RootFound { root, key } => {
                let model = self.roots.entry(root).or_default();
                model.found += 1;
                model.key = Some(key);
                model.files.clear();
                model.dirs.clear();
            }
            Observed::RootLost { root, why, .. } => {
                let model = self.roots.entry(root).or_default();
                // What is known of its place may change while it is away: that is told, too.
                if model.key.is_some() || model.lost_why != why {
                    model.lost += 1;
                }
                model.lost_why = why;
                model.key = None;
                model.files.clear();
                model.dirs.clear();
            }
            Observed::RootUnreachable { root, .. } => {
                self.roots.entry(root).or_default().unreachable += 1;
            }
            Observed::Doubted { root, .. } => self.roots.entry(root).or_default().doubted += 1,
            Observed::Reconciled { root, .. } => {
                self.roots.entry(root).or_default().reconciled += 1;
            }
        }
    }
}

impl RootModel {
    fn insert(&mut self, dir: &RelPath, name: &[u8], facts: &Facts) {
        assert_eq!(facts.kind, Kind::File);
        assert!(self.key.is_some(), "a file in a root that is not there");
        assert!(
            !dir.join(name)
                .is_within(&RelPath::parse(QUARANTINE).unwrap())
        );
        let state = (facts.key, facts.size, facts.mtime.secs, facts.mtime.nanos);
        self.files.insert(dir.join(name), state);
    }

    fn remove(&mut self, path: &RelPath) {
        for other in files_in(&self.files, path) {
            self.files.remove(&other);
        }
        for other in dirs_in(&self.dirs, path) {
            self.dirs.remove(&other);
        }
        self.unreadable.retain(|other| !other.is_within(path));
    }

    /// The paths of the files, lossy.
    pub fn paths(&self) -> Vec<String> {
        self.files.keys().map(ToString::to_string).collect()
    }
}

/// Bounds of what is beneath `top`: in the order of bytes, all that begins with "top/" is before
/// "top0".
fn beneath(top: &RelPath) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    if top.is_root() {
        return (Bound::Unbounded, Bound::Unbounded);
    }
    let (from, to) = (
        [top.as_bytes(), b"/"].concat(),
        [top.as_bytes(), b"0"].concat(),
    );
    (Bound::Included(from), Bound::Excluded(to))
}

/// Those of `files` that are `top` or beneath it.
fn files_in(files: &BTreeMap<RelPath, State>, top: &RelPath) -> Vec<RelPath> {
    let (from, to) = beneath(top);
    let range = (
        from.as_ref().map(Vec::as_slice),
        to.as_ref().map(Vec::as_slice),
    );
    let inside = files
        .range::<[u8], _>(range)
        .chain(files.get_key_value(top));
    inside.map(|(path, _)| path.clone()).collect()
}

/// Those of `dirs` that are `top` or beneath it.
fn dirs_in(dirs: &BTreeSet<RelPath>, top: &RelPath) -> Vec<RelPath> {
    let (from, to) = beneath(top);
    let range = (
        from.as_ref().map(Vec::as_slice),
        to.as_ref().map(Vec::as_slice),
    );
    let inside = dirs.range::<[u8], _>(range).chain(dirs.get(top));
    inside.cloned().collect()
}

/// Everything beneath `root`, found without the code under test. Other file systems are not
/// entered.
pub fn walk(root: &Path) -> (BTreeMap<RelPath, State>, BTreeSet<RelPath>) {
    let (mut files, mut dirs) = (BTreeMap::new(), BTreeSet::new());
    let dev = std::fs::symlink_metadata(root).unwrap().dev();
    let mut stack = vec![RelPath::root()];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(dir.below(root)).unwrap() {
            let entry = entry.unwrap();
            let path = dir.join(entry.file_name().as_bytes());
            let meta = entry.metadata().unwrap();
            if path.as_bytes() == QUARANTINE || meta.dev() != dev {
                continue;
            }
            if meta.is_dir() {
                dirs.insert(path.clone());
                stack.push(path);
            } else if meta.is_file() {
                let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
                let key = FileKey {
                    dev: u64::from(major) << 32 | u64::from(minor),
                    ino: meta.ino(),
                };
                let nanos = u32::try_from(meta.mtime_nsec()).unwrap();
                files.insert(path, (key, meta.size(), meta.mtime(), nanos));
            }
        }
    }
    (files, dirs)
}

/// The model, and word of its changes.
#[derive(Default)]
pub struct Shared {
    pub model: Mutex<Model>,
    changed: Condvar,
    /// Held by tests to keep the sink from taking anything.
    pub gate: Mutex<()>,
}

impl Shared {
    pub fn sink(self: &Arc<Self>) -> Sink {
        let shared = Arc::clone(self);
        Arc::new(move |report| {
            let _open = shared.gate.lock();
            let mut model = shared.model.lock();
            match report {
                Report::Observed(all) => all.into_iter().for_each(|one| model.apply(one)),
                Report::Synced(token) => assert!(model.synced.insert(token)),
            }
            shared.changed.notify_all();
        })
    }

    /// Waits until the model is so.
    pub fn wait(&self, what: &str, mut so: impl FnMut(&Model) -> bool) {
        let mut model = self.model.lock();
        let deadline = Deadline::new();
        while self
            .changed
            .wait_while_for(&mut model, |model| !so(model), LOOK_EVERY)
            .timed_out()
        {
            assert!(
                !deadline.is_over(),
                "waited in vain for {what}: {:#?}",
                model.roots
            );
        }
    }
}

/// A watcher, its model, and a directory for roots.
pub struct Bench {
    pub scratch: tempfile::TempDir,
    pub shared: Arc<Shared>,
    pub watcher: Option<Watcher>,
    pub token: u64,
}

pub fn rel(path: &str) -> RelPath {
    RelPath::parse(path.as_bytes()).unwrap()
}

impl Bench {
    /// Nothing watched yet.
    pub fn new() -> Self {
        Self {
            scratch: tempfile::tempdir().unwrap(),
            shared: Arc::default(),
            watcher: None,
            token: 0,
        }
    }

    /// Watches the directories of these names beneath the scratch directory, made before when they
    /// are missing.
    pub fn watching(names: &[&str]) -> Self {
        let mut bench = Self::new();
        for name in names {
            std::fs::create_dir_all(bench.path(name)).unwrap();
        }
        let options = bench.options(names);
        bench.start(options);
        bench
    }

    pub fn options(&self, names: &[&str]) -> Options {
        Options {
            roots: (0..)
                .zip(names)
                .map(|(id, name)| self.root(id, name))
                .collect(),
            backend: BACKEND,
            reconcile_rest: Duration::from_millis(20),
            ..Options::default()
        }
    }

    pub fn root(&self, id: u16, name: &str) -> WatchRoot {
        WatchRoot {
            only: None,
            id: RootId(id),
            path: self.path(name),
            nested: Vec::new(),
        }
    }

    #[track_caller]
    pub fn start(&mut self, options: Options) {
        assert_watches();
        self.watcher = Some(Watcher::start(options, self.shared.sink()).unwrap());
        self.sync();
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.scratch.path().canonicalize().unwrap().join(path)
    }

    pub fn watcher(&self) -> &Watcher {
        self.watcher.as_ref().unwrap()
    }

    /// Passes a barrier.
    pub fn sync(&mut self) {
        self.token += 1;
        let token = self.token;
        self.watcher().sync(token);
        self.shared
            .wait("a barrier", |model| model.synced.contains(&token));
    }

    /// Model of a root, after a barrier.
    pub fn synced(&mut self, id: u16) -> RootModel {
        self.sync();
        self.model(id)
    }

    /// Model of a root.
    pub fn model(&self, id: u16) -> RootModel {
        let model = self.shared.model.lock();
        model.roots.get(&RootId(id)).cloned().unwrap_or_default()
    }

    /// After a barrier, the model of the root `id` is what a walk of `name` finds.
    #[track_caller]
    pub fn assert_agrees(&mut self, id: u16, name: &str) -> RootModel {
        await_closed(&self.path(name));
        let model = self.synced(id);
        let (files, dirs) = walk(&self.path(name));
        if model.files != files || model.dirs != dirs {
            let missing: Vec<_> = files
                .iter()
                .filter(|&(p, s)| model.files.get(p) != Some(s))
                .collect();
            let extra: Vec<_> = model
                .files
                .iter()
                .filter(|&(p, s)| files.get(p) != Some(s))
                .collect();
            let missing_dirs: Vec<_> = dirs.difference(&model.dirs).collect();
            let extra_dirs: Vec<_> = model.dirs.difference(&dirs).collect();
            let log = self.shared.model.lock();
            let tail: Vec<_> = log.log.iter().rev().take(12).collect();
            panic!(
                "missing {missing:?}\nextra {extra:?}\nmissing dirs {missing_dirs:?}\nextra dirs {extra_dirs:?}\nlast {tail:#?}"
            );
        }
        assert!(self.watcher().stats().alive);
        model
    }
}

/// Returns true when the calling test, `test`, is in namespaces of its own. Else it runs it there.
#[track_caller]
pub fn unshared(namespaces: &[&str], test: &str) -> bool {
    assert!(this_test().ends_with(test));
    has_namespaces(namespaces)
}

/// Gives up the right to read whatever one likes, for this thread and those that it starts.
pub fn obey_modes() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).unwrap();
    let all = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    sets.effective.remove(all);
    sets.permitted.remove(all);
    set_capabilities(None, sets).unwrap();
}
