//! Items that are claimed, or held for a reason of their own.
//!
//! A hold that most files of a directory run into for the same reason (a permission, an owner, a
//! dry run) is kept once for the directory, with 16 bytes a file. When its time comes a few of the
//! files are tried; when one of them is removed, so are the others.
//!
//! **Invariant:** memory is bounded: at [`HOLDS_MAX`] holds, or [`NAMES_MAX`] files under shared
//! holds, directories are held as a whole.
//! **Invariant:** a hold that concerns a whole root (its crawl, the breaker, the clock) is never
//! spread over its entries.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use super::item::Item;
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::jobs::SourceId;
use crate::core::time::Timestamp;

/// Holds of single files and directories: some 25 MB with their names and texts.
const HOLDS_MAX: usize = if cfg!(test) { 300 } else { 100_000 };
/// Files and directories under shared holds, in all: some 25 MB.
const NAMES_MAX: usize = if cfg!(test) { 600 } else { 1_000_000 };
/// Files of a directory that are tried when a shared hold ends: the whole of a small directory, and
/// no storm in a large one.
const PROBES_MAX: usize = 64;

/// A shared hold is forgotten when nothing has run into it for so long, in milliseconds: longer
/// than the reaper takes for an answer.
const FORGET_AFTER_MS: i64 = 60_000;

/// Hold of one item that was tried, and stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ItemHold {
    /// The reason.
    pub(super) hold: Hold,
    /// Instant of the next try.
    pub(super) retry_at: Timestamp,
    /// Number of tries.
    tries: u32,
}

/// A file or directory under a shared hold, within the directory that is to blame: its own, or the
/// root's for a top-level directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Refused {
    /// The hash of a file's name.
    File(u64),
    Dir(DirId),
}

/// A hold that many files of a directory share.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SharedHold {
    /// As the file has it that was tried last.
    hold: Hold,
    tried_at: Timestamp,
    retry_at: Timestamp,
    tries: u32,
    names: BTreeSet<Refused>,
    /// Those that are being tried.
    probes: BTreeSet<Refused>,
    /// The last one that was tried: the next ones have their turn.
    cursor: Option<Refused>,
    /// There are too many: all that is due in the directory is held, and tried together.
    is_whole: bool,
}

impl SharedHold {
    fn holds(&self, of: Refused) -> bool {
        (self.is_whole || self.names.contains(&of)) && !self.probes.contains(&of)
    }
}

/// Files of a directory to be tried when the time of a shared hold has come.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// These are tried.
    pub(super) items: Vec<Refused>,
    /// All are.
    pub(super) is_all: bool,
    /// Instant of the next try.
    pub(super) next: Option<Timestamp>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct HoldTable {
    /// Items that the reaper has, with the number of tries before. None of them is held.
    claimed: BTreeMap<Item, u32>,
    files: BTreeMap<Item, ItemHold>,
    /// Of jobs: there are no more of them than jobs.
    jobs: BTreeMap<Item, ItemHold>,
    shared: BTreeMap<DirId, Vec<SharedHold>>,
    /// Files and directories under shared holds, in all.
    names: usize,
}

impl HoldTable {
    pub(super) fn get(&self, item: &Item) -> Option<&ItemHold> {
        match item {
            Item::File(..) | Item::Dir(_) => self.files.get(item),
            Item::Job(..) => self.jobs.get(item),
        }
    }

    /// Number of tries of a held item.
    pub(super) fn tries(&self, item: &Item) -> u32 {
        self.get(item).map_or(0, |of| of.tries)
    }

    fn table_of(&mut self, item: &Item) -> &mut BTreeMap<Item, ItemHold> {
        match item {
            Item::File(..) | Item::Dir(_) => &mut self.files,
            Item::Job(..) => &mut self.jobs,
        }
    }

