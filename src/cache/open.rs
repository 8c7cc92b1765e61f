//! The cache at the start: opened, read, or set aside.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::db::{Batch, Db};
use super::error::{CacheError, Fault};
use super::handle::Unstarted;
use super::inbox::Pending;
use super::known;
use super::place::Places;
use super::records::{CLOCK_KEY, ClockRecord, RULES_KEY, RootRecord, Rules};
use super::save::json;
use super::stats::{CacheStats, Loaded, NUMBERED, number_of};
use super::value::{FORMAT, Tree};
use crate::clock;
use crate::core::clock_guard::{ClockGuard, Run};
use crate::core::engine::Memory;
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId, Restored, Restorer};
use crate::core::policy::Policy;
use crate::core::report::RootMemory;

/// Any rule's number: what is of other rules than those in force is for the engine to make anew.
const ANY_RULE: usize = 1 << 16;

/// Where the cache is, and how large it may get.
#[derive(Clone, Debug)]
pub struct Options {
    /// The state directory: this process' alone.
    pub state_dir: PathBuf,
    /// Past this many bytes on disk it is replaced by a smaller copy, when that is a fourth or less.
    pub size_max: u64,
}

/// What there was.
pub struct Opened {
    /// To be started once the parts that it speaks with are there.
    pub cache: Unstarted,
    /// What an earlier process knew of the roots.
    pub memory: Memory,
    /// What it knew of the clock, and whether the machine has been running since.
    pub clock: Option<(ClockGuard, Run)>,
}

/// What is read of a cache.
#[derive(Default)]
struct Read {
    memory: Memory,
    clock: Option<(ClockGuard, Run)>,
    loaded: Loaded,
    /// What could not be believed, to be written anew or removed.
    chores: Pending,
    /// Roots that are none any more.
    stale_roots: Vec<Vec<u8>>,
    /// Roots in it, of whatever paths.
    roots_found: usize,
}

/// What a cache is read for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    policy: &'a Policy,
    rules: &'a Rules,
}

/// Opens the cache, and reads it for the roots and rules of `policy`. A cache that is damaged is set aside, and an empty one
/// takes its place; on a full disk there is none for now.
///
/// # Errors
/// When another process has it, a newer version wrote it, or the operating system refuses.
pub fn open(options: &Options, policy: &Policy, rules: &Rules) -> Result<Opened, CacheError> {
    let places = Places::new(&options.state_dir);
    let path = places.cache();
    places
        .tidy()
        .map_err(|error| refused("tidy up beside", &path, error))?;
    let known = known::read(&places.known());
    let mut stats = CacheStats::default();
    let opening = places.begin_opening();
    let damaged = opening
        .is_suspect()
        .then(|| "the last starts ended while it was opened".to_owned());
    let wanted = Wanted { policy, rules };
    let opened = open_or_set_aside(&places, wanted, &known, damaged, &mut stats);
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
            places,
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

/// Where [`peek`] opens the cache. sled cannot open a database without writing to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peek {
    /// In the state directory, whose lock the caller holds.
    InPlace,
    /// In a private copy that is removed again, for a question that changes nothing.
    Copy,
}

/// Reads what earlier processes saved of the roots of `policy`, for a run without a daemon. No value in the cache changes.
/// Where the cache cannot be read, what was known counts as lost.
#[must_use]
pub fn peek(
    state_dir: &Path,
    policy: &Policy,
    rules: &Rules,
    how: Peek,
) -> (Memory, Option<(ClockGuard, Run)>) {
    let places = Places::new(state_dir);
    let known = known::read(&places.known());
    let mut found = Read::default();
    if places.is_taken() {
        let wanted = Wanted { policy, rules };
        let open_and_read = |path: &Path| {
            let db = Db::open(path)?;
            let found = read(&db, wanted, Change::Nothing);
            db.close();
            found
        };
        let read = match how {
            Peek::InPlace => open_and_read(&places.cache()),
            Peek::Copy => places
                .copy()
                .map_err(Fault::of_io)
                .and_then(|copy| open_and_read(copy.path())),
        };
        match read {
            Ok(read) => found = read,
            Err(error) => tracing::warn!(
                cache = %places.cache().display(), %error,
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

/// Opens and reads the cache; one that is `damaged`, or turns out to be, is set aside once.
fn open_or_set_aside(
    places: &Places,
    wanted: Wanted<'_>,
    known: &BTreeMap<Vec<u8>, RootMemory>,
    damaged: Option<String>,
    stats: &mut CacheStats,
) -> Result<(Option<Db>, Read), CacheError> {
    let path = places.cache();
    let fault = match damaged {
        Some(why) => Fault::Damaged(why),
        None => match open_and_read(places, wanted, known) {
            Ok((db, read)) => return Ok((Some(db), read)),
            Err(fault) => fault,
        },
    };
    let fault = match fault {
        Fault::Damaged(why) => {
            if places.is_taken() {
                let to = places
                    .set_aside()
                    .map_err(|error| refused("set aside", &path, error))?;
                tracing::warn!(
                    cache = %path.display(), moved_to = %to.display(), error = why,
                    "the cache cannot be used and was set aside; the roots are read anew"
                );
                stats.set_aside = Some((to, why));
            }
            match open_and_read(places, wanted, &BTreeMap::new()) {
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
    places: &Places,
    wanted: Wanted<'_>,
    known: &BTreeMap<Vec<u8>, RootMemory>,
) -> Result<(Db, Read), Fault> {
    let was_there = places.is_taken();
    if !was_there && !known.is_empty() {
        tracing::warn!(cache = %places.cache().display(), "the cache is gone; the roots are read anew");
    }
    let db = Db::open(&places.cache())?;
    let read = read(&db, wanted, Change::Rules)?;
    // A damaged file can come up sound and empty.
    if was_there && !known.is_empty() && read.roots_found == 0 {
        db.close();
        return Err(Fault::Damaged("what was saved in it is gone".to_owned()));
    }
    Ok((db, read))
}

/// Roots that were known, and that the cache knows nothing of: everything in them is found anew, and what is due already is for a
/// person.
fn remember_forgotten(memory: &mut Memory, policy: &Policy, known: &BTreeMap<Vec<u8>, RootMemory>) {
    for (&id, root) in &policy.roots {
        if let Some(&was) = known.get(root.path.as_os_str().as_bytes()) {
            let settled = false;
            memory
                .roots
                .entry(id)
                .or_insert(RootMemory { settled, ..was });
        }
    }
}

/// What to tell people when the cache at `path` cannot be written.
pub(super) fn failure(path: &Path, why: &str) -> String {
    format!(
        "cannot write the cache \"{}\": {why}\nmake room for it, or see that the service may write there; it is tried again by itself",
        path.display()
    )
}

/// Whether reading a cache may change it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Other rules are noted.
    Rules,
    /// It stays as it is.
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

/// A record of the cache as a whole; `None` when there is none that can be read.
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

/// Notes that nothing of the roots was judged by these rules yet, and then that these are the rules.
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

/// Hands everything that is numbered to a restorer. What it cannot use is noted.
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
