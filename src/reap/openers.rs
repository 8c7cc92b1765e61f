//! Whether anything in a unit is open, or other than it was.
//!
//! A lease that was had in its place is kept until the unit was looked at again in the quarantine: it tells of whoever opened
//! the file in between, and spares opening it once more.
//!
//! **Invariant:** whoever waits for a lease holds none: two units that share hard links would wait for one another.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hashbrown::HashMap;

use super::found::Found;
use super::judge::{Asked, ask};
use super::parts::{Body, Part};
use crate::core::facts::{Facts, FileKey};
use crate::core::hold::Hold;
use crate::core::policy::SkipOpen;
use crate::fs::lease::{Lease, WhenBusy};
use crate::fs::tree::WalkError;
use crate::fs::{Dir, RootDir};

/// What is known of those who may have files of one unit open.
pub(super) struct Openers {
    skip_open: SkipOpen,
    /// So many leases may be kept.
    room: usize,
    kept: HashMap<FileKey, Lease>,
    /// Files that were moved by themselves: that has changed them as little as their other names.
    moved: BTreeSet<FileKey>,
}

impl Openers {
    pub(super) fn new(skip_open: SkipOpen, room: usize) -> Self {
        Self {
            skip_open,
            room,
            kept: HashMap::new(),
            moved: BTreeSet::new(),
        }
    }

    /// Notes which files the reaper itself moved, as parts of the unit.
    pub(super) fn moved(&mut self, files: impl Iterator<Item = FileKey>) {
        self.moved.extend(files);
    }

    /// Whether nobody has the file open, nor had since it was asked about first.
    fn ask(&mut self, dir: &Dir, name: &[u8], facts: &Facts) -> ControlFlow<Found> {
        let open = || ControlFlow::Break(Found::Open(dir.path().join(super::place::os(name))));
        if let Some(lease) = self.kept.get(&facts.key) {
            return if lease.holds() {
                ControlFlow::Continue(())
            } else {
                open()
            };
        }
        let when_busy = if self.kept.is_empty() {
            WhenBusy::Wait
        } else {
            WhenBusy::Refuse
        };
        let mut asked = ask(self.skip_open, dir, name, facts, when_busy);
        if matches!(asked, Asked::Busy) {
            self.kept.clear();
            self.room = 0;
            asked = ask(self.skip_open, dir, name, facts, WhenBusy::Wait);
        }
        match asked {
            Asked::Free(lease) => {
                if let Some(lease) = lease.filter(|_| self.kept.len() < self.room) {
                    self.kept.insert(facts.key, lease);
                }
                ControlFlow::Continue(())
            }
            Asked::Held(Hold::Open { .. }) => open(),
            Asked::Held(hold) => ControlFlow::Break(Found::Held(hold)),
            Asked::Replaced | Asked::Busy => ControlFlow::Break(Found::Walk(WalkError::Changed)),
        }
    }

    /// One look at a part: in its place, where nothing in it may be open when the rule asks for it, or (with `lain`) in the
    /// quarantine, where besides nothing in it may have changed since the walk.
    pub(super) fn look_at(
        &mut self,
        root: &RootDir,
        body: &Body,
        part: Part,
        lain: Option<(&Dir, &[u8])>,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Found> {
        let tree = &body.tree;
        let home;
        let base = if let Some((quarantine, _)) = lain {
            quarantine
        } else {
            let path = body.path(part);
            let (parent, _) = path.split().expect("invariant: a part is not the root");
            home = root.dir(&parent).map_err(WalkError::from)?;
            &home
        };
        let name = lain.map_or(part.name(tree), |(_, name)| name);
        let never = self.skip_open == SkipOpen::Never;
        let moved = std::mem::take(&mut self.moved);
        let is_moved = |key| moved.contains(&key);
        let probe = |dir: &Dir, name: &[u8], facts: &Facts| self.ask(dir, name, facts);
        let seen = match part {
            Part::Dir(_) if lain.is_none() && never => Ok(ControlFlow::Continue(())),
            Part::Dir(at) if lain.is_none() => tree.ask_each(at, base, name, stop, probe),
            Part::Dir(at) => tree.look_again(at, base, name, &is_moved, stop, probe),
            Part::File { .. } => {
                let before = part.facts(tree);
                match base.look(name) {
                    Ok(Some(now)) if now.is_same_content(before) => {
                        Ok(self.ask(base, name, before))
                    }
                    Ok(_) => Err(WalkError::Changed),
                    Err(error) => Err(error.into()),
                }
            }
        };
        self.moved = moved;
        let seen = seen?;
        match seen {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(found) => Err(found),
        }
    }
}
