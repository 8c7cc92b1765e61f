//! Timers → claims: what is due and free is claimed, everything else is armed for when it may be.
//!
//! **Invariant:** timers that fire while the reaper has all the claims on their device that it may
//! have are queued in the order of firing.

use super::candidate::Candidate;
use super::holds::{EntryState, HoldTable, Refused};
use super::item::Item;
use super::job_breaker::may_be_due;
use super::lapse::{Lapse, LapseState, Trigger};
use super::stall::Retry;
use super::state::Engine;
use super::timers::Timer;
use crate::core::claim::Actor;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{DirId, PageId};
use crate::core::input::{Effect, Event};
use crate::core::jobs::{Job, SourceId};
use crate::core::path::RelPath;
use crate::core::policy::Schedule;
use crate::core::report::Mode;
use crate::core::time::{Now, Timestamp};

/// A timer that fired.
#[derive(Clone, Copy, Debug)]
pub(super) struct FiredTimer {
    pub(super) timer: Timer,
    /// Everything due until here was processed before this timer fired.
    pub(super) floor: Timestamp,
    /// Instant at which it fired.
    pub(super) fired: Timestamp,
}

impl FiredTimer {
    /// From when lateness counts for what has this deadline.
    fn due(&self, deadline: Timestamp) -> Timestamp {
        if deadline > self.floor {
            deadline
        } else {
            self.fired
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
            Timer::Page(page) => self.claim_due_in_page(page, next, now),
            Timer::Unit(dir) => self.claim_due_unit(dir, next, now),
            Timer::Job(source, no) => self.claim_due_of_job(source, no, next, now),
            Timer::Shared(dir) => self.try_shared_holds(dir, now),
            Timer::Pins => self.end_pins(now),
            Timer::Root(root) => match self.roots.get_mut(&root).map(|of| of.retry(now.wall)) {
                Some(Retry::Removals) => self.arm_root(root, now),
                Some(Retry::Quarantine(key)) => {
                    self.effects.push(Effect::Placed(root, Some(key)));
                }
                Some(Retry::Nothing) | None => {}
            },
        }
    }

    fn claim_due_in_page(&mut self, id: PageId, next: FiredTimer, now: Now) {
        let Some(page) = self.index.page(id) else {
            return;
        };
        let dir = page.dir();
        let Some((root, at)) = self.index.dir_path(dir) else {
            return;
        };
        let dev = self.dev_of(dir);
        for (name, record) in page.due(now.wall) {
            let Some(lapse) = Lapse::of(record.class, record.basis, record.deadline()) else {
                continue;
            };
            let item = Item::file(dir, name);
            if self.lapse_state(root, &item, lapse, Trigger::Timer, now) != LapseState::Due {
                continue;
            }
            if !self.claims.has_room(dev) {
                self.timers.park(dev, next);
                return;
            }
            let found = Candidate::of_file((root, &at), (dir, dev), (name, record), lapse);
            self.claim_due(found, next, now);
        }
        self.arm_page(id, now);
    }

    fn claim_due_unit(&mut self, dir: DirId, next: FiredTimer, now: Now) {
        let Some(found) = self.dir_candidate(dir) else {
            return;
        };
        let state = self.lapse_state(found.root, &found.item, found.lapse, Trigger::Timer, now);
        let dev = found.key.dev;
        if state == LapseState::Due && !self.claims.has_room(dev) {
            self.timers.park(dev, next);
        } else if state == LapseState::Due {
            self.claim_due(found, next, now);
        } else if let Some(at) = state.retry_at() {
            self.timers.arm(Timer::Unit(dir), at);
        }
    }

    /// Claims what a job owns and its rules let go, where its time has come.
    fn claim_due_of_job(&mut self, source: SourceId, no: u32, next: FiredTimer, now: Now) {
        if self.mode == Mode::OnRequest {
            return;
        }
        // What runs (again) is not asked over and over whether it still does: its row tells when it
        // ends.
        let Some(job) = self.jobs.numbered(source, no).filter(Job::can_lose) else {
            return;
        };
        let rules: Vec<RuleId> = self
            .policy
            .job_rules(&job)
            .filter(|(_, rule)| rule.schedule == Schedule::AtDeadline)
            .map(|(id, _)| id)
            .collect();
        // What is not due yet need not be known yet.
        let may_be_due = |rule: &RuleId| may_be_due(self.policy.rule(*rule), &job, None, now.wall);
        if rules.iter().any(may_be_due) && !self.has_arrived(source, no) {
            return;
        }
        for rule in rules {
            let item = Item::Job(source, no, rule);
            let (state, found) = self.job_state(&job, (no, rule), None, Trigger::Timer, now);
            match (state, found) {
                (LapseState::Held { hold, until: None }, Some(found)) => {
                    let tries = self.holds.get(&item).map_or(0, EntryState::tries);
                    self.hold_item(&found.item, (found.root, &found.path), hold, tries, now);
                }
                (LapseState::Due, Some(found)) => {
                    let dev = found.key.dev;
                    if !self.claims.has_room(dev) {
                        self.timers.park(dev, next);
                        return;
                    }
                    self.claim_due(found, next, now);
                }
                (state, _) => {
                    if !matches!(state, LapseState::Claimed | LapseState::Held { .. }) {
                        self.holds_mut().clear(&item);
                    }
                    if let Some(at) = state.retry_at() {
                        self.timers.arm(Timer::Job(source, no), at);
                    }
                }
            }
        }
    }

    /// Claims a candidate that is due and free; a dry run only tells of it.
    fn claim_due(&mut self, found: Candidate, next: FiredTimer, now: Now) {
        let what = (found.files.max(1), found.bytes);
        if !self.may_go_as_orphan(found.root, found.lapse.rule, what, now) {
            return;
        }
        match self.mode {
            Mode::Live | Mode::OnRequest => {
                let (item, due) = (found.item.clone(), next.due(found.lapse.deadline));
                let claim = self.claim_of(found, due, None, Actor::default());
                self.give_out(item, claim);
            }
            Mode::DryRun => {
                let at = (found.root, &found.path);
                self.hold_item(&found.item, at, Hold::DryRun, 0, now);
            }
        }
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
            Some(EntryState::Held { hold: before, .. }) => before.code() == hold.code(),
            Some(EntryState::Claimed { .. }) | None => tries > 0,
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
