//! Limits on the free space of a file system: when it is asked, and what is claimed.
//!
//! One batch is claimed at a time. When the reaper has answered all of it, the file system must
//! have gained at least half of what the batch gave back; else something else fills it, and the
//! limit is held.
//!
//! **Invariant:** a file system is asked only when something was written, and often only near the
//! limit; a timer runs only there.
//! **Invariant:** while others fill a file system faster than a limit frees it, the limit removes
//! nothing more, and never what `keep_at_least` keeps.

use super::Engine;
use super::limit_order::{Quest, Victims};
use super::limit_space_state::{Batch, Check, SpaceState};
use super::limits::{BarrierState, SumKey};
use super::timers::Timer;
use crate::core::claim::LimitKey;
use crate::core::effect::Effect;
use crate::core::facts::{BLOCK_BYTES, RootId, Space};
use crate::core::hold::Hold;
use crate::core::limits::Goal;
use crate::core::policy::Limit;
use crate::core::principal::Principal;
use crate::core::report::LimitPhase;
use crate::core::time::Now;

/// Things that are claimed by one decision: few enough that little is gone when it does not help.
const BATCH_MAX: usize = 256;

impl Engine {
    /// Claims what file systems lack. Returns true if a barrier is needed first.
    pub(super) fn check_spaces(&mut self, now: Now) -> bool {
        let mut wants_barrier = false;
        for no in self.space_limits() {
            let hold = self.hold_of_limit(no);
            let is_held = hold.is_some();
            let futile = self.limits.get(no).space.futile(now.wall);
            self.set_limit_hold(no, hold.or(futile));
            if !is_held {
                wants_barrier |= self.check_space(no, now);
            }
        }
        wants_barrier
    }

    /// Asks the file systems of an engine that removes nothing by itself, each once.
    pub(super) fn ask_spaces_once(&mut self, now: Now) {
        for no in self.space_limits() {
            let is_known = self.limits.get(no).space.was_asked();
            if !is_known && self.hold_of_limit(no).is_none() {
                self.ask_space(no, now);
            }
        }
    }

    fn space_limits(&self) -> Vec<u16> {
        let all = (0u16..).zip(&self.limits.all);
        let of_space = all.filter(|(_, of)| of.limit.is_of_space());
        of_space.map(|(no, _)| no).collect()
    }

    fn check_space(&mut self, no: u16, now: Now) -> bool {
        let key: SumKey = (no, Box::default());
        let fill = self.fill(&key);
        let mut is_going = self.limits.going.of(&key).next().is_some();
        // What a batch has brought into the trash is free when it has left that, too.
        if !is_going && self.limits.get_mut(no).space.take_trash_turn() {
            self.empty_trash(&key);
        }
        is_going |= self.purges_under_way() > 0;
        let of = self.limits.get_mut(no);
        match of.space.check(&of.limit, fill, is_going, now.wall) {
            Check::Nothing => false,
            Check::Wait(at) => {
                self.timers.arm(Timer::Limits, at);
                false
            }
            Check::Ask => {
                self.ask_space(no, now);
                false
            }
            Check::Act if self.limits.barrier != BarrierState::Through => true,
            Check::Act => {
                self.free_space(&key, now);
                false
            }
        }
    }

    fn ask_space(&mut self, no: u16, now: Now) {
        let fill = self.fill(&(no, Box::default()));
        let of = self.limits.get_mut(no);
        of.space.on_asked(fill, now.wall);
        let root = of.scope.root();
        self.effects.push(Effect::AskSpace(root));
    }

    /// Lack of a file system, and the part of the limit that says so; `None`: nothing, or it was
    /// not asked.
    pub(super) fn space_excess(&self, key: &SumKey) -> Option<(LimitKey, Goal)> {
        let of = self.limits.get(key.0);
        let (bytes, files) = of.limit.missing(&of.space.last()?);
        let cause = match (bytes, files) {
            (0, 0) => return None,
            (0, _) => LimitKey::MinFreeInodes,
            (_, _) => LimitKey::MinFree,
        };
        let kept = of.limit.keep_at_least / BLOCK_BYTES;
        let goal = Goal {
            blocks: bytes.div_ceil(BLOCK_BYTES),
            files,
            blocks_max: self.fill(key).blocks.saturating_sub(kept),
        };
        Some((cause, goal))
    }

