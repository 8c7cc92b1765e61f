//! Opening of the cache: it is opened, read, or set aside.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::db::{Batch, Db};
use super::error::{CacheError, Fault, failure};
use super::files::CacheFiles;
use super::handle::Unstarted;
use super::known;
use super::queue::Pending;
use super::records::{CLOCK_KEY, ClockRecord, RULES_KEY, RootRecord, Rules, json};
use super::stats::{CacheStats, Loaded, NUMBERED, number_of};
use super::value::{FORMAT, Tree};
use crate::clock;
use crate::core::clock_guard::{ClockGuard, Run};
use crate::core::engine::SavedState;
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId, Restored, Restorer};
use crate::core::policy::Policy;
use crate::core::report::SavedRoot;

/// Bound for the numbers of rules. The engine judges entries of other rules than those in force
/// anew.
const ANY_RULE: usize = 1 << 16;

/// Location and limits of the cache.
#[derive(Clone, Debug)]
pub struct Options {
    /// State directory, which this process has locked.
    pub state_dir: PathBuf,
    /// Size in bytes above which it is replaced by a smaller copy, if that is a fourth or less.
    pub size_max: u64,
}

/// Result of opening the cache.
pub struct Opened {
    /// The cache, which the caller starts once the parts that it calls back exist.
    pub cache: Unstarted,
    /// State of the roots that an earlier process saved.
    pub memory: SavedState,
    /// Its clock guard, and whether the machine has been running since.
    pub clock: Option<(ClockGuard, Run)>,
}

impl Opened {
    /// Takes it apart.
    #[must_use]
    pub fn into_parts(self) -> (Unstarted, SavedState, Option<(ClockGuard, Run)>) {
        (self.cache, self.memory, self.clock)
    }
}

/// Contents of a cache.
#[derive(Default)]
struct Read {
    memory: SavedState,
    clock: Option<(ClockGuard, Run)>,
    loaded: Loaded,
    /// Values that are damaged or unusable, to be written anew or removed.
    chores: Pending,
    /// Roots that are no longer configured.
    stale_roots: Vec<Vec<u8>>,
    /// Number of roots in it, configured or not.
    roots_found: usize,
}

/// Roots and rules that a cache is read for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    policy: &'a Policy,
    rules: &'a Rules,
}

/// Opens the cache, and reads it for the roots and rules of `policy`. A damaged cache is set aside
/// and replaced by an empty one; on a full disk there is none for now.
///
/// # Errors
/// When another process has it open, a newer version wrote it, or the operating system refuses
/// access.
pub fn open(options: &Options, policy: &Policy, rules: &Rules) -> Result<Opened, CacheError> {
    let files = CacheFiles::new(&options.state_dir);
    let path = files.cache();
    files
        .tidy()
        .map_err(|error| refused("tidy up beside", &path, error))?;
    let known = known::read(&files.known());
    let mut stats = CacheStats::default();
    let opening = files.begin_opening();
    let damaged = opening
        .is_suspect()
        .then(|| "the last starts ended while it was opened".to_owned());
    let wanted = Wanted { policy, rules };
    let opened = open_or_set_aside(&files, wanted, &known, damaged, &mut stats);
    opening.end();
    let (db, mut read) = opened?;
    remember_forgotten(&mut read.memory, policy, &known);
    stats.loaded = read.loaded;
    let mut chores = read.chores;
    let from_nothing = db.is_none();
    if from_nothing {
        chores.rules = Some(rules.clone());
    }
    let settled = read.memory.roots.iter().filter(|(_, root)| root.settled);
    Ok(Opened {
        cache: Unstarted {
            files,
            size_max: options.size_max,
            db,
            stats,
            chores,
            stale_roots: read.stale_roots,
            settled: settled.map(|(&id, _)| id).collect(),
            known,
            from_nothing,
        },
        memory: read.memory,
        clock: read.clock,
    })
}

/// Place at which [`peek`] opens the cache. sled cannot open a database without writing to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peek {
    /// In the state directory, whose lock the caller holds.
    InPlace,
    /// In a private copy that is removed afterwards, for a question that changes nothing.
    Copy,
}