    /// Returns true if the reaper has it, or something else at its path.
    pub(super) fn is_claimed(&self, item: &Item) -> bool {
        self.claimed.contains_key(item)
    }

    /// Returns true if any file of `dir` is claimed.
    pub(super) fn has_claim_in(&self, dir: DirId) -> bool {
        self.claimed.range(Item::files_of(dir)).next().is_some()
    }

    /// Returns true if any file of `dir` is held.
    pub(super) fn has_hold_in(&self, dir: DirId) -> bool {
        self.shared.contains_key(&dir) || self.files.range(Item::files_of(dir)).next().is_some()
    }

    pub(super) fn claim(&mut self, item: Item) {
        let tries = self.clear(&item);
        self.claimed.insert(item, tries);
    }

    /// Holds `item` after its `tries`-th failure (from 0). Returns when it is tried again.
    pub(super) fn hold(&mut self, item: Item, hold: Hold, tries: u32, now: Timestamp) -> Timestamp {
        let retry_at = now.plus_ms(hold.retry_after_ms(tries));
        let tries = tries + 1;
        let state = ItemHold {
            hold,
            retry_at,
            tries,
        };
        self.claimed.remove(&item);
        self.table_of(&item).insert(item, state);
        retry_at
    }

    /// Returns true if a hold of `item` alone would be one too many.
    pub(super) fn is_full(&self) -> bool {
        self.files.len() >= HOLDS_MAX
    }

    /// Forgets what kept `item`. Returns the number of tries before.
    pub(super) fn clear(&mut self, item: &Item) -> u32 {
        let held = self.table_of(item).remove(item).map(|of| of.tries);
        self.claimed.remove(item).or(held).unwrap_or(0)
    }

    /// Forgets a hold, but not a claim.
    pub(super) fn lift(&mut self, item: &Item, of: Option<(DirId, Refused)>) {
        self.table_of(item).remove(item);
        self.lift_shared(of, |_| true);
    }

    /// Has a held item tried again at once: something happened to it. What is tried for the same
    /// deadline again is not told again.
    pub(super) fn retry(&mut self, item: &Item, of: Option<(DirId, Refused)>) {
        if let Some(held) = self.table_of(item).get_mut(item) {
            held.retry_at = Timestamp::MIN;
        }
        self.lift_shared(of, |hold| *hold != Hold::Reconciling);
    }

    fn lift_shared(&mut self, of: Option<(DirId, Refused)>, is_meant: impl Fn(&Hold) -> bool) {
        let Some((dir, of)) = of else { return };
        for shared in self.shared.get_mut(&dir).into_iter().flatten() {
            if is_meant(&shared.hold) {
                self.names -= usize::from(shared.names.remove(&of));
                // What is held as a whole is tried as a whole; what something happened to is tried
                // now.
                if shared.is_whole && shared.probes.len() < HOLDS_MAX {
                    shared.probes.insert(of);
                }
            }
        }
    }

    /// The hold that a file or directory shares with others.
    pub(super) fn shared_hold(&self, (dir, of): (DirId, Refused)) -> Option<&Hold> {
        let shared = self
            .shared
            .get(&dir)?
            .iter()
            .find(|shared| shared.holds(of))?;
        Some(&shared.hold)
    }

    /// Returns true if any hold is shared: then it is worth finding out where an item stands.
    pub(super) fn has_shared(&self) -> bool {
        !self.shared.is_empty()
    }

