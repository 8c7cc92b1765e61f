//! The leases that a round of removals holds, by inode.
//!
//! A lease is kept from the first look at a file until the second one, or until the file is
//! removed: it tells of everybody who opened the file in between, and spares opening it once more.
//! All names of one file share one lease.
//!
//! **Invariant:** a thread that waits for a lease holds none: two threads whose files share hard
//! links would wait for one another.

use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::abort::Abort;
use super::candidate::{Content, Target};
use super::judge::{OpenState, ask, open_state};
use super::location::os;
use super::parts::Part;
use crate::core::claim::Outcome;
use crate::core::facts::{Facts, FileKey, Kind};
use crate::core::hold::Hold;
use crate::core::policy::SkipOpen;
use crate::fs::lease::{self, Lease, LeaseError, OpenFile, WhenBusy};
use crate::fs::{Dir, descriptors};

/// Number of leases of one round. A process that opens one of the files waits for the whole round.
const ROUND_LEASES_MAX: usize = 768;

/// Number of leases that a round always may have, however many others have: a file system that
/// does not answer keeps those of its own rounds.
const ROUND_LEASES_MIN: usize = 4;

/// The leases of one round.
pub(super) struct LeaseSet {
    /// Number of leases that it may have.
    room: usize,
    /// True if another thread's lease may be waited for while this one has none.
    may_wait: bool,
    kept: HashMap<FileKey, Arc<Lease>>,
    /// Number of candidates that need their leases to the end. Those of the others may be given up.
    needed: usize,
    /// Files that this round moved by themselves: that has changed them as little as their other
    /// names.
    moved: HashSet<FileKey>,
}

/// A file that was opened for its first look.
pub(super) enum FirstLook {
    /// There is a lease already, through another of its names.
    Shared(Arc<Lease>),
    Opened(OpenFile),
    /// The reason why it could not be opened.
    Failed(LeaseError),
    /// Nothing asks for a lease.
    Unasked,
}

