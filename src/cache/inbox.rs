//! What waits to be written.
//!
//! **Invariant:** putting something in never waits for the disk. What changes again while it waits is here once.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::records::Rules;
use crate::core::clock_guard::ClockGuard;
use crate::core::facts::RootId;
use crate::core::index::Unsaved;
use crate::core::report::RootMemory;

/// Changes that are written together.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) unsaved: Unsaved,
    /// Roots; `None`: not known any more.
    pub(super) roots: BTreeMap<RootId, Option<RootMemory>>,
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

    /// How many pages and directories.
    pub(super) fn len(&self) -> u64 {
        (self.unsaved.pages.len() + self.unsaved.dirs.len()) as u64
    }

    /// Takes in what came later.
    pub(super) fn extend(&mut self, later: Self) {
        self.unsaved.pages.extend(later.unsaved.pages);
        self.unsaved.dirs.extend(later.unsaved.dirs);
        self.roots.extend(later.roots);
        self.rules = later.rules.or(self.rules.take());
        self.clock = later.clock.or(self.clock.take());
    }
}

/// What the writer finds.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) pending: Pending,
    /// Where roots are.
    pub(super) paths: BTreeMap<RootId, Vec<u8>>,
    /// Everything that happened before the last asking is in the index.
    pub(super) vouched: bool,
    pub(super) stopped: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    filled: Condvar,
}

impl Inbox {
    pub(super) fn put(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.mail.lock());
        self.filled.notify_one();
    }

    /// Looks at what is here.
    pub(super) fn peek<T>(&self, look: impl FnOnce(&Mail) -> T) -> T {
        look(&self.mail.lock())
    }

    /// Waits until there is something, for `wait` at most (`None`: for ever). Takes nothing.
    pub(super) fn wait(&self, wait: Option<Duration>, ends: impl Fn(&Mail) -> bool) {
        let mut mail = self.mail.lock();
        match wait {
            None => self.filled.wait_while(&mut mail, |mail| !ends(mail)),
            Some(wait) => {
                self.filled
                    .wait_while_for(&mut mail, |mail| !ends(mail), wait);
            }
        }
    }

    /// Takes all that is here; being stopped stays.
    pub(super) fn take(&self) -> Mail {
        let mut mail = self.mail.lock();
        let stopped = mail.stopped;
        let taken = std::mem::take(&mut *mail);
        mail.stopped = stopped;
        taken
    }

    /// Puts back what could not be written, behind what came meanwhile.
    pub(super) fn put_back(&self, failed: Pending) {
        let mut mail = self.mail.lock();
        let later = std::mem::replace(&mut mail.pending, failed);
        mail.pending.extend(later);
    }
}