/// Reads the saved state of the roots of `policy`, for a run without a daemon. Changes no value in
/// the cache. If the cache cannot be read, its contents count as lost.
#[must_use]
pub fn peek(
    state_dir: &Path,
    policy: &Policy,
    rules: &Rules,
    how: Peek,
) -> (SavedState, Option<(ClockGuard, Run)>) {
    let files = CacheFiles::new(state_dir);
    let known = known::read(&files.known());
    let mut found = Read::default();
    if files.is_taken() {
        let wanted = Wanted { policy, rules };
        let open_and_read = |path: &Path| {
            let db = Db::open(path)?;
            let found = read(&db, wanted, Change::Nothing);
            db.close();
            found
        };
        let read = match how {
            Peek::InPlace => open_and_read(&files.cache()),
            Peek::Copy => files
                .copy()
                .map_err(Fault::of_io)
                .and_then(|copy| open_and_read(copy.path())),
        };
        match read {
            Ok(read) => found = read,
            Err(error) => tracing::warn!(
                cache = %files.cache().display(), %error,
                "what was saved cannot be read; files count as changed when the directories around them were"
            ),
        }
    }
    remember_forgotten(&mut found.memory, policy, &known);
    (found.memory, found.clock)
}

fn refused(action: &'static str, path: &Path, error: std::io::Error) -> CacheError {
    CacheError::Refused {
        action,
        path: path.to_path_buf(),
        error,
    }
}

/// Opens and reads the cache. Sets it aside, once, if it is `damaged` or turns out to be.
fn open_or_set_aside(
    files: &CacheFiles,
    wanted: Wanted<'_>,
    known: &BTreeMap<Vec<u8>, SavedRoot>,
    damaged: Option<String>,
    stats: &mut CacheStats,
) -> Result<(Option<Db>, Read), CacheError> {
    let path = files.cache();
    let fault = match damaged {
        Some(why) => Fault::Damaged(why),
        None => match open_and_read(files, wanted, known) {
            Ok((db, read)) => return Ok((Some(db), read)),
            Err(fault) => fault,
        },
    };
    let fault = match fault {
        Fault::Damaged(why) => {
            if files.is_taken() {
                let to = files
                    .set_aside()
                    .map_err(|error| refused("set aside", &path, error))?;
                tracing::warn!(
                    cache = %path.display(), moved_to = %to.display(), error = why,
                    "the cache cannot be used and was set aside; the roots are read anew"
                );
                stats.set_aside = Some((to, why));
            }
            match open_and_read(files, wanted, &BTreeMap::new()) {
                Ok((db, read)) => return Ok((Some(db), read)),
                Err(fault) => fault,
            }
        }
        other => other,
    };
    match fault {
        Fault::Full => {
            stats.failing = Some(failure(&path, &fault.to_string()));
            Ok((None, Read::default()))
        }
        Fault::Newer(found) => Err(CacheError::Newer {
            path,
            found,
            known: FORMAT,
        }),
        Fault::InUse => Err(CacheError::InUse { path }),
        Fault::Refused(error) => Err(refused("open the cache", &path, error)),
        Fault::Damaged(why) => Err(refused("make the cache", &path, std::io::Error::other(why))),
        Fault::Stopped => unreachable!("nothing is stopped while it is opened"),
    }
}

fn open_and_read(
    files: &CacheFiles,
    wanted: Wanted<'_>,
    known: &BTreeMap<Vec<u8>, SavedRoot>,
) -> Result<(Db, Read), Fault> {
    let was_there = files.is_taken();
    if !was_there && !known.is_empty() {
        tracing::warn!(cache = %files.cache().display(), "the cache is gone; the roots are read anew");
    }
    let db = Db::open(&files.cache())?;
    let read = read(&db, wanted, Change::Rules)?;
    // A damaged database can come up sound and empty.
    if was_there && !known.is_empty() && read.roots_found == 0 {
        db.close();
        return Err(Fault::Damaged("what was saved in it is gone".to_owned()));
    }
    Ok((db, read))
}

/// Returns the known roots that the cache has lost. Everything in them is found anew, and a person
/// has to release what is due already.
fn remember_forgotten(
    memory: &mut SavedState,
    policy: &Policy,
    known: &BTreeMap<Vec<u8>, SavedRoot>,
) {
    for (&id, root) in &policy.roots {
        if let Some(&was) = known.get(root.path.as_os_str().as_bytes()) {
            let settled = false;
            memory
                .roots
                .entry(id)
                .or_insert(SavedRoot { settled, ..was });
        }
    }
}

/// Access of a reader to the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Saves the rules in force.
    Rules,
    /// Changes nothing.
    Nothing,
}

