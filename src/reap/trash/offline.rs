//! The trash of a root without a daemon, a registry or a ledger.
//!
//! What is restored is noted beside it: the next start of a daemon, or of a run that removes, pins
//! and records it before it claims anything in the root.
//!
//! **Invariant:** nothing is changed while another process has the quarantine locked.
//! **Invariant:** nothing is deleted here: windows are ended, and the next start deletes what is
//! past them in the usual way.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::restore::{Order, Restorer};
use super::store::{ReadError, TrashDir, TrashName};
use crate::clock;
use crate::core::facts::RootId;
use crate::core::trash::{PINNED_FOR, RestoreOrder, Restored, TrashFilter, TrashPage};
use crate::fs::quarantine::{self, LockError, QuarantineError};
use crate::fs::{Dir, FsError, RootDir};
use crate::ledger::LineTrash;

/// Number of things that are restored together: they share a sync of their notes.
const TOGETHER_MAX: usize = 256;

/// Reasons that a page tells.
const UNREADABLE_MAX: usize = 100;

/// Reason for which a trash cannot be used without a daemon.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The root or its trash cannot be read.
    #[error("{0}")]
    Fs(FsError),
    /// Its quarantine is not ours.
    #[error("{0}")]
    Untrusted(QuarantineError),
    /// Another process has it locked.
    #[error("{} is in use by {}\n  ask that one (lapsed undo, lapsed trash), or stop it first", path.display(), holder(*pid))]
    InUse {
        /// The quarantine.
        path: PathBuf,
        /// The process, if it is visible.
        pid: Option<u32>,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process, in another container perhaps".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl From<FsError> for OfflineError {
    fn from(error: FsError) -> Self {
        Self::Fs(error)
    }
}

/// The trash of one root, open without a daemon.
#[derive(Debug)]
pub struct OfflineTrash {
    root: RootDir,
    /// Locked, if something may be changed.
    _quarantine: Option<Dir>,
    /// `None`: there is no trash.
    dir: Option<TrashDir>,
}

impl OfflineTrash {
    /// Opens the trash of the root at `path`, which has no symbolic link in it, to read.
    ///
    /// # Errors
    /// When the root or its quarantine cannot be read or trusted.
    pub fn open_to_read(path: &Path) -> Result<Self, OfflineError> {
        let root = RootDir::open(path)?;
        let found = quarantine::find(&root).map_err(OfflineError::Untrusted)?;
        let dir = match &found {
            Some(quarantine) => TrashDir::find(quarantine)?,
            None => None,
        };
        Ok(Self {
            root,
            _quarantine: None,
            dir,
        })
    }

    /// Opens the trash of the root at `path` to change it, and locks its quarantine.
    ///
    /// # Errors
    /// As [`OfflineTrash::open_to_read`]; when another process has it locked.
    pub fn open(path: &Path) -> Result<Self, OfflineError> {
        let root = RootDir::open(path)?;
        let found = quarantine::find(&root).map_err(OfflineError::Untrusted)?;
        let dir = match &found {
            Some(quarantine) => {
                quarantine::lock(&root, quarantine).map_err(|error| match error {
                    LockError::Refused(error) => OfflineError::Untrusted(error),
                    LockError::InUse(pid) => OfflineError::InUse {
                        path: quarantine.path().to_path_buf(),
                        pid,
                    },
                })?;
                TrashDir::find(quarantine)?
            }
            None => None,
        };
        Ok(Self {
            root,
            _quarantine: found,
            dir,
        })
    }

