//! Timers → claims: what is due and free is claimed, everything else is armed for when it may be.
//!
//! **Invariant:** timers that fire while the reaper has all the claims on their device that it may
//! have are queued in the order of firing.

use super::candidate::Candidate;
use super::holds::{EntryState, HoldTable, Refused};
use super::item::Item;
use super::job_breaker::may_be_due;
use super::lapse::{LapseState, Trigger};
use super::stall::Retry;
use super::state::Engine;
use super::timers::Timer;
use crate::core::claim::Actor;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::index::DirId;
use crate::core::input::{Effect, Event};
use crate::core::jobs::{Job, SourceId};
use crate::core::path::RelPath;
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
            Timer::Page(_) | Timer::Unit(_) | Timer::Job(..) => self.claim_due(next, now),
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
                    let tries = self.holds.get(&item).map_or(0, EntryState::tries);
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
            Timer::Shared(_) | Timer::Root(_) | Timer::Job(..) | Timer::Pins => {}
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

    /// Claims a candidate that is due and free; a dry run only tells of it.
    fn claim(&mut self, found: Candidate, next: FiredTimer, now: Now) {
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
