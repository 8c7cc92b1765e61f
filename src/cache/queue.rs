//! Queue of changes and commands for the writer.
//!
//! **Invariant:** putting something in never waits for the disk. A page that changes repeatedly
//! while it waits is in the queue once.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::records::Rules;
use crate::core::clock_guard::ClockGuard;
use crate::core::facts::RootId;
use crate::core::index::Unsaved;
use crate::core::report::SavedRoot;

/// Changes that are written together.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) unsaved: Unsaved,
    /// States of roots; `None` for roots that are not known any more.
    pub(super) roots: BTreeMap<RootId, Option<SavedRoot>>,
    pub(super) rules: Option<Rules>,
    pub(super) clock: Option<ClockGuard>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.unsaved.is_empty()
            && self.roots.is_empty()
            && self.rules.is_none()
            && self.clock.is_none()
    }

    /// Returns the number of pages and directories.
    pub(super) fn len(&self) -> u64 {
        (self.unsaved.pages.len() + self.unsaved.dirs.len()) as u64
    }

    /// Adds later changes.
    pub(super) fn extend(&mut self, later: Self) {
        self.unsaved.pages.extend(later.unsaved.pages);
        self.unsaved.dirs.extend(later.unsaved.dirs);
        self.roots.extend(later.roots);
        self.rules = later.rules.or(self.rules.take());
        self.clock = later.clock.or(self.clock.take());
    }
}

/// Contents of the queue.
#[derive(Debug, Default)]
pub(super) struct Commands {
    pub(super) pending: Pending,
    /// Paths of roots.
    pub(super) paths: BTreeMap<RootId, Vec<u8>>,
    /// True if the requested barrier has been passed.
    pub(super) is_barrier_passed: bool,
    pub(super) stopped: bool,
    /// True if the writer sleeps until it has gathered changes: further ones need not wake it.
    is_gathering: bool,
}

/// Queue of changes and commands for the writer.
#[derive(Debug, Default)]
pub(super) struct CommandQueue {
    commands: Mutex<Commands>,
    filled: Condvar,
}

impl CommandQueue {
    pub(super) fn put(&self, change: impl FnOnce(&mut Commands)) {
        let mut commands = self.commands.lock();
        change(&mut commands);
        if !commands.is_gathering || commands.stopped || commands.is_barrier_passed {
            self.filled.notify_one();
        }
    }

    /// Calls `look` with the contents.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&Commands) -> T) -> T {
        look(&self.commands.lock())
    }

    /// Waits until `ends` returns true, for `wait` at most (`None`: for ever). While it is
    /// gathering, further changes do not end the wait.
    pub(super) fn wait(
        &self,
        wait: Option<Duration>,
        is_gathering: bool,
        ends: impl Fn(&Commands) -> bool,
    ) {
        let mut commands = self.commands.lock();
        commands.is_gathering = is_gathering;
        match wait {
            None => self
                .filled
                .wait_while(&mut commands, |commands| !ends(commands)),
            Some(wait) => {
                self.filled
                    .wait_while_for(&mut commands, |commands| !ends(commands), wait);
            }
        }
    }

    /// Takes the contents, except for the command to stop.
    pub(super) fn take(&self) -> Commands {
        let mut commands = self.commands.lock();
        let stopped = commands.stopped;
        let taken = std::mem::take(&mut *commands);
        commands.stopped = stopped;
        taken
    }

    /// Puts back changes that could not be written. Later changes take precedence.
    pub(super) fn put_back(&self, failed: Pending) {
        let mut commands = self.commands.lock();
        let later = std::mem::replace(&mut commands.pending, failed);
        commands.pending.extend(later);
    }
}
