//! Limits that are exceeded: what is claimed because of them, and when.
//!
//! **Invariant:** a limit acts only on a root that is known in full, by sums that a barrier has
//! confirmed: what others have removed meanwhile is not removed twice.
//! **Invariant:** what a limit makes due passes the same holds, pins, breaker and looks as what its
//! deadline makes due.

use super::Engine;
use super::limit_order::{Quest, Victims};
use super::limits::{BarrierState, SumKey};
use super::root_state::RootState;
use super::timers::Timer;
use crate::core::claim::{Actor, LimitKey};
use crate::core::effect::Event;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::limits::{Fill, Goal};
use crate::core::path::RelPath;
use crate::core::policy::Limit;
use crate::core::report::{CleanRequest, Counted, Mode};
use crate::core::time::Now;

/// Things that are claimed by one decision: about as many as one sync of the ledger covers. What is
/// still too much is decided when the next ones are known to be going.
const CLAIMED_MAX: usize = 512;

/// Excess of a sum, and the part of the limit that says so; `None`: it is in order.
pub(super) fn excess(limit: &Limit, fill: Fill, is_running: bool) -> Option<(LimitKey, Goal)> {
    let most = limit.high_blocks();
    let is_high = fill.blocks > most || (is_running && fill.blocks > limit.low_blocks());
    let blocks = if is_high {
        fill.blocks.saturating_sub(limit.low_blocks())
    } else {
        0
    };
    let files = fill
        .files
        .saturating_sub(limit.max_files.unwrap_or(u64::MAX));
    let key = match (blocks, files) {
        (0, 0) => return None,
        (0, _) => LimitKey::MaxFiles,
        (_, _) => LimitKey::MaxSize,
    };
    let goal = Goal {
        blocks,
        files,
        blocks_max: u64::MAX,
    };
    Some((key, goal))
}

impl Engine {
    /// Claims what limits make due, as far as the reaper can follow.
    pub(super) fn check_limits(&mut self, now: Now) {
        if self.limits.is_empty() {
            return;
        }
        if self.mode == Mode::OnRequest {
            self.ask_spaces_once(now);
            return;
        }
        self.note_changed_sums();
        self.check_fresh_limits(now);
        let keys: Vec<SumKey> = self.limits.runs.keys().cloned().collect();
        let mut wants_barrier = false;
        for key in keys {
            wants_barrier |= self.check_sum(&key, now);
        }
        wants_barrier |= self.check_spaces(now);
        match (wants_barrier, self.limits.barrier) {
            (false, _) => self.limits.barrier = BarrierState::Idle,
            (true, BarrierState::Begun) => {}
            (true, BarrierState::Idle | BarrierState::Wanted | BarrierState::Through) => {
                self.limits.barrier = BarrierState::Wanted;
                self.ask_for_arrivals();
            }
        }
    }

    /// Begins to bring those sums down that have risen above their marks.
    fn note_changed_sums(&mut self) {
        for slot in self.limits.sums.take_changed() {
            let (key, fill) = (self.limits.key(slot), self.limits.sums.fill(slot));
            let limit = &self.limits.get(key.0).limit;
            if excess(limit, fill, false).is_some() {
                self.limits.runs.entry(key).or_default();
            }
        }
    }

    /// Looks at limits for the first time since the start or an edit: what they make due counts for
    /// the breaker, as any change of facts does.
    fn check_fresh_limits(&mut self, now: Now) {
        for no in 0..self.limits.all.len() {
            let no = u16::try_from(no).expect("invariant: no more limits than rules and roots");
            if !self.limits.get(no).is_fresh || self.hold_of_limit(no).is_some() {
                continue;
            }
            self.limits.get_mut(no).is_fresh = false;
            let root = self.limits.get(no).scope.root();
            let (from, to) = ((no, Box::default()), (no + 1, Box::default()));
            let keys: Vec<SumKey> = self
                .limits
                .runs
                .range(from..to)
                .map(|(key, _)| key.clone())
                .collect();
            let files: u64 = keys
                .iter()
                .map(|key| self.files_in_excess(key, usize::MAX, now))
                .sum();
            self.trip_limit(root, files, now);
        }
    }