    /// Has the oldest of the trash deleted that a file system lacks room for, before the windows of
    /// undo end. Returns how many bytes those have.
    fn empty_trash(&mut self, key: &SumKey) -> u64 {
        let root = self.limits.get(key.0).scope.root();
        let Some((_, goal)) = self.space_excess(key) else {
            return 0;
        };
        // A file takes a block at least.
        let blocks = goal.blocks.max(goal.files.saturating_mul(8));
        self.purge_oldest(root, blocks.saturating_mul(BLOCK_BYTES), &Principal::Rule)
    }

    /// Claims one batch of what a file system lacks.
    fn free_space(&mut self, key: &SumKey, now: Now) {
        let Some((cause, goal)) = self.space_excess(key) else {
            return;
        };
        let bytes = self.empty_trash(key);
        if bytes > 0 {
            let batch = Batch {
                bytes,
                files: 1,
                is_trash: true,
                may_be_in_trash: false,
                is_of_bytes: cause == LimitKey::MinFree,
            };
            self.limits.get_mut(key.0).space.begin(batch);
            return;
        }
        if std::mem::take(&mut self.limits.get_mut(key.0).is_space_fresh) {
            let victims = self.space_victims(key, (cause, goal), usize::MAX, now);
            let root = self.limits.get(key.0).scope.root();
            self.trip_limit(root, victims.files, now);
            if self.hold_of_limit(key.0).is_some() {
                return;
            }
        }
        let victims = self.space_victims(key, (cause, goal), BATCH_MAX, now);
        let of = self.limits.get_mut(key.0);
        of.space.passed.clone_from(&victims.passed);
        if victims.taken.is_empty() {
            let at = of.space.on_nothing(victims.next_age, now.wall);
            self.timers.arm(Timer::Limits, at);
            return;
        }
        self.claim_victims(victims, now);
        let going = self.limits.going.of(key);
        let (blocks, files) = going.fold((0u64, 0u64), |(blocks, files), charge| {
            (blocks.saturating_add(charge.freed()), files + charge.files)
        });
        let batch = Batch {
            bytes: blocks.saturating_mul(BLOCK_BYTES),
            files,
            is_trash: false,
            may_be_in_trash: true,
            is_of_bytes: cause == LimitKey::MinFree,
        };
        self.limits.get_mut(key.0).space.begin(batch);
    }

    fn space_victims(
        &self,
        key: &SumKey,
        (cause, goal): (LimitKey, Goal),
        most: usize,
        now: Now,
    ) -> Victims {
        let quest = Quest {
            goal,
            key: cause,
            most,
            request: None,
            judged: None,
        };
        self.victims(key, quest, now)
    }

    /// A file system has told its space; `None`: it cannot be asked.
    pub(super) fn on_space(&mut self, root: RootId, space: Option<Space>, now: Now) {
        for no in self.space_limits() {
            if self.limits.get(no).scope.root() != root {
                continue;
            }
            let fill = self.fill(&(no, Box::default()));
            let of = self.limits.get_mut(no);
            let at = of.space.on_answer(space, &of.limit, fill, now.wall);
            if let Some(at) = at {
                self.timers.arm(Timer::Limits, at);
            }
        }
    }

    pub(super) fn space_phase(&self, key: &SumKey) -> LimitPhase {
        let of = self.limits.get(key.0);
        if let Some(hold) = &of.hold {
            return LimitPhase::Held { hold: hold.clone() };
        }
        of.space.phase(&of.limit)
    }
}

impl SpaceState {
    fn phase(&self, limit: &Limit) -> LimitPhase {
        let is_short = self
            .last()
            .is_some_and(|space| limit.missing(&space) != (0, 0));
        if !is_short {
            LimitPhase::Met
        } else if self.is_waiting() {
            let passed = self.passed.iter();
            LimitPhase::Unmet {
                passed: passed
                    .map(|(code, count)| ((*code).to_owned(), *count))
                    .collect(),
            }
        } else {
            LimitPhase::Removing
        }
    }

    /// Hold of a limit whose removals do not help.
    fn futile(&self, now: crate::core::time::Timestamp) -> Option<Hold> {
        let (freed, gained) = self.futile_since(now)?;
        Some(Hold::LimitFutile { freed, gained })
    }
}
