//! Locks of the quarantines.
//!
//! A quarantine is locked, and put in order, before anything is moved into it; the lock lasts until
//! its root is away or the process ends. So a second process on the same root removes nothing, and
//! takes nothing for a crash's leftovers that the first one is at work on.
//!
//! **Invariant:** nothing is moved into, out of, or removed from a quarantine that is not locked.
//! **Invariant:** a root under two names of this process has one lock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::context::Lane;
use super::intent::QuarantineId;
use super::location::RootLocation;
use super::origin::{self, DISPLACED};
use super::quarantine_locks::WhenMissing;
use super::recover;
use super::sweep::RETRY_MIN;
use super::trash::store::TRASH;
use crate::core::facts::{Kind, RootId};
use crate::core::hold::Hold;
use crate::fs::quarantine::{self, LockError};
use crate::fs::{Dir, FsError, QUARANTINE, RootDir};

impl Lane {
    /// Returns the quarantine of the root at `place`, locked and in order; makes it where there is
    /// none.
    ///
    /// # Errors
    /// The hold of every removal in the root.
    pub(super) fn quarantine(
        &self,
        id: RootId,
        place: &RootLocation,
        root: &RootDir,
    ) -> Result<(Arc<Dir>, QuarantineId), Hold> {
        let locked = self.find_quarantine(id, place, root, WhenMissing::Make)?;
        locked.ok_or_else(|| Hold::NoQuarantine {
            error: "the quarantine vanished; it is tried again by itself".to_owned(),
        })
    }

    /// As [`Lane::quarantine`]; `None` where there is none and it is left so.
    pub(super) fn find_quarantine(
        &self,
        id: RootId,
        place: &RootLocation,
        root: &RootDir,
        when_missing: WhenMissing,
    ) -> Result<Option<(Arc<Dir>, QuarantineId)>, Hold> {
        if let Some(locked) = self.locked_quarantine(id, place, root)? {
            return Ok(Some(locked));
        }
        let turn = self.quarantines.turn(place.key);
        let _turn = turn.lock();
        let found = quarantine::find(root).map_err(|error| untrusted(&error))?;
        let (dir, is_new) = match (found, when_missing) {
            (Some(dir), _) => (dir, false),
            (None, WhenMissing::Make) => {
                let dir = quarantine::make(root).map_err(|error| untrusted(&error))?;
                (dir, true)
            }
            (None, WhenMissing::Leave) => return Ok(None),
        };
        // Another thread may have locked it meanwhile.
        if let Some(locked) = self.locked_quarantine(id, place, root)? {
            return Ok(Some(locked));
        }
        quarantine::lock(root, &dir).map_err(|error| unlocked(error, &dir))?;
        let facts = dir.facts().map_err(|error| unreadable(&error))?;
        let dir = Arc::new(dir);
        if !is_new {
            recover::settle(self, id, place, (root, &dir), RETRY_MIN)?;
        }
        self.quarantines.insert(facts.key, &dir);
        self.keep_locked(id, place, &dir);
        Ok(Some((dir, QuarantineId::of(&facts))))
    }

    /// Returns the quarantine of the root at `place` if this process has it locked already. Every
    /// round asks: this takes two system calls.
    fn locked_quarantine(
        &self,
        id: RootId,
        place: &RootLocation,
        root: &RootDir,
    ) -> Result<Option<(Arc<Dir>, QuarantineId)>, Hold> {
        let found = root.top().look(QUARANTINE).ok().flatten();
        let found = found.filter(|facts| facts.kind == Kind::Dir);
        let locked = found.and_then(|facts| Some((facts, self.quarantines.get(facts.key)?)));
        let Some((facts, locked)) = locked else {
            return Ok(None);
        };
        quarantine::check_private(root, &locked).map_err(|error| untrusted(&error))?;
        self.keep_locked(id, place, &locked);
        Ok(Some((locked, QuarantineId::of(&facts))))
    }

    /// Keeps the lock for as long as the root is at `place`; not when it is elsewhere by now.
    fn keep_locked(&self, id: RootId, place: &RootLocation, quarantine: &Arc<Dir>) {
        let mut places = self.places.lock();
        if let Some(placed) = places.get_mut(&id).filter(|root| root.place == *place) {
            placed.quarantine = Some(Arc::clone(quarantine));
        }
    }
}

fn untrusted(error: &quarantine::QuarantineError) -> Hold {
    Hold::NoQuarantine {
        error: error.to_string(),
    }
}

fn unreadable(error: &FsError) -> Hold {
    Hold::NoQuarantine {
        error: format!("cannot use the quarantine: {error}; it is tried again by itself"),
    }
}

pub(super) fn unlocked(error: LockError, quarantine: &Dir) -> Hold {
    match error {
        LockError::Refused(error) => untrusted(&error),
        LockError::InUse(pid) => {
            let who = pid.map_or_else(
                || "another process, in another container perhaps,".to_owned(),
                |pid| format!("process {pid}"),
            );
            Hold::RootInUse {
                error: format!(
                    "{who} already removes what lapses in this root, and has locked \"{}\"\n\
                     stop one of the two, or give each roots of its own; it is tried again by itself",
                    quarantine.path().display()
                ),
            }
        }
    }
}

/// Things in the quarantine of a root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuarantineContents {
    /// Path of the quarantine.
    pub path: PathBuf,
    /// Number of displaced things.
    pub displaced: u64,
    /// Number of other things: of removals that are under way, or that a crash or an error cut off.
    pub unfinished: u64,
    /// Process that has the quarantine locked, if it is visible.
    pub holder: Option<u32>,
}

/// Returns the contents of the quarantine of the root at `path`; `None` if either is missing.
/// Changes and locks nothing.
///
/// # Errors
/// When one of the two cannot be read.
pub fn inspect_quarantine(path: &Path) -> Result<Option<QuarantineContents>, FsError> {
    let opened = RootDir::open(path).and_then(|root| root.top().open_beneath(QUARANTINE));
    let quarantine = match opened {
        Ok(quarantine) => quarantine,
        Err(error) if error.is_absence() => return Ok(None),
        Err(error) => return Err(error),
    };
    contents(&quarantine).map(Some)
}

/// Returns the number of displaced things in the quarantine of the root at `place`.
pub(super) fn displaced_in(place: &RootLocation) -> u64 {
    let root = RootDir::open_as(&place.path, place.key).ok();
    let quarantine = root.and_then(|root| quarantine::find(&root).ok()?);
    let contents = quarantine.and_then(|quarantine| contents(&quarantine).ok());
    contents.map_or(0, |contents| contents.displaced)
}

fn contents(quarantine: &Dir) -> Result<QuarantineContents, FsError> {
    let mut unfinished = 0;
    quarantine.list(|name, _| {
        if !name.starts_with(DISPLACED.as_bytes()) && name != TRASH {
            unfinished += 1;
        }
    })?;
    Ok(QuarantineContents {
        path: quarantine.path().to_path_buf(),
        displaced: origin::count(quarantine)?,
        unfinished,
        holder: quarantine::holder_of(quarantine),
    })
}