    /// Number of files that a limit would remove from a sum, as `most` things; without a daemon, as
    /// a clean would.
    pub(super) fn files_in_excess(&self, key: &SumKey, most: usize, now: Now) -> u64 {
        let limit = &self.limits.get(key.0).limit;
        let fill = self.fill(key);
        let is_started = self.limits.runs.get(key).is_some_and(|run| run.is_started);
        let Some((cause, goal)) = excess(limit, fill, is_started) else {
            return 0;
        };
        let request = (self.mode == Mode::OnRequest).then(CleanRequest::default);
        let quest = Quest {
            goal,
            key: cause,
            most,
            request: request.as_ref(),
            judged: None,
        };
        self.victims(key, quest, now).files
    }

    /// Trips the breaker of a root if a limit makes too much of it due at once.
    pub(super) fn trip_limit(&mut self, root: RootId, files: u64, now: Now) {
        let of = self.index.totals(root).files;
        if self.breaker.is_exceeded(files, of) {
            self.trip(root, (files, of, Counted::Files), now);
        }
    }

    pub(super) fn fill(&self, key: &SumKey) -> Fill {
        let slot = self.limits.sums.find(key.0, &key.1);
        slot.map_or(Fill::default(), |slot| self.limits.sums.fill(slot))
    }

    /// Claims what brings one sum down. Returns true if a barrier is needed first.
    fn check_sum(&mut self, key: &SumKey, now: Now) -> bool {
        let fill = self.fill(key);
        let is_started = self.limits.runs.get(key).is_some_and(|run| run.is_started);
        // In a dry run what would be gone is gone, as far as it goes.
        let seeming = self.without_foretold(key, fill);
        let limit = &self.limits.get(key.0).limit;
        if excess(limit, seeming, is_started).is_none() {
            self.limits.runs.remove(key);
            return false;
        }
        let Some((cause, goal)) = excess(limit, fill, is_started) else {
            return false;
        };
        let try_at = self.limits.runs.get(key).map(|run| run.try_at(fill));
        if let Some(at) = try_at.filter(|&at| at > now.wall) {
            self.timers.arm(Timer::Limits, at);
            return false;
        }
        let hold = self.hold_of_limit(key.0);
        self.set_limit_hold(key.0, hold);
        if self.limits.get(key.0).hold.is_some() || self.is_enough_going(key, goal) {
            return false;
        }
        if self.limits.barrier != BarrierState::Through {
            return true;
        }
        let quest = Quest {
            goal,
            key: cause,
            most: CLAIMED_MAX,
            request: None,
            judged: None,
        };
        let victims = self.victims(key, quest, now);
        if let Some((source, no)) = victims.awaits
            && victims.taken.is_empty()
        {
            // What the job owns is known when it is looked at again.
            return !self.has_arrived(source, no);
        }
        self.end_try(key, &victims, now);
        self.claim_victims(victims, now);
        false
    }

    /// Returns `fill` without what a dry run has foretold to be removed.
    fn without_foretold(&mut self, key: &SumKey, fill: Fill) -> Fill {
        if !self.is_shadow() {
            return fill;
        }
        let (index, holds) = (&self.index, &self.holds);
        let (blocks, files) = self.limits.going.retain(key, |item| {
            let hold = holds.hold_of(index, item);
            holds.is_claimed(item) || matches!(hold, Some((Hold::DryRun, _)))
        });
        Fill {
            blocks: fill.blocks.saturating_sub(blocks),
            files: fill.files.saturating_sub(files),
        }
    }

    /// Returns true if what is on its way out reaches the goal.
    fn is_enough_going(&self, key: &SumKey, goal: Goal) -> bool {
        let going = self.limits.going.of(key);
        let (blocks, files) = going.fold((0u64, 0u64), |(blocks, files), charge| {
            (blocks.saturating_add(charge.freed()), files + charge.files)
        });
        blocks >= goal.blocks && files >= goal.files
    }

