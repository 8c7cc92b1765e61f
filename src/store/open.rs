//! The store at the start: opened, read, or set aside.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::db::{Batch, Db};
use super::error::{Fault, StoreError};
use super::handle::Unstarted;
use super::inbox::Pending;
use super::place::Places;
use super::records::{CLOCK_KEY, ClockRecord, RULES_KEY, RootRecord, Rules};
use super::save::json;
use super::stats::{Loaded, NUMBERED, StoreStats, number_of};
use super::value::{FORMAT, Tree};
use crate::clock;
use crate::core::clock_guard::{ClockGuard, Run};
use crate::core::engine::Memory;
use crate::core::facts::RootId;
use crate::core::index::{DirId, PageId, Restored, Restorer};
use crate::core::policy::Policy;
use crate::core::report::RootMemory;

/// Any rule's number: pages of other rules are made anew before they count.
const ANY_RULE: usize = 1 << 16;

/// Where the store is, and how large it may get.
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
    pub store: Unstarted,
    /// What an earlier process knew of the roots.
    pub memory: Memory,
    /// What it knew of the clock, and whether the machine has been running since.
    pub clock: Option<(ClockGuard, Run)>,
}

/// What is read of a store.
#[derive(Default)]
struct Read {
    memory: Memory,
    clock: Option<(ClockGuard, Run)>,
    loaded: Loaded,
    /// What could not be believed, to be written anew or removed.
    chores: Pending,
    /// Roots that are none any more.
    stale_roots: Vec<Vec<u8>>,
}

/// Opens the store, and reads it for the roots and rules of `policy`. A store that is damaged is set aside, and an empty one
/// takes its place; on a full disk there is none for now.
///
/// # Errors
/// When another process has it, a newer version wrote it, or the operating system refuses.
pub fn open(options: &Options, policy: &Policy, rules: &Rules) -> Result<Opened, StoreError> {
    let places = Places::new(&options.state_dir);
    let path = places.store();
    let refused = |action, path: &Path, source| StoreError::Refused {
        action,
        path: path.to_path_buf(),
        source,
    };
    places
        .tidy()
        .map_err(|error| refused("tidy up beside", &path, error))?;
    let mut stats = StoreStats::default();
    let mut damage = places
        .begin_opening()
        .then(|| "the last starts ended while it was opened".to_owned());
    let mut tries = 0;
    let (db, read) = loop {
        if let Some(why) = damage.take()
            && path.exists()
        {
            let to = places
                .set_aside()
                .map_err(|error| refused("set aside", &path, error))?;
            tracing::warn!(
                store = %path.display(), moved_to = %to.display(), error = why,
                "the store cannot be used and was set aside; the roots are read anew"
            );
            stats.set_aside = Some((to, why));
        }
        tries += 1;
        let opened = Db::open(&path).and_then(|db| {
            let read = read(&db, policy, rules)?;
            Ok((db, read))
        });
        match opened {
            Ok((db, read)) => break (Some(db), read),
            Err(Fault::Full(error)) => {
                stats.failing = Some(failure(&path, &error.to_string()));
                break (None, Read::default());
            }
            Err(Fault::Newer(found)) => {
                places.end_opening();
                let known = FORMAT;
                return Err(StoreError::Newer { path, found, known });
            }
            Err(Fault::InUse) => {
                places.end_opening();
                return Err(StoreError::InUse { path });
            }
            Err(Fault::Refused(source)) => {
                places.end_opening();
                return Err(refused("open the store", &path, source));
            }
            Err(Fault::Damaged(why)) if tries == 1 => damage = Some(why),
            Err(Fault::Damaged(why)) => {
                return Err(refused("make the store", &path, std::io::Error::other(why)));
            }
        }
    };
    places.end_opening();
    stats.loaded = read.loaded;
    let mut chores = read.chores;
    let from_nothing = db.is_none();
    if from_nothing {
        chores.rules = Some(rules.clone());
    }
    Ok(Opened {
        store: Unstarted {
            places,
            size_max: options.size_max,
            db,
            stats,
            chores,
            stale_roots: read.stale_roots,
            from_nothing,
        },
        memory: read.memory,
        clock: read.clock,
    })
}

