//! Looks → index: what was seen becomes entries with deadlines.
//!
//! **Invariant:** right whatever is doubled, late or out of order: an observation only says what a
//! look saw, and a deadline only when to look again.

use std::collections::BTreeSet;

use super::Engine;
use super::holds::{HoldTable, Refused};
use super::item::Item;
use super::shadow::content_of;
use super::timers::Timer;
use crate::core::facts::{Facts, FileKey, Kind, RootId};
use crate::core::index::{DirId, Record, RemoveOutcome};
use crate::core::observed::{Coverage, Discovery, Name, Observed};
use crate::core::path::RelPath;
use crate::core::report::Reconciliation;
use crate::core::time::{FileTime, Now, Timestamp};

impl Engine {
    pub(super) fn observe(&mut self, seen: Observed, now: Now) {
        match seen {
            Observed::Listing {
                root,
                dir,
                facts,
                files,
                dirs,
                discovery,
                coverage,
            } => {
                if self.is_watched(root) {
                    if self.unread_dirs.remove(root, &dir) {
                        self.retry_jobs_of_roots(now);
                        self.arm_counted(root, now);
                    }
                    self.observe_listing(root, &dir, &facts, files, &dirs, discovery, now);
                    let stamp = match coverage {
                        Coverage::Watched => Some(facts.ctime),
                        Coverage::Unwatched => None,
                    };
                    self.stamp(root, &dir, |_| stamp);
                }
            }
            Observed::Looks {
                root,
                dir,
                facts,
                names,
            } => {
                if self.is_watched(root) {
                    // The watchers know it from what was saved, and the index does not: what is in
                    // it is not known.
                    let is_unknown = self.restoring(root).is_some()
                        && self.index.dir_id(root, dir.as_bytes()).is_none();
                    if is_unknown {
                        self.effects.relist(root, dir.clone());
                    }
                    self.observe_looks(root, &dir, &facts, names, now);
                    self.stamp(root, &dir, |before| before.map(|_| facts.ctime));
                }
            }
            // What the index knows stays: a look before each removal decides anyway. But nothing
            // vouches for it any more.
            Observed::Unreadable { root, dir, error } => {
                self.stamp(root, &dir, |_| None);
                self.unread_dirs.insert(root, &dir, error);
            }
            Observed::Gone { root, dir } => {
                if self.unread_dirs.remove_all(root, &dir) {
                    self.retry_jobs_of_roots(now);
                    self.arm_counted(root, now);
                }
                if let Some(id) = self.index.dir_id(root, dir.as_bytes()) {
                    self.drop_dir(id, now);
                }
            }
            Observed::Moved { root, from, to } => {
                self.unread_dirs.remove_all(root, &from);
                self.observe_move(root, &from, &to, now);
            }
            Observed::RootFound { root, key } => {
                self.unread_dirs.remove_all(root, &RelPath::root());
                self.root_found(root, key, now);
            }
            Observed::RootLost { root, why, absence } => {
                self.unread_dirs.remove_all(root, &RelPath::root());
                self.root_lost(root, why, absence, now);
            }
            Observed::RootUnreachable { root, why } => {
                self.on_root_unreachable(root, why);
            }
            Observed::Doubted { root, why } => self.doubted(root, why),
            Observed::Reconciled { root, began, cost } => {
                self.reconciled(root, began, cost, now);
            }
        }
    }

    /// Renews what vouches for a directory: it was looked into, and what happens in it from then on
    /// is heard of.
    fn stamp(
        &mut self,
        root: RootId,
        dir: &RelPath,
        renew: impl Fn(Option<FileTime>) -> Option<FileTime>,
    ) {
        if let Some(id) = self.index.dir_id(root, dir.as_bytes()) {
            let before = self.index.stamp(id);
            self.writer.set_stamp(id, renew(before));
        }
    }

