//! Timers → claims: what is due and free is claimed, everything else is armed for when it may be.
//! Claims are what the reaper has, or what is about to be handed to it.
//!
//! **Invariant:** timers that fire while the reaper has all the claims on their device that it may
//! have are queued in the order of firing.
//! **Invariant:** one path has at most one claim under way, and so has all that a job owns under
//! one rule.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::Engine;
use super::candidate::Candidate;
use super::effects::Effects;
use super::holds::{HoldTable, Refused};
use super::item::Item;
use super::job_breaker::may_be_due;
use super::lapse::{LapseState, Trigger};
use super::stall::Retry;
use super::timers::{FiredTimer, Timer};
use crate::core::claim::{Actor, Claim};
use crate::core::effect::{Effect, Event};
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::jobs::{Job, JobKey, SourceId};
use crate::core::path::RelPath;
use crate::core::report::Mode;
use crate::core::time::Now;

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
    /// Subjects of the claims that the reaper has.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.outstanding.keys()
    }

    /// Number of claims that the reaper has.
    pub(super) fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// Items of the claims that the reaper has.
    pub(super) fn items(&self) -> impl Iterator<Item = &Item> {
        self.outstanding.values().map(|(item, _)| item)
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

    /// Hands the claims of this step over, in batches that share a sync of the ledger. In a dry run
    /// they are only looked at.
    pub(super) fn dispatch(&mut self, mode: Mode, effects: &mut Effects) {
        let mut in_batches = |claims: Vec<Claim>, effect: fn(Vec<Claim>) -> Effect| {
            let mut claims = claims.into_iter().peekable();
            while claims.peek().is_some() {
                effects.push(effect(claims.by_ref().take(BATCH_MAX).collect()));
            }
        };
        in_batches(std::mem::take(&mut self.previews), Effect::Preview);
        let effect = match mode {
            Mode::Live | Mode::OnRequest => Effect::Claim,
            Mode::DryRun => Effect::Preview,
        };
        for (_, claims) in std::mem::take(&mut self.ready) {
            in_batches(claims, effect);
        }
    }
}

impl Engine {
    /// Processes everything that has become due, as far as the reaper can follow.
    pub(super) fn fire(&mut self, now: Now) {
        self.timers.advance(now.wall);
        self.feed_cleans(now);
        while let Some(next) = self.timers.pop(|device| self.claims.has_room(device)) {
            self.process_timer(next, now);
        }
    }

    fn process_timer(&mut self, next: FiredTimer, now: Now) {
        match next.timer {
            Timer::Page(_) | Timer::Unit(_) | Timer::Job(..) => self.claim_due(next, now),
            Timer::Shared(dir) => self.try_shared_holds(dir, now),
            Timer::Pins => self.end_pins(now),
            Timer::Pauses => self.check_pauses(now),
            Timer::Trash => self.on_trash_timer(now),
            // They are looked at in each step.
            Timer::Limits => {}
            Timer::Root(root) => match self.roots.get_mut(&root).map(|of| of.retry(now.wall)) {
                Some(Retry::Removals) => self.arm_root(root, now),
                // The next look tells whether it could be had.
                Some(Retry::Quarantine(_)) if self.is_shadow() => {
                    self.on_recovered(root, None, now);
                }
                Some(Retry::Quarantine(key)) => {
                    self.effects.push(Effect::Placed(root, Some(key)));
                }
                Some(Retry::Nothing) | None => {}
            },
        }
    }

    /// Claims what a page, a top-level directory or a job has that is due and free.
    fn claim_due(&mut self, next: FiredTimer, now: Now) {
        if let Timer::Job(source, no) = next.timer
            && !self.may_gather(source, no, now)
        {
            return;
        }
        for (item, state, found) in self.candidates(next.timer, Trigger::Timer, now) {
            match (state, found, &item) {
                (LapseState::Due, Some(found), _) => {
                    let dev = found.key.dev;
                    if !self.claims.has_room(dev) {
                        self.timers.park(dev, next);
                        return;
                    }
                    self.claim(found, next, now);
                }
                (LapseState::Held { hold, until: None }, Some(found), Item::Job(..)) => {
                    let tries = self.holds.tries(&item);
                    self.hold_item(&item, (found.root, &found.path), hold, tries, now);
                }
                (state, _, &Item::Job(source, no, _)) => {
                    if !matches!(state, LapseState::Claimed | LapseState::Held { .. }) {
                        self.holds_mut().clear(&item);
                    }
                    if let Some(at) = state.retry_at() {
                        self.timers.arm(Timer::Job(source, no), at);
                    }
                }
                (_, _, Item::File(..) | Item::Dir(_)) => {}
            }
        }
        match next.timer {
            Timer::Page(page) => self.arm_page(page, now),
            Timer::Unit(dir) => self.arm_unit(dir, now),
            Timer::Shared(_)
            | Timer::Root(_)
            | Timer::Job(..)
            | Timer::Pins
            | Timer::Pauses
            | Timer::Trash
            | Timer::Limits => {}
        }
    }