    /// Holds a file or directory together with the others that run into the same in `dir`. Returns
    /// when the first of them is tried again, and whether it is the first to be held so.
    pub(super) fn share(
        &mut self,
        (dir, of): (DirId, Refused),
        hold: Hold,
        now: Timestamp,
    ) -> (Timestamp, bool) {
        let is_full = self.names >= NAMES_MAX || !hold.is_shared();
        let all = self.shared.entry(dir).or_default();
        let found = all
            .iter()
            .position(|shared| shared.hold.has_cause_of(&hold));
        let at = found.unwrap_or_else(|| {
            all.push(SharedHold {
                hold: hold.clone(),
                tried_at: now,
                retry_at: now.plus_ms(hold.retry_after_ms(0)),
                tries: 1,
                names: BTreeSet::new(),
                probes: BTreeSet::new(),
                cursor: None,
                is_whole: false,
            });
            all.len() - 1
        });
        let shared = &mut all[at];
        if shared.retry_at <= now {
            shared.retry_at = now.plus_ms(hold.retry_after_ms(shared.tries));
            shared.tries += 1;
        }
        (shared.hold, shared.tried_at) = (hold, now);
        shared.probes.remove(&of);
        if is_full && !shared.is_whole && !shared.names.contains(&of) {
            shared.is_whole = true;
            self.names -= std::mem::take(&mut shared.names).len();
        }
        if !shared.is_whole {
            self.names += usize::from(shared.names.insert(of));
        }
        (shared.retry_at, found.is_none())
    }

    /// The directory has changed: those that are held in it for want of permission are tried, but
    /// not at every change of a busy directory. Returns when.
    pub(super) fn probe(&mut self, dir: DirId) -> Option<Timestamp> {
        /// In a busy directory every change is one, and hardly any of them of a permission.
        const PROBE_EVERY_MS: i64 = 1000;
        let shared = self.shared.get_mut(&dir).into_iter().flatten();
        let denied = shared.filter(|shared| matches!(shared.hold, Hold::Denied { .. }));
        let next = denied.map(|shared| {
            let soon = shared.tried_at.plus_ms(PROBE_EVERY_MS);
            shared.retry_at = soon.min(shared.retry_at);
            shared.retry_at
        });
        next.min()
    }

    /// Lets those of `dir` be tried whose turn it is.
    pub(super) fn take_probes(&mut self, dir: DirId, now: Timestamp) -> Probes {
        let mut probes = Probes::default();
        let Some(all) = self.shared.get_mut(&dir) else {
            return probes;
        };
        let names = &mut self.names;
        all.retain_mut(|shared| {
            if shared.retry_at > now {
                return true;
            }
            probes.is_all |= shared.is_whole;
            let after = shared
                .cursor
                .map_or(0, |last| shared.names.range(..=last).count());
            let turn = shared
                .names
                .iter()
                .skip(after)
                .chain(shared.names.iter().take(after));
            let turn: Vec<Refused> = turn.take(PROBES_MAX).copied().collect();
            for of in &turn {
                *names -= usize::from(shared.names.remove(of));
            }
            // Those that are being tried may come back: they were told of.
            let forget_at = shared.tried_at.plus_ms(FORGET_AFTER_MS);
            if turn.is_empty() && !shared.is_whole && now < forget_at {
                shared.retry_at = forget_at;
                return true;
            }
            // What was held as a whole, or is nothing any more, is not held until it is tried.
            if shared.is_whole || turn.is_empty() {
                *names -= shared.names.len();
                return false;
            }
            shared.retry_at = now.plus_ms(shared.hold.retry_after_ms(shared.tries));
            shared.tries += 1;
            shared.cursor = turn.last().copied();
            shared.probes = turn.iter().copied().collect();
            probes.items.extend(turn);
            true
        });
        probes.next = all.iter().map(|shared| shared.retry_at).min();
        if all.is_empty() {
            self.shared.remove(&dir);
        }
        probes
    }

    /// One of `dir` was removed. When it was one of those that are tried for others, the others are
    /// free; returns whether they are. That they were told of is kept until the time of the hold.
    pub(super) fn release_probed(&mut self, (dir, of): (DirId, Refused)) -> bool {
        let mut is_released = false;
        for shared in self.shared.get_mut(&dir).into_iter().flatten() {
            if shared.probes.contains(&of) {
                self.names -= shared.names.len();
                shared.names.clear();
                shared.probes.clear();
                shared.is_whole = false;
                is_released = true;
            }
        }
        is_released
    }

