//! Questions and orders of others about the trash.
//!
//! **Invariant:** what comes back is pinned, durably, before its first part moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::notes::targets;
use super::purge;
use super::restore::{Note, Order, Plan, Restorer};
use super::store::TrashDir;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::trash::{
    JobName, PINNED_FOR, PurgeOrder, Purged, RestoreOrder, Restored, TrashFilter, TrashNews,
    TrashPage, TrashSums,
};
use crate::fs::RootDir;
use crate::reap::context::{Devices, Lane};
use crate::reap::hooks::PinOrder;
use crate::reap::judge::BoundedClock;
use crate::reap::location::RootLocation;
use crate::reap::quarantine_locks::WhenMissing;
use crate::reap::reaper::Reaper;

/// Number of things that are restored, or deleted, together: they share a write of pins and a sync
/// of the ledger.
const TOGETHER_MAX: usize = 256;

/// Manifests that are read for one page: ~2 s.
const READ_MAX: usize = 100_000;

/// Reasons that a page tells.
const UNREADABLE_MAX: usize = 100;

impl Reaper {
    /// Returns the things that `filter` means, newest first, from behind `after` on: at most
    /// `limit`. Reads their manifests.
    #[must_use]
    pub fn trash_page(
        &self,
        filter: &TrashFilter,
        after: Option<(u64, RootId)>,
        limit: usize,
    ) -> TrashPage {
        let mut page = TrashPage::default();
        let mut dirs: BTreeMap<RootId, Option<TrashDir>> = BTreeMap::new();
        let (mut after, mut read) = (after, 0);
        loop {
            let some = self.common().hooks.trash.list(filter, after, TOGETHER_MAX);
            if some.is_empty() {
                return page;
            }
            for (root, row) in some {
                if page.items.len() == limit || read == READ_MAX {
                    page.next = after;
                    return page;
                }
                after = Some((row.id, root));
                read += 1;
                let dir = dirs.entry(root).or_insert_with(|| self.open_to_read(root));
                let found = dir.as_ref().map(|dir| dir.read(row.id));
                match found {
                    Some(Ok(Some(manifest))) => {
                        let item = manifest.item();
                        if filter.takes_path(item.parts.iter().map(|part| &*part.path)) {
                            page.items.push(item);
                        }
                    }
                    Some(Err(error)) if page.unreadable.len() < UNREADABLE_MAX => {
                        page.unreadable.push(format!("{}: {error}", row.id));
                    }
                    None if page.unreadable.len() < UNREADABLE_MAX => {
                        page.unreadable
                            .push(format!("{}: its root is away", row.id));
                    }
                    // It has left meanwhile, or there are more than can be told.
                    Some(Ok(None) | Err(_)) | None => {}
                }
            }
        }
    }

    /// Returns the sums of the trash of each root.
    #[must_use]
    pub fn trash_sums(&self) -> Vec<TrashSums> {
        self.common().hooks.trash.sums()
    }

    /// Brings things back. Returns the result for each of them and each of its roots. Blocks, and
    /// must not be called by the engine.
    ///
    /// # Errors
    /// If a thing is unknown: then nothing was moved.
    pub fn restore(&self, order: &RestoreOrder) -> Result<Vec<Restored>, String> {
        let mut roots: BTreeMap<RootId, Vec<u64>> = BTreeMap::new();
        let filter = TrashFilter {
            ids: Some(order.ids.clone()),
            ..TrashFilter::default()
        };
        for (root, row) in self.common().hooks.trash.list(&filter, None, usize::MAX) {
            roots.entry(root).or_default().push(row.id);
        }
        let known: BTreeSet<u64> = roots.values().flatten().copied().collect();
        if let Some(id) = order.ids.difference(&known).next() {
            return Err(format!("there is no {id} in the trash"));
        }
        let at = clock::now().wall;
        let how = Order {
            beside: order.beside,
            by: order.by.clone(),
            at,
            until: at.after(order.pinned_for.unwrap_or(PINNED_FOR)),
        };
        let mut done = Vec::new();
        for (root, ids) in roots {
            done.extend(self.restore_in(root, &ids, &how));
        }
        done.sort_by_key(|one| one.id);
        Ok(done)
    }

    fn restore_in(&self, root: RootId, ids: &[u64], how: &Order) -> Vec<Restored> {
        let failed = |id: u64, error: &str| Restored {
            id,
            root: String::new(),
            restored: Vec::new(),
            taken: Vec::new(),
            errors: vec![error.to_owned()],
            files: 0,
            bytes: 0,
        };
        let opened = self.open_root(root);
        let (lane, place, dir) = match opened {
            Ok(opened) => opened,
            Err(error) => return ids.iter().map(|id| failed(*id, &error)).collect(),
        };
        let top = match RootDir::open_as(&place.path, place.key) {
            Ok(top) => top,
            Err(error) => {
                let error = error.to_string();
                return ids.iter().map(|id| failed(*id, &error)).collect();
            }
        };
        let mut restorer = Restorer::new(&top, &dir, how);
        let mut done = Vec::with_capacity(ids.len());
        for some in ids.chunks(TOGETHER_MAX) {
            let mut plans = Vec::with_capacity(some.len());
            for &id in some {
                match restorer.plan(id) {
                    Ok(plan) => plans.push(plan),
                    Err(error) => done.push(failed(id, &error)),
                }
            }
            if let Err(error) = restore_some(&lane, root, &mut restorer, &mut plans) {
                done.extend(plans.iter().map(|plan| failed(plan.result.id, &error)));
                continue;
            }
            done.extend(plans.into_iter().map(|plan| plan.result));
        }
        restorer.finish();
        done
    }