    /// Takes note of how far a try leads.
    pub(super) fn end_try(&mut self, key: &SumKey, victims: &Victims, now: Now) {
        let fill = self.fill(key);
        let run = self.limits.runs.entry(key.clone()).or_default();
        run.passed.clone_from(&victims.passed);
        run.is_started |= !victims.taken.is_empty();
        if victims.is_reached || victims.is_cut || victims.awaits.is_some() {
            run.on_progress();
        } else {
            let at = run.on_unmet(fill, victims.next_age, now.wall);
            self.timers.arm(Timer::Limits, at);
        }
    }

    /// Claims what a limit takes, in its order.
    pub(super) fn claim_victims(&mut self, victims: Victims, now: Now) -> (u64, u64) {
        let mut claimed = (0, 0);
        for found in victims.taken {
            if !self.claims.has_room(found.key.dev) {
                break;
            }
            claimed = (claimed.0 + found.files, claimed.1 + found.bytes);
            let retention_ms = self.limit_age(&found);
            let item = found.item.clone();
            let claim = self.claim_of(found, now.wall, retention_ms, Actor::default());
            self.give_out(item, claim);
        }
        claimed
    }

    /// The age from which a limit may remove something, in milliseconds.
    pub(super) fn age_of(&self, scope: crate::core::claim::LimitScope) -> i64 {
        let of = self.limits.all.iter().find(|of| of.scope == scope);
        of.map_or(i64::MAX, |of| of.limit.min_age_ms)
    }

    /// Hold of a limit as a whole: what it counts is not known for certain, or nothing of its root
    /// may go.
    pub(super) fn hold_of_limit(&self, no: u16) -> Option<Hold> {
        let root = self.limits.get(no).scope.root();
        let Some(state) = self.roots.get(&root) else {
            return Some(Hold::RootMissing);
        };
        let of_root = state.hold_of_all();
        let unread = (!state.is_ready() || state.recovery.is_some()).then_some(Hold::Reconciling);
        let of_all = of_root.or(unread).or_else(|| self.saved.hold());
        if let Some(hold) = of_all.or_else(|| self.paused(root)) {
            return Some(hold);
        }
        if let Some(hold) = self.hold_of_unread_root(root) {
            return Some(hold);
        }
        if !self.limits.awaited.is_empty() {
            return Some(Hold::Reconciling);
        }
        let holds = self.job_holds();
        holds.governing(root).find_map(|source| {
            let is_partial = self.is_partial(source)
                || self
                    .sources
                    .get(source)
                    .is_none_or(super::source_state::SourceState::is_stale);
            holds
                .source_down(source)
                .or_else(|| is_partial.then_some(Hold::Reconciling))
        })
    }

    /// Takes note of what holds a limit, and tells of it once.
    pub(super) fn set_limit_hold(&mut self, no: u16, hold: Option<Hold>) {
        let of = self.limits.get_mut(no);
        let is_known = match (&of.hold, &hold) {
            (Some(before), Some(hold)) => before.code() == hold.code(),
            (_, None) => true,
            (None, Some(_)) => false,
        };
        let root = of.scope.root();
        of.hold.clone_from(&hold);
        if let Some(hold) = hold.filter(|_| !is_known)
            && matches!(hold, Hold::LimitFutile { .. })
        {
            let path = RelPath::root();
            self.effects.tell(Event::Held { root, path, hold });
        }
    }

    /// A barrier begins.
    pub(super) fn cover_limits(&mut self) {
        if self.limits.barrier == BarrierState::Wanted {
            self.limits.barrier = BarrierState::Begun;
        }
    }

    /// A barrier is through: until the next step limits may act.
    pub(super) fn on_limits_covered(&mut self) {
        if self.limits.barrier == BarrierState::Begun {
            self.limits.barrier = BarrierState::Through;
        }
    }
}

impl RootState {
    /// Hold of everything in the root, whatever its deadline.
    fn hold_of_all(&self) -> Option<Hold> {
        self.breaker
            .trip()
            .map(|_| Hold::Breaker)
            .or_else(|| self.hold(crate::core::time::Timestamp::MAX))
    }
}
