//! Removal of the files of one directory.
//!
//! A process that has had the directory open since before its move can move another file over any
//! name in there, and `unlink(2)` knows names only. So each file leaves through a name directly in
//! the quarantine: it is moved there, looked at for the last time, and removed when the next one is
//! moved over it, which is one change of a directory in place of two.
//!
//! **Invariant:** a file is moved over another one only if that was looked at under this name, its
//! lease has held since, and both have a single name: a rename of one name over another name of
//! the same file does nothing.
//! **Invariant:** what stays under such a name is one of the files that the name means, or is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::names::{FILES_PER_NAME, QuarantineName, removal_name};
use super::super::pending::{LoneFile, PendingDeletion};
use super::super::removal::{Fate, check_closed, check_same, remove_file, unlink};
use super::Sweeping;
use crate::clock;
use crate::core::facts::Facts;
use crate::core::observed::Name;
use crate::core::time::FileTime;
use crate::fs::Dir;
use crate::fs::lease::Lease;

/// Maximum number of files of a unit that errors leave under names of their own, ~250 bytes each. A
/// file system that refuses so many refuses the rest as well: that stays in its directories.
const LONE_FILES_MAX: usize = 1_000;

/// Age of a content that the kernel has written to the disk: it does so after 30 s by default. ext4
/// and btrfs write a newer one at once when its file is moved over another one.
const WRITTEN_AFTER: Duration = Duration::from_mins(2);

/// Returns the instant since which a change of a content may not be on the disk yet.
pub(super) fn unwritten_since() -> FileTime {
    FileTime::from(clock::now().wall.before(WRITTEN_AFTER))
}

/// The name through which some files of a directory leave.
struct Exit<'a> {
    part: &'a PendingDeletion,
    dir: &'a Dir,
    quarantine: &'a Dir,
    name: QuarantineName,
}

/// A file under the name of an exit, after its last look: it can be removed while its lease holds.
struct Checked<'a> {
    name: &'a [u8],
    facts: &'a Facts,
    lease: Option<Arc<Lease>>,
}

impl Checked<'_> {
    fn is_closed(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.holds())
    }
}

impl Sweeping<'_> {
    /// Removes files of `dir`, a directory of `part`.
    pub(super) fn remove_files_from(
        &self,
        part: &PendingDeletion,
        dir: &Dir,
        mut files: &[(Name, Facts)],
    ) {
        while !files.is_empty() && !self.lane.is_stopping() {
            if self.sweep.lone.lock().len() >= LONE_FILES_MAX {
                let error = format!(
                    "{LONE_FILES_MAX} of its files cannot be removed; the others wait for them"
                );
                self.check_fate(part, Fate::Failed(error));
                return;
            }
            let next = &files[..files.len().min(FILES_PER_NAME)];
            files = &files[self.remove_through_one_name(part, dir, next)..];
        }
    }

    /// Removes files through one name, until one stays under it. Returns the number of files that
    /// were dealt with.
    fn remove_through_one_name(
        &self,
        part: &PendingDeletion,
        dir: &Dir,
        files: &[(Name, Facts)],
    ) -> usize {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let meant = files.iter().map(|(_, facts)| facts);
        let exit = Exit {
            part,
            dir,
            quarantine: self.quarantine(part),
            name: removal_name(self.sweep.line.id, part.number, turn, meant),
        };
        let mut last: Option<Checked<'_>> = None;
        for (count, (name, facts)) in files.iter().enumerate() {
            let is_over = last
                .as_ref()
                .is_some_and(|last| self.move_over(&exit, last, (name, facts)));
            // Here ends the lease on a file that was moved over: a thread that waits has none.
            let left = last.take().filter(|_| !is_over);
            if left.is_some_and(|left| !self.finish(&exit, &left)) {
                return count;
            }
            if !is_over && let Err(error) = dir.move_to(name, exit.quarantine, &exit.name) {
                let fate = check_same(dir, name, facts).err();
                let fate = fate.unwrap_or_else(|| Fate::Failed(error.to_string()));
                self.check_fate(part, fate);
                continue;
            }
            match check_closed(self.sweep, exit.quarantine, &exit.name, facts) {
                Ok(lease) => last = Some(Checked { name, facts, lease }),
                Err(fate) => {
                    if !self.leave(&exit, (name, facts), fate) {
                        return count + 1;
                    }
                }
            }
        }
        if let Some(last) = last {
            self.finish(&exit, &last);
        }
        files.len()
    }

    /// Removes `last` by moving a file over it. Returns false if that cannot be done.
    fn move_over(
        &self,
        exit: &Exit<'_>,
        last: &Checked<'_>,
        (name, facts): (&[u8], &Facts),
    ) -> bool {
        last.facts.nlink == 1
            && facts.nlink == 1
            && facts.mtime < self.unwritten_since
            && last.is_closed()
            && exit
                .dir
                .move_over(name, exit.quarantine, &exit.name)
                .is_ok()
    }

    /// Removes the file under the name of an exit. Returns true if the name is free again.
    fn finish(&self, exit: &Exit<'_>, last: &Checked<'_>) -> bool {
        let fate = if last.is_closed() {
            unlink(exit.quarantine, &exit.name)
        } else {
            Fate::Changed
        };
        self.leave(exit, (last.name, last.facts), fate)
    }

    /// Ends the way of a file through an exit: what is not gone goes back, or stays there after an
    /// error, by which name the next try, or the next start, knows it. Returns true if the name is
    /// free again.
    fn leave(&self, exit: &Exit<'_>, (name, facts): (&[u8], &Facts), fate: Fate) -> bool {
        let mut is_free = true;
        match &fate {
            Fate::Gone => {}
            Fate::Changed => {
                if let Err(error) = exit.quarantine.move_to(&exit.name, exit.dir, name) {
                    let part = exit.part;
                    let path = part.path.below(&self.sweep.roots[part.root].path);
                    is_free = self.set_aside(part, &exit.name, name, path, &error.to_string());
                }
            }
            Fate::Failed(_) => {
                is_free = false;
                self.sweep.lone.lock().push(LoneFile {
                    part: exit.part.number,
                    name: exit.name,
                    facts: *facts,
                });
            }
        }
        self.check_fate(exit.part, fate);
        is_free
    }

    /// Tries again to remove what an error left under a name of its own.
    pub(super) fn remove_lone_files(&self) {
        let lone = std::mem::take(&mut *self.sweep.lone.lock());
        for file in lone {
            let mut parts = self.sweep.pending.iter();
            let Some(part) = parts.find(|part| part.number == file.part) else {
                continue;
            };
            let fate = remove_file(self.sweep, self.quarantine(part), &file.name, &file.facts);
            match &fate {
                Fate::Gone => {}
                Fate::Changed => {
                    let path = part.path.below(&self.sweep.roots[part.root].path);
                    let why = "it changed or was opened";
                    self.set_aside(part, &file.name, b"", path, why);
                }
                Fate::Failed(_) => self.sweep.lone.lock().push(file),
            }
            self.check_fate(part, fate);
        }
    }
}