    /// Deletes things of the trash before their time, on the word of `by`. Blocks until they are
    /// deleted, but for large directories.
    #[must_use]
    pub fn empty_trash(
        &self,
        policy: &Policy,
        filter: &TrashFilter,
        by: &Principal,
    ) -> Vec<Purged> {
        let mut roots: BTreeMap<RootId, Vec<u64>> = BTreeMap::new();
        for (root, row) in self.common().hooks.trash.list(filter, None, usize::MAX) {
            roots.entry(root).or_default().push(row.id);
        }
        let mut done = Vec::new();
        for (root, ids) in roots {
            let Ok((lane, ..)) = self.open_root(root) else {
                continue;
            };
            for some in ids.chunks(TOGETHER_MAX) {
                let order = PurgeOrder {
                    root,
                    ids: some.to_vec(),
                    is_early: true,
                    by: by.clone(),
                };
                let (stays, leaving) =
                    purge::purge(&lane, policy, &order, BoundedClock(clock::now()));
                if !stays.is_empty() {
                    (lane.hooks.trash_news)(TrashNews::Purged(stays.clone()));
                }
                done.extend(stays);
                done.extend(leaving);
            }
        }
        done
    }

    /// Has things of the trash deleted. Answered through
    /// [`Hooks::trash_news`](crate::reap::Hooks::trash_news).
    pub fn purge(&self, policy: Arc<Policy>, order: PurgeOrder) {
        self.common().purge(policy, order);
    }

    fn open_root(&self, root: RootId) -> Result<(Arc<Lane>, RootLocation, TrashDir), String> {
        let common = self.common();
        let place = common.places.lock().get(&root).map(|of| of.place.clone());
        let place = place.ok_or("its root is away")?;
        if !common.hooks.trash.is_known(root) {
            return Err("the trash of its root was not read yet; try again".to_owned());
        }
        let lane = common.lane(&Devices::from([place.key.dev]));
        let lane = lane.ok_or("the daemon ends")?;
        let top = RootDir::open_as(&place.path, place.key).map_err(|error| error.to_string())?;
        let found = lane.find_quarantine(root, &place, &top, WhenMissing::Leave);
        let found = found.map_err(|hold| hold.to_string())?;
        let (quarantine, _) = found.ok_or("its root has no quarantine any more")?;
        let dir = TrashDir::find(&quarantine).map_err(|error| error.to_string())?;
        Ok((lane, place, dir.ok_or("its root has no trash any more")?))
    }

    fn open_to_read(&self, root: RootId) -> Option<TrashDir> {
        self.open_root(root).ok().map(|(_, _, dir)| dir)
    }
}

/// Pins, moves and records some things.
fn restore_some(
    lane: &Lane,
    root: RootId,
    restorer: &mut Restorer<'_>,
    plans: &mut [Plan],
) -> Result<(), String> {
    let top = restorer.root.path().to_path_buf();
    let order = restorer.order;
    let notes: Vec<&Note> = plans.iter().map(|plan| &plan.note).collect();
    let targets = targets(&notes, &top);
    if !targets.is_empty() {
        (lane.hooks.pin)(&PinOrder {
            targets,
            until: order.until,
            by: order.by.clone(),
        })?;
    }
    for plan in plans.iter_mut() {
        plan.note.is_pinned = true;
    }
    let turn = lane.lock_quarantine(root);
    let moving = turn.lock();
    restorer
        .write_notes(plans, false)
        .map_err(|error| error.to_string())?;
    for plan in plans.iter_mut() {
        restorer.bring_back(plan);
    }
    drop(moving);
    let lines = plans.iter();
    let lines = lines.filter_map(|plan| plan.line(&top, lane.ledger.next_id()));
    let lines: Vec<_> = lines.collect();
    let is_recorded = lane.ledger.append(&lines).inspect_err(|error| {
        tracing::error!(%error, "what was restored could not be recorded; the next start does it");
    });
    let moved = plans.iter().filter(|plan| plan.has_moved());
    let jobs = moved.flat_map(|plan| plan.note.manifest.jobs.iter().cloned());
    let jobs: BTreeSet<JobName> = jobs.collect();
    let jobs: Vec<JobName> = jobs.into_iter().collect();
    tell_of_places(lane, root, plans);
    // Before the records of the jobs are free: what is back must be known by then.
    (lane.hooks.trash_news)(TrashNews::Restored(jobs.clone()));
    for plan in plans.iter() {
        if restorer.end(plan, is_recorded.is_err()) {
            lane.hooks.trash.remove(root, plan.result.id);
        }
    }
    (lane.hooks.trash_news)(TrashNews::Restored(jobs));
    Ok(())
}

/// Has the watchers look at what came back.
fn tell_of_places(lane: &Lane, root: RootId, plans: &[Plan]) {
    let mut changed = BTreeSet::new();
    for plan in plans.iter().filter(|plan| plan.has_moved()) {
        for (number, place) in &plan.note.places {
            let mut parts = plan.note.manifest.parts.iter();
            let is_dir = parts.any(|part| part.number == *number && part.is_dir);
            let Some(place) = place.rel() else { continue };
            let above = place.split().map(|(above, _)| above);
            changed.insert(if is_dir {
                place
            } else {
                above.unwrap_or_default()
            });
        }
    }
    for path in changed {
        (lane.hooks.put_back)(root, &path);
    }
}
