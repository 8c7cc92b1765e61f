//! Timers → claims: what is due and free is claimed, everything else is armed for when it may be.
//!
//! **Invariant:** what fires while the reaper has its hands full waits in line, and is taken up in its turn.

use std::collections::btree_map::Entry;

use super::armed::Timer;
use super::held::UNIT;
use super::stall::Retry;
use super::standing::{Lapse, Standing, lapse_of};
use super::state::Engine;
use crate::core::claim::{Actor, Claim, Unit};
use crate::core::hold::Hold;
use crate::core::index::{DirId, PageId};
use crate::core::input::{Effect, Event};
use crate::core::report::Mode;
use crate::core::time::{Now, Timestamp};

/// Claims that the reaper may have at once: enough to keep two threads busy through a sync of the ledger, few enough that
/// what it finds changed is not long out of date.
pub(super) const OUTSTANDING_MAX: usize = 4096;

/// A timer that fired and is taken up in its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    timer: Timer,
    /// Everything due until here was taken up before this timer fired.
    floor: Timestamp,
    /// When it fired.
    fired: Timestamp,
}

impl Engine {
    /// Takes up everything that has become due, as far as the reaper can follow.
    pub(super) fn fire(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut fired = Vec::new();
        self.wheel.advance(now.wall, &mut fired);
        for (at, timer) in fired {
            if let Some(armed) = self.armed.slot(timer) {
                if *armed != at {
                    continue;
                }
                *armed = Timestamp::MAX;
            }
            self.waiting.push_back(Waiting {
                timer,
                floor: self.fired_until,
                fired: now.wall,
            });
        }
        self.fired_until = self.fired_until.max(now.wall);
        self.feed_cleans(now, effects);
        while self.claimed.len() + self.jobs_out < OUTSTANDING_MAX
            && let Some(next) = self.waiting.pop_front()
        {
            self.take_up(next, now, effects);
        }
    }

    fn take_up(&mut self, next: Waiting, now: Now, effects: &mut Vec<Effect>) {
        match next.timer {
            Timer::Page(page) => self.take_up_page(page, next, now, effects),
            Timer::Unit(dir) => self.take_up_unit(dir, next, now, effects),
            Timer::Job(source, no) => self.take_up_job(source, no, next, now, effects),
            Timer::Pins => self.end_pins(now),
            Timer::Root(root) => match self.roots.get_mut(&root).map(|s| s.end_stall(now.wall)) {
                Some(Retry::Removals) => self.arm_root(root, now),
                Some(Retry::Quarantine(key)) => {
                    effects.push(Effect::Placed(root, Some(key)));
                }
                Some(Retry::Nothing) | None => {}
            },
        }
    }

    fn take_up_page(&mut self, id: PageId, next: Waiting, now: Now, effects: &mut Vec<Effect>) {
        let Some(page) = self.index.page(id) else {
            return;
        };
        let dir_id = page.dir();
        let Some((root, dir)) = self.index.dir_path(dir_id) else {
            return;
        };
        for (name, record) in page.due(now.wall) {
            let Some(lapse) = lapse_of(record.class, record.basis, record.deadline()) else {
                continue;
            };
            if self.standing(root, dir_id, name, lapse, now) != Standing::Due {
                continue;
            }
            if self.claimed.len() >= OUTSTANDING_MAX {
                self.waiting.push_front(next);
                return;
            }
            let claim = Claim {
                root,
                path: dir.join(name),
                unit: Unit::File,
                owners: self.readings(root, dir.join(name).as_bytes()),
                pieces: Vec::new(),
                key: crate::core::facts::FileKey {
                    dev: self.dev_of(dir_id),
                    ino: record.ino,
                },
                rule: lapse.rule,
                known: record.basis,
                retention_ms: None,
                due: next.due(lapse.deadline),
                actor: Actor::Rule,
            };
            let what = (1, record.size);
            if self.may_go_as_orphan(root, lapse.rule, what, now, effects) {
                self.claim(dir_id, name, claim, effects);
            }
        }
        self.arm_page(id, now);
    }

    fn take_up_unit(&mut self, id: DirId, next: Waiting, now: Now, effects: &mut Vec<Effect>) {
        let known = self.index.dir(id).zip(self.index.dir_path(id));
        let (Some((dir, (_, path))), Some(unit)) = (known, self.index.unit(id)) else {
            return;
        };
        let Some(deadline) = unit.deadline else {
            return;
        };
        let lapse = Lapse {
            rule: unit.rule,
            basis: unit.basis,
            deadline,
        };
        if self.standing(dir.root, id, UNIT, lapse, now) == Standing::Due {
            let claim = Claim {
                root: dir.root,
                unit: Unit::Dir,
                owners: self.readings(dir.root, path.as_bytes()),
                path,
                pieces: Vec::new(),
                key: dir.facts.key,
                rule: unit.rule,
                known: unit.basis,
                retention_ms: None,
                due: next.due(deadline),
                actor: Actor::Rule,
            };
            let what = (unit.files.max(1), unit.bytes);
            if self.may_go_as_orphan(dir.root, unit.rule, what, now, effects) {
                self.claim(id, UNIT, claim, effects);
            }
        } else {
            self.arm_unit(id, now);
        }
    }

    /// Gives out one claim; a dry run only tells what would go.
    fn claim(&mut self, dir: DirId, name: &[u8], claim: Claim, effects: &mut Vec<Effect>) {
        match self.mode {
            Mode::Live | Mode::OnRequest => self.give_out(dir, name, claim),
            Mode::DryRun => {
                self.held.hold(dir, name, Hold::DryRun, 0, self.fired_until);
                let held = Event::Held {
                    root: claim.root,
                    path: claim.path,
                    hold: Hold::DryRun,
                };
                effects.push(Effect::Tell(held));
            }
        }
    }

    /// Gives out a claim, unless one on the same path is under way: what has come to stand there meanwhile is looked at again
    /// when that one is answered.
    pub(super) fn give_out(&mut self, dir: DirId, name: &[u8], claim: Claim) {
        self.held.claim(dir, name);
        if let Entry::Vacant(free) = self.claimed.entry((claim.root, claim.path.clone())) {
            free.insert((dir, name.into()));
            self.claims.entry(claim.root).or_default().push(claim);
        }
    }

    /// The device that the files of a directory are on: its own, no mount being entered.
    pub(super) fn dev_of(&self, dir: DirId) -> u64 {
        self.index.dir(dir).map_or(0, |dir| dir.facts.key.dev)
    }
}

impl Waiting {
    /// From when lateness counts for what has this deadline.
    pub(super) fn due(&self, deadline: Timestamp) -> Timestamp {
        if deadline > self.floor {
            deadline
        } else {
            self.fired
        }
    }
}
