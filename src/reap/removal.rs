//! Removal of files from the quarantine: one that lies there, or those of a directory there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::judge::{OpenState, ask, ask_after_crash};
use super::names::{QuarantineName, removal_name};
use super::pending::{PendingDeletion, Sweep};
use crate::core::facts::Facts;
use crate::core::hold::Hold;
use crate::core::observed::Name;
use crate::fs::Dir;
use crate::fs::lease::{Lease, WhenBusy};

/// Result of the removal of one file.
#[derive(Debug)]
pub(super) enum Fate {
    Gone,
    /// It is another file by now, or open.
    Changed,
    /// The file system refuses.
    Failed(String),
}

/// File that is what was seen, and closed.
struct ClosedFile {
    /// Lease on it, if the rule asks for one: while it is held no process opens the file.
    _lease: Option<Arc<Lease>>,
    /// True if the file was opened for that lease just now. Nobody may be made to wait for another
    /// lease before this one is given up.
    is_fresh: bool,
}

/// Removes a name of a file that is closed.
fn unlink(dir: &Dir, name: &[u8]) -> Fate {
    match dir.remove_file(name) {
        Ok(()) => Fate::Gone,
        Err(error) if error.is_absence() => Fate::Gone,
        Err(error) => Fate::Failed(error.to_string()),
    }
}

/// Checks that a file is what was seen, and closed. Its change time may be another one: the removal
/// of another of its names moves it.
fn check_closed(sweep: &Sweep, dir: &Dir, name: &[u8], facts: &Facts) -> Result<ClosedFile, Fate> {
    let closed = |lease, is_fresh| ClosedFile {
        _lease: lease,
        is_fresh,
    };
    let kept = sweep.leases.lock().remove(&facts.key);
    if let Some(lease) = kept {
        // Another file may have been moved to the name before.
        check_same(dir, name, facts)?;
        return if lease.holds() {
            Ok(closed(Some(lease), false))
        } else {
            Err(Fate::Changed)
        };
    }
    let asked = if sweep.after_crash {
        ask_after_crash(sweep.skip_open, dir, name, facts)
    } else {
        ask(sweep.skip_open, dir, name, facts, WhenBusy::Wait)
    };
    match asked {
        // Looked at when it was opened for the lease.
        OpenState::Closed(Some(lease)) => Ok(closed(Some(Arc::new(lease)), true)),
        OpenState::Closed(None) => check_same(dir, name, facts).map(|()| closed(None, false)),
        OpenState::Replaced => Err(check_same(dir, name, facts).err().unwrap_or(Fate::Changed)),
        OpenState::Held(hold @ Hold::OpenUnknown { .. }) => Err(Fate::Failed(hold.to_string())),
        OpenState::Held(_) | OpenState::Busy => Err(Fate::Changed),
    }
}

/// Removes one file that lies directly in the quarantine.
pub(super) fn remove_file(sweep: &Sweep, dir: &Dir, name: &[u8], facts: &Facts) -> Fate {
    match check_closed(sweep, dir, name, facts) {
        Ok(_closed) => unlink(dir, name),
        Err(fate) => fate,
    }
}

/// Checks that a name is still that of the file that was seen.
fn check_same(dir: &Dir, name: &[u8], facts: &Facts) -> Result<(), Fate> {
    match dir.look(name) {
        Ok(Some(now)) if now.is_same_content(facts) => Ok(()),
        Ok(Some(_)) => Err(Fate::Changed),
        Ok(None) => Err(Fate::Gone),
        Err(error) => Err(Fate::Failed(error.to_string())),
    }
}

/// Files of one directory of a part, which are to be removed.
pub(super) struct DirRemoval<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) part: &'a PendingDeletion,
    pub(super) dir: &'a Dir,
    /// Number of files of the sweep that were moved so far.
    pub(super) turns: &'a AtomicU64,
}

/// A file, the name that it was moved to, and what keeps it from its removal or lets it go.
struct MovedFile<'a> {
    name: &'a [u8],
    alone: QuarantineName,
    state: Result<ClosedFile, Fate>,
}

impl DirRemoval<'_> {
    /// Removes these files. Returns the fates of those that are still there, or were not the ones
    /// that were seen. `stranded` is told what could not go back to the directory, and why.
    ///
    /// A process that had the directory open before it came into the quarantine could move another
    /// file over any name in it. So the last look at each file, and its removal, are at a name that
    /// no other process can reach.
    pub(super) fn remove(
        &self,
        files: &[(Name, Facts)],
        mut stranded: impl FnMut(&[u8], &QuarantineName, &str),
    ) -> Vec<Fate> {
        let root = &self.sweep.roots[self.part.root];
        let mut fates = Vec::new();
        let turn = root.turn.lock();
        let alone = self.move_out(&root.quarantine, files, &mut fates);
        drop(turn);
        let check = |(name, alone, facts): (_, QuarantineName, &Facts)| {
            let state = check_closed(self.sweep, &root.quarantine, &alone, facts);
            let state = match state {
                Ok(file) if file.is_fresh => Err(unlink(&root.quarantine, &alone)),
                other => other,
            };
            MovedFile { name, alone, state }
        };
        let checked: Vec<MovedFile<'_>> = alone.into_iter().map(check).collect();
        let turn = root.turn.lock();
        let mut ended = Vec::new();
        for MovedFile { name, alone, state } in checked {
            let fate = match state {
                Ok(file) => {
                    ended.push(file);
                    unlink(&root.quarantine, &alone)
                }
                Err(fate) => fate,
            };
            if matches!(fate, Fate::Gone) {
                continue;
            }
            if let Err(error) = root.quarantine.move_to(&alone, self.dir, name) {
                stranded(name, &alone, &error.to_string());
            }
            fates.push(fate);
        }
        // Inodes end with their last descriptor: without the turn.
        drop(turn);
        drop(ended);
        fates
    }

    fn move_out<'f>(
        &self,
        quarantine: &Dir,
        files: &'f [(Name, Facts)],
        fates: &mut Vec<Fate>,
    ) -> Vec<(&'f [u8], QuarantineName, &'f Facts)> {
        let id = self.sweep.line.id;
        let mut moved = Vec::with_capacity(files.len());
        for (name, facts) in files {
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            let alone = removal_name(id, self.part.number, turn, facts);
            match self.dir.move_to(name, quarantine, &alone) {
                Ok(()) => moved.push((&**name, alone, facts)),
                Err(error) => {
                    let fate = check_same(self.dir, name, facts).err();
                    fates.push(fate.unwrap_or_else(|| Fate::Failed(error.to_string())));
                }
            }
        }
        moved
    }
}
