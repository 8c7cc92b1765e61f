//! Database (sled). Its failures are values: errors, and also the panics that some damaged files
//! cause.
//!
//! **Invariant:** a panic of the database ends only the call that it occurred in, and always counts
//! as damage.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::error::Fault;
use super::value::{FORMAT, Tree, frame, unframe};

/// sled's page cache, in bytes: values are read once and written seldom, so it need not hold them
/// all.
const CACHE_BYTES: u64 = 16 << 20;

/// Maximum time to open the database. A sound one of ten million files is open within seconds.
const OPEN_MAX: Duration = Duration::from_mins(1);

/// Key of the format's number.
pub(super) const FORMAT_KEY: &[u8] = b"format";

/// Open database.
pub(super) struct Db {
    db: sled::Db,
    trees: [sled::Tree; Tree::ALL.len()],
}

/// Changes to a tree that are applied together.
pub(super) struct Batch {
    pub(super) tree: Tree,
    changes: sled::Batch,
    /// Number of keys.
    pub(super) len: usize,
}

impl Batch {
    pub(super) fn new(tree: Tree) -> Self {
        Self {
            tree,
            changes: sled::Batch::default(),
            len: 0,
        }
    }

    /// Sets the value of `key` to `payload`; `None` removes it.
    pub(super) fn set(&mut self, key: &[u8], payload: Option<&[u8]>) {
        self.len += 1;
        match payload {
            Some(payload) => self.changes.insert(key, frame(self.tree, key, payload)),
            None => self.changes.remove(key),
        }
    }
}

impl Db {
    /// Opens the database in the directory `path`, which is created if it is missing.
    ///
    /// # Errors
    /// See [`Fault`]. A database of an older format counts as damaged.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let (sender, opened) = channel();
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        // On a thread of its own: a damaged file can make sled loop for ever.
        std::thread::Builder::new()
            .name("cache-open".to_owned())
            .spawn(move || {
                let _ = sender.send(guarded(|| Self::open_now(&config)));
            })
            .map_err(Fault::of_io)?;
        match opened.recv_timeout(OPEN_MAX) {
            Ok(opened) => opened,
            Err(RecvTimeoutError::Timeout) => {
                Err(Fault::Damaged("opening it comes to no end".to_owned()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Fault::Damaged("opening it failed".to_owned()))
            }
        }
    }

    fn open_now(config: &sled::Config) -> Result<Self, Fault> {
        let db = config.open()?;
        let trees = Tree::ALL.map(|tree| db.open_tree(tree.name()));
        let [meta, roots, dirs, pages, stamps] = trees;
        let this = Self {
            trees: [meta?, roots?, dirs?, pages?, stamps?],
            db,
        };
        let found = this.tree(Tree::Meta).get(FORMAT_KEY)?;
        let is_new = found.is_none() && this.trees.iter().all(sled::Tree::is_empty);
        if is_new {
            let format = FORMAT.to_string();
            let value = frame(Tree::Meta, FORMAT_KEY, format.as_bytes());
            this.tree(Tree::Meta).insert(FORMAT_KEY, value)?;
            this.db.flush()?;
            return Ok(this);
        }
        let found = found
            .as_ref()
            .and_then(|value| unframe(Tree::Meta, FORMAT_KEY, value))
            .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        match found {
            Some(FORMAT) => Ok(this),
            Some(newer) if newer > FORMAT => Err(Fault::Newer(newer)),
            Some(older) => Err(Fault::Damaged(format!("it is of the old format {older}"))),
            None => Err(Fault::Damaged("its format cannot be read".to_owned())),
        }
    }

    /// Returns the value of `key`; `None` if it is missing or damaged.
    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        guarded(|| {
            let value = self.tree(tree).get(key)?;
            let payload = value.as_ref().and_then(|value| unframe(tree, key, value));
            Ok(payload.map(<[u8]>::to_vec))
        })
    }

    /// Calls `each` with every key of `tree` and its value, `None` for a damaged one.
    pub(super) fn each(
        &self,
        tree: Tree,
        mut each: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<(), Fault> {
        guarded(|| {
            for entry in self.tree(tree) {
                let (key, value) = entry?;
                each(&key, unframe(tree, &key, &value));
            }
            Ok(())
        })
    }

    /// Applies a batch atomically. It is on disk after the next [`Db::flush`] at the latest.
    pub(super) fn apply(&self, batch: Batch) -> Result<(), Fault> {
        if batch.len == 0 {
            return Ok(());
        }
        guarded(|| Ok(self.tree(batch.tree).apply_batch(batch.changes)?))
    }

    /// Waits until all applied changes are on disk.
    pub(super) fn flush(&self) -> Result<(), Fault> {
        guarded(|| {
            self.db.flush()?;
            Ok(())
        })
    }

    /// Removes everything except for the format.
    pub(super) fn clear(&self) -> Result<(), Fault> {
        guarded(|| {
            for tree in Tree::ALL {
                self.tree(tree).clear()?;
            }
            let format = FORMAT.to_string();
            let value = frame(Tree::Meta, FORMAT_KEY, format.as_bytes());
            self.tree(Tree::Meta).insert(FORMAT_KEY, value)?;
            self.db.flush()?;
            Ok(())
        })
    }

    /// Returns the size on disk, in bytes.
    pub(super) fn size_bytes(&self) -> Result<u64, Fault> {
        guarded(|| Ok(self.db.size_on_disk()?))
    }

    /// Closes it. Changes that were not flushed are written if possible.
    pub(super) fn close(self) {
        let closed = guarded(|| {
            drop(self);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "the cache did not close well");
        }
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        match tree {
            Tree::Meta => &self.trees[0],
            Tree::Roots => &self.trees[1],
            Tree::Dirs => &self.trees[2],
            Tree::Pages => &self.trees[3],
            Tree::Stamps => &self.trees[4],
        }
    }
}

thread_local! {
    /// True while the caller of this thread handles panics.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls into the database. A panic counts as damage.
fn guarded<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    quiet_panics();
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(false);
    result.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let what = what.unwrap_or("without words").lines().next();
        let what = what.unwrap_or_default().trim();
        Err(Fault::Damaged(format!("the database failed: {what}")))
    })
}

/// Suppresses the message and backtrace of panics that [`guarded`] returns as errors.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let of_sled = std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("sled-io"));
            if GUARDED.get() || of_sled {
                tracing::debug!("in the cache's database: {panic}");
            } else {
                usual(panic);
            }
        }));
    });
}
