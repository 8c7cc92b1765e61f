//! Claims: what the reaper has, and what is about to be handed to it.
//!
//! **Invariant:** one path has at most one claim under way, and so has all that a job owns under
//! one rule.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::effects::Effects;
use super::item::Item;
use crate::core::claim::{Claim, Unit};
use crate::core::facts::{RootId, RuleId};
use crate::core::input::Effect;
use crate::core::jobs::JobKey;
use crate::core::path::RelPath;

/// Claims that the reaper may have at once: enough to keep two threads busy through a sync of the
/// ledger, few enough that what it finds changed is not long out of date.
const OUTSTANDING_MAX: usize = 4096;
/// One sync of the ledger and one open descriptor per leased file: a batch spreads the first and
/// bounds the second.
const BATCH_MAX: usize = 768;

/// Subject of a claim, as its answer names it. Several jobs may own the same first path, or none,
/// and so may several rules of one.
pub(super) type Subject = (RootId, RelPath, Option<(JobKey, RuleId)>);

/// Subject of `claim`.
pub(super) fn subject_of(claim: &Claim) -> Subject {
    let job = claim.owners.first().filter(|_| claim.unit == Unit::Job);
    let job = job.map(|job| (job.clone(), claim.rule));
    (claim.root, claim.path.clone(), job)
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Those that the reaper has not answered, with where the engine has what they are about.
    outstanding: BTreeMap<Subject, Item>,
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

    /// Returns true if the reaper can follow.
    pub(super) fn has_room(&self) -> bool {
        self.outstanding.len() < OUTSTANDING_MAX
    }

    /// Returns true if the reaper can follow beside the dry runs under way.
    pub(super) fn has_room_for_clean(&self) -> bool {
        self.outstanding.len() + self.previewing < OUTSTANDING_MAX
    }

    pub(super) fn contains(&self, subject: &Subject) -> bool {
        self.outstanding.contains_key(subject)
    }

    /// Gives out a claim, unless one on the same path is under way.
    pub(super) fn give_out(&mut self, item: Item, claim: Claim) {
        if let Entry::Vacant(free) = self.outstanding.entry(subject_of(&claim)) {
            free.insert(item);
            self.ready.entry(claim.root).or_default().push(claim);
        }
    }

    pub(super) fn preview(&mut self, claim: Claim) {
        self.previewing += 1;
        self.previews.push(claim);
    }

    /// The reaper has answered. Returns what the claim was about.
    pub(super) fn settle(&mut self, claim: &Claim) -> Option<Item> {
        self.outstanding.remove(&subject_of(claim))
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