impl LeaseSet {
    pub(super) fn new(may_wait: bool) -> Self {
        Self {
            room: ROUND_LEASES_MAX,
            may_wait,
            kept: HashMap::new(),
            needed: 0,
            moved: HashSet::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        let kept = self.kept.len();
        kept < self.room && (kept < ROUND_LEASES_MIN || lease::count() < descriptors::leases_max())
    }

    /// Gives up all leases that no candidate has.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }

    /// Hands the lease on a file over to the sweeper that removes it, if one is held. The sweeper
    /// may come to it late: only the lease on a file whose single name is in the quarantine, so
    /// that no process waits for it.
    pub(super) fn hand_over(&mut self, facts: &Facts) -> Option<Arc<Lease>> {
        if facts.nlink > 1 || lease::count() > descriptors::leases_max() / 2 {
            return None;
        }
        self.kept.remove(&facts.key)
    }

    /// Notes that a candidate needs its leases until its files are removed.
    pub(super) fn need(&mut self) {
        self.needed += 1;
    }

    /// Notes which files this round moves by themselves.
    pub(super) fn moved(&mut self, files: impl Iterator<Item = FileKey>) {
        self.moved.extend(files);
    }

    /// Opens the file `name` in `dir`, which must be the inode `key`.
    pub(super) fn open(
        &self,
        skip_open: SkipOpen,
        dir: &Dir,
        name: &[u8],
        key: FileKey,
    ) -> Result<FirstLook, Abort> {
        if skip_open == SkipOpen::Never {
            return Ok(FirstLook::Unasked);
        }
        if let Some(lease) = self.kept.get(&key) {
            return Ok(FirstLook::Shared(Arc::clone(lease)));
        }
        if !self.has_room() {
            return Err(Abort::Full);
        }
        match OpenFile::open(dir, name, key, self.when_busy()) {
            Ok(file) => Ok(FirstLook::Opened(file)),
            Err(LeaseError::Busy) => Err(Abort::Busy),
            Err(error) => Ok(FirstLook::Failed(error)),
        }
    }

    /// Takes the lease on a file that was opened; `None` where the rule can do without.
    pub(super) fn take(
        &mut self,
        skip_open: SkipOpen,
        file: FirstLook,
        facts: &Facts,
    ) -> Result<Option<Arc<Lease>>, Abort> {
        let lease = match file {
            FirstLook::Unasked => return Ok(None),
            FirstLook::Shared(lease) => return Ok(Some(lease)),
            FirstLook::Opened(file) => file.lease(),
            FirstLook::Failed(error) => Err(error),
        };
        match open_state(skip_open, lease) {
            OpenState::Closed(lease) => Ok(lease.map(|lease| self.keep(facts.key, lease))),
            OpenState::Held(hold) => Err(hold.into()),
            OpenState::Replaced => Err(Outcome::Changed { facts: *facts }.into()),
            OpenState::Busy => Err(Abort::Busy),
        }
    }

    /// The lease that is held on a file.
    pub(super) fn get(&self, key: FileKey) -> Option<Arc<Lease>> {
        self.kept.get(&key).cloned()
    }

    fn keep(&mut self, key: FileKey, lease: Lease) -> Arc<Lease> {
        let lease = Arc::new(lease);
        self.kept.insert(key, Arc::clone(&lease));
        lease
    }

    fn when_busy(&self) -> WhenBusy {
        if self.may_wait && self.kept.is_empty() {
            WhenBusy::Wait
        } else {
            WhenBusy::Refuse
        }
    }

    /// Asks if the file is closed, and has been since the first question.
    fn probe(
        &mut self,
        skip_open: SkipOpen,
        dir: &Dir,
        name: &[u8],
        facts: &Facts,
    ) -> ControlFlow<Abort> {
        if skip_open == SkipOpen::Never || facts.kind != Kind::File {
            return ControlFlow::Continue(());
        }
        let open = || {
            let path = dir.path().join(os(name));
            let path = Some(path.display().to_string());
            ControlFlow::Break(Hold::Open { path }.into())
        };
        if let Some(lease) = self.kept.get(&facts.key) {
            return if lease.holds() {
                ControlFlow::Continue(())
            } else {
                open()
            };
        }
        let mut asked = ask(skip_open, dir, name, facts, self.when_busy());
        if matches!(asked, OpenState::Busy) && self.may_wait && self.needed == 0 {
            self.kept.clear();
            self.room = 0;
            asked = ask(skip_open, dir, name, facts, WhenBusy::Wait);
        }
        match asked {
            OpenState::Closed(lease) => {
                if let Some(lease) = lease.filter(|_| self.has_room()) {
                    self.keep(facts.key, lease);
                }
                ControlFlow::Continue(())
            }
            OpenState::Held(Hold::Open { .. }) => open(),
            OpenState::Held(hold) => ControlFlow::Break(hold.into()),
            OpenState::Replaced => ControlFlow::Break(Abort::Changed),
            OpenState::Busy => ControlFlow::Break(Abort::Busy),
        }
    }

    /// Asks about everything in a part, which is in its place, in the directory `home`.
    pub(super) fn ask_about(
        &mut self,
        skip_open: SkipOpen,
        (target, part): (&Target, Part),
        home: &Dir,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Abort> {
        let name = target.name_of(part);
        let found = match (&target.content, part) {
            (Content::Dir(_), Part::Dir(_)) if skip_open == SkipOpen::Never => return Ok(()),
            (Content::Dir(tree), Part::Dir(at)) => {
                let probe =
                    |dir: &Dir, name: &[u8], facts: &Facts| self.probe(skip_open, dir, name, facts);
                tree.ask_each(at, home, name, stop, probe)?
            }
            (Content::Dir(_) | Content::File(..), _) => {
                self.probe(skip_open, home, name, target.facts_of(part))
            }
        };
        found.break_value().map_or(Ok(()), Err)
    }

    /// Looks again at a part, which is in `quarantine` as `name` now: nothing in it may have
    /// changed since the first look, or have been opened.
    pub(super) fn look_again(
        &mut self,
        skip_open: SkipOpen,
        (target, part): (&Target, Part),
        (quarantine, name): (&Dir, &[u8]),
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Abort> {
        let found = match (&target.content, part) {
            (Content::Dir(tree), Part::Dir(at)) => {
                let moved = std::mem::take(&mut self.moved);
                let is_moved = |key| moved.contains(&key);
                let probe =
                    |dir: &Dir, name: &[u8], facts: &Facts| self.probe(skip_open, dir, name, facts);
                let found = tree.look_again(at, quarantine, name, &is_moved, stop, probe);
                self.moved = moved;
                found?
            }
            (Content::Dir(_) | Content::File(..), _) => {
                let before = target.facts_of(part);
                let now = quarantine.look(name);
                let lease = match &target.content {
                    Content::File(_, lease) => lease.as_ref(),
                    Content::Dir(_) => None,
                };
                if lease.is_some_and(|lease| !lease.holds()) {
                    return Err(Hold::Open { path: None }.into());
                }
                match now {
                    Ok(Some(now)) if !now.is_same_content(before) => {
                        return Err(Outcome::Changed { facts: now }.into());
                    }
                    Ok(Some(_)) if lease.is_some() => return Ok(()),
                    Ok(Some(_)) => self.probe(skip_open, quarantine, name, before),
                    Ok(None) | Err(_) => return Err(Abort::Changed),
                }
            }
        };
        // Another thread has the file under another name, and a thread that holds leases must not
        // wait for it.
        match found.break_value() {
            None => Ok(()),
            Some(Abort::Busy) => Err(Hold::Open { path: None }.into()),
            Some(abort) => Err(abort),
        }
    }
}