    /// Lets go what is held until its root is looked over, in the directories that `is_meant`
    /// names.
    pub(super) fn release_reconciling(&mut self, is_meant: &dyn Fn(DirId) -> bool) {
        self.drop_shared(|dir, shared| shared.hold == Hold::Reconciling && is_meant(dir));
    }

    fn drop_shared(&mut self, is_over: impl Fn(DirId, &SharedHold) -> bool) {
        self.shared.retain(|&dir, all| {
            all.retain(|shared| !is_over(dir, shared));
            !all.is_empty()
        });
        let all = self.shared.values().flatten();
        self.names = all.map(|shared| shared.names.len()).sum();
    }

    /// Forgets all that is known of a directory that was dropped.
    pub(super) fn forget_dir(&mut self, dir: DirId) {
        self.clear(&Item::Dir(dir));
        let files = self.files.extract_if(Item::files_of(dir), |_, _| true);
        files.for_each(drop);
        let claimed = self.claimed.extract_if(Item::files_of(dir), |_, _| true);
        claimed.for_each(drop);
        for shared in self.shared.remove(&dir).into_iter().flatten() {
            self.names -= shared.names.len();
        }
    }

    /// Forgets the holds of these jobs, but not what the reaper has of them.
    pub(super) fn lift_jobs(&mut self, jobs: impl RangeBounds<Item>) {
        self.jobs.extract_if(jobs, |_, _| true).for_each(drop);
    }

    /// Forgets all that is held or claimed of a job that is no more.
    pub(super) fn forget_job(&mut self, source: SourceId, no: u32) {
        self.lift_jobs(Item::rules_of(source, no));
        let claimed = self
            .claimed
            .extract_if(Item::rules_of(source, no), |_, _| true);
        claimed.for_each(drop);
    }

    /// Has the jobs tried again at once that are held as `is_meant` says. Returns them.
    pub(super) fn retry_jobs(
        &mut self,
        is_meant: impl Fn(SourceId, &Hold) -> bool,
        now: Timestamp,
    ) -> BTreeSet<(SourceId, u32)> {
        let mut retried = BTreeSet::new();
        for (item, held) in &mut self.jobs {
            if let Item::Job(source, no, _) = item
                && is_meant(*source, &held.hold)
            {
                held.retry_at = now;
                retried.insert((*source, *no));
            }
        }
        retried
    }

    /// Has the files and directories tried again at once that wait for the source with this name.
    /// Returns them.
    pub(super) fn retry_source(&mut self, name: &str) -> Vec<Item> {
        let mut retried = Vec::new();
        for (item, held) in &mut self.files {
            if let Hold::SourceDown { source, .. } = &held.hold
                && source == name
            {
                held.retry_at = Timestamp::MIN;
                retried.push(item.clone());
            }
        }
        retried
    }

    /// Returns true if the reaper has everything that a job owns, under any rule.
    pub(super) fn has_claim(&self, source: SourceId, no: u32) -> bool {
        let mut claims = self.claimed.range(Item::rules_of(source, no));
        claims.next().is_some()
    }

    /// Every hold of an item of its own.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Item, &Hold)> {
        let all = self.files.iter().chain(&self.jobs);
        all.map(|(item, held)| (item, &held.hold))
    }

    /// Every hold that is shared: its directory, how many have it, and one of them.
    pub(super) fn iter_shared(
        &self,
    ) -> impl Iterator<Item = (DirId, &Hold, usize, Option<Refused>)> {
        self.shared.iter().flat_map(|(&dir, all)| {
            all.iter().map(move |shared| {
                let first = shared.names.first().or(shared.probes.first());
                let count = shared.names.len() + shared.probes.len() + usize::from(shared.is_whole);
                (dir, &shared.hold, count, first.copied())
            })
        })
    }
}