    /// Returns true if what a job owns may be gathered now. What is not due yet need not be known
    /// yet.
    fn may_gather(&mut self, source: SourceId, no: u32, now: Now) -> bool {
        let job = self.jobs.numbered(source, no).filter(Job::can_lose);
        let may_be_due = job.is_some_and(|job| {
            let mut rules = self.policy.job_rules(&job);
            rules.any(|(id, rule)| {
                Trigger::Timer.wants_rule(&self.policy, id)
                    && may_be_due(rule, &job, None, now.wall)
            })
        });
        self.mode != Mode::OnRequest && (!may_be_due || self.has_arrived(source, no))
    }

    /// Claims a candidate that is due and free.
    fn claim(&mut self, found: Candidate, next: FiredTimer, now: Now) {
        let what = (found.files.max(1), found.bytes);
        if !self.may_go_as_orphan(found.root, found.lapse.rule, what, now) {
            return;
        }
        let (item, due) = (found.item.clone(), next.due(found.lapse.deadline));
        let claim = self.claim_of(found, due, None, Actor::default());
        self.give_out(item, claim);
    }

    /// Holds an item that was tried `tries` times before, tells of it once, and has it tried again.
    pub(super) fn hold_item(
        &mut self,
        item: &Item,
        (root, path): (RootId, &RelPath),
        hold: Hold,
        tries: u32,
        now: Now,
    ) {
        // What is held again for the same reason was told.
        let is_known = match self.holds.get(item) {
            Some(before) => before.hold.code() == hold.code(),
            None => tries > 0,
        };
        let is_root = self.roots.contains_key(&root);
        let event = Event::Held {
            root,
            path: path.clone(),
            hold: hold.clone(),
        };
        let place = HoldTable::place_of(&self.index, item);
        let place = place.filter(|_| hold.is_shared() || self.holds.is_full());
        let is_first = if let Some(place) = place {
            // One word for a directory is enough for what is the directory's fault.
            let is_told_once = matches!(hold, Hold::Denied { .. } | Hold::OpenUnknown { .. });
            let (retry_at, is_first) = self.holds_mut().share(place, hold, now.wall);
            self.timers.arm(Timer::Shared(place.0), retry_at);
            is_first || !is_told_once
        } else {
            let retry_at = self.holds_mut().hold(item.clone(), hold, tries, now.wall);
            match *item {
                Item::File(..) => self.rearm(item, now),
                Item::Dir(dir) => self.timers.arm(Timer::Unit(dir), retry_at),
                Item::Job(source, no, _) => {
                    self.arriving.hold((source, no));
                    self.timers.arm(Timer::Job(source, no), retry_at);
                }
            }
            true
        };
        if is_first && !is_known && is_root {
            self.effects.tell(event);
        }
    }

    /// One of those is gone that are tried for others: the others are tried.
    pub(super) fn release_probed(&mut self, place: (DirId, Refused), now: Now) {
        if self.holds_mut().release_probed(place) {
            self.arm_dir(place.0, now);
        }
    }

    /// The time of the holds has come that files of `dir` share: some of them are tried.
    fn try_shared_holds(&mut self, dir: DirId, now: Now) {
        let probes = self.holds_mut().take_probes(dir, now.wall);
        if probes.is_all {
            self.arm_dir(dir, now);
        }
        for of in probes.items {
            match of {
                Refused::File(hash) => {
                    for name in self.index.named(dir, hash) {
                        self.rearm(&Item::File(dir, name), now);
                    }
                }
                Refused::Dir(dir) => self.arm_unit(dir, now),
            }
        }
        if let Some(at) = probes.next {
            self.timers.arm(Timer::Shared(dir), at);
        }
    }
}