fn read(db: &Db, wanted: Wanted<'_>, change: Change) -> Result<Read, Fault> {
    let Wanted { policy, rules } = wanted;
    let begun = clock::now().boot;
    let mut read = Read::default();
    let written: Option<Rules> = record(db, RULES_KEY)?;
    let same = written.as_ref() == Some(rules);
    read.clock = record::<ClockRecord>(db, CLOCK_KEY)?.map(|record| {
        let same = record.run.is_some() && record.run == clock::machine_run();
        (record.guard, if same { Run::Same } else { Run::Other })
    });
    let mut roots = read_roots(db, policy, &mut read)?;
    if !same {
        for root in roots.values_mut() {
            *root = root.unsettled();
        }
        if change == Change::Rules {
            note_rules(db, policy, &roots, rules)?;
        }
    }
    let restorer = fill(db, &mut read.chores)?;
    let tops = roots
        .iter()
        .filter_map(|(&id, record)| Some((id, record.top()?)));
    let found: Restored = restorer.finish(&tops.collect());
    for (root, record) in roots {
        let is_known = found.index.dir_id(root, b"").is_some();
        let record = if is_known { record } else { record.unsettled() };
        read.memory.roots.insert(root, record.memory);
        let totals = found.index.totals(root);
        read.loaded.entries += totals.files;
        read.loaded.dirs += totals.dirs;
    }
    read.loaded.lost = found.lost;
    read.memory.index = found.index;
    read.memory.writer = found.writer;
    read.memory.units = found.units;
    let took = clock::now().boot.saturating_sub(begun);
    read.loaded.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Ok(read)
}

/// Reads a record of the cache as a whole; `None` if it is missing or damaged.
fn record<T: serde::de::DeserializeOwned>(db: &Db, key: &[u8]) -> Result<Option<T>, Fault> {
    let found = db.get(Tree::Meta, key)?;
    Ok(found.and_then(|text| serde_json::from_slice(&text).ok()))
}

fn read_roots(
    db: &Db,
    policy: &Policy,
    read: &mut Read,
) -> Result<BTreeMap<RootId, RootRecord>, Fault> {
    let by_path: BTreeMap<&[u8], RootId> = policy
        .roots
        .iter()
        .map(|(&id, root)| (root.path.as_os_str().as_bytes(), id))
        .collect();
    let mut roots = BTreeMap::new();
    db.each(Tree::Roots, |path, payload| {
        let record = payload.and_then(|text| serde_json::from_slice(text).ok());
        read.roots_found += usize::from(record.is_some());
        match by_path.get(path).copied().zip(record) {
            Some((id, record)) => drop(roots.insert(id, record)),
            None => read.stale_roots.push(path.to_vec()),
        }
    })?;
    Ok(roots)
}

/// Marks all roots as not yet judged by these rules, and then saves the rules.
fn note_rules(
    db: &Db,
    policy: &Policy,
    roots: &BTreeMap<RootId, RootRecord>,
    rules: &Rules,
) -> Result<(), Fault> {
    let mut batch = Batch::new(Tree::Roots);
    for (root, record) in roots {
        let path = policy.roots[root].path.as_os_str().as_bytes();
        batch.set(path, Some(&json(record)));
    }
    db.apply(batch)?;
    let mut batch = Batch::new(Tree::Meta);
    batch.set(RULES_KEY, Some(&json(rules)));
    db.apply(batch)?;
    db.flush()
}

/// Passes all numbered values to the restorer, and collects those that it cannot use.
fn fill(db: &Db, chores: &mut Pending) -> Result<Restorer, Fault> {
    let mut restorer = Restorer::default();
    for tree in NUMBERED {
        db.each(tree, |key, payload| {
            let Some(id) = number_of(key) else { return };
            let payload = payload.unwrap_or_default();
            let (used, noted) = match tree {
                Tree::Dirs => (restorer.dir(DirId(id), payload), &mut chores.unsaved.dirs),
                Tree::Stamps => (restorer.stamp(DirId(id), payload), &mut chores.unsaved.dirs),
                Tree::Pages | Tree::Meta | Tree::Roots => {
                    if !restorer.page(PageId(id), payload, ANY_RULE) {
                        chores.unsaved.pages.insert(PageId(id));
                    }
                    return;
                }
            };
            if !used {
                noted.insert(DirId(id));
            }
        })?;
    }
    Ok(restorer)
}