    /// Returns true if `root` is configured and there: late news of others are dropped.
    fn is_watched(&self, root: RootId) -> bool {
        self.roots
            .get(&root)
            .is_some_and(|state| state.key().is_some())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one observation, and what every step hands on"
    )]
    fn observe_listing(
        &mut self,
        root: RootId,
        dir: &RelPath,
        facts: &Facts,
        files: Vec<(Name, Facts)>,
        dirs: &[(Name, Facts)],
        discovery: Discovery,
        now: Now,
    ) {
        let id = self.observe_dir(root, dir, facts, now);
        let known = self.index.dir(id).is_some_and(|dir| dir.files > 0);
        if known {
            let names: BTreeSet<&[u8]> = files.iter().map(|(name, _)| &**name).collect();
            self.report_unlisted(id, &names, now);
            let gone = self.writer.retain_names(id, &|name| names.contains(name));
            let names: Vec<&[u8]> = gone.iter().map(|(name, _)| &**name).collect();
            self.forget_entries(id, &names);
            for (name, _) in gone {
                self.effects.tell_observed(root, dir, &name, None);
                self.count(root, |found| &mut found.gone);
            }
        }
        let names: BTreeSet<&[u8]> = dirs.iter().map(|(name, _)| &**name).collect();
        for (name, sub) in self.index.subdirs(id) {
            if !names.contains(&*name) {
                self.drop_dir(sub, now);
            }
        }
        let mut latest = facts.latest();
        for (name, facts) in dirs {
            latest = latest.max(facts.latest());
            self.observe_subdir(root, dir, name, facts, now);
        }
        let mut records = Vec::with_capacity(files.len());
        let mut due: Vec<Name> = Vec::new();
        let mut appeared = Vec::new();
        let may_have_moved = self.is_shadow() && discovery == Discovery::Event;
        let restoring = self.restoring(root).is_some();
        let mut path = prefix_of(dir);
        let prefix = path.len();
        for (name, facts) in files {
            let previous = if known {
                self.previous(id, &name)
            } else {
                None
            };
            path.truncate(prefix);
            path.extend_from_slice(&name);
            let floor = match (previous, self.restoring(root)) {
                // Its own times tell when it came, or those of a directory that came with it.
                (None, Some(restoring)) => restoring.arrival(id).unwrap_or(Timestamp::MIN),
                (Some(_) | None, _) => self.floor(previous, &facts, discovery, now),
            };
            latest = latest.max(facts.latest()).arrived(floor);
            let record = self.record(root, &path, &facts, floor);
            if previous.is_some_and(|previous| record.mtime < previous.mtime) {
                self.note_older(root, dir);
            }
            if previous != Some(record) {
                self.lift_file(id, &name);
                self.effects
                    .tell_observed(root, dir, &name, Some(facts.size));
                if restoring && previous.is_none() && self.is_due(&record, now) {
                    due.push(name.clone());
                }
                match previous {
                    None => {
                        appeared.extend(may_have_moved.then(|| content_of(&record)));
                        self.count(root, |found| &mut found.found);
                    }
                    Some(_) => self.count(root, |found| &mut found.changed),
                }
            }
            self.update_owner(root, id, &path, &name, &record, now);
            records.push((name, record));
        }
        self.writer
            .upsert_many(id, records.iter().map(|(name, record)| (&**name, *record)));
        self.report_appeared(appeared);
        for name in due {
            self.hold_fresh(root, &Item::File(id, name), now);
        }
        self.observe_unit(root, dir, latest, now);
    }

    /// Counts one file for the account of what passes over `root` found.
    fn count(&mut self, root: RootId, what: impl Fn(&mut Reconciliation) -> &mut u64) {
        if let Some(state) = self.roots.get_mut(&root) {
            state.count_found(what);
        }
    }

    fn observe_looks(
        &mut self,
        root: RootId,
        dir: &RelPath,
        facts: &Facts,
        names: Vec<(Name, Option<Facts>)>,
        now: Now,
    ) {
        let id = self.observe_dir(root, dir, facts, now);
        let mut latest = facts.latest();
        let mut records: Vec<(Name, Record)> = Vec::with_capacity(names.len());
        let mut appeared = Vec::new();
        let mut path = prefix_of(dir);
        let prefix = path.len();
        for (name, seen) in names {
            path.truncate(prefix);
            path.extend_from_slice(&name);
            let kind = seen.map(|facts| facts.kind);
            if kind != Some(Kind::Dir)
                && let Some(sub) = self.index.dir_id(root, &path)
            {
                self.drop_dir(sub, now);
            }
            match (kind, seen) {
                (Some(Kind::File), Some(facts)) => {
                    let previous = self.previous(id, &name);
                    let floor = self.floor(previous, &facts, Discovery::Event, now);
                    latest = latest.max(facts.latest()).arrived(floor);
                    let record = self.record(root, &path, &facts, floor);
                    if previous.is_some_and(|previous| record.mtime < previous.mtime) {
                        self.note_older(root, dir);
                    }
                    self.update_owner(root, id, &path, &name, &record, now);
                    if previous.is_none() && self.is_shadow() {
                        appeared.push(content_of(&record));
                    }
                    records.push((name, record));
                    continue;
                }
                (Some(Kind::Dir), Some(facts)) => {
                    latest = latest.max(facts.latest());
                    self.observe_subdir(root, dir, &name, &facts, now);
                }
                (Some(Kind::File | Kind::Dir | Kind::Mount | Kind::Other) | None, _) => {}
            }
            if self.remove_entries(id, &[&*name], |_, _| true, now) {
                self.effects.tell_observed(root, dir, &name, None);
            }
        }
        self.report_appeared(appeared);
        for (name, record) in &records {
            // An event says that something happened to it: whatever held it may be over.
            if self
                .previous(id, name)
                .is_some_and(|known| known.basis == record.basis)
            {
                self.retry_file(id, name, now);
            } else {
                self.lift_file(id, name);
            }
            self.effects
                .tell_observed(root, dir, name, Some(record.size));
        }
        self.writer
            .upsert_many(id, records.iter().map(|(name, record)| (&**name, *record)));
        self.observe_unit(root, dir, latest, now);
    }

    /// Brings a directory's own facts into the index.
    fn observe_dir(&mut self, root: RootId, dir: &RelPath, facts: &Facts, now: Now) -> DirId {
        if let Some(known) = self.index.dir_id(root, dir.as_bytes()) {
            let before = self.index.dir(known).map(|dir| dir.facts);
            let other = before
                .is_some_and(|before| before.key != FileKey::default() && before.key != facts.key);
            if other && !dir.is_root() {
                self.drop_dir(known, now);
            } else if before.is_some_and(|before| before.ctime() != facts.ctime) {
                // Some are tried; when one of them goes, so do the others.
                if self.holds.has_shared()
                    && let Some(at) = self.holds_mut().probe(known)
                {
                    self.timers.arm(Timer::Shared(known), at);
                }
            }
        }
        let id = self.writer.ensure_dir(root, dir);
        let before = self.index.dir(id).map(|dir| dir.facts);
        if before.is_some_and(|before| facts.mtime < before.mtime()) {
            self.note_older(root, dir);
        }
        self.writer.set_dir(id, facts);
        self.note_fresh_dir(root, id, facts.ctime.ceil());
        id
    }

    /// Brings a directory that was seen in another into the index. A top-level one lapses as a
    /// whole, also when it is empty.
    fn observe_subdir(
        &mut self,
        root: RootId,
        dir: &RelPath,
        name: &[u8],
        facts: &Facts,
        now: Now,
    ) {
        let id = self.observe_dir(root, &dir.join(name), facts, now);
        if dir.is_root() {
            self.set_unit(root, name, id, facts.latest(), now);
        }
        self.on_job_dir(root, &dir.join(name), now);
    }

    /// Takes those entries of `dir` out of the index for which `is_meant` holds, which is asked
    /// with the place among `names` and the record. Returns true if any was there.
    pub(super) fn remove_entries(
        &mut self,
        dir: DirId,
        names: &[&[u8]],
        is_meant: impl Fn(usize, &Record) -> bool,
        now: Now,
    ) -> bool {
        let all = names.iter().copied();
        if self.is_shadow() {
            let meant = all.clone().enumerate().filter(|(which, name)| {
                let known = self.previous(dir, name);
                known.is_some_and(|known| is_meant(*which, &known))
            });
            let meant: Vec<&[u8]> = meant.map(|(_, name)| name).collect();
            self.report_gone_files(dir, meant.into_iter(), now);
        }
        let outcomes = self.writer.remove_many(dir, all.clone(), is_meant);
        let removed = all.zip(outcomes);
        let removed = removed.filter(|(_, outcome)| matches!(outcome, RemoveOutcome::Removed(_)));
        let removed: Vec<&[u8]> = removed.map(|(name, _)| name).collect();
        self.forget_entries(dir, &removed);
        !removed.is_empty()
    }

    /// Forgets the holds and the owners of entries that were taken out of the index.
    fn forget_entries(&mut self, dir: DirId, removed: &[&[u8]]) {
        for name in removed {
            self.lift_file(dir, name);
        }
        self.forget_owned(dir, removed.iter().copied());
    }

    /// Forgets a hold on an entry, but not a claim: something about it changed.
    pub(super) fn lift_file(&mut self, dir: DirId, name: &[u8]) {
        if self.holds.has_hold_in(dir) {
            self.lift(&Item::file(dir, name));
        }
    }

    /// Forgets a hold on a file or directory, but not a claim: something about it changed.
    pub(super) fn lift(&mut self, item: &Item) {
        let place = HoldTable::place_of(&self.index, item);
        self.holds_mut().lift(item, place);
    }

    /// Has a held entry tried again: something happened to it.
    pub(super) fn retry_file(&mut self, dir: DirId, name: &[u8], now: Now) {
        if self.holds.has_hold_in(dir) {
            self.retry(&Item::file(dir, name), now);
        }
    }

    /// Has a held file or directory tried again: something happened to it.
    pub(super) fn retry(&mut self, item: &Item, now: Now) {
        let place = HoldTable::place_of(&self.index, item);
        self.holds_mut().retry(item, place);
        self.rearm(item, now);
    }

    pub(super) fn drop_dir(&mut self, dir: DirId, now: Now) {
        self.report_gone_dir(dir, now);
        self.forget_owned_in(dir);
        let above = self.index.dir(dir).and_then(|dir| dir.parent);
        if let Some(above) = above.filter(|_| self.holds.has_shared()) {
            // Mostly the event of a removal comes before the reaper's answer.
            self.release_probed((above, Refused::Dir(dir)), now);
            let place = Some((above, Refused::Dir(dir)));
            self.holds_mut().lift(&Item::Dir(dir), place);
        }
        let dropped = self.writer.drop_dir(dir);
        self.forget_dirs(&dropped.dirs, now);
    }

    fn observe_move(&mut self, root: RootId, from: &RelPath, to: &RelPath, now: Now) {
        // A directory stands there now, whatever did before.
        if let Some((parent, name)) = to.split()
            && let Some(parent) = self.index.dir_id(root, parent.as_bytes())
        {
            self.remove_entries(parent, &[name], |_, _| true, now);
        }
        let moved = self.index.dir_id(root, from.as_bytes());
        let (Some(id), Some((parent, name))) = (moved, to.split()) else {
            if self.is_watched(root) {
                self.effects.relist(root, to.clone());
            }
            return;
        };
        self.report_moved_dir(id, now);
        let parent = self.writer.ensure_dir(root, &parent);
        self.change_unit(id, None, now);
        let dropped = self.writer.move_dir(id, parent, name);
        self.forget_dirs(&dropped.unwrap_or_default().dirs, now);
        self.count_tree(id);
        self.regroup_moved(id);
        // Rules go by path. Until the listing has been through, the reaper's own look at the path
        // keeps what has another rule now: late is safe.
        self.effects.relist(root, to.clone());
    }
}

/// The bytes before a name in `dir`.
fn prefix_of(dir: &RelPath) -> Vec<u8> {
    let mut prefix = dir.as_bytes().to_vec();
    if !dir.is_root() {
        prefix.push(b'/');
    }
    prefix
}
