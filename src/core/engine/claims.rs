//! Claims: what the reaper has, and what is about to be handed to it.
//!
//! **Invariant:** one path has at most one claim under way, and so has all that a job owns under
//! one rule.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::effects::Effects;
use super::item::Item;
use crate::core::claim::Claim;
use crate::core::facts::{RootId, RuleId};
use crate::core::input::Effect;
use crate::core::jobs::JobKey;
use crate::core::path::RelPath;

/// Maximum number of claims that the reaper has, ~4 MB. One device has at most half of them: enough
/// to keep its threads busy through a sync of the ledger, few enough that what it finds changed is
/// not long out of date.
const OUTSTANDING_MAX: usize = 8192;
/// One sync of the ledger and one open descriptor per leased file: a batch spreads the first and
/// bounds the second.
const BATCH_MAX: usize = 768;

/// Subject of a claim, as its answer names it. Several jobs may own the same first path, or none,
/// and so may several rules of one.
pub(super) type Subject = (RootId, RelPath, Option<(JobKey, RuleId)>);

/// Subject of `claim`.
pub(super) fn subject_of(claim: &Claim) -> Subject {
    let job = claim.job().map(|job| (job.clone(), claim.rule));
    (claim.root, claim.path.clone(), job)
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Those that the reaper has not answered, with where the engine has what they are about, and
    /// their device.
    outstanding: BTreeMap<Subject, (Item, u64)>,
    /// Number of them, by device.
    by_device: BTreeMap<u64, usize>,
    /// Those of this step, by root: handed over together, so that they share a sync of the ledger.
    ready: BTreeMap<RootId, Vec<Claim>>,
    /// Claims of dry runs, of this step.
    previews: Vec<Claim>,
    /// Claims of dry runs that were not answered.
    previewing: usize,
}

impl Claims {
    /// Number of claims that the reaper has.
    pub(super) fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// Returns true if the reaper may have another claim on this device: a device has at most as
    /// many as are left for all others. So one that does not answer leaves half, and each further
    /// one leaves half of the rest.
    pub(super) fn has_room(&self, device: u64) -> bool {
        let of_device = self.by_device.get(&device).copied().unwrap_or(0);
        of_device < OUTSTANDING_MAX.saturating_sub(self.outstanding.len())
    }

    /// Returns true if the reaper may have this claim of a clean, beside the dry runs under way.
    pub(super) fn has_room_for_clean(&self, claim: &Claim) -> bool {
        self.has_room(claim.key.dev)
            && self.outstanding.len() + self.previewing < OUTSTANDING_MAX / 2
    }

    pub(super) fn contains(&self, subject: &Subject) -> bool {
        self.outstanding.contains_key(subject)
    }

    /// Gives out a claim, unless one on the same path is under way.
    pub(super) fn give_out(&mut self, item: Item, claim: Claim) {
        if let Entry::Vacant(free) = self.outstanding.entry(subject_of(&claim)) {
            let device = claim.key.dev;
            free.insert((item, device));
            *self.by_device.entry(device).or_default() += 1;
            self.ready.entry(claim.root).or_default().push(claim);
        }
    }

    pub(super) fn preview(&mut self, claim: Claim) {
        self.previewing += 1;
        self.previews.push(claim);
    }

    /// The reaper has answered. Returns what the claim was about.
    pub(super) fn settle(&mut self, claim: &Claim) -> Option<Item> {
        let (item, device) = self.outstanding.remove(&subject_of(claim))?;
        if let Entry::Occupied(mut count) = self.by_device.entry(device) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        Some(item)
    }

    /// So many claims of dry runs were answered.
    pub(super) fn settle_previews(&mut self, answered: usize) {
        self.previewing = self.previewing.saturating_sub(answered);
    }

    /// Hands the claims of this step over, in batches that share a sync of the ledger.
    pub(super) fn dispatch(&mut self, effects: &mut Effects) {
        let mut in_batches = |claims: Vec<Claim>, effect: fn(Vec<Claim>) -> Effect| {
            let mut claims = claims.into_iter().peekable();
            while claims.peek().is_some() {
                effects.push(effect(claims.by_ref().take(BATCH_MAX).collect()));
            }
        };
        in_batches(std::mem::take(&mut self.previews), Effect::Preview);
        for (_, claims) in std::mem::take(&mut self.ready) {
            in_batches(claims, Effect::Claim);
        }
    }
}