    /// Returns the things that `filter` means, newest first, from behind the number `after` on: at
    /// most `limit`. The filter's root does not count.
    ///
    /// # Errors
    /// When the trash cannot be listed.
    pub fn page(
        &self,
        filter: &TrashFilter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<TrashPage, OfflineError> {
        let mut page = TrashPage::default();
        let Some(dir) = &self.dir else {
            return Ok(page);
        };
        let ids = ids(dir)?;
        let ids = ids.range(..after.unwrap_or(u64::MAX)).rev();
        for &id in ids {
            if page.items.len() == limit {
                page.next = page.items.last().map(|item| (item.what.id, RootId(0)));
                return Ok(page);
            }
            match meant(dir, filter, id) {
                Ok(Some(manifest)) => page.items.push(manifest.item()),
                Err(error) if page.unreadable.len() < UNREADABLE_MAX => {
                    page.unreadable.push(format!("{id}: {error}"));
                }
                Ok(None) | Err(_) => {}
            }
        }
        Ok(page)
    }

    /// Brings things back, and notes it for the next start. What cannot be noted stays.
    ///
    /// # Errors
    /// When a thing is not in the trash: then nothing was moved.
    pub fn restore(&self, order: &RestoreOrder) -> Result<Vec<Restored>, String> {
        let known = match &self.dir {
            Some(dir) => ids(dir).map_err(|error| error.to_string())?,
            None => BTreeSet::new(),
        };
        if let Some(id) = order.ids.difference(&known).next() {
            return Err(format!("there is no {id} in the trash"));
        }
        let Some(dir) = &self.dir else {
            return Ok(Vec::new());
        };
        let at = clock::now().wall;
        let how = Order {
            beside: order.beside,
            by: order.by.clone(),
            at,
            until: at.after(order.pinned_for.unwrap_or(PINNED_FOR)),
        };
        let mut restorer = Restorer::new(&self.root, dir, &how);
        let ids: Vec<u64> = order.ids.iter().copied().collect();
        let mut done = Vec::with_capacity(ids.len());
        for some in ids.chunks(TOGETHER_MAX) {
            let mut plans = Vec::with_capacity(some.len());
            for &id in some {
                plans.push(restorer.plan(id)?);
            }
            restorer
                .write_notes(&plans, true)
                .map_err(|error| error.to_string())?;
            for plan in &mut plans {
                restorer.bring_back(plan);
                restorer.end(plan, true);
            }
            done.extend(plans.into_iter().map(|plan| plan.result));
        }
        restorer.finish();
        Ok(done)
    }

    /// Ends the windows of the things that `filter` means: the next start deletes them. Returns
    /// their number.
    ///
    /// # Errors
    /// When the trash cannot be listed, or a manifest not be written.
    pub fn end_windows(&self, filter: &TrashFilter) -> Result<u64, OfflineError> {
        let Some(dir) = &self.dir else {
            return Ok(0);
        };
        let mut ended = 0;
        for id in ids(dir)? {
            let Ok(Some(mut manifest)) = meant(dir, filter, id) else {
                continue;
            };
            let until = manifest.line.at;
            let trash = manifest.line.trash;
            manifest.line.trash = trash.map(|trash| LineTrash { until, ..trash });
            dir.write(&manifest)?;
            ended += 1;
        }
        dir.sync_file_system()?;
        Ok(ended)
    }
}

fn ids(dir: &TrashDir) -> Result<BTreeSet<u64>, FsError> {
    let mut ids = BTreeSet::new();
    dir.list(|name, _| {
        if let TrashName::Manifest(id) = TrashName::of(name) {
            ids.insert(id);
        }
    })?;
    Ok(ids)
}

/// Returns the manifest of the thing `id` if the filter means it.
fn meant(dir: &TrashDir, filter: &TrashFilter, id: u64) -> Result<Option<Manifest>, ReadError> {
    if filter.ids.as_ref().is_some_and(|ids| !ids.contains(&id)) {
        return Ok(None);
    }
    let of_any_root = TrashFilter {
        root: None,
        ..filter.clone()
    };
    let is_meant = |manifest: &Manifest| {
        let paths: Vec<PathBuf> = manifest
            .parts
            .iter()
            .map(|part| manifest.full(part))
            .collect();
        of_any_root.takes(RootId(0), &manifest.row())
            && of_any_root.takes_path(paths.iter().map(PathBuf::as_path))
    };
    Ok(dir.read(id)?.filter(is_meant))
}