/// What to tell people when the store at `path` cannot be written.
pub(super) fn failure(path: &Path, why: &str) -> String {
    format!(
        "cannot write the store \"{}\": {why}\nmake room for it, or see that the service may write there; it is tried again by itself",
        path.display()
    )
}

fn read(db: &Db, policy: &Policy, rules: &Rules) -> Result<Read, Fault> {
    let begun = clock::now().boot;
    let mut read = Read::default();
    let written: Option<Rules> = record(db, RULES_KEY)?;
    let same = written.as_ref() == Some(rules);
    read.clock = record::<ClockRecord>(db, CLOCK_KEY)?.map(|record| {
        let same = record.run.is_some() && record.run == clock::machine_run();
        (record.guard, if same { Run::Same } else { Run::Other })
    });
    let mut roots = read_roots(db, policy, &mut read.stale_roots)?;
    if !same {
        for root in roots.values_mut() {
            *root = root.unsettled();
        }
        note_rules(db, policy, &roots, rules)?;
    }
    let rules_max = if same { policy.rules.len() } else { ANY_RULE };
    let restorer = fill(db, rules_max, &mut read.chores)?;
    let tops = roots.iter().map(|(&id, record)| (id, record.top()));
    let found: Restored = restorer.finish(&tops.collect());
    let known = |root: &RootId| found.index.dir_id(*root, b"").is_some();
    let memories: BTreeMap<RootId, RootMemory> = roots
        .into_iter()
        .filter(|(root, _)| known(root))
        .map(|(root, record)| (root, record.memory))
        .collect();
    let totals = memories.keys().map(|&root| found.index.totals(root));
    for totals in totals {
        read.loaded.entries += totals.files;
        read.loaded.dirs += totals.dirs;
    }
    read.loaded.lost = found.lost;
    read.memory = Memory {
        index: found.index,
        writer: found.writer,
        units: found.units,
        roots: memories,
        since: (!same).then(|| written.map_or(Vec::new(), |rules| rules.since())),
    };
    let took = clock::now().boot.saturating_sub(begun);
    read.loaded.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Ok(read)
}

/// A record of the store as a whole; `None` when there is none that can be read.
fn record<T: serde::de::DeserializeOwned>(db: &Db, key: &[u8]) -> Result<Option<T>, Fault> {
    let found = db.get(Tree::Meta, key)?;
    Ok(found.and_then(|text| serde_json::from_slice(&text).ok()))
}

fn read_roots(
    db: &Db,
    policy: &Policy,
    stale: &mut Vec<Vec<u8>>,
) -> Result<BTreeMap<RootId, RootRecord>, Fault> {
    let by_path: BTreeMap<&[u8], RootId> = policy
        .roots
        .iter()
        .map(|(&id, root)| (root.path.as_os_str().as_bytes(), id))
        .collect();
    let mut roots = BTreeMap::new();
    db.each(Tree::Roots, |path, payload| {
        let record = payload.and_then(|text| serde_json::from_slice(text).ok());
        match by_path.get(path).copied().zip(record) {
            Some((id, record)) => drop(roots.insert(id, record)),
            None => stale.push(path.to_vec()),
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
fn fill(db: &Db, rules_max: usize, chores: &mut Pending) -> Result<Restorer, Fault> {
    let mut restorer = Restorer::default();
    for tree in NUMBERED {
        db.each(tree, |key, payload| {
            let Some(id) = number_of(key) else { return };
            let payload = payload.unwrap_or_default();
            let (used, noted) = match tree {
                Tree::Dirs => (restorer.dir(DirId(id), payload), &mut chores.unsaved.dirs),
                Tree::Stamps => (restorer.stamp(DirId(id), payload), &mut chores.unsaved.dirs),
                Tree::Pages | Tree::Meta | Tree::Roots => {
                    if !restorer.page(PageId(id), payload, rules_max) {
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
